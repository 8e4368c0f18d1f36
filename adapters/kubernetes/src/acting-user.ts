/** As whom a request is made, where that is not who opened the client. */
export type ActingUser =
  /** Impersonated: our own account needs the right to. */
  | { readonly kind: "impersonated"; readonly name: string; readonly groups: readonly string[] }
  /** With a token of their own. The client must have been opened without a certificate, which would count for more. */
  | { readonly kind: "token"; readonly token: string };

export function actingHeaders(as: ActingUser | undefined): Record<string, string | string[]> {
  if (as === undefined) return {};
  if (as.kind === "token") return { authorization: `Bearer ${as.token}` };
  const groups = as.groups.length === 0 ? {} : { "impersonate-group": as.groups.map(headerText) };
  return { "impersonate-user": headerText(as.name), ...groups };
}

/** Headers hold bytes, and servers read names as UTF-8. */
function headerText(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
