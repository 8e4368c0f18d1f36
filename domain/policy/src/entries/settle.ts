import { compareStatements, normalPlace, type Statement } from "../rules/compiled-rule.ts";
import type { Redirect } from "../rules/layer7.ts";
import type { OriginLists, OriginSet } from "../rules/origin-lists.ts";
import { anyPortKey, type PortKey, widerPortKey } from "../rules/port-prefix.ts";
import type { Direction, RuleOrigin } from "../rules/rule.ts";
import { Block } from "./entry-blocks.ts";

/** Statements by the block of ports that they name. */
export type StatementCells = ReadonlyMap<PortKey, readonly Statement[]>;

/** What all statements about a block of ports come to. */
export interface Outcome {
  /** `drop`: nobody allows it. */
  readonly says: "allow" | "deny" | "drop";
  /** It would be denied or dropped, by audited rules alone. */
  readonly audit: boolean;
  readonly origins: OriginSet | undefined;
  readonly redirect: Redirect | undefined;
}

/** What holds in a direction where no statement says anything. */
export interface Ground {
  readonly direction: Direction;
  /** What no rule allows is dropped, by rules that mean it or by the mode; by audited rules alone; or not at all. */
  readonly closed: "enforced" | "audited" | "no";
  /** Why everything is allowed in a direction that is not closed. */
  readonly open: RuleOrigin;
  /** Audited rules that close the direction. */
  readonly auditedDefaultDenies: readonly RuleOrigin[];
  readonly lists: OriginLists;
  /** Some of the rules are only audited. */
  readonly audits: boolean;
  /** Where what the statements allow goes. `lenient`: those that are only audited want no proxy. */
  redirect(allowing: readonly Statement[], lenient: boolean): Redirect | undefined;
}

/** Outcomes of the entries for anybody, by their blocks. */
export type AnybodyOutcomes = ReadonlyMap<PortKey, Outcome>;

/** The entries for anybody: one for each block that a statement names, and one for all that none does. */
export function settleAnybody(about: StatementCells, ground: Ground): { readonly block: Block; readonly outcomes: AnybodyOutcomes } {
  const block = new Block(0);
  const outcomes = new Map<PortKey, Outcome>();
  for (const key of sorted([anyPortKey, ...about.keys()])) {
    const outcome = decide(covering(key, about), undefined, ground);
    if (isSame(outcome, nearest(outcomes, key))) continue;
    outcomes.set(key, outcome);
    block.addSettled(ground.direction, key, outcome, ground.lists);
  }
  return { block, outcomes };
}

/**
 * The entries for one identity, complete: where it has one, what is said about anybody is part of it. So the longest match for the
 * identity is right by itself, and where there is none, the one for anybody is.
 * `always`: what lets the identity in where nothing denies it.
 */
export function settleIdentity(
  identity: number,
  own: StatementCells,
  about: StatementCells,
  anybody: AnybodyOutcomes,
  always: RuleOrigin | undefined,
  ground: Ground,
): Block | undefined {
  const keys = new Set(own.keys());
  if (always !== undefined) keys.add(anyPortKey);
  // What is said about anybody on fewer ports than here is said here, too.
  for (const key of about.keys()) if (isWithin(key, keys)) keys.add(key);
  const block = new Block(identity);
  const outcomes = new Map<PortKey, Outcome>();
  for (const key of sorted(keys)) {
    const outcome = decide(covering(key, own, about), always, ground);
    if (isSame(outcome, nearest(outcomes, key) ?? nearest(anybody, key))) continue;
    outcomes.set(key, outcome);
    block.addSettled(ground.direction, key, outcome, ground.lists);
  }
  return block.entries.length === 0 ? undefined : block;
}

function decide(statements: readonly Statement[], always: RuleOrigin | undefined, ground: Ground): Outcome {
  const strict = weigh(statements, always, ground, false);
  if (ground.audits === false || (strict.says === "allow" && strict.redirect === undefined)) return strict;
  const lenient = weigh(statements, always, ground, true);
  if (lenient.says !== "allow") return lenient;
  if (strict.says !== "allow" || lenient.redirect === undefined) return { ...strict, audit: true };
  // What is only audited does not stand in the way of a parser that is meant.
  return strict.redirect?.conflicts.length === lenient.redirect.conflicts.length ? strict : lenient;
}

/** `lenient`: audited rules allow, and keep nothing from passing. The statements are in order. */
function weigh(statements: readonly Statement[], always: RuleOrigin | undefined, ground: Ground, lenient: boolean): Outcome {
  const { closed, open, auditedDefaultDenies, lists } = ground;
  const bars = ({ rule }: Statement): boolean => !(lenient && rule.audit);
  const first = statements.find((statement) => statement.rule.place < normalPlace && !(statement.deny && !bars(statement)));
  if (first !== undefined && !first.pass) return told(first.deny ? "deny" : "allow", lists.with(undefined, first.origin));
  const normal = statements.filter(({ rule }) => rule.place === normalPlace);
  const denying = normal.filter(({ deny }) => deny);
  if (denying.some(bars)) return told("deny", originsOf(denying, lists));
  const allowing = normal.filter(({ deny }) => !deny);
  if (allowing.length > 0 || always !== undefined) {
    const origins = originsOf(allowing, lists);
    const redirect = allowing.length > 0 ? ground.redirect(allowing, lenient) : undefined;
    return told("allow", always === undefined ? origins : lists.with(origins, always), redirect);
  }
  if (closed === "enforced") return told("drop", undefined);
  if (closed === "audited" && !lenient) return told("drop", originsOfAll(auditedDefaultDenies, lists));
  const last = statements.find((statement) => statement.rule.place > normalPlace && !(statement.deny && !bars(statement)));
  if (last !== undefined && !last.pass) return told(last.deny ? "deny" : "allow", lists.with(undefined, last.origin));
  return told("allow", lists.with(undefined, open));
}

function told(says: Outcome["says"], origins: OriginSet | undefined, redirect?: Redirect): Outcome {
  return { says, audit: false, origins, redirect };
}

/** Of a block for which there is no entry, nobody allows anything. */
function isSame({ says, audit, origins, redirect }: Outcome, other: Outcome | undefined): boolean {
  if (other === undefined) return says === "drop" && !audit;
  return says === other.says && audit === other.audit && origins === other.origins && redirect?.key === other.redirect?.key;
}

function originsOf(statements: readonly Statement[], lists: OriginLists): OriginSet | undefined {
  return originsOfAll(
    statements.map(({ origin }) => origin),
    lists,
  );
}

function originsOfAll(origins: readonly RuleOrigin[], lists: OriginLists): OriginSet | undefined {
  let set: OriginSet | undefined;
  for (const origin of origins) set = lists.with(set, origin);
  return set;
}

/** The statements about the block or a wider one, each once, in order. */
function covering(key: PortKey, ...cells: readonly StatementCells[]): Statement[] {
  const found: Statement[] = [];
  for (let wider: PortKey | undefined = key; wider !== undefined; wider = widerPortKey(wider)) {
    for (const cell of cells) found.push(...(cell.get(wider) ?? []));
  }
  if (found.length < 2) return found;
  found.sort(compareStatements);
  return found.filter((statement, index) => statement !== found[index - 1]);
}

/** The outcome of the block or, where it has none, of the narrowest around it. */
function nearest(outcomes: AnybodyOutcomes, key: PortKey): Outcome | undefined {
  for (let wider: PortKey | undefined = key; wider !== undefined; wider = widerPortKey(wider)) {
    const outcome = outcomes.get(wider);
    if (outcome !== undefined) return outcome;
  }
  return undefined;
}

function isWithin(key: PortKey, keys: ReadonlySet<PortKey>): boolean {
  for (let wider = widerPortKey(key); wider !== undefined; wider = widerPortKey(wider)) if (keys.has(wider)) return true;
  return false;
}

/** Wider blocks come before those inside. */
function sorted(keys: Iterable<PortKey>): PortKey[] {
  return [...new Set(keys)].sort((a, b) => a - b);
}
