import { formatAddress, parseAddress } from "@cilium-ts/net";
import { canonicalName, type LearnedName, nameProblem } from "@cilium-ts/policy";

export type ParsedPreCache =
  | { readonly ok: true; readonly names: readonly LearnedName[] }
  | { readonly ok: false; readonly problem: string };

/** Cilium's preflight file: a list of `{"fqdn": …, "ips": […], "expiration-time": …}`, or an object with such lists by endpoint. */
export function parsePreCache(text: string): ParsedPreCache {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return { ok: false, problem: `it is no JSON: ${cause instanceof Error ? cause.message : cause}` };
  }
  const lists = Array.isArray(value) ? [value] : typeof value === "object" && value !== null ? Object.values(value) : [];
  if (lists.length === 0 || !lists.every(Array.isArray)) return { ok: false, problem: "it is no list of names" };
  const names: LearnedName[] = [];
  for (const [index, entry] of lists.flat().entries()) {
    const read = readEntry(entry);
    if (read === undefined) return { ok: false, problem: `entry ${index} has no name, addresses and time to end` };
    names.push(...read);
  }
  return { ok: true, names };
}

function readEntry(entry: unknown): LearnedName[] | undefined {
  if (typeof entry !== "object" || entry === null) return undefined;
  const { fqdn, ips, "expiration-time": expiration } = entry as Readonly<Record<string, unknown>>;
  const expiresS = typeof expiration === "string" ? Date.parse(expiration) / 1_000 : Number.NaN;
  if (typeof fqdn !== "string" || nameProblem(fqdn, "name") !== undefined || !Array.isArray(ips) || Number.isNaN(expiresS))
    return undefined;
  const addresses = ips.map((ip) => (typeof ip === "string" ? parseAddress(ip) : undefined));
  if (!addresses.every((address) => address !== undefined)) return undefined;
  return addresses.map((address) => ({ name: canonicalName(fqdn), address: formatAddress(address), expiresS }));
}
