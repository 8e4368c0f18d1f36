import { podPoolClaims, resources } from "@cilium-ts/kubernetes";
import { PodPoolAllocator, type PodPoolClaim } from "@cilium-ts/node";
import type { CiliumNodeRow } from "../cluster/rows.ts";
import { areSynced, type DutyWorld, keep } from "./duty.ts";
import { MissingNodes } from "./missing-nodes.ts";
import { byAge } from "./node-age.ts";

/** How soon a node that waits for room is looked at again, and how soon a change of a pool is. */
const retryIntervalMs = 1_000;

/**
 * The mode multi-pool: gives nodes pod CIDRs of CiliumPodIPPools, as many as they ask for. All that the objects say is known before
 * anything is given, the oldest objects first. What cannot be given is said in `status.ipam.operator-status`.
 */
export async function givePoolCIDRs(world: DutyWorld, signal: AbortSignal): Promise<void> {
  const { ciliumNodes, nodes, podPools } = world.cluster;
  if (!(await areSynced([ciliumNodes, nodes, podPools], signal))) return;
  const giver = new PoolGiver(world);
  using changedPools = podPools.watch();
  giver.takePools(podPools.keys());
  for (const row of [...ciliumNodes.rows()].sort(byAge)) giver.observe(row);
  const follow = async (): Promise<void> => {
    for await (const names of changedPools.batches(signal)) giver.takePools(names);
  };
  const target = {
    apply: (row: Readonly<CiliumNodeRow>) => giver.settle(row, signal),
    remove: async () => giver.forgetGone(),
    realised: async () => giver.settled(),
  };
  const keeping = keep(world, { what: "the pools of node", desired: ciliumNodes, target, resyncIntervalMs: retryIntervalMs, signal });
  await Promise.all([follow(), keeping]);
}

/** What was last made of a node's object. */
interface Settled {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly poolsRevision: number;
  readonly problem: string;
}

class PoolGiver {
  readonly #world: DutyWorld;
  readonly #allocator = new PodPoolAllocator();
  readonly #missing: MissingNodes;
  readonly #settled = new Map<string, Settled>();
  /** On which version we last wrote: whatever became of that, an object of another version shows the truth. */
  readonly #written = new Map<string, { readonly resourceVersion: string; readonly isAnswered: boolean }>();
  readonly #uids = new Map<string, string>();
  /** Nodes whose objects were made anew, and have yet to be told what the nodes hold. */
  readonly #untold = new Set<string>();
  /** Grows with each change of a pool. */
  #poolsRevision = 0;

  constructor(world: DutyWorld) {
    this.#world = world;
    this.#missing = new MissingNodes(world.cluster, world.monotonicMs);
  }

  /** A pool whose object is not valid stays what it was. */
  takePools(names: Iterable<string>): void {
    const { cluster, log } = this.#world;
    for (const name of names) {
      const row = cluster.podPools.get(name);
      if (row === undefined) this.#allocator.removePool(name);
      else if (row.problem === "") this.#allocator.setPool(name, row);
      else log.error(`the CiliumPodIPPool ${name} is not valid, and nothing of it is changed: ${row.problem}`);
    }
    this.#poolsRevision += 1;
    this.#count();
  }

  /** The object's word, unless it is the very version that we wrote on, which does not show that write. */
  observe({ name, uid, resourceVersion, pools }: Readonly<CiliumNodeRow>): void {
    if (this.#written.get(name)?.resourceVersion === resourceVersion) return;
    this.#written.delete(name);
    if ((this.#uids.get(name) ?? uid) !== uid) this.#untold.add(name);
    this.#uids.set(name, uid);
    this.#allocator.observe(name, pools.allocated, { keeps: this.#untold.has(name) });
  }

  /** A node is gone when both its objects are: its agent makes a CiliumNode that was deleted by hand anew. */
  forgetGone(): void {
    const { ciliumNodes, nodes } = this.#world.cluster;
    for (const name of [...this.#allocator.names()]) {
      if (ciliumNodes.get(name) !== undefined) continue;
      this.#settled.delete(name);
      this.#written.delete(name);
      if (nodes.get(name) !== undefined) continue;
      this.#uids.delete(name);
      this.#untold.delete(name);
      this.#allocator.forget(name);
    }
    this.#count();
  }

  /** Those that wait are left out, and so are tried again. */
  settled(): string[] {
    this.forgetGone();
    const rows = [...this.#world.cluster.ciliumNodes.rows()];
    return rows.filter((row) => this.#settled.get(row.name)?.problem === "" && this.#isSettled(row)).map(({ name }) => name);
  }

  async settle(row: Readonly<CiliumNodeRow>, signal: AbortSignal): Promise<void> {
    const { name, uid, resourceVersion } = row;
    this.observe(row);
    if (this.#missing.areWaitedFor()) return; // It is not settled, and so is looked at again.
    const { allocated, problems } = this.#allocator.assign(name, row.pools.requested);
    const problem = problems.join("; ");
    const isTold = problem === (this.#isSettled(row) ? this.#settled.get(name)?.problem : row.error);
    const isWritten = this.#written.get(name)?.isAnswered === true;
    if (!isWritten && !isSame(allocated, row.pools.allocated)) await this.#write(row, allocated, signal);
    this.#untold.delete(name);
    if (!isTold) await this.#tell(row, problem, signal);
    this.#settled.set(name, { uid, resourceVersion, poolsRevision: this.#poolsRevision, problem });
    this.#count();
  }

  async #write({ name, resourceVersion }: Readonly<CiliumNodeRow>, allocated: readonly PodPoolClaim[], signal: AbortSignal): Promise<void> {
    const { writer, log, metrics } = this.#world;
    this.#written.set(name, { resourceVersion, isAnswered: false });
    // Of what somebody else has written meanwhile we hear before we try again.
    const body = { metadata: { resourceVersion }, spec: { ipam: { pools: { allocated: podPoolClaims(allocated) } } } };
    await writer.patch(resources.ciliumNodes, { name }, { type: "merge", body }, { signal });
    this.#written.set(name, { resourceVersion, isAnswered: true });
    metrics.allocations.increase();
    log.info(`node ${name} has ${allocated.map(({ pool, cidrs }) => `${cidrs.join(", ")} of pool ${pool}`).join("; ")}`);
  }

  async #tell({ name }: Readonly<CiliumNodeRow>, problem: string, signal: AbortSignal): Promise<void> {
    const { writer, log } = this.#world;
    if (problem !== "") log.error(`node ${name} lacks pod CIDRs: ${problem}`);
    const body = { status: { ipam: { "operator-status": { error: problem === "" ? null : problem } } } };
    await writer.patch(resources.ciliumNodes, { name }, { type: "merge", body }, { signal, subresource: "status" });
  }

  #isSettled({ name, uid, resourceVersion }: Readonly<CiliumNodeRow>): boolean {
    const settled = this.#settled.get(name);
    return settled?.uid === uid && settled.resourceVersion === resourceVersion && settled.poolsRevision === this.#poolsRevision;
  }

  #count(): void {
    const { cluster, metrics } = this.#world;
    metrics.ipamNodes.set(cluster.ciliumNodes.size, { category: "total" });
    metrics.ipamNodes.set([...this.#settled.values()].filter(({ problem }) => problem !== "").length, { category: "in-deficit" });
    for (const pool of cluster.podPools.keys()) {
      const { capacity, used } = this.#allocator.counts(pool);
      metrics.podCIDRs.set(Number(used), { state: "used", pool });
      metrics.podCIDRs.set(Number(capacity - used), { state: "available", pool });
    }
  }
}

/** The order is of no account. */
function isSame(one: readonly PodPoolClaim[], other: readonly PodPoolClaim[]): boolean {
  const texts = (claims: readonly PodPoolClaim[]): string =>
    claims
      .flatMap(({ pool, cidrs }) => cidrs.map((cidr) => `${pool} ${cidr}`))
      .sort()
      .join();
  return texts(one) === texts(other);
}
