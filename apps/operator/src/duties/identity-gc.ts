import { KubernetesError, type Patch, resources } from "@cilium-ts/kubernetes";
import { heartbeatAnnotation } from "../cluster/read-rows.ts";
import type { IdentityRow } from "../cluster/rows.ts";
import type { OperatorOptions } from "../settings.ts";
import { areSynced, type DutyWorld, inPasses } from "./duty.ts";
import { type IdentityAction, judgeIdentity } from "./identity-mark.ts";

type Options = Pick<OperatorOptions, "identityGcIntervalMs" | "identityHeartbeatTimeoutMs" | "identityGcPaceMs">;

/**
 * Deletes identities that no endpoint has had for long enough. Each write names the version that was judged, so an identity that an
 * agent touches meanwhile stays. Nothing is judged while endpoints or identities may be out of date.
 */
export async function collectIdentities(world: DutyWorld, options: Options, signal: AbortSignal): Promise<void> {
  const collector = new IdentityCollector(world, options, signal);
  const intervalMs = options.identityGcIntervalMs;
  await inPasses(world, { what: "the collection of identities", intervalMs, signal, pass: () => collector.pass() });
}

class IdentityCollector {
  readonly #world: DutyWorld;
  readonly #options: Options;
  readonly #signal: AbortSignal;
  /** When each unused identity was first found so, by the monotonic clock. By uid: a name may be used again. */
  readonly #unusedSinceMs = new Map<string, number>();

  constructor(world: DutyWorld, options: Options, signal: AbortSignal) {
    this.#world = world;
    this.#options = options;
    this.#signal = signal;
  }

  async pass(): Promise<void> {
    const { cluster, metrics, monotonicMs, log } = this.#world;
    const { endpoints, identities } = cluster;
    if (!(await areSynced([endpoints, identities], this.#signal))) return;
    const startedAtMs = monotonicMs();
    const counts: Record<IdentityAction, number> = { keep: 0, mark: 0, unmark: 0, delete: 0 };
    try {
      const used = new Set(Array.from(endpoints.rows(), ({ identity }) => String(identity)));
      this.#forgetUsed(used);
      for (const row of [...identities.rows()]) {
        const failure = cluster.failure(endpoints, identities);
        if (failure !== undefined) throw new Error(failure);
        let action = this.#judge(row, used.has(row.name));
        // The pass may take long: who came to use it meanwhile counts too.
        if ((action === "mark" || action === "delete") && this.#isUsedNow(row)) action = "keep";
        if (await this.#act(row, action)) counts[action] += 1;
        if (this.#signal.aborted) return;
      }
      metrics.identityRuns.increase({ outcome: "success" });
    } catch (cause) {
      metrics.identityRuns.increase({ outcome: "fail" });
      throw cause;
    } finally {
      metrics.identityEntries.set(counts.keep + counts.mark + counts.unmark, { status: "alive" });
      metrics.identityEntries.set(counts.delete, { status: "deleted" });
      metrics.identityLatency.set((monotonicMs() - startedAtMs) / 1000);
    }
    if (counts.mark + counts.unmark + counts.delete > 0)
      log.info(
        `of ${identities.size} identities ${counts.mark} were marked as unused, ${counts.unmark} are used again, ${counts.delete} were deleted`,
      );
  }

  #judge(row: Readonly<IdentityRow>, isUsed: boolean): IdentityAction {
    const { clock, monotonicMs } = this.#world;
    const since = this.#unusedSinceMs.get(row.uid) ?? monotonicMs();
    if (!isUsed) this.#unusedSinceMs.set(row.uid, since);
    return judgeIdentity(
      { isUsed, markedAtMs: row.markedAtMs, unusedForMs: monotonicMs() - since },
      { timeoutMs: this.#options.identityHeartbeatTimeoutMs, intervalMs: this.#options.identityGcIntervalMs, nowMs: clock.nowMs() },
    );
  }

  /** False when the identity was changed while it was judged: it is left to the next pass. */
  async #act(row: Readonly<IdentityRow>, action: IdentityAction): Promise<boolean> {
    if (action === "keep") return true;
    const { writer, clock } = this.#world;
    const signal = this.#signal;
    const { name, uid, resourceVersion } = row;
    try {
      if (action === "delete") await writer.delete(resources.ciliumIdentities, { name }, { uid, resourceVersion, signal });
      else {
        const mark = action === "mark" ? new Date(clock.nowMs()).toISOString() : null;
        const body = { metadata: { uid, resourceVersion, annotations: { [heartbeatAnnotation]: mark } } };
        const patch: Patch = { type: "merge", body };
        await writer.patch(resources.ciliumIdentities, { name }, patch, { signal });
      }
    } catch (cause) {
      if (!(cause instanceof KubernetesError) || (cause.status !== 409 && cause.status !== 404)) throw cause;
      return false;
    }
    await clock.sleep(this.#options.identityGcPaceMs, signal).catch(() => {}); // Rejects only on abort.
    return true;
  }

  #isUsedNow({ name }: Readonly<IdentityRow>): boolean {
    for (const { identity } of this.#world.cluster.endpoints.rows()) if (String(identity) === name) return true;
    return false;
  }

  /** Also those that are gone: what is kept is bounded by what there is. */
  #forgetUsed(used: ReadonlySet<string>): void {
    const unused = new Set(Array.from(this.#world.cluster.identities.rows(), ({ name, uid }) => (used.has(name) ? "" : uid)));
    for (const uid of this.#unusedSinceMs.keys()) if (!unused.has(uid)) this.#unusedSinceMs.delete(uid);
  }
}
