import { textAt, valueAt } from "../resources/column.ts";
import { definitionFinalizer } from "../resources/definition.ts";
import type { Registry } from "../resources/registry.ts";
import { keyPrefix, type Resource } from "../resources/resource.ts";
import type { Mutable } from "../schema/schema.ts";
import type { Change, Store } from "../store/store.ts";
import { ApiError } from "./api-error.ts";
import { Dependents, ownerReferences, ownersIn } from "./dependents.ts";
import { finalizersOf, foregroundFinalizer, isBeingDeleted, metadataOf, orphanFinalizer } from "./object-meta.ts";
import { decodeObject } from "./object-text.ts";
import type { DeleteOptions, Objects, Target } from "./objects.ts";

const namespacesPrefix = "/core/namespaces/";
const definitionsPrefix = "/apiextensions.k8s.io/customresourcedefinitions/";
/** Objects that are deleted together, before others get a turn. */
const chunkSize = 200;
const plainly: DeleteOptions = { isDryRun: false, uid: undefined, resourceVersion: undefined, propagation: undefined };

/**
 * Deletes what must go with something else: what is in a namespace that is being deleted, the objects of a definition that is being
 * deleted, and objects whose owners are gone, or wait for them to go. It works on marks, so it may be told the same thing twice, may
 * start again at any time, and several servers on one store may do the same work.
 */
export class Cleaner {
  readonly #store: Store;
  readonly #registry: Registry;
  readonly #objects: Objects;
  readonly #onError: (error: unknown) => void;
  /** Keys of namespaces, definitions and owners that are being deleted, and `uid:…` of owners that are gone. */
  readonly #marks = new Set<string>();
  readonly #dependents = new Dependents();
  /** Keys of owners that go when their dependents are gone, by uid. */
  readonly #waiting = new Map<string, string>();
  #wake: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(store: Store, registry: Registry, objects: Objects, onError: (error: unknown) => void) {
    this.#store = store;
    this.#registry = registry;
    this.#objects = objects;
    this.#onError = onError;
  }

  /** Works until aborted. */
  async run(signal: AbortSignal): Promise<void> {
    this.#readStore();
    using _subscription = this.#store.subscribe((changes) => this.#note(changes));
    signal.addEventListener("abort", () => this.#wake.resolve(), { once: true });
    while (!signal.aborted) {
      const marks = [...this.#marks];
      this.#marks.clear();
      for (const mark of marks) await this.#clean(mark, signal);
      if (this.#marks.size > 0) continue;
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
    }
  }

  #readStore(): void {
    let after: string | undefined;
    for (;;) {
      const page = this.#store.list({ prefix: "/", limit: 1_000, ...(after !== undefined && { after }) });
      if (page.outcome !== "listed") break;
      for (const item of page.items) {
        after = item.key;
        this.#noteObject(item.key, item.text);
      }
      if (page.remaining === 0) break;
    }
  }

  #note(changes: readonly Change[]): void {
    const marksBefore = this.#marks.size;
    for (const { key, text, previous, deleted } of changes) {
      if (previous !== undefined) this.#dependents.remove(key, previous);
      if (!deleted) this.#noteObject(key, text);
      else {
        const uid = textAt(decodeObject(text), "metadata", "uid");
        this.#waiting.delete(uid);
        if (this.#dependents.has(uid)) this.#marks.add(`uid:${uid}`);
        this.#markHolders(key);
      }
      // Whoever waited for this object to go, or to be let go, can be looked at again.
      for (const owner of this.#waiting.size === 0 ? [] : ownersIn(previous ?? "")) {
        const waiting = this.#waiting.get(owner);
        if (waiting !== undefined) this.#marks.add(waiting);
      }
    }
    if (this.#marks.size > marksBefore) this.#wake.resolve();
  }

  /** Something is gone: the namespace or definition that waited for it can be looked at again. */
  #markHolders(key: string): void {
    const [, group = "", plural = "", namespace = "", name] = key.split("/");
    const holders = [...(name === undefined ? [] : [namespacesPrefix + namespace]), `${definitionsPrefix}${plural}.${group}`];
    for (const holder of holders) {
      const stored = this.#store.get(holder);
      if (stored?.text.includes('"deletionTimestamp"') === true) this.#marks.add(holder);
    }
  }

  #noteObject(key: string, text: string): void {
    this.#dependents.add(key, text);
    this.#markAbsentOwners(text);
    if (!text.includes('"deletionTimestamp"')) return;
    const isHolder = key.startsWith(namespacesPrefix) || key.startsWith(definitionsPrefix);
    if (isHolder || text.includes(`"${foregroundFinalizer}"`) || text.includes(`"${orphanFinalizer}"`)) this.#marks.add(key);
  }

  /** An owner may have gone before its dependent came, or never have been. */
  #markAbsentOwners(text: string): void {
    if (!text.includes('"ownerReferences"')) return;
    const object = decodeObject(text);
    for (const owner of ownerReferences(object)) {
      if (!this.#isLiving(owner, textAt(object, "metadata", "namespace"))) this.#marks.add(`uid:${textAt(owner, "uid")}`);
    }
  }

  async #clean(mark: string, signal: AbortSignal): Promise<void> {
    try {
      if (mark.startsWith("uid:")) return await this.#cleanDependents(mark.slice(4), signal);
      await this.#cleanOwner(mark, signal);
      if (mark.startsWith(namespacesPrefix)) await this.#cleanNamespace(mark, signal);
      else if (mark.startsWith(definitionsPrefix)) await this.#cleanDefinition(mark, signal);
    } catch (error) {
      // Another server did it, or it has to be done again.
      if (error instanceof ApiError && error.code === 404) return;
      if (error instanceof ApiError && error.code === 409) this.#marks.add(mark);
      else this.#onError(error);
    }
  }

  async #cleanNamespace(key: string, signal: AbortSignal): Promise<void> {
    const namespace = key.slice(namespacesPrefix.length);
    const stored = this.#store.get(key);
    if (stored === undefined || !isBeingDeleted(decodeObject(stored.text))) return;
    let left = 0;
    for (const resource of storedResources(this.#registry)) {
      if (resource.isNamespaced) left += await this.#deleteAll(resource, keyPrefix(resource, namespace), signal);
    }
    if (left > 0) return;
    const target = this.#targetOf(key);
    // Between the deletions others had their turn; only an empty namespace goes.
    if (target === undefined || this.#store.get(key) === undefined) return;
    await this.#objects.amend(target, (object) => {
      object.spec = {};
    });
  }

  async #cleanDefinition(key: string, signal: AbortSignal): Promise<void> {
    const stored = this.#store.get(key);
    const target = this.#targetOf(key);
    if (stored === undefined || target === undefined) return;
    const definition = decodeObject(stored.text);
    if (!isBeingDeleted(definition)) return;
    const group = textAt(definition, "spec", "group");
    const plural = textAt(definition, "spec", "names", "plural");
    const resource = this.#registry.all().find((one) => one.group === group && one.plural === plural);
    if (resource !== undefined && (await this.#deleteAll(resource, keyPrefix(resource), signal)) > 0) return;
    await this.#dropFinalizer(key, definitionFinalizer);
  }

  /** An object that is being deleted, and whose dependents are to be let go or to go first. */
  async #cleanOwner(key: string, signal: AbortSignal): Promise<void> {
    const stored = this.#store.get(key);
    if (stored === undefined) return;
    const owner = decodeObject(stored.text);
    if (!isBeingDeleted(owner)) return;
    const uid = textAt(owner, "metadata", "uid");
    if (finalizersOf(owner).includes(orphanFinalizer)) {
      await this.#inChunks(this.#dependents.of(uid), signal, (dependent) => this.#letGo(dependent, (reference) => reference.uid !== uid));
      await this.#dropFinalizer(key, orphanFinalizer);
    } else if (finalizersOf(owner).includes(foregroundFinalizer)) {
      this.#waiting.set(uid, key);
      await this.#inChunks(this.#dependents.of(uid), signal, (dependent) => this.#deleteDependent(dependent, "Foreground"));
      const isHeldUp = this.#dependents.of(uid).some((dependent) => blocks(this.#store.get(dependent)?.text, uid));
      if (!isHeldUp) await this.#dropFinalizer(key, foregroundFinalizer);
    }
  }

  async #dropFinalizer(key: string, finalizer: string): Promise<void> {
    const target = this.#targetOf(key);
    if (target === undefined || this.#store.get(key) === undefined) return;
    await this.#objects.amend(target, (object) => {
      metadataOf(object).finalizers = finalizersOf(object).filter((one) => one !== finalizer);
    });
  }

  async #cleanDependents(uid: string, signal: AbortSignal): Promise<void> {
    await this.#inChunks(this.#dependents.of(uid), signal, (dependent) => this.#deleteDependent(dependent, undefined));
  }

  async #inChunks(keys: readonly string[], signal: AbortSignal, act: (key: string) => Promise<void>): Promise<void> {
    for (let first = 0; first < keys.length && !signal.aborted; first += chunkSize) {
      await Promise.all(keys.slice(first, first + chunkSize).map(act));
    }
  }

  /** An object lives as long as one of its owners does; then it only forgets the others. */
  async #deleteDependent(key: string, propagation: DeleteOptions["propagation"]): Promise<void> {
    const target = this.#targetOf(key);
    const stored = this.#store.get(key);
    if (target === undefined || stored === undefined) return;
    const object = decodeObject(stored.text);
    const references = ownerReferences(object);
    const living = references.filter((owner) => this.#isLiving(owner, textAt(object, "metadata", "namespace")));
    if (living.length === references.length || isBeingDeleted(object)) return;
    const uids = new Set(living.map((owner) => owner.uid));
    if (living.length > 0) return await this.#letGo(key, (reference) => uids.has(reference.uid ?? null));
    const goesFirst = propagation !== undefined && this.#dependents.has(textAt(object, "metadata", "uid"));
    await this.#delete(target, goesFirst ? propagation : undefined);
  }

  async #letGo(key: string, keeps: (reference: Mutable) => boolean): Promise<void> {
    const target = this.#targetOf(key);
    if (target === undefined || this.#store.get(key) === undefined) return;
    await this.#objects.amend(target, (object) => {
      metadataOf(object).ownerReferences = ownerReferences(object).filter(keeps);
    });
  }

  /** Whether the owner is there, and not about to go after its dependents. Owners are in the same namespace or cluster-wide. */
  #isLiving(owner: Mutable, namespace: string): boolean {
    const apiVersion = textAt(owner, "apiVersion");
    const resource = this.#registry
      .all()
      .find((one) => one.kind === textAt(owner, "kind") && apiVersion.split("/", 1)[0] === (one.group || one.version));
    // What the server does not keep it cannot miss.
    if (resource === undefined) return true;
    const found = this.#store.get(keyPrefix(resource, resource.isNamespaced ? namespace : undefined) + textAt(owner, "name"));
    if (found === undefined) return false;
    const object = decodeObject(found.text);
    const isGoing = isBeingDeleted(object) && finalizersOf(object).includes(foregroundFinalizer);
    return valueAt(object, "metadata", "uid") === owner.uid && !isGoing;
  }

  /** Returns how many are left because finalizers hold them. */
  async #deleteAll(resource: Resource, prefix: string, signal: AbortSignal): Promise<number> {
    let held = 0;
    let after: string | undefined;
    for (;;) {
      const page = this.#store.list({ prefix, limit: chunkSize, ...(after !== undefined && { after }) });
      if (page.outcome !== "listed" || signal.aborted) return held + 1;
      after = page.items.at(-1)?.key;
      const targets = page.items.map(({ key }) => this.#targetOf(key) ?? { resource, namespace: "", name: "" });
      const gone = await Promise.all(targets.map((target) => this.#delete(target, undefined)));
      held += gone.filter((isGone) => !isGone).length;
      if (page.remaining === 0) return held;
    }
  }

  /** False: the object is marked, and goes when its finalizers are gone. */
  async #delete(target: Target, propagation: DeleteOptions["propagation"]): Promise<boolean> {
    try {
      return (await this.#objects.delete(target, { ...plainly, propagation })).deleted;
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return true;
      throw error;
    }
  }

  #targetOf(key: string): Target | undefined {
    const [, group = "", plural = "", ...rest] = key.split("/");
    const resource = this.#registry.all().find((one) => (one.group || "core") === group && one.plural === plural);
    const name = rest.at(-1);
    if (resource === undefined || name === undefined) return undefined;
    return { resource, namespace: rest.length === 2 ? (rest[0] ?? "") : "", name };
  }
}

/** Whether the dependent, in its stored form, must be gone before its owner goes. */
function blocks(text: string | undefined, owner: string): boolean {
  if (text === undefined) return false;
  return ownerReferences(decodeObject(text)).some(({ uid, blockOwnerDeletion }) => uid === owner && blockOwnerDeletion === true);
}

/** One resource for each stored kind, whatever the number of its versions. */
function storedResources(registry: Registry): readonly Resource[] {
  return [...new Map(registry.all().map((resource) => [keyPrefix(resource), resource])).values()];
}
