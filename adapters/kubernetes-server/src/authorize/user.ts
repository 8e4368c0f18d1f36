/** Who asks. */
export interface User {
  readonly name: string;
  readonly groups: readonly string[];
  readonly uid?: string;
  /** What an impersonating client says besides, as it says it. */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** The group whose members may do everything, whatever the roles say. */
export const mastersGroup = "system:masters";
export const authenticatedGroup = "system:authenticated";

export function isMaster({ groups }: User): boolean {
  return groups.includes(mastersGroup);
}

const serviceAccountPrefix = "system:serviceaccount:";

/** `system:serviceaccount:NAMESPACE:NAME`, taken apart. */
export function serviceAccountOf(userName: string): { readonly namespace: string; readonly name: string } | undefined {
  if (!userName.startsWith(serviceAccountPrefix)) return undefined;
  const [namespace, name, ...more] = userName.slice(serviceAccountPrefix.length).split(":");
  return namespace && name && more.length === 0 ? { namespace, name } : undefined;
}

export function serviceAccountName(namespace: string, name: string): string {
  return `${serviceAccountPrefix}${namespace}:${name}`;
}
