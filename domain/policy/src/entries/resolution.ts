import { hash } from "node:crypto";
import type { Block } from "./entry-blocks.ts";
import type { ResolvedPolicy, VerdictEntry } from "./verdict.ts";

export interface ResolvedDirection {
  readonly enforced: boolean;
  /** Precedences mean something else then (`VerdictEntry`). */
  readonly settled: boolean;
  readonly blocks: readonly Block[];
}

export function createResolvedPolicy(ingress: ResolvedDirection, egress: ResolvedDirection): ResolvedPolicy {
  const entries: VerdictEntry[] = [];
  for (const { blocks } of [ingress, egress]) for (const block of blocks) for (const entry of block.entries) entries.push(entry);
  return Object.freeze({
    ingressEnforced: ingress.enforced,
    egressEnforced: egress.enforced,
    entries: Object.freeze(entries),
    fingerprint: fingerprintOf(ingress, egress),
  });
}

/** The content of each identity's entries stands for itself; only their hashes are read again when others change. */
function fingerprintOf(ingress: ResolvedDirection, egress: ResolvedDirection): string {
  const words = new Int32Array(2 + 3 * (ingress.blocks.length + egress.blocks.length));
  words[0] = flagsOf(ingress) | (flagsOf(egress) << 2);
  words[1] = ingress.blocks.length;
  let position = 2;
  for (const { blocks } of [ingress, egress]) {
    for (const { identity, hashHigh, hashLow } of blocks) {
      words[position] = identity;
      words[position + 1] = hashHigh;
      words[position + 2] = hashLow;
      position += 3;
    }
  }
  return hash("sha256", words, "hex");
}

function flagsOf({ enforced, settled }: ResolvedDirection): number {
  return (enforced ? 1 : 0) | (settled ? 2 : 0);
}
