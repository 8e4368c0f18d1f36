import { type Clock, toError } from "@cilium-ts/std";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { createRandom, type Random } from "@cilium-ts/testing";
import type { reconcile } from "./reconcile.ts";
import type { Table } from "./table.ts";
import type { Target } from "./target.ts";

/** What is under test: the real thing, or a copy with a deliberate defect. */
export interface Subject {
  readonly Table: typeof Table;
  readonly reconcile: typeof reconcile;
}

interface Row {
  readonly key: string;
  readonly value: number;
}

const keys = Array.from({ length: 12 }, (_, index) => `key-${index}`);
const resyncIntervalMs = 500;
const retryDelayMsMax = 200;
const wallClockMsMax = 1_000;

/**
 * One life of a reconciler in a hostile world, the same for the same seed: random changes, failing operations and listings, two
 * sources that sync late, leftovers of an earlier run, and on some seeds somebody else deleting from the world. On others there is
 * no periodic repair, because repair would hide lost events. Answers what went wrong, as sentences: an assertion thrown inside the
 * fake would only be taken for one more injected fault.
 */
export async function simulateReconcile(subject: Subject, seed: number): Promise<string[]> {
  const random = createRandom(seed);
  const clock = createSimulatedClock();
  const stop = new AbortController();
  const table = new subject.Table<string, Row>({ name: "rows", keyOf: (row) => row.key, sources: ["one", "two"] });
  const repair = random.chance(0.5);
  const world = new World({ random, clock, table, stop: stop.signal });
  const running = subject
    .reconcile({
      desired: table,
      target: random.chance(0.5) ? world.target() : world.batchTarget(),
      clock,
      signal: stop.signal,
      retryDelayMs: (attempt) => Math.min(retryDelayMsMax, 20 * attempt),
      resyncIntervalMs: repair ? resyncIntervalMs : 1e12,
      batchSizeMax: 1 + random.below(6),
      onResult: () => {},
    })
    .catch((cause) => world.violations.push(`reconcile failed: ${toError(cause).message}`));

  if (random.chance(0.1)) {
    await clock.advance(50); // Aborted before any source has synced.
  } else {
    await liveThrough({ random, clock, table, world, repair });
    if (random.chance(0.8)) {
      world.faultProbability = 0;
      await clock.advance(20 * (resyncIntervalMs + retryDelayMsMax));
      world.compare();
    } // Else aborted with work in hand.
  }
  stop.abort();
  world.stopped = true;
  if (!(await endsInTime(running))) world.violations.push("reconcile does not end when aborted");
  return world.violations;
}

async function liveThrough(run: {
  random: Random;
  clock: ReturnType<typeof createSimulatedClock>;
  table: Table<string, Row>;
  world: World;
  repair: boolean;
}): Promise<void> {
  const { random, clock, table, world, repair } = run;
  const steps = 60;
  const syncSteps = new Map([
    [random.below(steps), "one"],
    [random.below(steps), "two"],
  ]);
  if (syncSteps.size === 1) syncSteps.set(steps, syncSteps.values().next().value === "one" ? "two" : "one");
  for (let step = 0; step <= steps; step += 1) {
    const key = random.pick(keys);
    if (random.chance(0.6)) table.upsert({ key, value: step });
    else if (random.chance(0.5)) world.deleteDesired(key);
    if (repair && random.chance(0.1)) world.values.delete(random.pick(keys));
    const source = syncSteps.get(step);
    if (source !== undefined) table.markSynced(source);
    if (random.chance(0.5)) await clock.advance(random.below(60));
  }
}

async function endsInTime(running: Promise<unknown>): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), wallClockMsMax);
  const ended = await Promise.race([running.then(() => true), promise]);
  clearTimeout(timer);
  return ended;
}

/** The outside, with faults. */
class World {
  readonly values = new Map<string, number>();
  readonly violations: string[] = [];
  faultProbability = 0.3;
  stopped = false;
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #table: Table<string, Row>;
  readonly #stop: AbortSignal;
  readonly #busy = new Set<string>();
  /** Keys that the desired state has said to be gone: these may be removed at any time. */
  readonly #deleted = new Set<string>();

  constructor(options: { random: Random; clock: Clock; table: Table<string, Row>; stop: AbortSignal }) {
    this.#random = options.random;
    this.#clock = options.clock;
    this.#table = options.table;
    this.#stop = options.stop;
    for (const key of [...keys, "leftover-1", "leftover-2"]) if (this.#random.chance(0.4)) this.values.set(key, -1);
  }

  deleteDesired(key: string): void {
    if (this.#table.get(key) !== undefined) this.#deleted.add(key);
    this.#table.delete(key);
  }

  target(): Target<string, Row> {
    return {
      apply: (row) => this.#operate(row.key, row),
      remove: (key) => this.#operate(key, undefined),
      realised: () => this.#list(),
    };
  }

  batchTarget(): Target<string, Row> {
    const fail = (): Promise<void> => Promise.reject(new Error("a target with batches is never asked for one"));
    return {
      apply: fail,
      remove: fail,
      realised: () => this.#list(),
      applyBatch: (rows) => this.#batch(rows.map((row) => [row.key, row])),
      removeBatch: (absent) => this.#batch(absent.map((key) => [key, undefined])),
    };
  }

  compare(): void {
    const desired = JSON.stringify([...this.#table.rows()].map((row) => [row.key, row.value]).sort());
    const actual = JSON.stringify([...this.values].sort());
    if (desired !== actual) this.violations.push(`the world is ${actual}, and should be ${desired}`);
  }

  async #batch(changes: readonly (readonly [string, Row | undefined])[]): Promise<Map<string, Error>> {
    if (this.#random.chance(this.faultProbability / 3)) throw new Error("injected: the whole batch");
    const failures = new Map<string, Error>();
    await Promise.all(changes.map(([key, row]) => this.#operate(key, row).catch((cause) => failures.set(key, toError(cause)))));
    return failures;
  }

  async #operate(key: string, row: Row | undefined): Promise<void> {
    if (this.stopped) this.violations.push(`an operation on ${key} after the end`);
    if (this.#busy.has(key)) this.violations.push(`two operations on ${key} at once`);
    if (this.#table.get(key) !== row) this.violations.push(`an operation on ${key} with what is no longer desired`);
    if (row === undefined && this.#table.pendingSources.length > 0 && !this.#deleted.has(key)) {
      this.violations.push(`${key} was pruned before every source had spoken`);
    }
    this.#busy.add(key);
    try {
      await this.#clock.sleep(this.#random.below(15), this.#stop);
      if (this.#random.chance(this.faultProbability)) throw new Error("injected: one operation");
      if (row === undefined) this.values.delete(key);
      else this.values.set(key, row.value);
    } finally {
      this.#busy.delete(key);
    }
  }

  async #list(): Promise<string[]> {
    const listed = [...this.values.keys()];
    await this.#clock.sleep(this.#random.below(15), this.#stop);
    if (this.#random.chance(this.faultProbability)) throw new Error("injected: the listing");
    return listed;
  }
}
