import { clean } from "@cilium-ts/command-line";
import { dropReasonText } from "@cilium-ts/flow";
import { flowpb } from "@cilium-ts/observer";
import { stringify } from "yaml";
import { endpointText, transportOf } from "./endpoint-text.ts";

const { DropReason, TrafficDirection, Verdict } = flowpb;

/** A flow in sentences: what happened to it, which rule decided, and the command that would change that. */
export function explainFlow(flow: flowpb.Flow): string {
  const { IP: ip, source, destination } = flow;
  const { protocol, sourcePort, destinationPort } = transportOf(flow.l4);
  const [from, to] = [endpointText(source, ip?.source ?? ""), endpointText(destination, ip?.destination ?? "")];
  const port = destinationPort === 0 ? "" : `, port ${destinationPort}`;
  const reason = flow.dropReasonDesc === 0 ? "" : ` (${DropReason[flow.dropReasonDesc] ?? flow.dropReasonDesc})`;
  const lines = [
    `${from} to ${to}${port}${protocol === "" ? "" : ` over ${protocol}`}: ${Verdict[flow.verdict] ?? flow.verdict}${reason}`,
    `  from: ${describeEnd(source, ip?.source ?? "", sourcePort)}`,
    `  to:   ${describeEnd(destination, ip?.destination ?? "", destinationPort)}`,
    `  seen: on node ${clean(flow.nodeName)}${flow.file === undefined ? "" : `, decided in ${clean(flow.file.name)}:${flow.file.line}`}`,
    `  why:  ${reasonOf(flow, from, to)}`,
  ];
  const change = changeFor(flow);
  return `${lines.join("\n")}\n${change === undefined ? "" : `  to allow it:\n\nkubectl apply -f - <<'EOF'\n${change}EOF\n`}`;
}

function describeEnd(endpoint: flowpb.Endpoint | undefined, address: string, port: number): string {
  const at = port === 0 ? address : `${address.includes(":") ? `[${address}]` : address}:${port}`;
  const labels = endpoint === undefined || endpoint.labels.length === 0 ? "" : `: ${endpoint.labels.join(", ")}`;
  return clean(`${at}, identity ${endpoint?.identity ?? 0}${labels}`);
}

function reasonOf(flow: flowpb.Flow, from: string, to: string): string {
  const policies = (list: readonly flowpb.Policy[]): string =>
    list.map(({ kind, namespace, name }) => clean(`${kind || "policy"} ${namespace === "" ? name : `${namespace}/${name}`}`)).join(", ");
  const denied = policies([...flow.ingressDeniedBy, ...flow.egressDeniedBy]);
  const allowed = policies([...flow.ingressAllowedBy, ...flow.egressAllowedBy]);
  const [subject, direction] = flow.trafficDirection === TrafficDirection.INGRESS ? [to, "ingress"] : [from, "egress"];
  if (flow.dropReasonDesc === DropReason.POLICY_DENY)
    return `a deny rule of ${denied === "" ? "a policy" : denied} matches, and nothing allows what a rule denies`;
  if (flow.dropReasonDesc === DropReason.POLICY_DENIED || (flow.verdict === Verdict.DROPPED && denied !== ""))
    return flow.trafficDirection === TrafficDirection.TRAFFIC_DIRECTION_UNKNOWN
      ? "policies select one of the two ends, and none of them allows this"
      : `policies select ${subject} for ${direction}, and none of them allows this`;
  if (flow.verdict === Verdict.DROPPED || flow.verdict === Verdict.ERROR)
    return `the datapath dropped it: ${dropReasonText(flow.dropReasonDesc)}; no policy decided that`;
  if (flow.verdict === Verdict.AUDIT) return "policies would not allow this, and are only audited";
  if (allowed !== "") return `allowed by ${allowed}`;
  return "it is part of an allowed connection, or no policy selects the pods";
}

/** A policy that allows exactly this; undefined where a policy would not help. */
function changeFor(flow: flowpb.Flow): string | undefined {
  if (flow.dropReasonDesc !== DropReason.POLICY_DENIED) return undefined;
  const ingress = flow.trafficDirection === TrafficDirection.INGRESS;
  const [subject, peer] = ingress ? [flow.destination, flow.source] : [flow.source, flow.destination];
  const peerAddress = (ingress ? flow.IP?.source : flow.IP?.destination) ?? "";
  if (subject === undefined || subject.podName === "") return undefined;
  const rule = { ...peerRule(peer, peerAddress, subject.namespace, ingress ? "from" : "to"), ...portRule(flow) };
  return stringify({
    apiVersion: "cilium.io/v2",
    kind: "CiliumNetworkPolicy",
    metadata: { name: `allow-${subject.podName}`.slice(0, 63).replace(/[^a-z0-9]+$/, ""), namespace: subject.namespace },
    spec: { endpointSelector: { matchLabels: selectorOf(subject) }, [ingress ? "ingress" : "egress"]: [rule] },
  });
}

function peerRule(peer: flowpb.Endpoint | undefined, address: string, namespace: string, side: "from" | "to"): Record<string, unknown> {
  if (peer !== undefined && peer.podName !== "") {
    const other = peer.namespace === namespace ? {} : { "k8s:io.kubernetes.pod.namespace": peer.namespace };
    return { [`${side}Endpoints`]: [{ matchLabels: { ...selectorOf(peer), ...other } }] };
  }
  const reserved = peer?.labels.find((label) => label.startsWith("reserved:"))?.slice("reserved:".length);
  if (reserved !== undefined && !reserved.startsWith("world")) return { [`${side}Entities`]: [reserved] };
  return { [`${side}CIDR`]: [`${address}/${address.includes(":") ? 128 : 32}`] };
}

function portRule({ l4 }: flowpb.Flow): Record<string, unknown> {
  const protocol = l4?.protocol;
  if (protocol?.case === "ICMPv4" || protocol?.case === "ICMPv6")
    return { icmps: [{ fields: [{ type: protocol.value.type, family: protocol.case === "ICMPv4" ? "IPv4" : "IPv6" }] }] };
  const { destinationPort } = transportOf(l4);
  return destinationPort === 0 ? {} : { toPorts: [{ ports: [{ port: String(destinationPort), protocol: protocol?.case }] }] };
}

/** The labels that somebody gave to the pod, without those that follow from where it is. */
function selectorOf({ labels }: flowpb.Endpoint): Record<string, string> {
  const own = labels.filter((label) => label.startsWith("k8s:") && !/^k8s:io\.(kubernetes|cilium)\./.test(label));
  return Object.fromEntries(
    own.map((label) => {
      const at = label.indexOf("=");
      return at < 0 ? [label.slice(4), ""] : [label.slice(4, at), label.slice(at + 1)];
    }),
  );
}
