import type { FlowEndpoint, FlowPolicy, FlowService } from "./context/context.ts";
import type { Layer7 } from "./layer7/layer7.ts";

/** Numbers here are those of the Hubble API, which are contracts: they are never renumbered. */
export const Verdict = { unknown: 0, forwarded: 1, dropped: 2, error: 3, audit: 4, redirected: 5, traced: 6, translated: 7 } as const;
export const FlowType = { unknown: 0, l3l4: 1, l7: 2, sock: 3 } as const;
export const TrafficDirection = { unknown: 0, ingress: 1, egress: 2 } as const;
export const IPVersion = { none: 0, v4: 1, v6: 2 } as const;
/** The datapath's point 0 is 101 in the API, so that an absent field has no meaning. */
export const tracePointToEndpoint = 101;
export const TunnelProtocol = { unknown: 0, vxlan: 1, geneve: 2 } as const;
export const LostEventSource = { unknown: 0, perfEventRingBuffer: 1, observerEventsQueue: 2, hubbleRingBuffer: 3 } as const;

/** Bits as in the TCP header: NS is the last bit of the byte before. */
export const TcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128, ns: 256 } as const;

/** Wall-clock time: whole seconds since the epoch, and 0 to 999,999,999 ns. */
export interface FlowTime {
  readonly seconds: number;
  readonly nanos: number;
}

export type Layer4 =
  | { readonly protocol: "TCP"; readonly sourcePort: number; readonly destinationPort: number; readonly flags: number }
  | { readonly protocol: "UDP" | "SCTP"; readonly sourcePort: number; readonly destinationPort: number }
  | { readonly protocol: "ICMPv4" | "ICMPv6"; readonly type: number; readonly code: number }
  | { readonly protocol: "VRRP"; readonly type: number; readonly vrid: number; readonly priority: number }
  | { readonly protocol: "IGMP"; readonly type: number; readonly groupAddress: string };

export interface FlowIP {
  readonly source: string;
  /** What the header says, where `source` is the address before translation. */
  readonly sourceXlated: string;
  readonly destination: string;
  readonly version: number;
  readonly encrypted: boolean;
}

/** What one event tells, resolved and ready to be shown. Fields that do not apply are undefined, 0 or empty. */
export interface Flow {
  readonly time: FlowTime;
  readonly uuid: string;
  readonly verdict: number;
  /** Drop code, 130 and above; 0 when nothing was dropped. */
  readonly dropReason: number;
  readonly authType: number;
  readonly ethernet: { readonly source: string; readonly destination: string } | undefined;
  readonly ip: FlowIP | undefined;
  readonly l4: Layer4 | undefined;
  readonly tunnel: { readonly protocol: number; readonly ip: FlowIP | undefined; readonly l4: Layer4 | undefined } | undefined;
  readonly source: FlowEndpoint | undefined;
  readonly destination: FlowEndpoint | undefined;
  /** DNS names by which the other side looked this one up. */
  readonly sourceNames: readonly string[];
  readonly destinationNames: readonly string[];
  readonly sourceService: FlowService | undefined;
  readonly destinationService: FlowService | undefined;
  readonly type: number;
  readonly layer7: Layer7 | undefined;
  /** `cluster/node`. */
  readonly nodeName: string;
  readonly nodeLabels: readonly string[];
  readonly eventType: { readonly type: number; readonly subType: number };
  readonly trafficDirection: number;
  readonly policyMatchType: number;
  readonly traceObservationPoint: number;
  readonly traceReason: number;
  readonly file: { readonly name: string; readonly line: number } | undefined;
  /** What the packet is marked with, and the IP option that holds it; 0: it is not marked. */
  readonly ipTraceId: bigint;
  readonly ipTraceOption: number;
  readonly isReply: boolean | undefined;
  readonly debugCapturePoint: number;
  readonly interface: { readonly index: number; readonly name: string } | undefined;
  readonly proxyPort: number;
  readonly sockXlatePoint: number;
  readonly socketCookie: bigint;
  readonly cgroupId: bigint;
  readonly summary: string;
  readonly egressAllowedBy: readonly FlowPolicy[];
  readonly ingressAllowedBy: readonly FlowPolicy[];
  readonly egressDeniedBy: readonly FlowPolicy[];
  readonly ingressDeniedBy: readonly FlowPolicy[];
  /** Free text of the rules that decided. */
  readonly policyLog: readonly string[];
}
