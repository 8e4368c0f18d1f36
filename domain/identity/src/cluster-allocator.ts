import type { Labels } from "@cilium-ts/labels";

export interface Identity {
  readonly id: number;
  readonly labels: Labels;
}

/**
 * Cluster-wide numbers for label sets: equal labels have one number on all nodes. What the agent needs; who keeps the numbers
 * (custom resources, a key-value store, memory) decides how.
 */
export interface ClusterIdentityAllocator {
  /** The number of the labels, made when there is none. Takes a reference of this node. Throws when the store fails or is full. */
  acquire(labels: Labels, signal: AbortSignal): Promise<Identity>;
  /** Gives a reference of this node back. Numbers that no node uses are collected by the cluster, not here. */
  release(id: number, signal: AbortSignal): Promise<void>;
  /** What is known of a number now, without asking anybody. */
  get(id: number): Identity | undefined;
}
