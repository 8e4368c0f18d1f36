import { clean } from "@cilium-ts/command-line";
import { dropReasonText, EventType, policyMatchText, tracePointText } from "@cilium-ts/flow";
import { flowpb } from "@cilium-ts/observer";
import { hostPort } from "../bpf/bpf-connections.ts";

/** One line of the monitor for an event, as its users know it. */
export function eventLine(flow: flowpb.Flow): string {
  return clean(textOf(flow));
}

/** Who the ends are, what carried the packet and what decided: a line each, where there is something to say. */
export function eventDetails(flow: flowpb.Flow): string[] {
  const policies = [...flow.egressAllowedBy, ...flow.ingressAllowedBy, ...flow.egressDeniedBy, ...flow.ingressDeniedBy];
  const { ethernet, tunnel, ipTraceId } = flow;
  const rows: ReadonlyArray<readonly [string, string]> = [
    ["from", partyText(flow.source)],
    ["to", partyText(flow.destination)],
    ["frame", ethernet === undefined ? "" : `${ethernet.source} -> ${ethernet.destination}`],
    ["tunnel", tunnel?.IP === undefined ? "" : `${tunnel.IP.source} -> ${tunnel.IP.destination}`],
    ["trace id", ipTraceId === undefined ? "" : String(ipTraceId.traceId)],
    ["policies", policies.map(({ kind, namespace, name }) => `${kind} ${namespace === "" ? "" : `${namespace}/`}${name}`).join(", ")],
  ];
  return rows.filter(([, text]) => text !== "").map(([name, text]) => clean(`     ${name}: ${text}`));
}

function partyText(endpoint: flowpb.Endpoint | undefined): string {
  if (endpoint === undefined) return "";
  const pod = endpoint.podName === "" ? "" : `${endpoint.namespace}/${endpoint.podName} `;
  return `${pod}identity ${endpoint.identity} [${endpoint.labels.join(" ")}]`;
}

function textOf(flow: flowpb.Flow): string {
  switch (flow.eventType?.type) {
    case EventType.drop:
      return dropText(flow);
    case EventType.policyVerdict:
      return verdictText(flow);
    case EventType.trace:
      return traceText(flow);
    default:
      return `-- event ${flow.eventType?.type ?? 0}/${flow.eventType?.subType ?? 0}: ${connectionText(flow)}`;
  }
}

function dropText(flow: flowpb.Flow): string {
  const { file } = flow;
  const place = file === undefined ? "" : `, file ${file.name}:${file.line}`;
  const device = flow.interface === undefined ? "" : `, ifindex ${flow.interface.name || flow.interface.index}`;
  const reason = dropReasonText(flow.eventType?.subType ?? 0);
  return `xx drop (${reason}) flow 0x0 to endpoint ${flow.destination?.ID ?? 0}${device}${place}, ${identitiesText(flow)}: ${connectionText(flow)}`;
}

function verdictText(flow: flowpb.Flow): string {
  const ingress = flow.trafficDirection === flowpb.TrafficDirection.INGRESS;
  const [local, remote] = ingress ? [flow.destination, flow.source] : [flow.source, flow.destination];
  const action = actions[flow.verdict] ?? "deny";
  const auth = flow.authType === 0 ? "disabled" : (flowpb.AuthType[flow.authType] ?? String(flow.authType)).toLowerCase();
  const protocol = numbers[flow.l4?.protocol.case ?? ""] ?? 0;
  return [
    `Policy verdict log: flow 0x0 local EP ID ${local?.ID ?? 0}`,
    `remote ID ${remote?.identity ?? 0}`,
    `proto ${protocol}`,
    ingress ? "ingress" : "egress",
    `action ${action}`,
    `auth: ${auth}`,
    `match ${policyMatchText(flow.policyMatchType)}`,
    connectionText(flow),
  ].join(", ");
}

const actions: Readonly<Record<number, string>> = {
  [flowpb.Verdict.FORWARDED]: "allow",
  [flowpb.Verdict.REDIRECTED]: "redirect",
  [flowpb.Verdict.AUDIT]: "audit",
};

/** IP protocol numbers, by the case of a flow's layer 4. */
const numbers: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132, ICMPv4: 1, ICMPv6: 58 };

function traceText(flow: flowpb.Flow): string {
  const point = tracePointText(flow.eventType?.subType ?? 0);
  const [way = "", place = point] = point.split(/-(.*)/);
  const arrow = way === "from" ? "<-" : "->";
  const end = way === "from" ? flow.source : flow.destination;
  const where = place === "endpoint" ? `endpoint ${end?.ID ?? 0}` : place;
  const state = (flowpb.TraceReason[flow.traceReason] ?? "unknown").toLowerCase();
  const device = flow.interface === undefined ? "" : ` ifindex ${flow.interface.name || flow.interface.index}`;
  return `${arrow} ${where} flow 0x0 , ${identitiesText(flow)} state ${state}${device}: ${connectionText(flow)}`;
}

function identitiesText({ source, destination }: flowpb.Flow): string {
  return `identity ${source?.identity ?? 0}->${destination?.identity ?? 0}`;
}

/** `10.0.0.1:40000 -> 10.0.0.2:80 tcp SYN` */
function connectionText({ IP: ip, l4, ethernet, Summary: summary }: flowpb.Flow): string {
  if (ip === undefined) return `${ethernet?.source ?? "?"} -> ${ethernet?.destination ?? "?"}`;
  const protocol = l4?.protocol;
  switch (protocol?.case) {
    case "TCP":
    case "UDP":
    case "SCTP": {
      const { sourcePort, destinationPort } = protocol.value;
      const flags = protocol.case === "TCP" ? ` ${flagsText(protocol.value.flags)}`.trimEnd() : "";
      return `${hostPort(ip.source, sourcePort)} -> ${hostPort(ip.destination, destinationPort)} ${protocol.case.toLowerCase()}${flags}`;
    }
    case "ICMPv4":
    case "ICMPv6":
      return `${ip.source} -> ${ip.destination} ${summary || `${protocol.case} type ${protocol.value.type} code ${protocol.value.code}`}`;
    default:
      return `${ip.source} -> ${ip.destination} ${summary}`.trimEnd();
  }
}

const flagNames = ["SYN", "ACK", "FIN", "RST", "PSH", "URG", "ECE", "CWR", "NS"] as const;

function flagsText(flags: flowpb.TCPFlags | undefined): string {
  return flagNames.filter((name) => flags?.[name] === true).join(", ");
}
