import { timestampMs } from "@bufbuild/protobuf/wkt";
import { dropReasonText, EventType } from "@cilium-ts/flow";
import type { Observation, ObservedEnd, ObservedFlow } from "@cilium-ts/policy-advice";
import { DropReason, type Endpoint, type Flow, type Layer4, Verdict } from "../gen/flow/flow_pb.js";

/** IP protocol numbers. */
const protocols = { TCP: 6, UDP: 17, SCTP: 132, ICMPv4: 1, ICMPv6: 58 } as const;

/** What policies look at of a flow, or why they cannot be asked about it. */
export function observationOf(flow: Flow): Observation {
  const verdict = verdictOf(flow);
  if ("unusable" in verdict) return { kind: "unusable", reason: verdict.unusable };
  const packet = packetOf(flow.l4);
  if (packet === undefined) return { kind: "unusable", reason: "its protocol or port is not known" };
  if (flow.isReply === true) return { kind: "unusable", reason: "an answer: it goes the way of its request" };
  if (verdict.verdict === "forwarded" && flow.isReply === undefined && !opens(flow.l4))
    return { kind: "unusable", reason: "it is not known which end began" };
  const { IP: ip } = flow;
  const timeMs = flow.time === undefined ? 0 : timestampMs(flow.time);
  const from = endOf(flow.source, ip?.source ?? "", flow.sourceNames);
  const to = endOf(flow.destination, ip?.destination ?? "", flow.destinationNames);
  return { kind: "flow", flow: { timeMs, from, to, ...packet, ...verdict } };
}

function verdictOf(flow: Flow): { readonly verdict: ObservedFlow["verdict"] } | { readonly unusable: string } {
  if (flow.eventType?.type === EventType.traceSock) return { unusable: "told by a socket, before the destination is translated" };
  if (flow.l7 !== undefined) return { unusable: "told by a proxy; its connection is judged instead" };
  switch (flow.verdict) {
    case Verdict.FORWARDED:
    case Verdict.REDIRECTED:
      return { verdict: "forwarded" };
    case Verdict.AUDIT:
      return { verdict: "audited" };
    case Verdict.DROPPED: {
      const reason = flow.dropReasonDesc;
      if (reason === DropReason.POLICY_DENIED || reason === DropReason.POLICY_DENY) return { verdict: "dropped" };
      return { unusable: `dropped for another reason than policy: ${dropReasonText(reason)}` };
    }
    default:
      return { unusable: "it has no verdict" };
  }
}

function packetOf(l4: Layer4 | undefined): Pick<ObservedFlow, "protocol" | "port"> | undefined {
  const protocol = l4?.protocol;
  switch (protocol?.case) {
    case "TCP":
    case "UDP":
    case "SCTP":
      return { protocol: protocols[protocol.case], port: protocol.value.destinationPort };
    case "ICMPv4":
    case "ICMPv6":
      return { protocol: protocols[protocol.case], port: protocol.value.type };
    default:
      return undefined;
  }
}

/** Only TCP says by itself who began. */
function opens(l4: Layer4 | undefined): boolean {
  return l4?.protocol.case === "TCP" && l4.protocol.value.flags?.SYN === true && l4.protocol.value.flags.ACK !== true;
}

function endOf(endpoint: Endpoint | undefined, address: string, names: readonly string[]): ObservedEnd {
  const [workload] = endpoint?.workloads ?? [];
  return {
    address,
    labels: endpoint?.labels ?? [],
    namespace: endpoint?.namespace ?? "",
    podName: endpoint?.podName ?? "",
    workload: workload === undefined || workload.name === "" ? "" : `${workload.kind}/${workload.name}`,
    names,
  };
}
