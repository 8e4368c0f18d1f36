import { createHash } from "node:crypto";
import type { BpfMap } from "@cilium-ts/kernel";
import { decodePolicyKey, encodePolicyEntry, encodePolicyKey, policyEntryFlags, policyEntryLayout, policyKeyLayout } from "./gen/index.ts";

/** One line of a verdict map, as the kernel compares it. */
export interface PolicySetEntry {
  readonly identity: number;
  readonly direction: "ingress" | "egress";
  /** 0: any. */
  readonly protocol: number;
  readonly port: number;
  /** 0 to 16 significant bits of the port; 0 with protocol 0. */
  readonly portPrefixLength: number;
  readonly deny: boolean;
  /** No rule allows it, where a wider entry says otherwise. */
  readonly unallowed?: boolean;
  /** What `deny`, `unallowed` or a missing proxy would drop passes, and is reported. */
  readonly audit?: boolean;
  /** A proxy decides: the one at this port, or (0) nobody. */
  readonly proxyPort?: number | undefined;
  readonly precedence: number;
  /** Names the rules behind the entry in verdict events. */
  readonly cookie: number;
}

const keySizeBytes = policyKeyLayout.sizeBytes;
const valueSizeBytes = policyEntryLayout.sizeBytes;
/** Set, identity and direction are always compared in full. */
const fixedPrefixBits = 72;

interface PolicySet {
  readonly id: number;
  readonly content: string;
  readonly keys: Uint8Array;
  readonly count: number;
  users: number;
}

/**
 * The verdict entries in the kernel, in sets that never change: another policy is another set, and an endpoint moves to it by
 * one write. Equal policies are one set, however many endpoints have them. A set's number is never used again, because
 * connections remember by it who admitted them.
 */
export class PolicySets {
  readonly #map: BpfMap;
  readonly #takeNumber: () => number;
  readonly #byContent = new Map<string, PolicySet>();
  readonly #byId = new Map<number, PolicySet>();

  /** Reads what an earlier run left in the map, so that a policy that did not change costs nothing. */
  constructor(map: BpfMap, takeNumber: () => number) {
    this.#map = map;
    this.#takeNumber = takeNumber;
    this.#restore();
  }

  get count(): number {
    return this.#byId.size;
  }

  entryCount(): number {
    let count = 0;
    for (const set of this.#byId.values()) count += set.count;
    return count;
  }

  /**
   * The number of the set with exactly these entries, written first when it is new. Each call is one use, ended by `release`.
   * Throws KernelError when the map is full; then nothing of the set stays.
   */
  acquire(entries: readonly PolicySetEntry[]): number {
    const { keys, values, content } = encodeEntries(entries);
    const known = this.#byContent.get(content);
    if (known !== undefined) {
      known.users += 1;
      return known.id;
    }
    const id = this.#takeNumber();
    writeSetNumber(keys, entries.length, id);
    try {
      this.#map.updateBatch(keys, values, entries.length);
    } catch (cause) {
      this.#map.deleteBatch(keys, entries.length);
      throw cause;
    }
    this.#add({ id, content, keys, count: entries.length, users: 1 });
    return id;
  }

  /** One more use of a set that is there, perhaps from an earlier run, ended by `release`. False: it is not. */
  hold(id: number): boolean {
    const set = this.#byId.get(id);
    if (set === undefined) return false;
    set.users += 1;
    return true;
  }

  release(id: number): void {
    const set = this.#byId.get(id);
    if (set === undefined) return;
    set.users -= 1;
    if (set.users <= 0) this.#remove(set);
  }

  /** Removes the sets that nobody uses: leftovers of an earlier run. Only after every endpoint has its set. */
  prune(): number {
    const unused = [...this.#byId.values()].filter((set) => set.users === 0);
    for (const set of unused) this.#remove(set);
    return unused.length;
  }

  #add(set: PolicySet): void {
    this.#byContent.set(set.content, set);
    this.#byId.set(set.id, set);
  }

  #remove(set: PolicySet): void {
    this.#map.deleteBatch(set.keys, set.count);
    this.#byId.delete(set.id);
    if (this.#byContent.get(set.content) === set) this.#byContent.delete(set.content);
  }

  #restore(): void {
    const dump = this.#map.dump();
    const bySet = new Map<number, number[]>();
    for (let index = 0; index < dump.count; index += 1) {
      const { set } = decodePolicyKey(dump.keys, index * keySizeBytes);
      const indexes = bySet.get(set);
      if (indexes === undefined) bySet.set(set, [index]);
      else indexes.push(index);
    }
    for (const [id, indexes] of bySet) {
      const keys = new Uint8Array(indexes.length * keySizeBytes);
      const values = new Uint8Array(indexes.length * valueSizeBytes);
      for (const [position, index] of indexes.entries()) {
        keys.set(dump.keys.subarray(index * keySizeBytes, (index + 1) * keySizeBytes), position * keySizeBytes);
        values.set(dump.values.subarray(index * valueSizeBytes, (index + 1) * valueSizeBytes), position * valueSizeBytes);
      }
      this.#add({ id, content: contentOf(keys, values, indexes.length), keys, count: indexes.length, users: 0 });
    }
  }
}

function encodeEntries(entries: readonly PolicySetEntry[]): { keys: Uint8Array; values: Uint8Array; content: string } {
  const keys = new Uint8Array(entries.length * keySizeBytes);
  const values = new Uint8Array(entries.length * valueSizeBytes);
  for (const [index, entry] of entries.entries()) {
    const protocolBits = entry.protocol === 0 ? 0 : 8 + entry.portPrefixLength;
    const key = {
      prefixLength: fixedPrefixBits + protocolBits,
      set: 0,
      identity: entry.identity,
      direction: entry.direction === "ingress" ? 0 : 1,
      protocol: entry.protocol,
      port: entry.port,
    };
    encodePolicyKey(key, keys, index * keySizeBytes);
    const flags =
      (entry.deny ? policyEntryFlags.deny : 0) |
      (entry.unallowed ? policyEntryFlags.unallowed : 0) |
      (entry.audit ? policyEntryFlags.audit : 0) |
      (entry.proxyPort === undefined ? 0 : policyEntryFlags.redirect) |
      (entry.protocol === 0 ? 0 : policyEntryFlags.matchProtocol) |
      (entry.portPrefixLength === 0 ? 0 : policyEntryFlags.matchPort);
    const value = { precedence: entry.precedence, cookie: entry.cookie, proxyPort: entry.proxyPort ?? 0, flags, authType: 0 };
    encodePolicyEntry(value, values, index * valueSizeBytes);
  }
  return { keys, values, content: contentOf(keys, values, entries.length) };
}

/** Which set it is does not count, nor the order of the entries. */
function contentOf(keys: Uint8Array, values: Uint8Array, count: number): string {
  const lines: string[] = [];
  const setOffset = policyKeyLayout.offsets.set;
  for (let index = 0; index < count; index += 1) {
    const key = Buffer.from(keys.subarray(index * keySizeBytes, (index + 1) * keySizeBytes));
    key.writeUInt32LE(0, setOffset);
    lines.push(
      key.toString("latin1") + Buffer.from(values.buffer, values.byteOffset + index * valueSizeBytes, valueSizeBytes).toString("latin1"),
    );
  }
  return createHash("sha256").update(lines.sort().join(""), "latin1").digest("base64");
}

function writeSetNumber(keys: Uint8Array, count: number, id: number): void {
  const view = new DataView(keys.buffer, keys.byteOffset, keys.byteLength);
  for (let index = 0; index < count; index += 1) view.setUint32(index * keySizeBytes + policyKeyLayout.offsets.set, id, true);
}
