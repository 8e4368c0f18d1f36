export interface ClaimSettings {
  readonly usernameClaim: string;
  readonly groupsClaim: string;
  /** In front of names and groups, so that they are nobody else's in the cluster. */
  readonly usernamePrefix: string;
  readonly groupsPrefix: string;
}

export type ClaimedUser =
  | { readonly kind: "user"; readonly user: string; readonly groups: readonly string[] }
  | { readonly kind: "problem"; readonly problem: string };

const nameLengthMax = 256;
const groupsMax = 1_000;

/** Who an ID token says that somebody is. */
export function claimedUser(claims: Readonly<Record<string, unknown>>, settings: ClaimSettings): ClaimedUser {
  const { usernameClaim, groupsClaim, usernamePrefix, groupsPrefix } = settings;
  const name = claims[usernameClaim];
  if (typeof name !== "string" || !isName(name))
    return {
      kind: "problem",
      problem: `the provider says no ${usernameClaim} that could be a name: ask for its scope, or choose another claim`,
    };
  if (usernameClaim === "email" && claims.email_verified === false)
    return { kind: "problem", problem: `the provider has not verified that ${name} is yours` };
  const given = claims[groupsClaim];
  const groups = (Array.isArray(given) ? given : given === undefined ? [] : [given]).filter(
    (group) => typeof group === "string" && isName(group),
  );
  if (groups.length > groupsMax) return { kind: "problem", problem: `the provider says more than ${groupsMax} groups` };
  return { kind: "user", user: `${usernamePrefix}${name}`, groups: groups.map((group) => `${groupsPrefix}${group}`) };
}

function isName(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: names with them are refused
  return text !== "" && text.length <= nameLengthMax && !/[\u0000-\u001f\u007f]/.test(text);
}
