import { type Datapath, metricsDirection } from "@cilium-ts/datapath";
import { endpointStates } from "@cilium-ts/endpoint";
import { dropReasonText } from "@cilium-ts/flow";
import { clusterIdentityMin } from "@cilium-ts/identity";
import { Metrics } from "@cilium-ts/metrics";
import type { Controllers } from "../controllers.ts";
import type { NodeDns } from "../dns/node-dns.ts";
import type { NodePool } from "../ipam/node-pool.ts";
import type { Node } from "../node.ts";
import type { Readiness } from "../readiness.ts";
import { agentVersion } from "../version.ts";

export interface SampledParts {
  readonly node: Node;
  readonly dns: Pick<NodeDns, "lookups" | "lost" | "zombies">;
  readonly datapath: Datapath;
  readonly pool: NodePool;
  readonly controllers: Controllers;
  readonly readiness: Readiness;
}

const directionNames = new Map<number, string>([
  [metricsDirection.ingress, "INGRESS"],
  [metricsDirection.egress, "EGRESS"],
  [metricsDirection.service, "SERVICE"],
]);

/** What the agent has and the kernel counts, looked up when somebody asks. Series that are gone are not shown again. */
export function sampledMetrics(parts: SampledParts): string {
  const metrics = new Metrics();
  sampleTraffic(metrics, parts.datapath);
  sampleMaps(metrics, parts);
  sampleEndpoints(metrics, parts.node);
  sampleGuard(metrics, parts.node);
  samplePolicy(metrics, parts.node);
  sampleNames(metrics, parts);
  sampleProxies(metrics, parts.node);
  sampleAddresses(metrics, parts.pool);
  sampleAgent(metrics, parts);
  return metrics.text();
}

function sampleGuard(metrics: Metrics, { guard }: Node): void {
  if (guard === undefined) return;
  const trial = metrics.gauge("cilium_host_firewall_trial", "1 while policies of this node are on trial because they cut something off.");
  trial.set(guard.trial.kind === "tried" ? 1 : 0);
  const reverts = metrics.counter("cilium_host_firewall_reverts_total", "Policies of this node that were taken back.");
  reverts.increase({}, guard.revertCount);
  const refused = metrics.counter("cilium_host_firewall_events_lost_total", "Events of trials that could not be written.");
  refused.increase({}, guard.refusedEventCount);
}

function sampleTraffic(metrics: Metrics, { counters }: Datapath): void {
  const drops = metrics.counter("cilium_drop_count_total", "Packets that were dropped, by reason and direction.");
  const dropBytes = metrics.counter("cilium_drop_bytes_total", "Their bytes.");
  const forwards = metrics.counter("cilium_forward_count_total", "Packets that were forwarded, by direction.");
  const forwardBytes = metrics.counter("cilium_forward_bytes_total", "Their bytes.");
  for (const { reason, direction: number, packets, bytes } of counters.traffic()) {
    const direction = directionNames.get(number) ?? "UNKNOWN";
    if (reason === 0) {
      forwards.increase({ direction }, packets);
      forwardBytes.increase({ direction }, bytes);
    } else {
      drops.increase({ reason: dropReasonText(reason), direction }, packets);
      dropBytes.increase({ reason: dropReasonText(reason), direction }, bytes);
    }
  }
}

function sampleMaps(metrics: Metrics, { datapath, node }: SampledParts): void {
  const pressure = metrics.gauge("cilium_bpf_map_pressure", "How full a map is, from 0 to 1.");
  const known = { policy: datapath.policySets.entryCount(), ipcache: node.ipcache.table.size };
  for (const { map, entries, maxEntries } of datapath.counters.fills(known)) pressure.set(entries / maxEntries, { map_name: map });
  const capacity = metrics.gauge("cilium_bpf_map_capacity", "Entries that a map can have.");
  for (const [name, { maxEntries }] of Object.entries(datapath.maps)) capacity.set(maxEntries, { map_group: name });
  const operations = metrics.counter("cilium_bpf_map_ops_total", "Writes to maps since the agent's start, by outcome.");
  for (const { map, operation, failed, count } of datapath.counters.operations())
    operations.increase({ map_name: map, operation, outcome: failed ? "fail" : "success" }, count);
  metrics.gauge("cilium_bpf_maps_virtual_memory_max_bytes", "Kernel memory that the maps hold.").set(datapath.memoryBytes());
  const { runs, deleted, alive } = datapath.counters.sweeps;
  metrics.counter("cilium_datapath_conntrack_gc_runs_total", "Sweeps of connections.").increase({ status: "completed" }, runs);
  const entries = metrics.gauge("cilium_datapath_conntrack_gc_entries", "Connections: alive after the last sweep, and deleted by all.");
  entries.set(alive, { status: "alive" });
  entries.set(deleted, { status: "deleted" });
}

function sampleEndpoints(metrics: Metrics, { endpoints }: Node): void {
  const counts = new Map<string, number>(endpointStates.map((state) => [state, 0]));
  const enforcement = new Map([...["none", "ingress", "egress", "both"]].map((kind) => [kind, 0]));
  for (const row of endpoints.index.rows()) {
    counts.set(row.state, (counts.get(row.state) ?? 0) + 1);
    const both = row.ingressEnforced && row.egressEnforced;
    const kind = both ? "both" : row.ingressEnforced ? "ingress" : row.egressEnforced ? "egress" : "none";
    enforcement.set(kind, (enforcement.get(kind) ?? 0) + 1);
  }
  metrics.gauge("cilium_endpoint", "Endpoints of this node.").set(endpoints.index.size);
  const states = metrics.gauge("cilium_endpoint_state", "Endpoints of this node, by state.");
  for (const [state, count] of counts) states.set(count, { endpoint_state: state });
  const enforced = metrics.gauge("cilium_policy_endpoint_enforcement_status", "Endpoints by the directions in which policy is enforced.");
  for (const [kind, count] of enforcement) enforced.set(count, { enforcement: kind });
}

function samplePolicy(metrics: Metrics, node: Node): void {
  metrics.gauge("cilium_policy", "Rules that are loaded.").set(node.updates.rules().length);
  metrics.gauge("cilium_policy_max_revision", "Revision of the policies.").set(node.updates.revision);
  const counts = { cluster_local: 0, node_local: 0, reserved: 0 };
  for (const { id } of node.directory.all())
    counts[id >= 1 << 24 ? "node_local" : id >= clusterIdentityMin ? "cluster_local" : "reserved"] += 1;
  const identities = metrics.gauge("cilium_identity", "Identities that are known, by type.");
  for (const [type, count] of Object.entries(counts)) identities.set(count, { type });
}

function sampleNames(metrics: Metrics, { node, dns }: SampledParts): void {
  const kept = { names: new Map<number, Set<string>>(), addresses: new Map<number, Set<string>>() };
  for (const { endpointId, name, address } of dns.lookups.all()) {
    for (const [sets, value] of [
      [kept.names, name],
      [kept.addresses, address],
    ] as const) {
      const set = sets.get(endpointId) ?? new Set();
      sets.set(endpointId, set.add(value));
    }
  }
  const names = metrics.gauge("cilium_fqdn_active_names", "Names that an endpoint has looked up.");
  for (const [id, set] of kept.names) names.set(set.size, { endpoint: String(id) });
  const addresses = metrics.gauge("cilium_fqdn_active_ips", "Addresses that it was answered with.");
  for (const [id, set] of kept.addresses) addresses.set(set.size, { endpoint: String(id) });
  const zombies = metrics.gauge("cilium_fqdn_alive_zombie_connections", "Of those, kept only because a connection uses them.");
  for (const [id, count] of dns.zombies()) zombies.set(count, { endpoint: String(id) });
  metrics.gauge("cilium_fqdn_selectors", "Names and patterns that rules have.").set(node.updates.names.patterns.size);
  const refused = metrics.counter("cilium_fqdn_refused_total", "Names and addresses that were not kept, because there were too many.");
  refused.increase({}, node.updates.names.refused + dns.lookups.refused);
  metrics.counter("cilium_fqdn_lost_answers_total", "Answers that were none, or could not be sent.").increase({}, dns.lost);
}

function sampleProxies(metrics: Metrics, { proxies, endpoints, accessLog }: Node): void {
  const redirects = metrics.gauge("cilium_proxy_redirects", "Ports of endpoints that lead to proxies, by what the proxy is for.");
  const counts = new Map(proxies.rows().map(({ parser }) => [parser, 0]));
  for (const { id } of endpoints.index.rows()) {
    const policy = endpoints.policyOf(id);
    if (policy === undefined) continue;
    for (const { parser } of proxies.redirectsOf(policy)) counts.set(parser, (counts.get(parser) ?? 0) + 1);
  }
  for (const [protocol, count] of counts) redirects.set(count, { protocol });
  metrics
    .counter("cilium_proxy_records_refused_total", "What proxies saw and flows do not show, because it was too much for a second.")
    .increase({}, accessLog.refused);
}

function sampleAddresses(metrics: Metrics, { pools }: NodePool): void {
  const used = metrics.gauge("cilium_ip_addresses", "Addresses that were given out.");
  const capacity = metrics.gauge("cilium_ipam_capacity", "Addresses that can be given out.");
  for (const family of ["ipv4", "ipv6"] as const) {
    used.set(pools[family].snapshot().length, { family });
    capacity.set(Number(pools[family].capacity), { family });
  }
}

function sampleAgent(metrics: Metrics, { controllers, readiness, node }: SampledParts): void {
  const failing = controllers.all().filter(({ consecutiveFailures }) => consecutiveFailures > 0).length;
  metrics.gauge("cilium_controllers_failing", "What is done again and again, and fails now.").set(failing);
  const bootstrap = metrics.gauge("cilium_agent_bootstrap_seconds", "How long after the start each part of it was reached.");
  for (const [scope, afterMs] of Object.entries(readiness.timings())) bootstrap.set(afterMs / 1_000, { scope, outcome: "success" });
  metrics.gauge("cilium_nodes_all_num", "Nodes that are known, this one among them.").set(node.remoteNodes.count + 1);
  metrics.gauge("cilium_version", "1, with the version.").set(1, { version: agentVersion, revision: "", arch: process.arch });
}
