import { ciliumNodeFrom, type KubernetesObject, resources } from "@cilium-ts/kubernetes";
import { createRandom, type Random } from "@cilium-ts/testing";
import { SimulatedCluster } from "./cluster.ts";
import { apps, generatePolicy, namespaces, teams } from "./generated-policies.ts";
import { Invariants } from "./invariants.ts";
import { differences } from "./oracle.ts";
import type { SimulatedNode } from "./simulated-node.ts";

export interface SimulationOptions {
  readonly seed: number;
  /** More than the few of most seeds. */
  readonly nodes?: number;
  /** How long things go wrong: simulated milliseconds. 60,000 when absent. */
  readonly troubleMs?: number;
  /** How long all has to become right: simulated milliseconds. 600,000 when absent. */
  readonly healMsMax?: number;
  /** What is broken on purpose, to see that it is found. */
  readonly defect?: (cluster: SimulatedCluster) => void;
}

/** How often the kernels are looked at while things go wrong. */
const stepMsMax = 1_500;
const podsPerNodeMax = 4;
/** To which a cluster grows by itself. */
const nodesMax = 6;
/** Enough for the longest retry, the periodic repairs and the collectors. */
const healMsDefault = 600_000;
const healStepMs = 20_000;
/** Enough for an operator to lead, and to say what is wrong. */
const tellMs = 60_000;
/** Of real time: a hang must not eat the others. */
const wallMsMax = 120_000;

/** One cluster through its troubles. Returns what went wrong with it, as sentences; none: all is well. */
export async function simulate(options: SimulationOptions): Promise<string[]> {
  const random = createRandom(options.seed);
  // Back-offs take part of their delay from here.
  const { random: systemRandom } = Math;
  Math.random = () => random.below(1_000_000) / 1_000_000;
  const deadlineMs = performance.now() + wallMsMax;
  try {
    await using cluster = await SimulatedCluster.start(
      {
        nodes: options.nodes ?? 2 + random.below(3),
        routingMode: random.pick(["tunnel", "native"]),
        ipam: random.pick(["cluster-pool", "cluster-pool", "multi-pool", "multi-pool", "kubernetes", "host-scope"]),
        slices: random.chance(0.3),
        podCIDRs: options.nodes === undefined ? random.pick([4, 4, 1_024]) : 1_024,
        revisionsMax: random.pick([40, 200, 10_000]),
      },
      random,
    );
    const invariants = new Invariants(cluster);
    const simulation = new Simulation(cluster, random, invariants);
    options.defect?.(cluster);
    await simulation.trouble(options.troubleMs ?? 60_000, deadlineMs);
    return await simulation.heal(options.healMsMax ?? healMsDefault, deadlineMs);
  } finally {
    Math.random = systemRandom;
  }
}

class Simulation {
  readonly #cluster: SimulatedCluster;
  readonly #random: Random;
  readonly #invariants: Invariants;
  #names = 0;

  constructor(cluster: SimulatedCluster, random: Random, invariants: Invariants) {
    this.#cluster = cluster;
    this.#random = random;
    this.#invariants = invariants;
  }

  async trouble(durationMs: number, deadlineMs: number): Promise<void> {
    const { time, api } = this.#cluster;
    Object.assign(api.faults, { failure: this.#random.pick([0, 0.02, 0.15]), latencyMsMax: this.#random.pick([2, 50, 1_000]) });
    while (time.elapsedMs < durationMs && performance.now() < deadlineMs) {
      await this.#act();
      await time.advance(this.#random.below(stepMsMax));
      this.#invariants.check();
    }
  }

  /** Faults end; then all must come to be as the oracle says, and stay so. */
  async heal(durationMs: number, deadlineMs: number): Promise<string[]> {
    const { time } = this.#cluster;
    const endMs = time.elapsedMs + durationMs;
    let found: string[] = [];
    await this.#cluster.heal();
    const untold = await this.#removeNodesInExcess();
    if (untold.length > 0) return untold;
    while (time.elapsedMs < endMs) {
      if (performance.now() > deadlineMs) return [`it took more than ${wallMsMax} ms of real time`, ...found];
      await time.advance(healStepMs);
      this.#invariants.check();
      if (this.#invariants.violations.length > 0) return this.#invariants.violations;
      found = await differences(this.#cluster, this.#random);
      if (found.length === 0) return [];
    }
    return found;
  }

  /** Nodes for which there was no pod CIDR must have been told so; they are taken away, as their pods cannot be. */
  async #removeNodesInExcess(): Promise<string[]> {
    const { nodes, shape, time, api } = this.#cluster;
    if ((shape.ipam !== "cluster-pool" && shape.ipam !== "multi-pool") || nodes.length <= shape.podCIDRs) return [];
    await time.advance(tellMs);
    const untold: string[] = [];
    for (const object of api.layer.list(resources.ciliumNodes).items as unknown as KubernetesObject[]) {
      const { name, podCIDRs } = ciliumNodeFrom(object);
      const node = nodes.find((candidate) => candidate.name === name);
      if (podCIDRs.length > 0 || node === undefined) continue;
      const said = JSON.stringify(object.status ?? {});
      if (!/no IPv[46] pod CIDR is left/.test(said)) untold.push(`${name} has no pod CIDR, and its CiliumNode does not say why: ${said}`);
      await this.#cluster.removeNode(node);
    }
    return untold;
  }

  async #act(): Promise<void> {
    const { api, time } = this.#cluster;
    const random = this.#random;
    const actions: ReadonlyArray<readonly [weight: number, act: () => Promise<void> | void]> = [
      [10, () => this.#createPod()],
      [6, () => this.#deletePod()],
      [4, () => this.#relabelPod()],
      [1, () => this.#relabelNamespace()],
      [10, () => this.#applyPolicy()],
      [4, () => this.#deletePolicy()],
      [3, () => this.#crash(random.pick(this.#cluster.nodes))],
      [1, () => this.#damage(random.pick(this.#cluster.nodes))],
      [2, () => this.#crashOperator()],
      [1, () => this.#outage()],
      [4, () => api.cutWatches(random.pick([0.1, 1]))],
      [2, () => api.bookmark()],
      [1, () => random.pick(this.#cluster.nodes).setClock(random.pick([-3_600_000, -5_000, 5_000, 3_600_000]))],
      [1, () => this.#cluster.setOperatorClocks(random.pick([-3_600_000, -60_000, 60_000, 3_600_000]))],
      [1, () => this.#readdress(random.pick(this.#cluster.nodes))],
      [1, () => this.#addNode()],
      [1, () => this.#deleteCiliumNode()],
      [2, () => this.#changePool()],
      [1, () => this.#deleteIdentity()],
      [1, () => this.#movePod()],
      [1, () => this.#replaceNode()],
      [2, () => time.advance(5_000)],
    ];
    let left = random.below(actions.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, act] of actions) {
      left -= weight;
      if (left < 0) return await act();
    }
  }

  async #createPod(): Promise<void> {
    const { nodes, pods } = this.#cluster;
    if (pods.size >= nodes.length * podsPerNodeMax) return;
    this.#names += 1;
    const { node, ...rest } = { node: this.#random.pick(nodes), namespace: this.#random.pick(namespaces), app: this.#random.pick(apps) };
    await this.#cluster.createPod({ ...rest, name: `p${this.#names}`, node, ...this.#pool() });
  }

  async #deletePod(): Promise<void> {
    const pods = [...this.#cluster.pods.values()];
    if (pods.length > 0) await this.#cluster.deletePod(this.#random.pick(pods));
  }

  /** As a StatefulSet does: the name comes back at once, perhaps elsewhere, as another pod. */
  async #movePod(): Promise<void> {
    const pods = [...this.#cluster.pods.values()];
    if (pods.length === 0) return;
    const pod = this.#random.pick(pods);
    await this.#cluster.deletePod(pod);
    const { namespace, name } = pod;
    const place = { app: this.#random.pick(apps), node: this.#random.pick(this.#cluster.nodes) };
    await this.#cluster.createPod({ namespace, name, ...place, ...this.#pool() });
  }

  async #replaceNode(): Promise<void> {
    await this.#cluster.removeNode(this.#random.pick(this.#cluster.nodes));
    await this.#cluster.addNode();
  }

  #pool(): { pool?: string } {
    return this.#cluster.shape.ipam === "multi-pool" && this.#random.chance(0.4) ? { pool: "blue" } : {};
  }

  /** It shrinks, moves, grows or is gone, whoever uses it. */
  async #changePool(): Promise<void> {
    if (this.#cluster.shape.ipam !== "multi-pool") return;
    const isThere = this.#cluster.api.layer.list(resources.ciliumPodIPPools).items.length > 1;
    if (isThere && this.#random.chance(0.25)) await this.#cluster.remove(resources.ciliumPodIPPools, { name: "blue" });
    else await this.#cluster.setPool(this.#random.pick(["10.1.0.0/24", "10.1.1.0/24", "10.1.0.0/28", "10.1.0.0/23"]));
  }

  /** By hand; its node is as it was. */
  async #deleteCiliumNode(): Promise<void> {
    const objects = this.#cluster.api.layer.list(resources.ciliumNodes).items as unknown as KubernetesObject[];
    if (objects.length > 0) await this.#cluster.remove(resources.ciliumNodes, { name: this.#random.pick(objects).metadata.name ?? "" });
  }

  /** Perhaps one more than there are pod CIDRs for. */
  async #addNode(): Promise<void> {
    const { nodes, shape } = this.#cluster;
    if (nodes.length <= shape.podCIDRs && nodes.length < nodesMax) await this.#cluster.addNode();
  }

  /** While its agent runs, or while it is down for a moment. */
  async #readdress(node: SimulatedNode): Promise<void> {
    if (this.#random.chance(0.5)) this.#crash(node);
    await this.#cluster.readdressNode(node);
  }

  #damage(node: SimulatedNode): void {
    this.#crash(node);
    node.damageState(this.#random);
  }

  async #relabelPod(): Promise<void> {
    const pods = [...this.#cluster.pods.values()];
    if (pods.length === 0) return;
    const labels = { app: this.#random.pick(apps) };
    await this.#cluster.merge(resources.pods, this.#random.pick(pods), { metadata: { labels } });
  }

  async #relabelNamespace(): Promise<void> {
    const labels = { team: this.#random.pick(teams) };
    await this.#cluster.merge(resources.namespaces, { name: this.#random.pick(namespaces) }, { metadata: { labels } });
  }

  async #applyPolicy(): Promise<void> {
    const { resource, object } = generatePolicy(this.#random);
    await this.#cluster.apply(resource, object);
  }

  async #deletePolicy(): Promise<void> {
    const kinds = [
      resources.ciliumNetworkPolicies,
      resources.ciliumClusterwideNetworkPolicies,
      resources.networkPolicies,
      resources.ciliumCidrGroups,
    ];
    const resource = this.#random.pick(kinds);
    const objects = this.#cluster.api.layer.list(resource).items as unknown as KubernetesObject[];
    if (objects.length === 0) return;
    const { namespace = "", name = "" } = this.#random.pick(objects).metadata;
    await this.#cluster.remove(resource, { namespace, name });
  }

  async #deleteIdentity(): Promise<void> {
    const objects = this.#cluster.api.layer.list(resources.ciliumIdentities).items as unknown as KubernetesObject[];
    if (objects.length > 0)
      await this.#cluster.remove(resources.ciliumIdentities, { name: this.#random.pick(objects).metadata.name ?? "" });
  }

  #crash(node: SimulatedNode): void {
    node.kill();
    this.#later(this.#random.pick([1, 500, 15_000]), () => node.start());
  }

  #crashOperator(): void {
    this.#cluster.killOperator();
    for (let count = 1 + this.#random.below(2); count > 0; count -= 1) {
      this.#later(this.#random.pick([1, 10_000]), () => {
        if (this.#cluster.operators < 2) this.#cluster.startOperator();
      });
    }
  }

  #outage(): void {
    const { api } = this.#cluster;
    api.setDown(true);
    this.#later(this.#random.pick([100, 3_000, 20_000]), () => api.setDown(false));
  }

  #later(delayMs: number, work: () => void): void {
    this.#cluster.time.sleep(delayMs, this.#cluster.ended).then(work, () => {}); // Rejects when all is over.
  }
}
