/** How far an address or a route is valid (RT_SCOPE_*). IPv6 settles it by the address itself. */
export type Scope = "universe" | "site" | "link" | "host" | "nowhere";

const numbers = { universe: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const;

export function encodeScope(scope: Scope): number {
  return numbers[scope];
}

/** A scope that an administrator made up lies between two named ones: the wider is given. */
export function decodeScope(number: number): Scope {
  if (number === numbers.nowhere) return "nowhere";
  if (number === numbers.host) return "host";
  if (number === numbers.link) return "link";
  return number >= numbers.site ? "site" : "universe";
}
