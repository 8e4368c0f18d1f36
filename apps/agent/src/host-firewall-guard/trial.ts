/** How policies of this node stand: what was in force before comes back when they cut the node off and nobody says that this is meant. */
export type Trial =
  /** What the objects say is in force, and nothing is pending. */
  | { readonly kind: "settled" }
  /** It is in force and seems to be fine; that the API server answers has still to be seen. */
  | { readonly kind: "watched"; readonly untilMs: number }
  /** It is in force, and cuts what is listed. */
  | { readonly kind: "tried"; readonly untilMs: number; readonly lost: readonly string[] }
  /** What was in force before it is so again, until the policies are others. */
  | { readonly kind: "reverted"; readonly atMs: number; readonly reason: string };

export type TrialEvent =
  /** Policies are others than those of the last event. `lost`: what they cut of what there was before. */
  | { readonly kind: "changed"; readonly lost: readonly string[]; readonly isConfirmed: boolean }
  /** They are again what was in force before. */
  | { readonly kind: "withdrawn" }
  /** Another look at the same policies, as connections come and go. */
  | { readonly kind: "judged"; readonly lost: readonly string[] }
  /** The API server has answered a request that was sent under these policies. */
  | { readonly kind: "answered" }
  | { readonly kind: "confirmed" }
  | { readonly kind: "time" };

/** `accept`: what is in force is from now on what would come back. `revert`: what would come back is in force now. */
export type TrialStep = { readonly next: Trial; readonly act: "none" | "accept" | "revert" };

const settled: TrialStep = { next: { kind: "settled" }, act: "accept" };

/** What an event makes of a trial. It knows no clock but the time given: everything follows from the arguments. */
export function stepTrial(trial: Trial, event: TrialEvent, nowMs: number, revertAfterMs: number): TrialStep {
  switch (event.kind) {
    case "changed":
      if (event.isConfirmed) return settled;
      return { next: tryOut(trial, event.lost, nowMs, revertAfterMs), act: "none" };
    case "withdrawn":
      return settled;
    case "judged":
      if (trial.kind === "watched" && event.lost.length > 0) return { next: tryOut(trial, event.lost, nowMs, revertAfterMs), act: "none" };
      // What is lost no more, since a session has ended, was lost all the same.
      if (trial.kind === "tried") return { next: { ...trial, lost: [...new Set([...trial.lost, ...event.lost])] }, act: "none" };
      return { next: trial, act: "none" };
    case "answered":
      return trial.kind === "watched" ? settled : { next: trial, act: "none" };
    case "confirmed":
      return isPending(trial) ? settled : { next: trial, act: "none" };
    case "time":
      if (!isPending(trial) || nowMs < trial.untilMs) return { next: trial, act: "none" };
      return { next: { kind: "reverted", atMs: nowMs, reason: reasonOf(trial) }, act: "revert" };
  }
}

export function isPending(trial: Trial): trial is Extract<Trial, { readonly untilMs: number }> {
  return trial.kind === "watched" || trial.kind === "tried";
}

/** A countdown that has begun is not made longer by one more change that cuts the node off. */
function tryOut(trial: Trial, lost: readonly string[], nowMs: number, revertAfterMs: number): Trial {
  if (lost.length === 0) return { kind: "watched", untilMs: nowMs + revertAfterMs };
  return { kind: "tried", untilMs: trial.kind === "tried" ? trial.untilMs : nowMs + revertAfterMs, lost };
}

function reasonOf(trial: Extract<Trial, { readonly untilMs: number }>): string {
  return trial.kind === "watched" ? "the API server has not answered since" : `${lostText(trial.lost)} would be cut off`;
}

const lostToldMax = 8;

/** A large cluster has many nodes to lose at once. */
export function lostText(lost: readonly string[]): string {
  const rest = lost.length - lostToldMax;
  return `${lost.slice(0, lostToldMax).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}
