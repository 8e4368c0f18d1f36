import {
  type KubernetesClient,
  type KubernetesObject,
  policyKinds,
  type Resource,
  reflectIntoTable,
  resources,
  type Selector,
} from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { Table } from "@cilium-ts/state";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { OperatorOptions } from "../settings.ts";
import { cidrGroupRow, type PolicyRow, policyRow } from "./policy-row.ts";
import { agentPodRow, ciliumNodeRow, endpointRow, identityRow, nodeRow, podPoolRow, podRow, sliceRow } from "./read-rows.ts";
import type { AgentPodRow, CiliumNodeRow, EndpointRow, IdentityRow, NodeRow, PodPoolRow, PodRow, SliceRow } from "./rows.ts";

export interface ClusterOptions {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly clusterName: string;
  readonly namespace: string;
  readonly taintKey: string;
  readonly agentPodSelector: string;
  readonly ipam: OperatorOptions["ipam"];
  readonly makesSlices: boolean;
  readonly validatesPolicies: boolean;
}

const source = "kubernetes";

function createTable<Row>(name: string, keyOf: (row: Row) => string, sources: readonly string[] = [source]): Table<string, Row> {
  return new Table<string, Row>({ name, keyOf, sources });
}

/** The cluster as one leader sees it: begun anew with each leadership, so that nothing in it is older than that. */
export class Cluster {
  readonly nodes = createTable<NodeRow>("nodes", ({ name }) => name);
  readonly ciliumNodes = createTable<CiliumNodeRow>("ciliumnodes", ({ name }) => name);
  readonly pods = createTable<PodRow>("pods", ({ key }) => key);
  readonly agentPods = createTable<AgentPodRow>("agent pods", ({ key }) => key);
  readonly endpoints = createTable<EndpointRow>("ciliumendpoints", ({ key }) => key);
  readonly identities = createTable<IdentityRow>("ciliumidentities", ({ name }) => name);
  readonly policies = createTable<PolicyRow>("policies", ({ key }) => key, [
    "cidr groups",
    ...policyKinds.map(({ resource }) => resource.plural),
  ]);
  readonly slices = createTable<SliceRow>("ciliumendpointslices", ({ name }) => name);
  /** In the mode multi-pool; otherwise nobody fills it. */
  readonly podPools = createTable<PodPoolRow>("ciliumpodippools", ({ name }) => name);
  readonly #options: ClusterOptions;
  /** Tables that are not followed at the moment, and why. */
  readonly #failures = new Map<string, string>();

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** Why what one of these tables shows may be out of date; undefined when all are followed. Who removes things must ask. */
  failure(...tables: readonly { readonly name: string; readonly pendingSources: readonly string[] }[]): string | undefined {
    for (const { name, pendingSources } of tables) {
      if (pendingSources.length > 0) return `${name} were not listed yet`;
      const failure = this.#failures.get(name);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  /** Until aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { namespace, taintKey, agentPodSelector, ipam, makesSlices, validatesPolicies, clusterName } = this.#options;
    const follows = [
      this.#follow(signal, this.nodes, resources.nodes, (object) => nodeRow(object, taintKey)),
      this.#follow(signal, this.ciliumNodes, resources.ciliumNodes, ciliumNodeRow),
      this.#follow(signal, this.pods, resources.pods, podRow),
      this.#follow(signal, this.agentPods, resources.pods, agentPodRow, { namespace, selector: { labels: agentPodSelector } }),
      this.#follow(signal, this.endpoints, resources.ciliumEndpoints, (object) => endpointRow(object, makesSlices)),
      this.#follow(signal, this.identities, resources.ciliumIdentities, identityRow),
    ];
    if (validatesPolicies) {
      const optional = { source: "cidr groups", optional: true } as const;
      follows.push(this.#follow(signal, this.policies, resources.ciliumCidrGroups, cidrGroupRow, optional));
      for (const kind of policyKinds) {
        const { resource } = kind;
        // A cluster need not serve the tiers, nor let us see NetworkPolicies; Cilium's own kinds we have to see.
        const source = { source: resource.plural, ...(resource.group !== "cilium.io" && { optional: true as const }) };
        follows.push(this.#follow(signal, this.policies, resource, (object) => policyRow(object, kind, clusterName), source));
      }
    }
    if (ipam === "multi-pool") follows.push(this.#follow(signal, this.podPools, resources.ciliumPodIPPools, podPoolRow));
    if (makesSlices) follows.push(this.#follow(signal, this.slices, resources.ciliumEndpointSlices, sliceRow));
    await Promise.all(follows);
  }

  #follow<Row>(
    signal: AbortSignal,
    table: Table<string, Row>,
    resource: Resource,
    rowOf: (object: KubernetesObject) => Row,
    options: { readonly namespace?: string; readonly selector?: Selector; readonly source?: string; readonly optional?: true } = {},
  ): Promise<void> {
    const { client, clock, log } = this.#options;
    return reflectIntoTable({
      client,
      clock,
      signal,
      resource,
      table,
      rowOf,
      source,
      ...options,
      onState: (state) => {
        if (state.kind === "watching") this.#failures.delete(table.name);
        if (state.kind !== "waiting") return;
        const reason = `${table.name}: ${errorMessage(state.failure)}`;
        if (!this.#failures.has(table.name)) log.warn(`the API server does not serve ${reason}; nothing is removed meanwhile`);
        this.#failures.set(table.name, reason);
      },
    });
  }
}
