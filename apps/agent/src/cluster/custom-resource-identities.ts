import { createHash } from "node:crypto";
import { type ClusterIdentityAllocator, clusterIdentityMax, clusterIdentityMin, type Identity } from "@cilium-ts/identity";
import { ciliumIdentityFrom, ciliumIdentityObject, type KubernetesClient, KubernetesError, resources } from "@cilium-ts/kubernetes";
import type { Labels } from "@cilium-ts/labels";
import { unlessAborted } from "../unless-aborted.ts";

/** Numbers tried for one label set before giving up: with 65,280 numbers and half of them taken, 32 misses in a row do not happen. */
const attemptsMax = 32;
/** How often an object may be there for `create` and gone for `get` before its number is given up. */
const vanishedMax = 3;

/**
 * Cluster-wide identities as CiliumIdentity objects. The number that is tried first follows from the labels, so agents that race for the
 * same new labels race for the same object, and whoever comes second finds the first one's: one set of labels, one number.
 */
export class CustomResourceIdentities implements ClusterIdentityAllocator {
  readonly #client: KubernetesClient;
  readonly #synced: () => Promise<void>;
  readonly #byId = new Map<number, Identity>();
  readonly #idsByLabels = new Map<string, Set<number>>();
  readonly #creating = new Map<string, Promise<Identity>>();
  /** Made or found by us, and not yet shown by the watch. */
  readonly #unseen = new Set<number>();

  /** `synced` settles when every existing object has been given to `upsert`. */
  constructor(client: KubernetesClient, synced: () => Promise<void>) {
    this.#client = client;
    this.#synced = synced;
  }

  /** The watch shows it. */
  upsert(identity: Identity): void {
    this.#remember(identity);
    this.#unseen.delete(identity.id);
  }

  /**
   * All objects have been listed anew: what was not among them and was never seen may be gone without a word, because nobody tells of the end of what nobody
   * knew. Where it is there after all, the watch or `ensure` finds it.
   */
  listed(): void {
    for (const id of this.#unseen) this.remove(id);
  }

  #remember(identity: Identity): void {
    this.remove(identity.id);
    this.#byId.set(identity.id, identity);
    const ids = this.#idsByLabels.get(identity.labels.key);
    if (ids === undefined) this.#idsByLabels.set(identity.labels.key, new Set([identity.id]));
    else ids.add(identity.id);
  }

  remove(id: number): void {
    this.#unseen.delete(id);
    const identity = this.#byId.get(id);
    if (identity === undefined) return;
    this.#byId.delete(id);
    const ids = this.#idsByLabels.get(identity.labels.key);
    ids?.delete(id);
    if (ids?.size === 0) this.#idsByLabels.delete(identity.labels.key);
  }

  get(id: number): Identity | undefined {
    return this.#byId.get(id);
  }

  identities(): Iterable<Identity> {
    return this.#byId.values();
  }

  async acquire(labels: Labels, signal: AbortSignal): Promise<Identity> {
    const known = this.#known(labels);
    if (known !== undefined) return known;
    await unlessAborted(this.#synced(), signal);
    const creating = this.#creating.get(labels.key) ?? this.#create(labels, signal);
    this.#creating.set(labels.key, creating);
    try {
      return await creating;
    } finally {
      if (this.#creating.get(labels.key) === creating) this.#creating.delete(labels.key);
    }
  }

  /** Makes the object again when somebody has deleted it although it is in use. Throws when the number is that of other labels by now. */
  async ensure({ id, labels }: Identity, signal: AbortSignal): Promise<void> {
    const known = this.#byId.get(id);
    const made = known ?? (await this.#createNumbered(id, labels, signal));
    if (made?.labels.key !== labels.key) throw new Error(`identity ${id} of ${labels.key} has been given to other labels`);
    if (known === undefined) this.#learn(made);
  }

  /** By an answer of the server, which the watch may have been told of already. */
  #learn(identity: Identity): void {
    if (this.#byId.get(identity.id)?.labels.key === identity.labels.key) return;
    this.#remember(identity);
    this.#unseen.add(identity.id);
  }

  /** The operator collects identities that no CiliumEndpoint names; there is nothing to give back here. */
  async release(): Promise<void> {}

  /** Where older releases left several numbers for the same labels, all agents choose the least. */
  #known(labels: Labels): Identity | undefined {
    const ids = this.#idsByLabels.get(labels.key);
    return ids === undefined ? undefined : this.#byId.get(Math.min(...ids));
  }

  async #create(labels: Labels, signal: AbortSignal): Promise<Identity> {
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const known = this.#known(labels);
      if (known !== undefined) return known;
      const id = candidate(labels, attempt);
      if (this.#byId.has(id)) continue;
      const identity = await this.#createNumbered(id, labels, signal);
      if (identity === undefined) continue;
      this.#learn(identity);
      return identity;
    }
    throw new Error(
      `no identity could be made for ${labels.key}: ${attemptsMax} numbers were taken; delete CiliumIdentity objects that nothing uses`,
    );
  }

  /** Undefined when the number belongs to other labels. */
  async #createNumbered(id: number, labels: Labels, signal: AbortSignal): Promise<Identity | undefined> {
    for (let attempt = 0; attempt < vanishedMax; attempt += 1) {
      try {
        await this.#client.create(resources.ciliumIdentities, ciliumIdentityObject({ id, labels }), { signal });
        return { id, labels };
      } catch (cause) {
        if (!(cause instanceof KubernetesError && cause.reason === "AlreadyExists")) throw cause;
      }
      const existing = await this.#client.get(resources.ciliumIdentities, { name: String(id) }, { signal });
      if (existing === undefined) continue; // Deleted in this moment: the number is free.
      const identity = ciliumIdentityFrom(existing);
      if (identity !== undefined) this.#learn(identity);
      return identity?.labels.key === labels.key ? identity : undefined;
    }
    return undefined;
  }
}

function candidate(labels: Labels, attempt: number): number {
  const hash = createHash("sha256").update(`${attempt}\0${labels.key}`).digest().readUInt32BE();
  return clusterIdentityMin + (hash % (clusterIdentityMax - clusterIdentityMin + 1));
}
