import { listAt, textAt, valueAt } from "../resources/column.ts";
import { definitionFinalizer } from "../resources/definition.ts";
import type { Registry } from "../resources/registry.ts";
import { keyPrefix, type Resource } from "../resources/resource.ts";
import type { Mutable } from "../schema/schema.ts";
import type { Change, Store, StoredObject } from "../store/store.ts";
import { ApiError } from "./api-error.ts";
import { finalizersOf, isBeingDeleted, metadataOf } from "./object-meta.ts";
import { decodeObject } from "./object-text.ts";
import type { Objects, Target } from "./objects.ts";

const namespacesPrefix = "/core/namespaces/";
const definitionsPrefix = "/apiextensions.k8s.io/customresourcedefinitions/";
/** Objects that are deleted before others get a turn. */
const chunkSize = 200;

/**
 * Deletes what must go with something else: what is in a namespace that is being deleted, the objects of a definition that is being
 * deleted, and objects whose owners are gone. It works on marks, so it may be told the same thing twice and may start again at any time.
 */
export class Cleaner {
  readonly #store: Store;
  readonly #registry: Registry;
  readonly #objects: Objects;
  readonly #onError: (error: unknown) => void;
  /** Keys of namespaces and definitions that are being deleted, and `uid:…` of owners that are gone. */
  readonly #marks = new Set<string>();
  /** Objects by the uid of each owner. */
  readonly #dependents = new Map<string, Set<string>>();
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

  /** Takes the owner out of its dependents, so that they outlive it. */
  orphan(uid: string): void {
    for (const key of this.#dependentsOf(uid)) {
      const target = this.#targetOf(key);
      if (target === undefined || this.#store.get(key) === undefined) continue;
      this.#objects.amend(target, (object) => {
        metadataOf(object).ownerReferences = listAt(object, "metadata", "ownerReferences").filter((owner) => owner.uid !== uid);
      });
    }
  }

  #dependentsOf(uid: string): readonly string[] {
    return [...(this.#dependents.get(uid) ?? [])];
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
    // Owners may have gone just before the server was killed.
    for (const uid of this.#dependents.keys()) this.#marks.add(`uid:${uid}`);
  }

  #note(changes: readonly Change[]): void {
    const marksBefore = this.#marks.size;
    for (const { key, text, previous, deleted } of changes) {
      if (previous?.includes('"ownerReferences"') === true) this.#forgetOwners(key, previous);
      if (!deleted) this.#noteObject(key, text);
      else {
        const uid = textAt(decodeObject(text), "metadata", "uid");
        if (this.#dependents.has(uid)) this.#marks.add(`uid:${uid}`);
        this.#markHolder(key);
      }
    }
    if (this.#marks.size > marksBefore) this.#wake.resolve();
  }

  /** Something is gone: whatever waited for it to go can be looked at again. */
  #markHolder(key: string): void {
    const [, group = "", plural = "", namespace = "", name] = key.split("/");
    const holders = [...(name === undefined ? [] : [namespacesPrefix + namespace]), `${definitionsPrefix}${plural}.${group}`];
    for (const holder of holders) {
      const stored = this.#store.get(holder);
      if (stored?.text.includes('"deletionTimestamp"') === true) this.#marks.add(holder);
    }
  }

  #noteObject(key: string, text: string): void {
    if (text.includes('"ownerReferences"')) {
      for (const uid of ownersOf(decodeObject(text))) {
        const keys = this.#dependents.get(uid) ?? new Set();
        this.#dependents.set(uid, keys.add(key));
      }
    }
    const isHolder = key.startsWith(namespacesPrefix) || key.startsWith(definitionsPrefix);
    if (isHolder && text.includes('"deletionTimestamp"')) this.#marks.add(key);
  }

  #forgetOwners(key: string, text: string): void {
    for (const uid of ownersOf(decodeObject(text))) {
      const keys = this.#dependents.get(uid);
      keys?.delete(key);
      if (keys?.size === 0) this.#dependents.delete(uid);
    }
  }

  async #clean(mark: string, signal: AbortSignal): Promise<void> {
    try {
      if (mark.startsWith("uid:")) await this.#cleanDependents(mark.slice(4), signal);
      else if (mark.startsWith(namespacesPrefix)) await this.#cleanNamespace(mark, signal);
      else await this.#cleanDefinition(mark, signal);
    } catch (error) {
      this.#onError(error);
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
    }).durable;
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
    if (this.#store.get(key) === undefined) return;
    await this.#objects.amend(target, (object) => {
      metadataOf(object).finalizers = finalizersOf(object).filter((finalizer) => finalizer !== definitionFinalizer);
    }).durable;
  }

  async #cleanDependents(uid: string, signal: AbortSignal): Promise<void> {
    let deleted = 0;
    for (const key of this.#dependentsOf(uid)) {
      if (signal.aborted) return;
      const target = this.#targetOf(key);
      const stored = this.#store.get(key);
      if (target === undefined || stored === undefined || this.#hasLivingOwner(stored)) continue;
      this.#delete(target);
      deleted += 1;
      if (deleted % chunkSize === 0) await this.#store.settled();
    }
    await this.#store.settled();
  }

  /** An object with several owners lives as long as one of them does; owners are found in the same namespace or cluster-wide. */
  #hasLivingOwner(stored: StoredObject): boolean {
    const object = decodeObject(stored.text);
    const namespace = textAt(object, "metadata", "namespace");
    return listAt(object, "metadata", "ownerReferences").some((owner) => {
      const apiVersion = textAt(owner, "apiVersion");
      const resource = this.#registry
        .all()
        .find((one) => one.kind === textAt(owner, "kind") && apiVersion.split("/", 1)[0] === (one.group || one.version));
      // What the server does not keep it cannot miss.
      if (resource === undefined) return true;
      const found = this.#store.get(keyPrefix(resource, resource.isNamespaced ? namespace : undefined) + textAt(owner, "name"));
      return found !== undefined && valueAt(decodeObject(found.text), "metadata", "uid") === owner.uid;
    });
  }

  /** Returns how many are left because finalizers hold them. */
  async #deleteAll(resource: Resource, prefix: string, signal: AbortSignal): Promise<number> {
    let held = 0;
    let after: string | undefined;
    for (;;) {
      const page = this.#store.list({ prefix, limit: chunkSize, ...(after !== undefined && { after }) });
      if (page.outcome !== "listed" || signal.aborted) return held + 1;
      for (const { key } of page.items) {
        after = key;
        const target = this.#targetOf(key) ?? { resource, namespace: "", name: "" };
        if (!this.#delete(target)) held += 1;
      }
      await this.#store.settled();
      if (page.remaining === 0) return held;
    }
  }

  /** False: the object is marked, and goes when its finalizers are gone. */
  #delete(target: Target): boolean {
    try {
      return this.#objects.delete(target, { isDryRun: false, uid: undefined, resourceVersion: undefined }).deleted;
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

function ownersOf(object: Mutable): readonly string[] {
  return listAt(object, "metadata", "ownerReferences").map((owner) => textAt(owner, "uid"));
}

/** One resource for each stored kind, whatever the number of its versions. */
function storedResources(registry: Registry): readonly Resource[] {
  return [...new Map(registry.all().map((resource) => [keyPrefix(resource), resource])).values()];
}
