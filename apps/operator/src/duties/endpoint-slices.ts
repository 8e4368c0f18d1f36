import { resources } from "@cilium-ts/kubernetes";
import { Table, type Target } from "@cilium-ts/state";
import { areSynced, type DutyWorld, keep } from "./duty.ts";
import { Pace } from "./pace.ts";
import { SlicePacking } from "./slice-packing.ts";

/** What a slice should hold. */
interface WantedSlice {
  readonly name: string;
  readonly namespace: string;
  /** The list of endpoints, as JSON. */
  readonly content: string;
}

const lookIntervalMs = 60_000;
/** Slices written, the limits of Cilium's default. What changes meanwhile is in the next write of its slice. */
const pace = { perSecond: 10, burst: 20 };

/**
 * Gathers the CiliumEndpoints of each namespace into CiliumEndpointSlices, so that agents follow a hundredth of the objects. An endpoint
 * stays in its slice for life; slices of an earlier leader are taken over as they are.
 */
export async function makeSlices(
  world: DutyWorld,
  options: { readonly sizeMax: number; readonly createId: () => string },
  signal: AbortSignal,
): Promise<void> {
  const { endpoints, slices } = world.cluster;
  if (!(await areSynced([endpoints, slices], signal))) return;
  const packing = new SlicePacking(options.sizeMax, () => `ces-${options.createId()}`);
  for (const row of [...slices.rows()].sort((one, other) => (one.name < other.name ? -1 : 1)))
    packing.adopt(row.name, row.namespace, row.endpoints);
  const equals = (one: WantedSlice, other: WantedSlice): boolean => one.content === other.content;
  const wanted = new Table<string, WantedSlice>({ name: "wanted slices", keyOf: ({ name }) => name, sources: ["packing"], equals });
  using queue = endpoints.watch();
  pack(world, packing, wanted, new Set([...packing.keys(), ...endpoints.keys()]));
  wanted.markSynced("packing");
  const repack = async (): Promise<void> => {
    for await (const keys of queue.batches(signal)) pack(world, packing, wanted, keys);
  };
  const target = sliceTarget(world, wanted);
  const keeping = keep(world, { what: "the slice", desired: wanted, target, resyncIntervalMs: lookIntervalMs, signal });
  await Promise.all([repack(), keeping]);
}

function pack({ cluster }: DutyWorld, packing: SlicePacking, wanted: Table<string, WantedSlice>, keys: ReadonlySet<string>): void {
  const changed = new Set<string>();
  for (const key of keys) {
    const [namespace = "", name = ""] = key.split("/");
    const slice = cluster.endpoints.get(key) === undefined ? packing.remove(namespace, name) : packing.put(namespace, name);
    if (slice !== undefined) changed.add(slice);
  }
  for (const slice of changed) {
    const namespace = packing.namespaceOf(slice);
    const entries = [...packing.endpoints(slice)].sort().map((name) => cluster.endpoints.get(`${namespace}/${name}`)?.sliceEntry);
    const content = `[${entries.filter((entry) => entry !== undefined).join(",")}]`;
    if (entries.length === 0) wanted.delete(slice);
    else wanted.upsert({ name: slice, namespace, content });
  }
}

function sliceTarget(world: DutyWorld, wanted: Table<string, WantedSlice>): Target<string, WantedSlice> {
  const { cluster, writer, clock, monotonicMs, metrics } = world;
  const turns = new Pace({ clock, monotonicMs, ...pace });
  const counted = async (write: () => Promise<unknown>): Promise<void> => {
    try {
      await write();
      metrics.sliceSyncs.increase({ outcome: "success" });
    } catch (cause) {
      metrics.sliceSyncs.increase({ outcome: "fail" });
      throw cause;
    }
  };
  return {
    async apply({ name, namespace, content }, signal) {
      if (cluster.slices.get(name)?.content === content) return;
      await turns.take(signal);
      const endpoints: unknown[] = JSON.parse(content);
      const body = { metadata: { name }, namespace, endpoints };
      await counted(() => writer.patch(resources.ciliumEndpointSlices, { name }, { type: "apply", body, force: true }, { signal }));
      metrics.sliceSizes.observe(endpoints.length);
    },
    async remove(name, signal) {
      await turns.take(signal);
      await counted(() => writer.delete(resources.ciliumEndpointSlices, { name }, { signal }));
    },
    /** What others have changed is left out, and so is written again. */
    async realised() {
      const rows = [...cluster.slices.rows()];
      return rows.filter(({ name, content }) => (wanted.get(name)?.content ?? content) === content).map(({ name }) => name);
    },
  };
}
