import type { FlowEnd, SeenFlow } from "./seen-flow.ts";

/** For tests: a pod's end, `default/client`, of the identity that its name makes. */
export function podEnd(key: string, changes: Partial<FlowEnd> = {}): FlowEnd {
  const [namespace = "", pod = ""] = key.split("/");
  let identity = 10_000;
  for (const character of pod) identity = (identity * 31 + character.charCodeAt(0)) % 50_000;
  return {
    identity: 1_000 + identity,
    cluster: "",
    namespace,
    pod,
    workloads: [],
    labels: [`k8s:app=${pod}`, `k8s:io.kubernetes.pod.namespace=${namespace}`],
    ip: "10.0.0.1",
    port: 0,
    names: [],
    service: "",
    ...changes,
  };
}

export function worldEnd(changes: Partial<FlowEnd> = {}): FlowEnd {
  return { ...podEnd("/"), identity: 2, labels: ["reserved:world"], ip: "192.0.2.1", ...changes };
}

/** For tests: a first packet from the client to the server's port 8080. */
export function madeFlow(changes: Partial<SeenFlow> = {}): SeenFlow {
  return {
    uuid: "",
    timeMs: 1_000,
    verdict: "forwarded",
    verdictName: "FORWARDED",
    dropReason: "",
    protocol: "TCP",
    source: podEnd("default/client", { port: 40_000 }),
    destination: podEnd("default/server", { port: 8_080, ip: "10.0.0.2" }),
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
