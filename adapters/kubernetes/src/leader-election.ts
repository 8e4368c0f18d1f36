import { type Clock, toError } from "@cilium-ts/std";
import type { KubernetesClient } from "./client.ts";
import { KubernetesError } from "./kubernetes-error.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";
import { formatMicroTime, type Lease, leaseFrom, leaseObject } from "./lease.ts";
import { resources } from "./resource.ts";

export type ElectionState =
  /** Another leads; its name is empty while the Lease is free. */
  | { readonly kind: "following"; readonly leader: string }
  | { readonly kind: "leading" }
  /** The Lease cannot be read or written at the moment. A leader goes on until its deadline. */
  | { readonly kind: "failing"; readonly failure: Error }
  /** We led, and stepped down. */
  | { readonly kind: "lost"; readonly reason: string };

/** What a leader knows of its leadership. */
export interface Leadership {
  /** Aborted when it is over. */
  readonly signal: AbortSignal;
  /** True while nobody else can have taken over, whatever happened to this process: it may have been stopped for a minute just now. */
  isCertain(): boolean;
}

export interface ElectionOptions {
  readonly client: KubernetesClient;
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Unlike that of any other process, also of one that ran here before. */
  readonly identity: string;
  /** Others wait so long after the last renewal that they saw. Whole seconds. */
  readonly leaseDurationMs: number;
  /** A leader that could not renew for so long steps down. Less than the duration: what it has sent last must have been served or given up by then. */
  readonly renewDeadlineMs: number;
  /** Between two looks at the Lease, or two renewals. Less than half the deadline. */
  readonly retryPeriodMs: number;
  readonly clock: Clock;
  /** Milliseconds of a clock that nobody sets: `performance.now`. */
  readonly monotonicMs: () => number;
  readonly random?: () => number;
  readonly signal: AbortSignal;
  onState?(state: ElectionState): void;
  /** Does what a leader does until its signal is aborted. */
  lead(leadership: Leadership): Promise<void>;
}

/**
 * Takes part in the election until aborted: waits for the Lease, leads while holding it, and waits again after losing it. Only one
 * `lead` runs at a time, and when stopped the Lease is let go after it has ended, so that a successor need not wait. Rejects with what
 * `lead` throws.
 *
 * No clock on the wall is trusted: how old a renewal is, everyone measures from when they saw it, by a clock that only goes forward.
 */
export async function campaign(options: ElectionOptions): Promise<void> {
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = options;
  if (leaseDurationMs < 1000 || leaseDurationMs % 1000 !== 0)
    throw new RangeError(`a lease lasts whole seconds, not ${leaseDurationMs} ms`);
  if (renewDeadlineMs >= leaseDurationMs || 2 * retryPeriodMs > renewDeadlineMs) {
    throw new RangeError(
      `of a lease of ${leaseDurationMs} ms the renewal deadline (${renewDeadlineMs} ms) must be a part, and of that the retry period (${retryPeriodMs} ms) at most half`,
    );
  }
  await new Election(options).run();
}

/** The Lease as seen last, and when its version was first seen. */
interface Sight {
  readonly object: KubernetesObject;
  readonly lease: Lease;
  readonly seenAtMs: number;
}

class Election {
  readonly #options: ElectionOptions;
  #sight: Sight | undefined;

  constructor(options: ElectionOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { signal, clock, renewDeadlineMs, retryPeriodMs, random = Math.random } = this.#options;
    while (!signal.aborted) {
      try {
        const acquiredAtMs = await within(renewDeadlineMs, clock, signal, (limited) => this.#acquire(limited));
        if (acquiredAtMs !== undefined) {
          await new Term(this.#options, this.#held(), acquiredAtMs).run();
          this.#sight = undefined;
        }
      } catch (cause) {
        if (cause instanceof LeaderFailure) throw cause.cause;
        if (signal.aborted) return;
        this.#options.onState?.({ kind: "failing", failure: toError(cause) });
      }
      await clock.sleep(retryPeriodMs * (1 + random() / 5), signal).catch(() => {}); // Rejects only on abort.
    }
  }

  /** When it was asked for, by the monotonic clock; undefined when it belongs to another. */
  async #acquire(signal: AbortSignal): Promise<number | undefined> {
    const { client, lease: name, identity, clock, monotonicMs, leaseDurationMs, onState } = this.#options;
    const startedAtMs = monotonicMs();
    const object = await client.get(resources.leases, name, { signal });
    const before = object === undefined ? undefined : leaseFrom(object);
    if (object !== undefined && before !== undefined && before.holder !== "" && before.holder !== identity) {
      const since = this.#see(object, before);
      if (monotonicMs() - since < (before.durationMs || leaseDurationMs)) {
        onState?.({ kind: "following", leader: before.holder });
        return undefined;
      }
    }
    const transitions = (before?.transitions ?? 0) + (before === undefined ? 0 : 1);
    const lease = { holder: identity, durationMs: leaseDurationMs, transitions, acquiredAt: formatMicroTime(clock.nowMs()) };
    const wanted = leaseObject(lease, { name, nowMs: clock.nowMs(), base: object });
    try {
      const written = await (object === undefined
        ? client.create(resources.leases, wanted, { signal })
        : client.replace(resources.leases, wanted, { signal }));
      this.#see(written, lease);
      return startedAtMs;
    } catch (cause) {
      if (!isConflict(cause)) throw cause;
      onState?.({ kind: "following", leader: "" }); // Somebody was faster: the next look shows who.
      return undefined;
    }
  }

  /** When this version was first seen. */
  #see(object: KubernetesObject, lease: Lease): number {
    const isKnown = this.#sight !== undefined && this.#sight.object.metadata.resourceVersion === object.metadata.resourceVersion;
    this.#sight = { object, lease, seenAtMs: isKnown ? (this.#sight?.seenAtMs ?? 0) : this.#options.monotonicMs() };
    return this.#sight.seenAtMs;
  }

  #held(): Sight {
    if (this.#sight === undefined) throw new Error("a lease that was never seen cannot be held");
    return this.#sight;
  }
}

/** `lead` threw: that is the caller's affair, not the election's. */
class LeaderFailure extends Error {}

/** One leadership, from the acquisition of the Lease to its loss or release. */
class Term {
  readonly #options: ElectionOptions;
  readonly #stop = new AbortController();
  #object: KubernetesObject;
  readonly #lease: Lease;
  #renewedAtMs: number;
  /** Why it is over; undefined while we hold the Lease. */
  #lost: string | undefined;

  constructor(options: ElectionOptions, held: Sight, acquiredAtMs: number) {
    this.#options = options;
    this.#object = held.object;
    this.#lease = held.lease;
    this.#renewedAtMs = acquiredAtMs;
  }

  async run(): Promise<void> {
    const { signal, onState, lead } = this.#options;
    const ended = new AbortController();
    const onStop = (): void => this.#stop.abort(signal.reason);
    signal.addEventListener("abort", onStop, { once: true });
    if (signal.aborted) onStop();
    onState?.({ kind: "leading" });
    let failure: LeaderFailure | undefined;
    const leading = lead({ signal: this.#stop.signal, isCertain: () => this.#isCertain() })
      .catch((cause: unknown) => {
        // What a leader throws that has been stopped is how it stops.
        if (!this.#stop.signal.aborted) failure = new LeaderFailure("the leader failed", { cause });
      })
      .finally(() => ended.abort());
    await this.#renewUntil(ended.signal);
    await leading;
    signal.removeEventListener("abort", onStop);
    if (this.#lost === undefined) await this.#release();
    else onState?.({ kind: "lost", reason: this.#lost });
    if (failure !== undefined) throw failure;
  }

  #isCertain(): boolean {
    return this.#lost === undefined && this.#options.monotonicMs() - this.#renewedAtMs < this.#options.renewDeadlineMs;
  }

  /** Also while the leader is winding up: it holds the Lease until it has ended. */
  async #renewUntil(ended: AbortSignal): Promise<void> {
    const { clock, renewDeadlineMs, retryPeriodMs, monotonicMs, onState } = this.#options;
    let failing = false;
    while (this.#lost === undefined) {
      await clock.sleep(retryPeriodMs, ended).catch(() => {}); // Rejects only on abort.
      if (ended.aborted) return;
      const leftMs = this.#renewedAtMs + renewDeadlineMs - monotonicMs();
      if (leftMs <= 0) {
        this.#lose(`the lease could not be renewed for ${renewDeadlineMs} ms`);
        return;
      }
      try {
        await within(leftMs, clock, ended, (limited) => this.#renew(limited));
        if (failing && this.#lost === undefined) onState?.({ kind: "leading" });
        failing = false;
      } catch (cause) {
        if (ended.aborted) return;
        failing = true;
        onState?.({ kind: "failing", failure: toError(cause) });
      }
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { client, lease: name, clock, identity, monotonicMs } = this.#options;
    const startedAtMs = monotonicMs();
    try {
      const wanted = leaseObject(this.#lease, { name, nowMs: clock.nowMs(), base: this.#object });
      this.#object = await client.replace(resources.leases, wanted, { signal });
      this.#renewedAtMs = startedAtMs;
    } catch (cause) {
      if (!(cause instanceof KubernetesError) || (!isConflict(cause) && cause.status !== 404)) throw cause;
      const found = await client.get(resources.leases, name, { signal });
      const holder = found === undefined ? "" : leaseFrom(found).holder;
      // An earlier renewal whose answer was lost: the next one goes on from there. It does not count, as we cannot tell when it was.
      if (found !== undefined && holder === identity) this.#object = found;
      else this.#lose(holder === "" ? "somebody has taken the lease away" : `${holder} has taken the lease over`);
    }
  }

  #lose(reason: string): void {
    this.#lost = reason;
    this.#stop.abort(new Error(`no longer the leader: ${reason}`));
  }

  /** Best effort: without it a successor waits for the end of the lease. */
  async #release(): Promise<void> {
    const { client, lease: name, clock, retryPeriodMs } = this.#options;
    const wanted = leaseObject({ ...this.#lease, holder: "", durationMs: 1000 }, { name, nowMs: clock.nowMs(), base: this.#object });
    const write = (signal: AbortSignal): Promise<unknown> => client.replace(resources.leases, wanted, { signal });
    await within(retryPeriodMs, clock, new AbortController().signal, write).catch(() => {});
  }
}

/** Gives the work a signal that is aborted also after the time. */
async function within<T>(timeMs: number, clock: Clock, signal: AbortSignal, work: (limited: AbortSignal) => Promise<T>): Promise<T> {
  const deadline = new AbortController();
  const done = new AbortController();
  clock.sleep(timeMs, done.signal).then(
    () => deadline.abort(new Error(`no answer within ${Math.round(timeMs)} ms`)),
    () => {}, // Done in time.
  );
  try {
    return await work(AbortSignal.any([signal, deadline.signal]));
  } finally {
    done.abort();
  }
}

function isConflict(cause: unknown): boolean {
  return cause instanceof KubernetesError && cause.status === 409;
}
