import { resources } from "@cilium-ts/kubernetes";
import { PodCIDRAllocator } from "@cilium-ts/node";
import type { CiliumNodeRow } from "../cluster/rows.ts";
import type { OperatorOptions } from "../settings.ts";
import { areSynced, type DutyWorld, keep } from "./duty.ts";
import { MissingNodes } from "./missing-nodes.ts";
import { byAge } from "./node-age.ts";

/** How soon a node that waits for room, or for the end of a conflict, is looked at again. */
const retryIntervalMs = 1_000;

/**
 * Gives each CiliumNode its pod CIDRs: from the pools, or those of its Node. All that the objects say is known before anything is given,
 * the oldest objects first, so an operator that takes over gives nothing a second time, wherever its predecessor was stopped. What
 * cannot be given is said in `status.ipam.operator-status`.
 */
export async function givePodCIDRs(
  world: DutyWorld,
  options: Pick<OperatorOptions, "ipam" | "ipv4" | "ipv6">,
  signal: AbortSignal,
): Promise<void> {
  const { cluster } = world;
  if (!(await areSynced([cluster.ciliumNodes, cluster.nodes], signal))) return;
  const { ipv4, ipv6 } = options;
  const allocator = new PodCIDRAllocator({ ...(ipv4 !== undefined && { ipv4 }), ...(ipv6 !== undefined && { ipv6 }) });
  const giver = new PodCIDRGiver(world, allocator, options.ipam);
  for (const row of [...cluster.ciliumNodes.rows()].sort(byAge)) giver.observe(row);
  const { ciliumNodes: desired } = cluster;
  const target = {
    apply: (row: Readonly<CiliumNodeRow>) => giver.settle(row, signal),
    remove: async () => giver.forgetGone(),
    realised: async () => giver.settled(),
  };
  await keep(world, { what: "the pod CIDRs of node", desired, target, resyncIntervalMs: retryIntervalMs, signal });
}

class PodCIDRGiver {
  readonly #world: DutyWorld;
  readonly #allocator: PodCIDRAllocator;
  readonly #missing: MissingNodes;
  readonly #mode: OperatorOptions["ipam"];
  /** Nodes that lack something, and what is wrong. */
  readonly #waiting = new Map<string, string>();
  /** What was last written for each node, and on which version: until that write is heard of, the same is not written again. */
  readonly #written = new Map<string, string>();

  constructor(world: DutyWorld, allocator: PodCIDRAllocator, mode: OperatorOptions["ipam"]) {
    this.#world = world;
    this.#missing = new MissingNodes(world.cluster, world.monotonicMs);
    this.#allocator = allocator;
    this.#mode = mode;
  }

  observe(row: Readonly<CiliumNodeRow>): void {
    this.#allocator.observe({ name: row.name, podCIDRs: this.#claimOf(row) });
  }

  /**
   * A node is gone when both its objects are: where only the CiliumNode was deleted, the agent still runs, pods still have addresses of
   * what it was given, and it makes the object anew.
   */
  forgetGone(): void {
    const { ciliumNodes, nodes } = this.#world.cluster;
    for (const name of [...this.#allocator.names()]) {
      if (ciliumNodes.get(name) !== undefined) continue;
      this.#waiting.delete(name);
      this.#written.delete(name);
      if (nodes.get(name) === undefined) this.#allocator.forget(name);
    }
    this.#count();
  }

  /** Those that wait are left out, and so are tried again. */
  settled(): string[] {
    this.forgetGone();
    const { ciliumNodes } = this.#world.cluster;
    return [...ciliumNodes.rows()].filter((row) => !this.#waiting.has(row.name) && this.#isAsGiven(row)).map(({ name }) => name);
  }

  async settle(row: Readonly<CiliumNodeRow>, signal: AbortSignal): Promise<void> {
    const { writer, log, metrics } = this.#world;
    if (this.#mode === "cluster-pool" && row.podCIDRs.length === 0 && this.#missing.areWaitedFor()) {
      this.#waiting.set(row.name, "nodes whose CiliumNodes are missing come first");
      return;
    }
    const { podCIDRs, problem } = this.#give(row);
    if (problem === "") this.#waiting.delete(row.name);
    else this.#waiting.set(row.name, problem);
    this.#count();
    const outcome = `${row.resourceVersion} ${podCIDRs.join()} ${problem}`;
    if (this.#written.get(row.name) === outcome) return;
    if (problem === "" && !equalTexts(podCIDRs, row.podCIDRs)) {
      // Of what somebody else has written meanwhile we hear before we try again.
      const body = { metadata: { resourceVersion: row.resourceVersion }, spec: { ipam: { podCIDRs } } };
      await writer.patch(resources.ciliumNodes, { name: row.name }, { type: "merge", body }, { signal });
      metrics.allocations.increase();
      log.info(`node ${row.name} has the pod CIDRs ${podCIDRs.join(" and ")}`);
    }
    if (problem !== row.error) await this.#tell(row, problem, signal);
    this.#written.set(row.name, outcome);
  }

  async #tell(row: Readonly<CiliumNodeRow>, problem: string, signal: AbortSignal): Promise<void> {
    const { writer, log } = this.#world;
    if (problem !== "") log.error(`node ${row.name} cannot have pod CIDRs: ${problem}`);
    const body = { status: { ipam: { "operator-status": { error: problem === "" ? null : problem } } } };
    await writer.patch(resources.ciliumNodes, { name: row.name }, { type: "merge", body }, { signal, subresource: "status" });
  }

  #give(row: Readonly<CiliumNodeRow>): { readonly podCIDRs: readonly string[]; readonly problem: string } {
    const claim = this.#claimOf(row);
    const { podCIDRs, problems } = this.#allocator.observe({ name: row.name, podCIDRs: claim });
    if (problems.length > 0) return { podCIDRs, problem: problems.join("; ") };
    if (this.#mode === "kubernetes") {
      if (claim.length > 0) return { podCIDRs, problem: "" };
      const wayOut = "let the cluster give Nodes pod CIDRs (--allocate-node-cidrs of kube-controller-manager), or use --ipam cluster-pool";
      return { podCIDRs, problem: `there is no spec.podCIDRs in the Node ${row.name}; ${wayOut}` };
    }
    const assignment = this.#allocator.assign(row.name);
    if (assignment.outcome === "assigned") return { podCIDRs: assignment.podCIDRs, problem: "" };
    return { podCIDRs, problem: assignment.problem };
  }

  #claimOf(row: Readonly<CiliumNodeRow>): readonly string[] {
    if (this.#mode === "cluster-pool") return row.podCIDRs;
    return this.#world.cluster.nodes.get(row.name)?.podCIDRs ?? [];
  }

  /** A Node that came later, or was made anew, is found here. */
  #isAsGiven(row: Readonly<CiliumNodeRow>): boolean {
    const standing = this.#allocator.standing(row.name);
    return standing !== undefined && equalTexts(standing.podCIDRs, this.#mode === "kubernetes" ? this.#claimOf(row) : row.podCIDRs);
  }

  #count(): void {
    const { cluster, metrics } = this.#world;
    metrics.ipamNodes.set(cluster.ciliumNodes.size, { category: "total" });
    metrics.ipamNodes.set(this.#waiting.size, { category: "in-deficit" });
    if (this.#mode === "kubernetes") return;
    const { capacity, used } = this.#allocator.counts;
    metrics.podCIDRs.set(Number(used), { state: "used" });
    metrics.podCIDRs.set(Number(capacity - used), { state: "available" });
  }
}

function equalTexts(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((text, index) => text === other[index]);
}
