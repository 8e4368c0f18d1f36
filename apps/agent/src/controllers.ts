import type { Log } from "@cilium-ts/log";
import { reconcile, type Table, type Target } from "@cilium-ts/state";
import { type Clock, errorMessage } from "@cilium-ts/std";

/** Something that is done again and again, and how it went. */
export interface ControllerState {
  readonly name: string;
  readonly successes: number;
  readonly failures: number;
  /** 0: it goes well now. */
  readonly consecutiveFailures: number;
  readonly lastSuccessMs: number | undefined;
  readonly lastFailureMs: number | undefined;
  readonly lastFailure: string;
}

export interface ControllersOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** After each run; how long it took is known of what runs by the clock. */
  onRun?(outcome: "success" | "failure", seconds: number | undefined): void;
}

const resyncMs = 60_000;

/** The agent's loops by their names: their number is that of the calls in `runAgent`. A failure is said once until it is over, and never ends the rest. */
export class Controllers {
  readonly #options: ControllersOptions;
  readonly #states = new Map<string, ControllerState>();

  constructor(options: ControllersOptions) {
    this.#options = options;
  }

  all(): readonly ControllerState[] {
    return [...this.#states.values()];
  }

  /** Does the work now and after each interval, until aborted. */
  async every(name: string, intervalMs: number, signal: AbortSignal, work: () => void | Promise<void>): Promise<void> {
    const { clock, log } = this.#options;
    let said = "";
    while (!signal.aborted) {
      const beganMs = clock.nowMs();
      try {
        await work();
        said = "";
        this.#succeeded(name, beganMs);
      } catch (cause) {
        if (signal.aborted) return;
        const message = errorMessage(cause);
        if (message !== said) log.error(`${message}; it is tried again in ${intervalMs / 1_000} s`);
        said = message;
        this.#failed(name, message, beganMs);
      }
      await clock.sleep(intervalMs, signal).catch(() => {}); // Rejects only on abort.
    }
  }

  /** Keeps a target equal to its table, until aborted. */
  keep<Row>(name: string, desired: Table<string, Row>, target: Target<string, Row>, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    const failing = new Set<string>();
    return reconcile({
      desired,
      target,
      clock,
      signal,
      retryDelayMs: (attempt) => Math.min(100 * 2 ** attempt, 30_000),
      resyncIntervalMs: resyncMs,
      onResult: (key, failure) => {
        const row = `${name} ${key ?? "(list)"}`;
        if (failure === undefined) {
          failing.delete(row);
          if (failing.size === 0) this.#succeeded(name);
          return;
        }
        const message = errorMessage(failure);
        if (!failing.has(row)) log.warn(`${row} is not as it should be, and is tried again: ${message}`);
        failing.add(row);
        this.#failed(name, `${row}: ${message}`);
      },
    });
  }

  #succeeded(name: string, beganMs?: number): void {
    const nowMs = this.#options.clock.nowMs();
    const before = this.#states.get(name) ?? unknown(name);
    this.#states.set(name, { ...before, successes: before.successes + 1, consecutiveFailures: 0, lastSuccessMs: nowMs });
    this.#options.onRun?.("success", beganMs === undefined ? undefined : (nowMs - beganMs) / 1_000);
  }

  #failed(name: string, message: string, beganMs?: number): void {
    const nowMs = this.#options.clock.nowMs();
    const before = this.#states.get(name) ?? unknown(name);
    const failures = { failures: before.failures + 1, consecutiveFailures: before.consecutiveFailures + 1 };
    this.#states.set(name, { ...before, ...failures, lastFailureMs: nowMs, lastFailure: message });
    this.#options.onRun?.("failure", beganMs === undefined ? undefined : (nowMs - beganMs) / 1_000);
  }
}

function unknown(name: string): ControllerState {
  return { name, successes: 0, failures: 0, consecutiveFailures: 0, lastSuccessMs: undefined, lastFailureMs: undefined, lastFailure: "" };
}
