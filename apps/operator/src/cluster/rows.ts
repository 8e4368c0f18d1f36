import type { NodePools, PodIPPool } from "@cilium-ts/kubernetes";

/** What the operator keeps of the cluster's objects: each row is a few short texts, never the object. */

export interface NodeRow {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly podCIDRs: readonly string[];
  /** Empty when the node does not tell. */
  readonly bootId: string;
  /** Positions of the taint among the node's taints. */
  readonly taintIndexes: readonly number[];
  /** It has taints at all. */
  readonly hasTaints: boolean;
  /** Where among the conditions NetworkUnavailable stands; -1 when it is missing. */
  readonly conditionIndex: number;
  readonly hasConditions: boolean;
  /** It says NetworkUnavailable=False for our reason. */
  readonly isUp: boolean;
}

export interface PodPoolRow extends Pick<PodIPPool, "ipv4" | "ipv6"> {
  readonly name: string;
  /** What is wrong with its object; empty when nothing is. */
  readonly problem: string;
}

export interface CiliumNodeRow {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly createdAt: string;
  readonly podCIDRs: readonly string[];
  /** What it has of pools, and what it asks for. */
  readonly pools: NodePools;
  /** What the operator last said is wrong; empty when nothing is. */
  readonly error: string;
  /** The agent has its own address in the pod CIDR: it is set up. */
  readonly hasInternalAddress: boolean;
  readonly bootId: string;
  /** Its annotation asks not to collect it. */
  readonly isKept: boolean;
}

export interface PodRow {
  /** `namespace/name`. */
  readonly key: string;
}

export interface AgentPodRow {
  readonly key: string;
  readonly nodeName: string;
  readonly isReady: boolean;
}

export interface EndpointRow {
  /** `namespace/name`. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** 0 until it is known. */
  readonly identity: number;
  /** Its part of a slice, as JSON; empty where there are no slices. */
  readonly sliceEntry: string;
}

export interface IdentityRow {
  /** The number in decimal. */
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** When it was marked as unused, by the marker's clock; undefined when it is not. */
  readonly markedAtMs: number | undefined;
}

export interface SliceRow {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  /** Names of its endpoints. */
  readonly endpoints: readonly string[];
  /** The list of endpoints, as JSON. */
  readonly content: string;
}
