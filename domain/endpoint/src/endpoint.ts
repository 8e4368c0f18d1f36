import { type EndpointState, mayFollow } from "./state.ts";

/** A port of a container that policies may call by its name. */
export interface NamedPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: "TCP" | "UDP" | "SCTP";
}

/** What owns the pod: a Deployment, a StatefulSet, … */
export interface Workload {
  readonly name: string;
  readonly kind: string;
}

export interface EndpointStatusChange {
  readonly atMs: number;
  readonly code: "ok" | "failed";
  readonly state: EndpointState;
  readonly message: string;
}

/** One workload that this node connects. Rows are replaced, never changed. */
export interface EndpointRow {
  /** 1 to 16382, on this node only. */
  readonly id: number;
  readonly containerId: string;
  /** `<container id>:<interface name>`: one pod may have several interfaces. */
  readonly cniAttachmentId: string;
  readonly podNamespace: string;
  readonly podName: string;
  /** Empty when the runtime did not say. */
  readonly podUid: string;
  /** Of the host's side of the veth. */
  readonly ifindex: number;
  readonly hostDeviceName: string;
  readonly containerIfname: string;
  /** The pod's side, as `aa:bb:cc:dd:ee:ff`. */
  readonly mac: string;
  /** The host's side: what the pod takes for its gateway. */
  readonly hostMac: string;
  /** In the form of formatAddress of @cilium-ts/net. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  readonly netnsPath: string;
  /** A 64-bit number in decimal; it stays while the namespace lives, unlike its path. Empty when unknown. */
  readonly netnsCookie: string;
  /** Identity-relevant labels, `source:key=value`, sorted. */
  readonly labels: readonly string[];
  /** 0 until it is known. */
  readonly identity: number;
  /** Number of the shared verdict map; 0 until a policy is realised, and until then nothing passes. */
  readonly policySet: number;
  /** Of the policies that the kernel enforces for this endpoint. */
  readonly policyRevision: number;
  readonly ingressEnforced: boolean;
  readonly egressEnforced: boolean;
  readonly serviceAccount: string;
  readonly workloads: readonly Workload[];
  readonly namedPorts: readonly NamedPort[];
  readonly state: EndpointState;
  readonly createdAtMs: number;
  /** The last changes, oldest first. */
  readonly log: readonly EndpointStatusChange[];
}

/** How many status changes an endpoint remembers. */
export const endpointLogLengthMax = 64;
/** Characters of one message in the log; the rest is cut. */
export const endpointLogMessageLengthMax = 512;

type Given = "id" | "containerId" | "containerIfname" | "podNamespace" | "podName" | "ifindex" | "hostDeviceName" | "mac" | "hostMac";

/** What a new endpoint must bring; the rest has a value that says "not yet". */
export type NewEndpoint = Pick<EndpointRow, Given> &
  Partial<Omit<EndpointRow, Given | "state" | "log" | "createdAtMs" | "cniAttachmentId">>;

export function createEndpoint(given: NewEndpoint, nowMs: number): EndpointRow {
  return Object.freeze({
    podUid: "",
    ipv4: undefined,
    ipv6: undefined,
    netnsPath: "",
    netnsCookie: "",
    labels: [],
    identity: 0,
    policySet: 0,
    policyRevision: 0,
    ingressEnforced: false,
    egressEnforced: false,
    serviceAccount: "",
    workloads: [],
    namedPorts: [],
    ...given,
    cniAttachmentId: `${given.containerId}:${given.containerIfname}`,
    state: "waiting-for-identity" as const,
    createdAtMs: nowMs,
    log: [{ atMs: nowMs, code: "ok" as const, state: "waiting-for-identity" as const, message: "created" }],
  });
}

/** Everything but what says which endpoint it is, and its state, which has its own rules. */
export type EndpointChange = Partial<Omit<EndpointRow, "id" | "containerId" | "cniAttachmentId" | "state" | "log" | "createdAtMs">>;

export function changeEndpoint(row: EndpointRow, change: EndpointChange): EndpointRow {
  return Object.freeze({ ...row, ...change });
}

export type Transition =
  | { readonly kind: "changed"; readonly row: EndpointRow }
  | { readonly kind: "unchanged"; readonly row: EndpointRow }
  | { readonly kind: "refused"; readonly row: EndpointRow; readonly reason: string };

/** A refusal is ordinary: work that ends after its endpoint was taken down finds out this way. */
export function setEndpointState(row: EndpointRow, state: EndpointState, options: { nowMs: number; message: string }): Transition {
  if (row.state === state) return { kind: "unchanged", row };
  if (!mayFollow(row.state, state)) {
    return { kind: "refused", row, reason: `endpoint ${row.id} is ${row.state} and cannot become ${state}` };
  }
  const code = state === "not-ready" || state === "invalid" ? "failed" : "ok";
  const next = { ...row, state };
  return { kind: "changed", row: logEndpoint(next, { atMs: options.nowMs, code, message: options.message }) };
}

/** Something worth knowing later has happened, and the state is the same. */
export function logEndpoint(row: EndpointRow, entry: Omit<EndpointStatusChange, "state">): EndpointRow {
  const kept = row.log.slice(-(endpointLogLengthMax - 1));
  const message = entry.message.slice(0, endpointLogMessageLengthMax);
  return Object.freeze({ ...row, log: [...kept, { ...entry, message, state: row.state }] });
}

/** The row of an agent that died, as the one that follows takes it up. What was going away still is. */
export function restoreEndpoint(row: EndpointRow, nowMs: number): EndpointRow {
  return setEndpointState(row, "restoring", { nowMs, message: "restored after a restart of the agent" }).row;
}
