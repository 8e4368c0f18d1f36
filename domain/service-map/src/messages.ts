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
