/** What is known of one identity at the time of a pass. */
export interface IdentityFacts {
  /** A CiliumEndpoint has it. */
  readonly isUsed: boolean;
  /** When it was marked, by the wall clock of whoever did; undefined when it is not. */
  readonly markedAtMs: number | undefined;
  /** For how long this process has known it unused, by a clock that nobody sets; 0 at the first pass that finds it so. */
  readonly unusedForMs: number;
}

export interface IdentityGrace {
  readonly timeoutMs: number;
  readonly intervalMs: number;
  /** The wall clock now. */
  readonly nowMs: number;
}

export type IdentityAction = "keep" | "mark" | "unmark" | "delete";

/**
 * What to do with an identity. An unused one is marked first, and deleted once it has been unused for the time-out: as we saw ourselves,
 * or as the mark of a predecessor says. The mark's clock may be wrong, and ours may have jumped, so a mark counts only together with
 * one whole interval of our own.
 */
export function judgeIdentity(facts: IdentityFacts, grace: IdentityGrace): IdentityAction {
  const { isUsed, markedAtMs, unusedForMs } = facts;
  if (isUsed) return markedAtMs === undefined ? "keep" : "unmark";
  if (markedAtMs === undefined) return "mark";
  const markIsOld = grace.nowMs - markedAtMs >= grace.timeoutMs;
  return unusedForMs >= grace.timeoutMs || (markIsOld && unusedForMs >= grace.intervalMs) ? "delete" : "keep";
}
