import { Metrics } from "@cilium-ts/metrics";

/** The operator's metrics, under the names that Cilium's operator gives them where it has them. */
export interface OperatorMetrics {
  readonly registry: Metrics;
  readonly leads: ReturnType<Metrics["gauge"]>;
  readonly allocations: ReturnType<Metrics["counter"]>;
  readonly ipamNodes: ReturnType<Metrics["gauge"]>;
  readonly podCIDRs: ReturnType<Metrics["gauge"]>;
  readonly identityEntries: ReturnType<Metrics["gauge"]>;
  readonly identityRuns: ReturnType<Metrics["counter"]>;
  readonly identityLatency: ReturnType<Metrics["gauge"]>;
  readonly endpointsCollected: ReturnType<Metrics["counter"]>;
  readonly nodesCollected: ReturnType<Metrics["counter"]>;
  readonly sliceSyncs: ReturnType<Metrics["counter"]>;
  readonly sliceSizes: ReturnType<Metrics["histogram"]>;
}

export function createOperatorMetrics(): OperatorMetrics {
  const registry = new Metrics();
  const named = (name: string): string => `cilium_operator_${name}`;
  return {
    registry,
    leads: registry.gauge(named("leader_election_master_status"), "1 while this operator leads, 0 while it follows."),
    allocations: registry.counter(named("ipam_allocation_ops"), "CiliumNodes that were given pod CIDRs."),
    ipamNodes: registry.gauge(named("ipam_nodes"), "CiliumNodes, by category: all, and those that lack a pod CIDR."),
    podCIDRs: registry.gauge(named("ipam_pod_cidrs"), "Pod CIDRs of the pools, by state."),
    identityEntries: registry.gauge(named("identity_gc_entries"), "Identities of the last pass, by what was found."),
    identityRuns: registry.counter(named("identity_gc_runs"), "Passes of the identity collector, by outcome."),
    identityLatency: registry.gauge(named("identity_gc_latency"), "How long the last pass took, in seconds."),
    endpointsCollected: registry.counter(named("endpoint_gc_objects"), "CiliumEndpoints without pods, by outcome."),
    nodesCollected: registry.counter(named("node_gc_objects"), "CiliumNodes without Nodes that were deleted."),
    sliceSyncs: registry.counter(named("ces_sync_total"), "CiliumEndpointSlices that were written or deleted, by outcome."),
    sliceSizes: registry.histogram(
      named("number_of_ceps_per_ces"),
      "Endpoints of each slice when it was written.",
      [1, 5, 10, 25, 50, 75, 90, 100],
    ),
  };
}
