import { type Identity, type LocalIdentityAllocator, reservedLabels } from "@cilium-ts/identity";
import type { CustomResourceIdentities } from "../cluster/custom-resource-identities.ts";

/** Every identity that this node knows, wherever its number comes from. */
export class IdentitiesDirectory {
  readonly #cluster: CustomResourceIdentities;
  readonly #local: LocalIdentityAllocator;

  constructor(cluster: CustomResourceIdentities, local: LocalIdentityAllocator) {
    this.#cluster = cluster;
    this.#local = local;
  }

  get(id: number): Identity | undefined {
    const reserved = reservedLabels(id);
    if (reserved !== undefined) return { id, labels: reserved };
    return this.#cluster.get(id) ?? this.#local.get(id);
  }

  *all(): Generator<Identity> {
    for (let id = 1; id < 100; id += 1) {
      const labels = reservedLabels(id);
      if (labels !== undefined) yield { id, labels };
    }
    yield* this.#cluster.identities();
    for (const { id, labels } of this.#local.identities()) yield { id, labels };
  }
}
