import type { Labels } from "@cilium-ts/labels";
import type { Log } from "@cilium-ts/log";
import { errorMessage } from "@cilium-ts/std";
import type { CustomResourceIdentities } from "./custom-resource-identities.ts";

export interface IdentitiesInUseOptions {
  readonly identities: CustomResourceIdentities;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Those of this node's endpoints. */
  inUse(): ReadonlyMap<number, Labels>;
}

/** Sees to it that the cluster knows every identity that an endpoint of this node has, whoever deletes its object. */
export class IdentitiesInUse {
  readonly #options: IdentitiesInUseOptions;
  /** Said once until it is over. */
  readonly #failing = new Set<number>();

  constructor(options: IdentitiesInUseOptions) {
    this.#options = options;
  }

  /** An object was deleted. True: it is made again, and its number means the same meanwhile. */
  keep(id: number): boolean {
    const labels = this.#options.inUse().get(id);
    if (labels !== undefined) void this.#ensure(id, labels);
    return labels !== undefined;
  }

  /** Once for all of them: objects may have gone while nobody watched. */
  async ensureAll(): Promise<void> {
    const inUse = this.#options.inUse();
    for (const id of this.#failing) if (!inUse.has(id)) this.#failing.delete(id);
    for (const [id, labels] of inUse) await this.#ensure(id, labels);
  }

  async #ensure(id: number, labels: Labels): Promise<void> {
    const { identities, log, signal } = this.#options;
    try {
      await identities.ensure({ id, labels }, signal);
      this.#failing.delete(id);
    } catch (cause) {
      if (signal.aborted || this.#failing.has(id)) return;
      this.#failing.add(id);
      log.error(`identity ${id} is in use here and other nodes do not know it; it is tried again: ${errorMessage(cause)}`);
    }
  }
}
