import { createHash } from "node:crypto";
import type { OriginList } from "./origin-lists.ts";
import { originKey } from "./origins.ts";
import { portKeyOf } from "./port-prefix.ts";
import type { RuleOrigin } from "./rule.ts";
import type { ResolvedPolicy, VerdictEntry } from "./verdict.ts";

export function createResolvedPolicy(ingressEnforced: boolean, egressEnforced: boolean, entries: readonly VerdictEntry[]): ResolvedPolicy {
  const fingerprint = fingerprintOf(ingressEnforced, egressEnforced, entries);
  return Object.freeze({ ingressEnforced, egressEnforced, entries: Object.freeze(entries), fingerprint });
}

/** Numbers origins and lists of them in the order of their first use, so that the fingerprint depends on the result alone. */
function fingerprintOf(ingressEnforced: boolean, egressEnforced: boolean, entries: readonly VerdictEntry[]): string {
  const origins = new Map<RuleOrigin, number>();
  const lists = new Map<OriginList, number>();
  const words = [(ingressEnforced ? 1 : 0) | (egressEnforced ? 2 : 0), entries.length];
  for (const entry of entries) {
    const flags = (entry.direction === "ingress" ? 0 : 0x0100_0000) | (entry.deny ? 0x0200_0000 : 0);
    words.push(entry.identity, portKeyOf(entry.protocol, entry.port, entry.portPrefixLength) | flags, numberOf(lists, entry.origins));
  }
  for (const list of lists.keys()) {
    words.push(list.length);
    for (const origin of list) words.push(numberOf(origins, origin));
  }
  const hash = createHash("sha256").update(Uint32Array.from(words));
  const names: string[] = [];
  for (const origin of origins.keys()) names.push(originKey(origin));
  return hash.update(names.join("\n")).digest("hex");
}

function numberOf<T>(numbers: Map<T, number>, item: T): number {
  let number = numbers.get(item);
  if (number === undefined) {
    number = numbers.size;
    numbers.set(item, number);
  }
  return number;
}
