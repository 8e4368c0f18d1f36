import { join } from "node:path";
import type { BPFMap, BPFMapList } from "@cilium-ts/agent-api";
import type { Datapath } from "@cilium-ts/datapath";

/** Entries of one answer; larger maps are cut, as a person would not read more. */
const entriesShownMax = 10_000;

export function mapList(bpfRoot: string, { maps }: Datapath): BPFMapList {
  return { maps: Object.keys(maps).map((name) => ({ path: join(bpfRoot, "maps", name) })) };
}

/** Raw keys and values in hexadecimal; undefined when there is no such map, or it cannot be listed. */
export function mapShape(bpfRoot: string, { maps }: Datapath, name: string): BPFMap | undefined {
  const map = Object.entries(maps).find(([known]) => known === name)?.[1];
  if (map === undefined || map.type === "ringbuf") return undefined;
  const { keys, values, count } = map.dump();
  const valueSizeBytes = count === 0 ? 0 : values.length / count;
  const hex = (bytes: Uint8Array, size: number, index: number): string =>
    Buffer.from(bytes.subarray(index * size, (index + 1) * size)).toString("hex");
  const cache = Array.from({ length: Math.min(count, entriesShownMax) }, (_, index) => ({
    key: hex(keys, map.keySizeBytes, index),
    value: hex(values, valueSizeBytes, index),
    "desired-action": "ok" as const,
  }));
  return { path: join(bpfRoot, "maps", name), cache };
}
