/** For tests: what a backend would tell. */
import type { Link, SeenFlow, Service, ViewMessage } from "@cilium-ts/service-map/view";

export function madeService(id: string, changes: Partial<Service> = {}): Service {
  return {
    id,
    kind: "workload",
    name: `name-${id}`,
    namespace: "shop",
    cluster: "",
    identity: 1,
    labels: [],
    workloads: [],
    names: [],
    policy: null,
    ...changes,
  };
}

export function madeLink(number: number, source: string, destination: string, changes: Partial<Link> = {}): Link {
  const id = `${source} TCP ${destination}:${changes.port ?? 80}`;
  return {
    id,
    number,
    source,
    destination,
    protocol: "TCP",
    port: 80,
    verdicts: ["forwarded"],
    authentication: "",
    isEncrypted: false,
    requests: [],
    ...changes,
  };
}

const end = {
  identity: 1,
  cluster: "",
  namespace: "shop",
  pod: "web",
  workloads: [],
  labels: [],
  ip: "10.0.0.1",
  port: 0,
  names: [],
  service: "",
};

export function madeFlow(uuid: string, changes: Partial<SeenFlow> = {}): SeenFlow {
  return {
    uuid,
    timeMs: 1_000,
    verdict: "forwarded",
    verdictName: "FORWARDED",
    dropReason: "",
    protocol: "TCP",
    source: { ...end, port: 40_000 },
    destination: { ...end, pod: "api", port: 80 },
    direction: "egress",
    node: "node1",
    tcpFlags: ["SYN"],
    authentication: "",
    isEncrypted: false,
    policies: [],
    summary: "TCP Flags: SYN",
    ...changes,
  };
}

export function madeMessage({
  map,
  ...changes
}: Partial<Omit<ViewMessage, "map">> & { readonly map?: Partial<ViewMessage["map"]> }): ViewMessage {
  return {
    position: "p",
    isStart: false,
    map: { services: [], links: [], counts: [], removedServices: [], removedLinks: [], ...map },
    flows: [],
    skippedFlows: 0,
    state: {
      connection: "connected",
      reason: "",
      retryInMs: 0,
      connectedNodes: 1,
      unavailableNodes: [],
      flowsPerSecond: 1,
      lostEvents: 0,
      version: "",
    },
    notes: [],
    build: "1",
    ...changes,
  };
}
