/** What a flow came to, as people tell flows apart: whatever was let on its way is forwarded. */
export type VerdictKind = "forwarded" | "dropped" | "audit" | "error";

export const verdictKinds: readonly VerdictKind[] = ["forwarded", "dropped", "audit", "error"];

/** One end of a flow. Texts are empty and numbers zero where Hubble did not say. */
export interface FlowEnd {
  /** The numeric security identity. */
  readonly identity: number;
  readonly cluster: string;
  readonly namespace: string;
  readonly pod: string;
  readonly workloads: readonly { readonly kind: string; readonly name: string }[];
  /** With their sources: `k8s:app=client`. */
  readonly labels: readonly string[];
  readonly ip: string;
  readonly port: number;
  /** DNS names of the address. */
  readonly names: readonly string[];
  /** The Kubernetes Service of the address. */
  readonly service: string;
}

/** A request or an answer that a proxy saw. */
export interface SeenRequest {
  readonly kind: "http" | "dns" | "kafka";
  /** `GET`, `A`, a Kafka API key. */
  readonly method: string;
  /** A path, a name that was looked up, a topic. */
  readonly target: string;
  /** An HTTP status, a DNS or Kafka code; zero in requests. */
  readonly status: number;
  readonly latencyNs: number;
}

/** A policy that decided. */
export interface DecidingPolicy {
  readonly effect: "allowed" | "denied";
  readonly direction: "ingress" | "egress";
  /** `CiliumNetworkPolicy`. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** A flow as the service map and the table of flows need it: a fraction of Hubble's message, and plain JSON. */
export interface SeenFlow {
  /** Hubble's, by which all of the flow's fields can be asked for. */
  readonly uuid: string;
  /** Milliseconds since 1970, with a fraction. */
  readonly timeMs: number;
  readonly verdict: VerdictKind;
  /** Hubble's word: `REDIRECTED`. */
  readonly verdictName: string;
  /** `POLICY_DENIED`; empty unless dropped. */
  readonly dropReason: string;
  /** `TCP`, `UDP`, `SCTP`, `ICMPv4`, `ICMPv6`, or what else Hubble called it. */
  readonly protocol: string;
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
  /** Undefined where the kernel did not know. */
  readonly isReply?: boolean;
  readonly direction: "ingress" | "egress" | "";
  readonly node: string;
  readonly tcpFlags: readonly string[];
  readonly request?: SeenRequest;
  /** `SPIRE`, say; empty where nobody authenticated. */
  readonly authentication: string;
  readonly isEncrypted: boolean;
  readonly policies: readonly DecidingPolicy[];
  /** One line, such as `TCP Flags: SYN`. */
  readonly summary: string;
}

/** Linux hands out ports from here to those who connect. */
const ephemeralPortMin = 32_768;

/** Whether the flow's source is the one who was called. Where Hubble does not know, by the ports. */
export function isFromResponder({ isReply, source, destination }: SeenFlow): boolean {
  if (isReply !== undefined) return isReply;
  return source.port > 0 && source.port < ephemeralPortMin && destination.port >= ephemeralPortMin;
}
