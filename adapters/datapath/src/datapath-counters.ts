import type { BpfMap } from "@cilium-ts/kernel";
import type { ConntrackSweep } from "./gen/index.ts";
import { decodeDropMetrics, decodeForwardMetrics } from "./inspect-rows.ts";

/** Packets of one reason and direction, wherever in the datapath they were counted. */
export interface TrafficCount {
  /** From 130 a drop's; 0: forwarded. */
  readonly reason: number;
  readonly direction: number;
  readonly packets: number;
  readonly bytes: number;
}

export interface MapFill {
  readonly map: string;
  readonly entries: number;
  readonly maxEntries: number;
}

export interface MapOperations {
  readonly map: string;
  readonly operation: "update" | "delete";
  readonly failed: boolean;
  readonly count: number;
}

type CountedMaps = Readonly<Record<"ct4" | "ct6" | "policy" | "ipcache" | "metrics" | "forwarded", BpfMap>>;

/** What the datapath can tell about itself in numbers. */
export class DatapathCounters {
  readonly #maps: CountedMaps;
  readonly #operations = new Map<string, number>();
  #sweep: ConntrackSweep = { nowS: 0, seen: 0, deleted: 0, seen6: 0, deleted6: 0 };
  #sweeps = { runs: 0, deleted: 0 };

  constructor(maps: CountedMaps) {
    this.#maps = maps;
  }

  /** Since the maps were made, which may be before this agent's start. */
  traffic(): readonly TrafficCount[] {
    const sums = new Map<string, { reason: number; direction: number; packets: number; bytes: number }>();
    const counted = [...decodeDropMetrics(this.#maps.metrics.dump()), ...decodeForwardMetrics(this.#maps.forwarded.dump())];
    for (const { reason, direction, packets, bytes } of counted) {
      const sum = sums.get(`${reason} ${direction}`) ?? { reason, direction, packets: 0, bytes: 0 };
      sums.set(`${reason} ${direction}`, { ...sum, packets: sum.packets + Number(packets), bytes: sum.bytes + Number(bytes) });
    }
    return [...sums.values()];
  }

  /** Of the maps whose entries are known without reading them. Connections are those that the last sweep left. */
  fills(known: { readonly policy: number; readonly ipcache: number }): readonly MapFill[] {
    const { seen, seen6, deleted, deleted6 } = this.#sweep;
    const entries = { ...known, ct4: seen - seen6 - (deleted - deleted6), ct6: seen6 - deleted6 };
    return (["ct4", "ct6", "policy", "ipcache"] as const).map((map) => ({
      map,
      entries: entries[map],
      maxEntries: this.#maps[map].maxEntries,
    }));
  }

  /** Sweeps of connections, and what they deleted, since this datapath was opened. */
  get sweeps(): { readonly runs: number; readonly deleted: number; readonly alive: number } {
    return { ...this.#sweeps, alive: this.#sweep.seen - this.#sweep.deleted };
  }

  swept(sweep: ConntrackSweep): void {
    this.#sweep = sweep;
    this.#sweeps = { runs: this.#sweeps.runs + 1, deleted: this.#sweeps.deleted + sweep.deleted };
  }

  /** Writes to maps since this datapath was opened. */
  operations(): readonly MapOperations[] {
    return Array.from(this.#operations, ([key, count]) => {
      const [map = "", operation = "", outcome = ""] = key.split(" ");
      return { map, operation: operation === "delete" ? "delete" : "update", failed: outcome === "failed", count };
    });
  }

  /** The same map, whose writes are counted. */
  counted(map: BpfMap): BpfMap {
    const count = <Result>(operation: string, entries: number, write: () => Result): Result => {
      const add = (outcome: string): void => {
        const key = `${map.name} ${operation} ${outcome}`;
        this.#operations.set(key, (this.#operations.get(key) ?? 0) + entries);
      };
      try {
        const result = write();
        add("done");
        return result;
      } catch (cause) {
        add("failed");
        throw cause;
      }
    };
    const writes: Pick<BpfMap, "update" | "delete" | "updateBatch" | "deleteBatch"> = {
      update: (key, value, mode) => count("update", 1, () => map.update(key, value, mode)),
      delete: (key) => count("delete", 1, () => map.delete(key)),
      updateBatch: (keys, values, entries) => count("update", entries, () => map.updateBatch(keys, values, entries)),
      deleteBatch: (keys, entries) => count("delete", entries, () => map.deleteBatch(keys, entries)),
    };
    return new Proxy(map, {
      get(target, name) {
        if (Object.hasOwn(writes, name)) return writes[name as keyof typeof writes];
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }
}
