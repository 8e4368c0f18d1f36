import type { AddressBytes } from "@cilium-ts/net";

/** One side of a flow, as it is shown. Rows are never changed, only replaced, so that what is made from one can be kept with it. */
export interface FlowEndpoint {
  /** Endpoint id on this node; 0 for whatever is not on it. */
  readonly id: number;
  readonly identity: number;
  readonly clusterName: string;
  readonly namespace: string;
  /** `source:key=value`, sorted. */
  readonly labels: readonly string[];
  readonly podName: string;
  readonly workloads: ReadonlyArray<{ readonly name: string; readonly kind: string }>;
}

/** A pod of another node. Rows are never changed, only replaced. */
export interface RemotePod {
  readonly namespace: string;
  readonly podName: string;
}

/** A service whose address one side of a flow has. */
export interface FlowService {
  readonly name: string;
  readonly namespace: string;
}

/** A policy that allowed or denied a flow. */
export interface FlowPolicy {
  readonly name: string;
  readonly namespace: string;
  readonly labels: readonly string[];
  readonly revision: bigint;
  /** `CiliumNetworkPolicy`, `NetworkPolicy`, … */
  readonly kind: string;
}

/** What is behind a verdict. */
export interface FlowReasons {
  readonly policies: readonly FlowPolicy[];
  /** Free text of the rules that decided. */
  readonly logs: readonly string[];
}

/** Nothing is behind the verdict, or the system itself. */
export const noReasons: FlowReasons = Object.freeze({ policies: Object.freeze([]), logs: Object.freeze([]) });

/** Stands where a policy decided, so long ago that it is no longer known which. */
export const forgottenReasons: FlowReasons = Object.freeze({
  policies: Object.freeze([{ name: "no-longer-known", namespace: "", labels: Object.freeze([]), revision: 0n, kind: "reserved" }]),
  logs: Object.freeze([]),
});

/**
 * What events are explained with. Lookups are told the event's time (CLOCK_MONOTONIC ns), because an address may have changed hands
 * since; `ContextHistory` remembers. An implementation without memory may ignore the time.
 */
export interface FlowContext {
  readonly nodeName: string;
  readonly clusterName: string;
  /** `key=value`, sorted. The same array as long as the labels are the same. */
  readonly nodeLabels?: readonly string[];
  /** What to add to CLOCK_MONOTONIC for CLOCK_REALTIME, in ns. */
  readonly wallClockOffsetNs: bigint;
  /** Endpoints of this node. */
  endpointById(id: number, atNs: number): FlowEndpoint | undefined;
  endpointByAddress(address: AddressBytes, atNs: number): FlowEndpoint | undefined;
  /** Pods of other nodes, where they are known. */
  remotePodByAddress?(address: AddressBytes, atNs: number): RemotePod | undefined;
  /** 0: not known. */
  identityByAddress(address: AddressBytes, atNs: number): number;
  /** `source:key=value`, sorted. The same array as long as the labels are the same. */
  identityLabels(identity: number, atNs: number): readonly string[] | undefined;
  /** Why a verdict of that moment was what it was. The same object for the same answer. */
  policyReasons(cookie: number, atNs: number): FlowReasons;
  /** The names by which an endpoint of this node looked up an address. */
  namesOf?(endpointId: number, address: AddressBytes, atNs: number): readonly string[];
  serviceOf?(address: AddressBytes, port: number, atNs: number): FlowService | undefined;
  interfaceName(ifindex: number): string | undefined;
  /** The IP option that holds the trace ids of packets; 0: they have none. */
  ipTraceOption?(): number;
  /** The BPF source file of a drop, from its number in the event. */
  fileName(file: number): string | undefined;
}
