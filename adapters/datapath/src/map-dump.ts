import type { Codec } from "./gen/index.ts";

/** What `BpfMap.dump` gives: keys and values side by side, `count` of each. */
export interface MapDump {
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly count: number;
}

/** One row for every entry, in the map's order. Not for per-CPU maps. */
export function decodeRows<Key, Value, Row>(
  dump: MapDump,
  keyCodec: Codec<Key>,
  valueCodec: Codec<Value>,
  rowOf: (key: Key, value: Value) => Row,
): Row[] {
  return Array.from({ length: dump.count }, (_, index) =>
    rowOf(keyCodec.decode(dump.keys, index * keyCodec.sizeBytes), valueCodec.decode(dump.values, index * valueCodec.sizeBytes)),
  );
}

/** One row for every entry of a per-CPU map, from the values of all CPUs. The value's size is a multiple of 8. */
export function decodePerCpuRows<Key, Value, Row>(
  dump: MapDump,
  keyCodec: Codec<Key>,
  valueCodec: Codec<Value>,
  rowOf: (key: Key, values: readonly Value[]) => Row,
): Row[] {
  const cpuCount = dump.count === 0 ? 0 : dump.values.length / dump.count / valueCodec.sizeBytes;
  return Array.from({ length: dump.count }, (_, index) => {
    const values = Array.from({ length: cpuCount }, (_, cpu) =>
      valueCodec.decode(dump.values, (index * cpuCount + cpu) * valueCodec.sizeBytes),
    );
    return rowOf(keyCodec.decode(dump.keys, index * keyCodec.sizeBytes), values);
  });
}
