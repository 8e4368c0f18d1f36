import { flowpb } from "@cilium-ts/observer";
import type { DecidingPolicy, FlowEnd, SeenFlow, SeenRequest, VerdictKind } from "@cilium-ts/service-map";

const { Verdict, DropReason, AuthType, TrafficDirection, L7FlowType } = flowpb;

/** What is the same in many flows of a pod is kept once. */
const knownEndsMax = 20_000;

/** Hubble's messages into what the service map and the table need. */
export class FlowReader {
  readonly #knownEnds = new Map<string, Pick<FlowEnd, "labels" | "workloads">>();

  /** Undefined for what has no two ends: a flow without addresses and identities. */
  read(flow: flowpb.Flow): SeenFlow | undefined {
    if (flow.source === undefined && flow.destination === undefined && flow.IP === undefined) return undefined;
    const layer4 = readLayer4(flow);
    const request = readRequest(flow.l7);
    return {
      uuid: flow.uuid,
      timeMs: Number(flow.time?.seconds ?? 0n) * 1_000 + (flow.time?.nanos ?? 0) / 1e6,
      verdict: verdictKindOf(flow.verdict),
      verdictName: Verdict[flow.verdict] ?? String(flow.verdict),
      dropReason:
        flow.dropReasonDesc === DropReason.DROP_REASON_UNKNOWN ? "" : (DropReason[flow.dropReasonDesc] ?? String(flow.dropReasonDesc)),
      protocol: layer4.protocol,
      source: this.#readEnd(flow.source, flow.IP?.source ?? "", layer4.sourcePort, flow.sourceNames, flow.sourceService),
      destination: this.#readEnd(
        flow.destination,
        flow.IP?.destination ?? "",
        layer4.destinationPort,
        flow.destinationNames,
        flow.destinationService,
      ),
      ...(flow.isReply === undefined ? {} : { isReply: flow.isReply }),
      direction: directionOf(flow.trafficDirection),
      node: flow.nodeName,
      tcpFlags: layer4.flags,
      ...(request === undefined ? {} : { request }),
      authentication: flow.authType === AuthType.DISABLED ? "" : (AuthType[flow.authType] ?? String(flow.authType)),
      isEncrypted: flow.IP?.encrypted ?? false,
      policies: readPolicies(flow),
      summary: flow.Summary,
    };
  }

  #readEnd(
    endpoint: flowpb.Endpoint | undefined,
    ip: string,
    port: number,
    names: readonly string[],
    service: flowpb.Service | undefined,
  ): FlowEnd {
    return {
      identity: endpoint?.identity ?? 0,
      cluster: endpoint?.clusterName ?? "",
      namespace: endpoint?.namespace ?? "",
      pod: endpoint?.podName ?? "",
      ...this.#shared(endpoint),
      ip,
      port,
      names,
      service: service === undefined ? "" : `${service.namespace}/${service.name}`,
    };
  }

  #shared(endpoint: flowpb.Endpoint | undefined): Pick<FlowEnd, "labels" | "workloads"> {
    if (endpoint === undefined) return { labels: [], workloads: [] };
    const { identity, clusterName, namespace, podName, labels, workloads } = endpoint;
    const key = `${identity} ${clusterName} ${namespace}/${podName} ${labels.length} ${workloads.length}`;
    let known = this.#knownEnds.get(key);
    if (known === undefined || labels.some((label, index) => known?.labels[index] !== label)) {
      known = { labels, workloads: workloads.map(({ kind, name }) => ({ kind, name })) };
      if (this.#knownEnds.size >= knownEndsMax) this.#knownEnds.clear();
      this.#knownEnds.set(key, known);
    }
    return known;
  }
}

function verdictKindOf(verdict: flowpb.Verdict): VerdictKind {
  switch (verdict) {
    case Verdict.DROPPED:
      return "dropped";
    case Verdict.AUDIT:
      return "audit";
    case Verdict.ERROR:
      return "error";
    default:
      return "forwarded";
  }
}

function directionOf(direction: flowpb.TrafficDirection): SeenFlow["direction"] {
  if (direction === TrafficDirection.INGRESS) return "ingress";
  return direction === TrafficDirection.EGRESS ? "egress" : "";
}

interface Layer4 {
  readonly protocol: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly flags: readonly string[];
}

function readLayer4({ l4 }: flowpb.Flow): Layer4 {
  const protocol = l4?.protocol;
  if (protocol?.case === undefined) return { protocol: "IP", sourcePort: 0, destinationPort: 0, flags: [] };
  const { case: name, value } = protocol;
  if (!("sourcePort" in value)) return { protocol: name, sourcePort: 0, destinationPort: 0, flags: [] };
  return {
    protocol: name,
    sourcePort: value.sourcePort,
    destinationPort: value.destinationPort,
    flags: name === "TCP" ? flagsOf(value.flags) : [],
  };
}

const flagNames = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"] as const;

function flagsOf(flags: flowpb.TCPFlags | undefined): readonly string[] {
  return flags === undefined ? [] : flagNames.filter((name) => flags[name]);
}

function readRequest(l7: flowpb.Layer7 | undefined): SeenRequest | undefined {
  if (l7 === undefined) return undefined;
  const latencyNs = Number(l7.latencyNs);
  const isAnswer = l7.type === L7FlowType.RESPONSE;
  const { record } = l7;
  switch (record.case) {
    case "http":
      return {
        kind: "http",
        method: record.value.method,
        target: pathOf(record.value.url),
        status: isAnswer ? record.value.code : 0,
        latencyNs,
      };
    case "dns":
      return {
        kind: "dns",
        method: record.value.qtypes.join(","),
        target: record.value.query,
        // An answer without an error has code 0, which would look like a question.
        status: isAnswer ? record.value.rcode || -1 : 0,
        latencyNs,
      };
    case "kafka":
      return {
        kind: "kafka",
        method: record.value.apiKey,
        target: record.value.topic,
        status: isAnswer ? record.value.errorCode || -1 : 0,
        latencyNs,
      };
    default:
      return undefined;
  }
}

/** Queries are endless in number, and often secret. */
function pathOf(url: string): string {
  const path = url.replace(/^[a-z]+:\/\/[^/]*/i, "");
  return path.split(/[?#]/, 1)[0] ?? "";
}

function readPolicies(flow: flowpb.Flow): readonly DecidingPolicy[] {
  const lists = [
    ["allowed", "egress", flow.egressAllowedBy],
    ["allowed", "ingress", flow.ingressAllowedBy],
    ["denied", "egress", flow.egressDeniedBy],
    ["denied", "ingress", flow.ingressDeniedBy],
  ] as const;
  return lists.flatMap(([effect, direction, policies]) =>
    policies.map(({ kind, namespace, name }) => ({ effect, direction, kind, namespace, name })),
  );
}
