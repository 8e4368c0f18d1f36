import type { InspectedPolicyEntry } from "@cilium-ts/datapath";
import { ciliumIdentityFrom, ciliumNodeFrom, type KubernetesObject, resources } from "@cilium-ts/kubernetes";
import { parsePrefix, prefixContains } from "@cilium-ts/net";
import type { SimulatedCluster } from "./cluster.ts";
import type { KernelState, SimulatedNode } from "./simulated-node.ts";

/** What was ever seen of the policy sets of a node. */
interface SetHistory {
  /** Content by number, for as long as the machine lives. */
  readonly contents: Map<number, string>;
  /** Numbers that were there, and went. */
  readonly gone: Set<number>;
}

type Kernels = ReadonlyMap<SimulatedNode, KernelState>;

/** What must hold at every moment, whatever goes wrong. Violations are kept: whoever throws into a fake is taken for one more fault. */
export class Invariants {
  readonly violations: string[] = [];
  readonly #cluster: SimulatedCluster;
  readonly #sets = new Map<SimulatedNode, SetHistory>();
  /** Labels by number, of identities that a kernel uses. */
  readonly #identities = new Map<number, string>();

  constructor(cluster: SimulatedCluster) {
    this.#cluster = cluster;
  }

  check(): void {
    const { deaths, nodes, api } = this.#cluster;
    for (const death of [...deaths, ...nodes.flatMap((node) => node.deaths)]) this.#say(death);
    for (const error of api.errors) this.#say(`the API server failed: ${String(error)}`);
    const kernels = new Map(nodes.map((node) => [node, node.inspect()]));
    this.#checkPodCIDRs();
    this.#checkIdentities(kernels);
    this.#checkAddresses(kernels);
    for (const [node, state] of kernels) this.#checkPolicySets(node, state);
  }

  #say(violation: string): void {
    if (!this.violations.includes(violation) && this.violations.length < 20) this.violations.push(violation);
  }

  #checkPodCIDRs(): void {
    const given = this.#list(resources.ciliumNodes)
      .map(ciliumNodeFrom)
      .flatMap(({ name, podCIDRs }) => podCIDRs.map((text) => ({ name, text, prefix: parsePrefix(text) })));
    for (const [index, left] of given.entries()) {
      for (const right of given.slice(index + 1)) {
        if (left.prefix === undefined || right.prefix === undefined) continue;
        if (prefixContains(left.prefix, right.prefix) || prefixContains(right.prefix, left.prefix))
          this.#say(`${left.text} of ${left.name} and ${right.text} of ${right.name} are given twice`);
      }
    }
  }

  /** A number that a kernel uses keeps its meaning. */
  #checkIdentities(kernels: Kernels): void {
    const objects = new Map<number, string>();
    for (const object of this.#list(resources.ciliumIdentities)) {
      const identity = ciliumIdentityFrom(object);
      if (identity !== undefined) objects.set(identity.id, identity.labels.key);
    }
    const used = new Set<number>();
    for (const { endpoints } of kernels.values()) for (const { identity } of endpoints) used.add(identity);
    for (const id of [...this.#identities.keys()]) if (!used.has(id)) this.#identities.delete(id);
    for (const id of used) {
      const labels = objects.get(id);
      if (labels === undefined) continue;
      const before = this.#identities.get(id) ?? labels;
      if (before !== labels) this.#say(`identity ${id} is in use as ${before}, and was given to ${labels}`);
      this.#identities.set(id, before);
    }
  }

  #checkAddresses(kernels: Kernels): void {
    const owners = new Map<string, string>();
    for (const [node, { endpoints }] of kernels) {
      for (const { id, ipv4, ipv6 } of endpoints) {
        for (const address of [ipv4, ipv6]) {
          if (address === undefined) continue;
          const owner = `endpoint ${id} of ${node.name}`;
          const other = owners.get(address);
          if (other !== undefined) this.#say(`${address} was given to ${other} and ${owner}`);
          owners.set(address, owner);
        }
      }
    }
  }

  /** A set never changes, its number never returns, and no endpoint has one that is gone. */
  #checkPolicySets(node: SimulatedNode, { policy, endpoints }: KernelState): void {
    const history = this.#sets.get(node) ?? { contents: new Map(), gone: new Set() };
    this.#sets.set(node, history);
    const sets = Map.groupBy(policy, ({ set }) => set);
    for (const [number, entries] of sets) {
      const content = contentOf(entries);
      const before = history.contents.get(number);
      if (history.gone.has(number)) this.#say(`${node.name}: the number of policy set ${number} was used again`);
      if (before !== undefined && before !== content) this.#say(`${node.name}: policy set ${number} changed`);
      history.contents.set(number, content);
    }
    for (const number of history.contents.keys()) if (!sets.has(number)) history.gone.add(number);
    for (const { id, policySet } of endpoints) {
      if (history.gone.has(policySet)) this.#say(`${node.name}: endpoint ${id} has policy set ${policySet}, which is gone`);
      if (policySet === 0) this.#say(`${node.name}: endpoint ${id} is in the kernel without a policy`);
    }
  }

  #list(resource: (typeof resources)[keyof typeof resources]): KubernetesObject[] {
    return this.#cluster.api.layer.list(resource).items as unknown as KubernetesObject[];
  }
}

function contentOf(entries: readonly InspectedPolicyEntry[]): string {
  return entries
    .map((entry) => JSON.stringify({ ...entry, cookie: 0 }))
    .sort()
    .join();
}
