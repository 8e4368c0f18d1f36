import type { ConnectivityHealth, HealthStatusResponse, NodeHealth, PathHealth, PathsHealth } from "@cilium-ts/agent-api";
import { Metrics } from "@cilium-ts/metrics";
import type { NodeProber, PathOutcomes, ProbedPath, ProbeOutcome } from "./node-prober.ts";

type Report = Pick<NodeProber, "outcomesOf" | "lastRoundMs" | "intervalMs">;

/** What was found of each node, this one first. */
export function healthStatus(localName: string, paths: readonly ProbedPath[], prober: Report): HealthStatusResponse {
  const byNode = Map.groupBy(paths, ({ nodeName }) => nodeName);
  const names = [...byNode.keys()].sort((one, other) => Number(other === localName) - Number(one === localName) || (one < other ? -1 : 1));
  return {
    timestamp: prober.lastRoundMs === undefined ? "" : new Date(prober.lastRoundMs).toISOString(),
    probeInterval: `${Math.round(prober.intervalMs() / 1_000)}s`,
    local: { name: localName },
    nodes: names.map((name): NodeHealth => {
      const host = pathsHealth(byNode.get(name) ?? [], "node", prober);
      const endpoint = pathsHealth(byNode.get(name) ?? [], "endpoint", prober);
      return {
        name,
        host: host ?? { "primary-address": { ip: "" } },
        ...(endpoint !== undefined && { "health-endpoint": endpoint }),
      };
    }),
  };
}

function pathsHealth(paths: readonly ProbedPath[], type: ProbedPath["type"], prober: Report): PathsHealth | undefined {
  const mine = paths.filter((path) => path.type === type);
  const primary = mine.find((path) => path.primary);
  if (primary === undefined) return undefined;
  const others = mine.filter((path) => path !== primary).map((path) => pathHealth(path, prober));
  return { "primary-address": pathHealth(primary, prober), ...(others.length > 0 && { "secondary-addresses": others }) };
}

function pathHealth(path: ProbedPath, prober: Report): PathHealth {
  const { icmp, http } = prober.outcomesOf(path);
  return {
    ip: path.address,
    ...(icmp !== undefined && { icmp: connectivity(icmp) }),
    ...(http !== undefined && { http: connectivity(http) }),
  };
}

function connectivity({ atMs, seconds, problem }: ProbeOutcome): ConnectivityHealth {
  return {
    ...(seconds !== undefined && { latency: Math.round(seconds * 1e9) }),
    status: problem,
    lastProbed: new Date(atMs).toISOString(),
  };
}

type Reachability = "reachable" | "unreachable" | "unknown";

/** By the answers of both protocols on the addresses that count. */
export function reachability({ icmp, http }: PathOutcomes): Reachability {
  if (icmp === undefined || http === undefined) return "unknown";
  return icmp.problem === "" && http.problem === "" ? "reachable" : "unreachable";
}

/** Under the names of Cilium: how many nodes and health endpoints answer. */
export function sampledHealth(clusterName: string, nodeName: string, paths: readonly ProbedPath[], prober: Report): string {
  const metrics = new Metrics();
  const status = metrics.gauge("cilium_node_health_connectivity_status", "Nodes and health endpoints by whether they answer.");
  const counts = new Map<string, number>();
  for (const type of ["node", "endpoint"] as const)
    for (const state of ["reachable", "unreachable", "unknown"]) counts.set(`${type} ${state}`, 0);
  for (const path of paths) {
    if (!path.primary) continue;
    const key = `${path.type} ${reachability(prober.outcomesOf(path))}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  for (const [key, count] of counts) {
    const [type = "", state = ""] = key.split(" ");
    status.set(count, { source_cluster: clusterName, source_node_name: nodeName, type, status: state });
  }
  metrics.gauge("cilium_unreachable_nodes", "Nodes that do not answer.").set(counts.get("node unreachable") ?? 0);
  metrics.gauge("cilium_unreachable_health_endpoints", "Health endpoints that do not answer.").set(counts.get("endpoint unreachable") ?? 0);
  return metrics.text();
}
