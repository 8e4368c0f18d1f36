import type { NamedPort, Workload } from "@cilium-ts/endpoint";
import type { Labels } from "@cilium-ts/labels";
import type { PodPlacement } from "../ipam/pool-choice.ts";

/** What the cluster says of a pod. */
export interface PodFacts {
  readonly uid: string;
  /** Those that make its identity. */
  readonly labels: Labels;
  readonly namedPorts: readonly NamedPort[];
  readonly workloads: readonly Workload[];
  readonly serviceAccount: string;
  /** What decides of which pools it gets its addresses. */
  readonly placement?: PodPlacement;
}

/** Where endpoints learn about their pods. */
export interface PodSource {
  /** Asks the server when the pod has not been heard of yet. Undefined: there is no such pod. */
  find(namespace: string, name: string, uid: string, signal: AbortSignal): Promise<PodFacts | undefined>;
  /** What is known now, without asking. */
  known(namespace: string, name: string): PodFacts | undefined;
}
