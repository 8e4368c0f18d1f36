import type { SeenFlow } from "./seen-flow.ts";
import type { MapChanges } from "./service-map.ts";

/** How the backend stands with Hubble. */
export interface SourceState {
  readonly connection: "connecting" | "connected" | "lost";
  /** Why it was lost; empty otherwise. */
  readonly reason: string;
  /** Milliseconds until the next attempt; zero while connected. */
  readonly retryInMs: number;
  readonly connectedNodes: number;
  readonly unavailableNodes: readonly string[];
  readonly flowsPerSecond: number;
  /** Events that were lost before anybody could read them, since the backend started. */
  readonly lostEvents: number;
  /** Of the Hubble that is asked. */
  readonly version: string;
}

export interface NamespaceSummary {
  readonly name: string;
  readonly flows: number;
  readonly drops: number;
  /** The cluster has it no more. */
  readonly isGone?: true;
}

/** One message of a view, as the backend pushes it. Small, at most some a second, whatever the rate of flows. */
export interface ViewMessage {
  /** Opaque: tells where to go on after a lost connection. */
  readonly position: string;
  /** Forget what came before. */
  readonly isStart: boolean;
  readonly map: MapChanges;
  /** The newest last. */
  readonly flows: readonly SeenFlow[];
  /** Since the view began: flows that were counted in the map and are in no message's `flows`, because nobody could read so many. */
  readonly skippedFlows: number;
  readonly state: SourceState;
  /** Absent when they are as before. */
  readonly namespaces?: readonly NamespaceSummary[];
  /** Of a closed range: all of it has come. */
  readonly isComplete?: boolean;
  /** What the viewer should know about the answer: that a range held more flows than are looked at, say. */
  readonly notes: readonly string[];
  /** Of the backend; a page made by another one should be loaded again. */
  readonly build: string;
}

/** A policy of the cluster, in a line. */
export interface PolicySummary {
  /** `CiliumNetworkPolicy/shop/web`. */
  readonly key: string;
  readonly kind: string;
  /** Empty for the whole cluster. */
  readonly namespace: string;
  readonly name: string;
  /** Why it has no effect; empty when it has. */
  readonly problems: readonly string[];
  readonly selectedCount: number;
  /** Some of the pods that it chooses. */
  readonly selected: readonly string[];
  /** Flows that it let through, and those that it forbade. */
  readonly allowed: number;
  readonly denied: number;
}

export interface PolicyText {
  readonly key: string;
  readonly yaml: string;
  /** Grows with each change of what is written; a change of the object says which one it began with. */
  readonly generation: number;
}

/** Who sits before the page. */
export interface Who {
  /** Empty where nobody signs in. */
  readonly user: string;
  /** That the user may see; null for all. */
  readonly namespaces: readonly string[] | null;
  readonly canSignOut: boolean;
}

/** What the user may change, and what is missing where not. */
export interface ChangeRights {
  /** As whom changes are made. */
  readonly as: string;
  /** Why nobody can change anything from here; empty where it is a matter of rights. */
  readonly refusal: string;
  /** Of what is written: rights that are needed and missing, such as `patch ciliumnetworkpolicies.cilium.io in the namespace shop`. */
  readonly apply: readonly string[];
  readonly delete: readonly string[];
}

/** A field that somebody else has set, or that the text does not have and would stay. */
export interface ChangeConflict {
  readonly field: string;
  readonly reason: string;
}

export interface ObjectChange {
  readonly key: string;
  /** `untried`: another object was refused first. */
  readonly outcome: "created" | "changed" | "unchanged" | "deleted" | "refused" | "untried";
  readonly problem: string;
  /** With these, the object can be replaced all the same. */
  readonly conflicts: readonly ChangeConflict[];
}

/** What a change did, or would do. */
export interface ChangeReport {
  readonly isDone: boolean;
  readonly objects: readonly ObjectChange[];
}

/** What is wrong with a policy, or surely not meant, and where. Lines and columns from 1. */
export interface PolicyProblem {
  readonly severity: "error" | "warning";
  readonly line: number;
  readonly column: number;
  readonly path: string;
  readonly message: string;
}

/** Which fields there are, what they mean, and which values they take. */
export interface FieldSchema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, FieldSchema>>;
  /** Of any other field. */
  readonly additionalProperties?: FieldSchema;
  readonly items?: FieldSchema;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
}

/** By what the API server judges policies of a kind. */
export interface PolicySchema {
  readonly apiVersion: string;
  readonly kind: string;
  readonly schema: FieldSchema;
}

/** Flows between the same two kinds of ends whose verdict would be another. */
export interface ChangedVerdict {
  readonly from: string;
  readonly to: string;
  readonly protocol: string;
  readonly port: number;
  readonly before: string;
  readonly after: string;
  readonly count: number;
  readonly because: string;
}

/** What would become of recorded flows. */
export interface WhatIfAnswer {
  readonly flows: number;
  readonly unchanged: number;
  readonly changed: readonly ChangedVerdict[];
  readonly notJudged: ReadonlyArray<{ readonly reason: string; readonly count: number }>;
}

/** Why a flow came to its verdict, by the policies of now. */
export interface Why {
  readonly verdict: string;
  /** For people. */
  readonly lines: readonly string[];
  /** The rules that decide. */
  readonly policies: ReadonlyArray<{ readonly kind: string; readonly namespace: string; readonly name: string; readonly path: string }>;
  /** The smallest policies that would allow it, as YAML; empty when it is allowed, or when no policy alone would do. */
  readonly remedy: string;
}
