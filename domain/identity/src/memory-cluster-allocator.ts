import type { Labels } from "@cilium-ts/labels";
import type { ClusterIdentityAllocator, Identity } from "./cluster-allocator.ts";
import { clusterIdentityMax, clusterIdentityMin } from "./scope.ts";

/** Cluster identities without a cluster: numbers live as long as this object. */
export class MemoryClusterIdentities implements ClusterIdentityAllocator {
  readonly #byLabels = new Map<string, Identity>();
  readonly #byId = new Map<number, Identity>();
  readonly #references = new Map<number, number>();
  #next = clusterIdentityMin;

  async acquire(labels: Labels, signal: AbortSignal): Promise<Identity> {
    signal.throwIfAborted();
    let identity = this.#byLabels.get(labels.key);
    if (identity === undefined) {
      if (this.#next > clusterIdentityMax) {
        throw new Error(
          `no cluster identity for ${labels}: ${clusterIdentityMin} to ${clusterIdentityMax} are in use; use fewer distinct labels`,
        );
      }
      identity = Object.freeze({ id: this.#next, labels });
      this.#next += 1;
      this.#byLabels.set(labels.key, identity);
      this.#byId.set(identity.id, identity);
    }
    this.#references.set(identity.id, this.references(identity.id) + 1);
    return identity;
  }

  async release(id: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#references.set(id, Math.max(0, this.references(id) - 1));
  }

  get(id: number): Identity | undefined {
    return this.#byId.get(id);
  }

  references(id: number): number {
    return this.#references.get(id) ?? 0;
  }
}
