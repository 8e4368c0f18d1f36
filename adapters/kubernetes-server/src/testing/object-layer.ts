import { TaskGroup } from "@cilium-ts/std";
import { builtinResources } from "../resources/builtin.ts";
import { definedResources } from "../resources/definition.ts";
import { Registry } from "../resources/registry.ts";
import { keyPrefix, objectKey, type Resource } from "../resources/resource.ts";
import { matchesFields, matchesLabels, type ParsedSelector, parseFieldSelector, parseLabelSelector } from "../resources/selector.ts";
import type { Mutable, MutableJson } from "../schema/schema.ts";
import { badRequest, noSuchPath, tooOld } from "../serve/api-error.ts";
import { Cleaner } from "../serve/cleaner.ts";
import { decodeObject } from "../serve/object-text.ts";
import { type DeleteOptions, Objects, type PatchKind } from "../serve/objects.ts";
import type { Change, Store } from "../store/store.ts";

/** A kind, as a client names it. */
export interface KindReference {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
}

/** Which objects of a kind; the selectors in the API's own syntax. */
export interface Scope {
  readonly namespace?: string | undefined;
  readonly labels?: string | undefined;
  readonly fields?: string | undefined;
}

export interface ObjectChange {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: Mutable;
}

export interface ObjectWrite {
  readonly manager: string;
  readonly subresource?: "status" | undefined;
  readonly force?: boolean | undefined;
}

export interface ObjectLayerOptions {
  /** Opened by the caller, who also closes it, after the layer. */
  readonly store: Store;
  readonly definitions: readonly Mutable[];
  readonly nowMs: () => number;
  readonly onError: (error: unknown) => void;
}

/**
 * What the server does with objects, without HTTP, sockets and timers: for simulations, in which every turn follows from a seed. Objects that
 * are given out are shared: nobody may change them. Refusals are ApiErrors.
 */
export class ObjectLayer implements AsyncDisposable {
  readonly store: Store;
  readonly #objects: Objects;
  readonly #registry = new Registry(builtinResources);
  readonly #tasks = new TaskGroup(new AbortController().signal);
  /** Objects by the text that they were read from: a change is parsed once for all who see it. */
  readonly #parsed = new WeakMap<Change, { object: Mutable; previous: Mutable | undefined }>();

  private constructor(options: ObjectLayerOptions) {
    this.store = options.store;
    this.#objects = new Objects(options.store, {}, options.nowMs);
    for (const definition of options.definitions) {
      const [first, ...others] = definedResources(definition);
      if (first !== undefined) this.#registry.replace(first.group, first.plural, [first, ...others]);
    }
    const cleaner = new Cleaner(options.store, this.#registry, this.#objects, options.onError);
    this.#tasks.run("cleaner", (signal) => cleaner.run(signal));
  }

  static async open(options: ObjectLayerOptions): Promise<ObjectLayer> {
    const layer = new ObjectLayer(options);
    for (const name of ["default", "kube-system"]) {
      const namespaces = { group: "", version: "v1", plural: "namespaces" };
      await layer.create(namespaces, { metadata: { name } }, { manager: "cilium-apiserver" });
    }
    return layer;
  }

  get(kind: KindReference, namespace: string, name: string): Mutable | undefined {
    const stored = this.store.get(objectKey(this.#resource(kind), namespace, name));
    return stored === undefined ? undefined : decodeObject(stored.text);
  }

  list(kind: KindReference, scope: Scope = {}): { readonly revision: number; readonly items: readonly Mutable[] } {
    const resource = this.#resource(kind);
    const matches = matcherOf(resource, scope);
    const listed = this.store.list({ prefix: keyPrefix(resource, scope.namespace), revision: this.store.durable });
    if (listed.outcome !== "listed") throw tooOld(this.store.durable, listed.oldest);
    return { revision: listed.revision, items: listed.items.map(({ text }) => decodeObject(text)).filter(matches) };
  }

  /** Tells what has changed after the revision, and what changes from now on, in turns of its own, until disposed. */
  watch(kind: KindReference, scope: Scope, after: number, onChange: (change: ObjectChange) => void): Disposable {
    const resource = this.#resource(kind);
    const matches = matcherOf(resource, scope);
    const prefix = keyPrefix(resource, scope.namespace);
    const past = this.store.changes(after, Number.MAX_SAFE_INTEGER, prefix);
    if (past.outcome === "compacted") throw tooOld(after, past.oldest);
    let told = after;
    const tell = (change: Change): void => {
      if (change.revision <= told || !change.key.startsWith(prefix)) return;
      told = change.revision;
      const { object, previous } = this.#parse(change);
      const isThere = !change.deleted && matches(object);
      const wasThere = previous !== undefined && matches(previous);
      if (isThere) onChange({ type: wasThere ? "MODIFIED" : "ADDED", object });
      else if (wasThere) onChange({ type: "DELETED", object });
    };
    const { durable } = this.store;
    const subscription = this.store.subscribe((changes) => changes.forEach(tell));
    for (const change of past.changes) if (change.revision <= durable) tell(change);
    return subscription;
  }

  async create(kind: KindReference, object: Mutable, write: ObjectWrite): Promise<Mutable> {
    const { namespace } = object.metadata as { readonly namespace?: string };
    const written = await this.#objects.create(this.#resource(kind), namespace ?? "", object, optionsOf(write));
    return decodeObject(written.text);
  }

  async replace(kind: KindReference, object: Mutable, write: ObjectWrite): Promise<Mutable> {
    const { namespace = "", name = "" } = object.metadata as { readonly namespace?: string; readonly name?: string };
    const target = { resource: this.#resource(kind), namespace, name };
    return decodeObject((await this.#objects.update(target, object, optionsOf(write))).text);
  }

  async patch(
    kind: KindReference,
    { namespace = "", name }: { readonly namespace?: string; readonly name: string },
    patch: { readonly kind: PatchKind; readonly body: MutableJson },
    write: ObjectWrite,
  ): Promise<Mutable> {
    const target = { resource: this.#resource(kind), namespace, name };
    return decodeObject((await this.#objects.patch(target, patch.kind, patch.body, optionsOf(write))).text);
  }

  async delete(
    kind: KindReference,
    { namespace = "", name }: { readonly namespace?: string; readonly name: string },
    conditions: Partial<DeleteOptions> = {},
  ): Promise<void> {
    const target = { resource: this.#resource(kind), namespace, name };
    await this.#objects.delete(target, {
      isDryRun: false,
      uid: undefined,
      resourceVersion: undefined,
      propagation: undefined,
      ...conditions,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks[Symbol.asyncDispose]();
  }

  #resource({ group, version, plural }: KindReference): Resource {
    const resource = this.#registry.find(group === "" ? version : `${group}/${version}`, plural);
    if (resource === undefined) throw noSuchPath();
    return resource;
  }

  #parse(change: Change): { object: Mutable; previous: Mutable | undefined } {
    const known = this.#parsed.get(change);
    if (known !== undefined) return known;
    const previous = change.previous === undefined ? undefined : decodeObject(change.previous);
    const parsed = { object: decodeObject(change.text), previous };
    this.#parsed.set(change, parsed);
    return parsed;
  }
}

function optionsOf({ manager, subresource, force = false }: ObjectWrite) {
  return { manager, isDryRun: false, fieldValidation: "Strict", subresource: subresource ?? "", force } as const;
}

function matcherOf(resource: Resource, { labels = "", fields = "" }: Scope): (object: Mutable) => boolean {
  const byLabels = parsed(parseLabelSelector(labels));
  const byFields = parsed(parseFieldSelector(fields, resource.selectableFields));
  return (object) => matchesLabels(byLabels, object) && matchesFields(byFields, object);
}

function parsed(result: ParsedSelector) {
  if (result.outcome === "problem") throw badRequest(result.problem);
  return result.selector;
}
