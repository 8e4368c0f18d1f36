import { isDeepStrictEqual } from "node:util";
import { decodeManagers } from "../apply/managed-fields.ts";
import { applyConfiguration } from "../apply/server-side-apply.ts";
import { applyJsonPatch, PatchError } from "../patch/json-patch.ts";
import { applyMergePatch } from "../patch/merge-patch.ts";
import { applyStrategicMergePatch } from "../patch/strategic-merge.ts";
import { textAt } from "../resources/column.ts";
import { keyPrefix, objectKey, type Resource } from "../resources/resource.ts";
import { scaleOf, scaleProblems, scaleResource, withScale } from "../resources/scale.ts";
import { conform } from "../schema/conform.ts";
import { anything, isObject, type Mutable, type MutableJson } from "../schema/schema.ts";
import type { Store, StoredObject } from "../store/store.ts";
import { ApiError, alreadyExists, badRequest, conflict, forbiddenObject, invalidObject, noSuchPath, notFound } from "./api-error.ts";
import {
  checkKind,
  type DraftContext,
  draftChanged,
  draftNew,
  judgeUnknown,
  type Subresource,
  type Validators,
  type WriteGuard,
  writerOf,
} from "./draft.ts";
import {
  dropEmptyMembers,
  finalizersOf,
  foregroundFinalizer,
  formatTime,
  isBeingDeleted,
  isHeld,
  metadataOf,
  orphanFinalizer,
} from "./object-meta.ts";
import { decodeObject, encodeObject } from "./object-text.ts";
import type { FieldValidation } from "./request.ts";
import type { Reservation, ServiceAddresses } from "./service-addresses.ts";

/** Which object a request is about. */
export interface Target {
  readonly resource: Resource;
  /** Empty for cluster-wide kinds. */
  readonly namespace: string;
  readonly name: string;
}

/** How a request writes. */
export interface WriteOptions {
  readonly manager: string;
  readonly isDryRun: boolean;
  readonly fieldValidation: FieldValidation;
  readonly subresource: Subresource;
  readonly force: boolean;
  readonly guard?: WriteGuard;
}

export interface Written {
  readonly text: string;
  readonly created: boolean;
  /** The object is gone. */
  readonly deleted: boolean;
  readonly warnings: readonly string[];
}

export type PatchKind = "json" | "merge" | "strategic" | "apply";

/** A whole scale, or a patch of one. */
export interface GivenScale {
  readonly kind: PatchKind | "whole";
  readonly body: MutableJson;
}

export interface DeleteOptions {
  readonly isDryRun: boolean;
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
  /** What becomes of dependents; undefined: what the object's finalizers say, otherwise they go in the background. */
  readonly propagation: "Foreground" | "Background" | "Orphan" | undefined;
}

const namesakes = { group: "", plural: "namespaces", isNamespaced: false } as const;
const nameAlphabet = "bcdfghjklmnpqrstvwxz2456789";

/** Names that are tried for one object that leaves its name to the server. */
const generatedNamesMax = 8;
/** How often a write is tried again when others were faster, or were not seen yet. */
const attemptsMax = 5;

/**
 * Creates, changes and deletes objects; what has been done is durable when the promise settles. On a store of its own nothing comes between
 * what a write reads and what it writes; on a shared one it is tried again with what the others wrote, as far as its conditions allow.
 */
export class Objects {
  readonly #store: Store;
  readonly #validators: Validators;
  readonly #nowMs: () => number;
  readonly #addresses: ServiceAddresses | undefined;

  /** `addresses`: absent where services get none. */
  constructor(store: Store, validators: Validators, nowMs: () => number, addresses?: ServiceAddresses) {
    this.#store = store;
    this.#addresses = addresses;
    this.#validators = validators;
    this.#nowMs = nowMs;
  }

  create(resource: Resource, namespace: string, given: Mutable, options: WriteOptions): Promise<Written> {
    return this.#attempt((copy) => this.#create(resource, namespace, copy(given), options));
  }

  async #create(resource: Resource, namespace: string, given: Mutable, options: WriteOptions): Promise<Written> {
    checkKind(resource, given);
    const metadata = metadataOf(given);
    this.#placeInNamespace(resource, namespace, metadata);
    if (typeof metadata.resourceVersion === "string" && metadata.resourceVersion !== "") {
      throw badRequest("resourceVersion should not be set on objects to be created");
    }
    if (textAt(given, "metadata", "name") === "" && textAt(given, "metadata", "generateName") !== "") {
      metadata.name = this.#freeName(resource, namespace, textAt(given, "metadata", "generateName").slice(0, 58));
    }
    const context = this.#context(options);
    const object = draftNew(resource, given, context);
    const name = textAt(object, "metadata", "name");
    this.#checkNamespace(resource, namespace, name);
    const key = objectKey(resource, namespace, name);
    if (this.#store.get(key) !== undefined) throw alreadyExists(resource, name);
    return await this.#write({ resource, namespace, name }, 0, object, context, options.isDryRun, true);
  }

  update(target: Target, given: Mutable, options: WriteOptions): Promise<Written> {
    return this.#attempt((copy) => this.#update(target, copy(given), options));
  }

  async #update(target: Target, given: Mutable, options: WriteOptions): Promise<Written> {
    const { resource } = target;
    checkKind(resource, given);
    const stored = this.#read(target);
    const previous = decodeObject(stored.text);
    const context = this.#context(options);
    const object = draftChanged(resource, given, previous, context);
    return await this.#writeChanged(target, stored, object, context, options.isDryRun);
  }

  patch(target: Target, kind: PatchKind, patch: MutableJson, options: WriteOptions): Promise<Written> {
    return this.#attempt((copy) => this.#patch(target, kind, copy(patch), options));
  }

  async #patch(target: Target, kind: PatchKind, patch: MutableJson, options: WriteOptions): Promise<Written> {
    if (kind === "apply") return await this.#apply(target, patch, options);
    const stored = this.#read(target);
    const previous = decodeObject(stored.text);
    const context = this.#context(options);
    const patched = patchObject(target.resource, kind, inVersion(target.resource, previous), patch);
    checkKind(target.resource, patched);
    const object = draftChanged(target.resource, patched, previous, context);
    return await this.#writeChanged(target, stored, object, context, options.isDryRun);
  }

  /** Sets the replicas; the scale is whole, or a patch of what `scaleOf` shows. */
  scale(target: Target, given: GivenScale, options: WriteOptions): Promise<Written> {
    return this.#attempt(() => this.#scale(target, given, options));
  }

  async #scale(target: Target, given: GivenScale, options: WriteOptions): Promise<Written> {
    const { resource } = target;
    const { scale: paths } = resource;
    if (paths === undefined) throw noSuchPath();
    if (given.kind === "apply") throw badRequest("the scale cannot be applied; apply the object itself, or patch the scale");
    const stored = this.#read(target);
    const previous = decodeObject(stored.text);
    const scale =
      given.kind === "whole" ? given.body : patchObject(scaleSchemaless(resource), given.kind, scaleOf(paths, previous), given.body);
    if (!isObject(scale)) throw badRequest("the body must be a Scale");
    const problems = scaleProblems(scale);
    if (problems.length > 0) throw invalidObject(scaleResource, target.name, problems);
    const context = this.#context(options);
    const object = draftChanged(resource, withScale(paths, inVersion(resource, previous), scale), previous, context);
    return await this.#writeChanged(target, stored, object, context, options.isDryRun);
  }

  /** Deletes at once, or marks the object when finalizers hold it. */
  delete(target: Target, options: DeleteOptions): Promise<Written> {
    return this.#attempt(() => this.#delete(target, options));
  }

  async #delete(target: Target, options: DeleteOptions): Promise<Written> {
    const { resource, name } = target;
    const stored = this.#read(target);
    const object = decodeObject(stored.text);
    const metadata = metadataOf(object);
    if (options.uid !== undefined && options.uid !== metadata.uid) {
      throw conflict(
        resource,
        name,
        `Precondition failed: UID in precondition: ${options.uid}, UID in object meta: ${String(metadata.uid)}`,
      );
    }
    if (options.resourceVersion !== undefined && Number(options.resourceVersion) !== stored.revision) {
      throw conflict(
        resource,
        name,
        `Precondition failed: ResourceVersion in precondition: ${options.resourceVersion}, ResourceVersion in object meta: ${stored.revision}`,
      );
    }
    const unchanged: Written = { text: stored.text, created: false, deleted: false, warnings: [] };
    const changesFinalizers = setPropagation(object, options.propagation);
    if (isHeld(resource, object)) {
      if (options.isDryRun || (isBeingDeleted(object) && !changesFinalizers)) return await this.#unwritten(unchanged);
      metadata.deletionTimestamp ??= formatTime(this.#nowMs());
      metadata.deletionGracePeriodSeconds = 0;
      if (resource.plural === "namespaces" && resource.group === "") object.status = { phase: "Terminating" };
      return await this.#put(target, stored.revision, object, [], false, false);
    }
    if (options.isDryRun) return await this.#unwritten({ ...unchanged, deleted: true });
    return await this.#put(target, stored.revision, object, [], false, true);
  }

  /** A change by the server itself: no validation, no managers. Deletes what nothing holds any more. */
  amend(target: Target, change: (object: Mutable) => void): Promise<Written> {
    return this.#attempt(() => this.#amend(target, change));
  }

  /**
   * On a shared store, tries again when others wrote meanwhile or what they wrote was not seen here yet. Each attempt may change its
   * copy of what was given.
   */
  async #attempt(act: (copy: <T>(given: T) => T) => Promise<Written>): Promise<Written> {
    if (!this.#store.isShared) return await act((given) => given);
    for (let left = attemptsMax; ; left -= 1) {
      const { revision } = this.#store;
      try {
        return await act((given) => structuredClone(given));
      } catch (error) {
        if (!(error instanceof ApiError) || ![403, 404, 409].includes(error.code) || left === 0) throw error;
        await this.#store.current();
        if (this.#store.revision === revision) throw error;
      }
    }
  }

  async #amend(target: Target, change: (object: Mutable) => void): Promise<Written> {
    const stored = this.#read(target);
    const object = decodeObject(stored.text);
    change(object);
    dropEmptyMembers(object);
    return await this.#put(target, stored.revision, object, [], false, isBeingDeleted(object) && !isHeld(target.resource, object));
  }

  async #apply(target: Target, patch: MutableJson, options: WriteOptions): Promise<Written> {
    const { resource, name, namespace } = target;
    if (!isObject(patch)) throw badRequest("an apply configuration must be an object with apiVersion, kind and metadata");
    if (patch.apiVersion === undefined || patch.kind === undefined) throw badRequest("an apply configuration needs apiVersion and kind");
    checkKind(resource, patch);
    const metadata = metadataOf(patch);
    if (Array.isArray(metadata.managedFields) && metadata.managedFields.length > 0) throw badRequest("metadata.managedFields must be nil");
    metadata.name ??= name;
    this.#placeInNamespace(resource, namespace, metadata);
    if (metadata.name !== name)
      throw badRequest(`the name of the object (${String(metadata.name)}) does not match the name on the URL (${name})`);
    const context = this.#context(options);
    const { unknown } = conform(resource.schema, patch, { nullIsAbsent: true, fillsDefaults: false });
    judgeUnknown(resource, unknown, context);
    if (resource.hasStatus && options.subresource === "") delete patch.status;
    const stored = this.#store.get(objectKey(resource, namespace, name));
    if (stored === undefined && options.subresource !== "") throw notFound(resource, name);
    if (stored === undefined && typeof metadata.uid === "string" && metadata.uid !== "") {
      const why = `uid mismatch: the provided object specified uid ${metadata.uid}, and no existing object was found`;
      throw conflict(resource, name, why);
    }
    const previous = stored === undefined ? undefined : decodeObject(stored.text);
    const live = previous === undefined ? {} : inVersion(resource, previous);
    const managers = decodeManagers(previous === undefined ? undefined : metadataOf(previous).managedFields);
    const result = applyConfiguration(resource.schema, live, managers, patch, writerOf(resource, context), options.force);
    if (result.outcome === "conflict") throw applyConflict(result.conflicts);
    if (stored === undefined || previous === undefined) {
      const object = draftNew(resource, structuredClone(result.object), context, result.managers);
      this.#checkNamespace(resource, namespace, name);
      return await this.#write(target, 0, object, context, options.isDryRun, true);
    }
    const object = draftChanged(resource, structuredClone(result.object), previous, context, result.managers);
    return await this.#writeChanged(target, stored, object, context, options.isDryRun);
  }

  #context(options: WriteOptions): DraftContext {
    const { manager, fieldValidation, subresource, guard } = options;
    const given = { manager, fieldValidation, subresource, ...(guard !== undefined && { guard }) };
    return { ...given, nowMs: this.#nowMs(), validators: this.#validators, warnings: [] };
  }

  #read(target: Target): StoredObject {
    const stored = this.#store.get(objectKey(target.resource, target.namespace, target.name));
    if (stored === undefined) throw notFound(target.resource, target.name);
    return stored;
  }

  /** Kubernetes tries as often; a name that is taken all the same ends in AlreadyExists. */
  #freeName(resource: Resource, namespace: string, prefix: string): string {
    let name = "";
    for (let tries = 0; tries < generatedNamesMax; tries += 1) {
      name = `${prefix}${randomSuffix()}`;
      if (this.#store.get(objectKey(resource, namespace, name)) === undefined) break;
    }
    return name;
  }

  #placeInNamespace(resource: Resource, namespace: string, metadata: Mutable): void {
    if (!resource.isNamespaced) return;
    const given = metadata.namespace ?? namespace;
    if (given !== "" && given !== namespace) {
      throw badRequest(
        `the namespace of the provided object (${String(given)}) does not match the namespace sent on the request (${namespace})`,
      );
    }
    metadata.namespace = namespace;
  }

  #checkNamespace(resource: Resource, namespace: string, name: string): void {
    if (!resource.isNamespaced) return;
    const stored = this.#store.get(keyPrefix(namesakes) + namespace);
    if (stored === undefined) throw notFound(namesakes, namespace);
    if (!isBeingDeleted(decodeObject(stored.text))) return;
    const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
    throw forbiddenObject(resource, name, why, "NamespaceTerminating");
  }

  async #writeChanged(
    target: Target,
    stored: StoredObject,
    object: Mutable | undefined,
    context: DraftContext,
    isDryRun: boolean,
  ): Promise<Written> {
    if (object === undefined)
      return await this.#unwritten({ text: stored.text, created: false, deleted: false, warnings: context.warnings });
    return await this.#write(target, stored.revision, object, context, isDryRun, false);
  }

  /** What is told to the client must not be taken back, although nothing was written for it. */
  async #unwritten(written: Written): Promise<Written> {
    await this.#store.current();
    return written;
  }

  async #write(
    target: Target,
    expected: number,
    object: Mutable,
    context: DraftContext,
    isDryRun: boolean,
    created: boolean,
  ): Promise<Written> {
    using reservation = this.#assignAddresses(target, object);
    if (isDryRun) {
      const text = encodeObject(target.resource, object, expected);
      return await this.#unwritten({ text, created, deleted: false, warnings: context.warnings });
    }
    const isDone = isBeingDeleted(object) && !isHeld(target.resource, object);
    if (reservation !== undefined && this.#store.isShared && !(await reservation.claim())) throw conflict(target.resource, target.name);
    return await this.#put(target, expected, object, context.warnings, created, isDone);
  }

  #assignAddresses(target: Target, object: Mutable): Reservation | undefined {
    const { resource, namespace, name } = target;
    if (this.#addresses === undefined || resource.group !== "" || resource.plural !== "services") return undefined;
    const assigned = this.#addresses.assign(objectKey(resource, namespace, name), object);
    if (assigned.outcome === "problem") throw invalidObject(resource, name, [assigned.problem]);
    return assigned.reservation;
  }

  async #put(
    target: Target,
    expected: number,
    object: Mutable,
    warnings: readonly string[],
    created: boolean,
    deleted: boolean,
  ): Promise<Written> {
    const { resource, namespace, name } = target;
    const key = objectKey(resource, namespace, name);
    const result = await this.#store.write({ key, expected, encode: (revision) => encodeObject(resource, object, revision), deleted });
    if (result.outcome === "conflict") throw created ? alreadyExists(resource, name) : conflict(resource, name);
    return { text: result.text, created, deleted, warnings };
  }
}

/** Turns what is to become of the dependents into a finalizer. Returns whether that changes the finalizers. */
function setPropagation(object: Mutable, propagation: DeleteOptions["propagation"]): boolean {
  const before = finalizersOf(object);
  if (propagation === undefined) return false;
  const after = before.filter((finalizer) => finalizer !== foregroundFinalizer && finalizer !== orphanFinalizer);
  if (propagation === "Foreground") after.push(foregroundFinalizer);
  else if (propagation === "Orphan") after.push(orphanFinalizer);
  if (after.length > 0) metadataOf(object).finalizers = after;
  else delete metadataOf(object).finalizers;
  return !isDeepStrictEqual(before.toSorted(), after.toSorted());
}

/** The object with the apiVersion of the path, which may not be the one it is stored in. */
function inVersion(resource: Resource, object: Mutable): Mutable {
  return { ...object, apiVersion: resource.group === "" ? resource.version : `${resource.group}/${resource.version}` };
}

function patchObject(resource: Resource, kind: Exclude<PatchKind, "apply">, object: Mutable, patch: MutableJson): Mutable {
  try {
    if (kind === "json") return asObject(applyJsonPatch(object, patch));
    if (!isObject(patch)) throw badRequest("the patch must be an object");
    // Parts of the old object may be shared with the patched one, which is going to be changed.
    if (kind === "merge") return asObject(structuredClone(applyMergePatch(object, patch)));
    return structuredClone(applyStrategicMergePatch(resource.schema, object, patch));
  } catch (cause) {
    if (!(cause instanceof PatchError)) throw cause;
    throw new ApiError(
      422,
      "Invalid",
      `the patch cannot be applied to ${resource.kind} ${JSON.stringify(textAt(object, "metadata", "name"))}: ${cause.message}`,
    );
  }
}

/** A patch of a scale has no lists, so that all forms of merging are one. */
function scaleSchemaless(resource: Resource): Resource {
  return { ...resource, ...scaleResource, schema: anything };
}

function asObject(value: MutableJson): Mutable {
  if (!isObject(value)) throw new PatchError("the result is not an object");
  return value;
}

function applyConflict(conflicts: Extract<ReturnType<typeof applyConfiguration>, { outcome: "conflict" }>["conflicts"]): ApiError {
  const causes = conflicts.map(({ manager, field }) => ({
    reason: "FieldManagerConflict",
    message: `conflict with ${JSON.stringify(manager.manager)}`,
    field,
  }));
  const lines = [...Map.groupBy(conflicts, ({ manager }) => manager)].map(([manager, list]) => {
    const using = manager.operation === "Update" ? ` using ${manager.apiVersion}` : "";
    return `conflict${list.length === 1 ? "" : "s"} with ${JSON.stringify(manager.manager)}${using}: ${list.map(({ field }) => field).join(", ")}`;
  });
  const count = `${conflicts.length} conflict${conflicts.length === 1 ? "" : "s"}`;
  return new ApiError(409, "Conflict", `Apply failed with ${count}: ${lines.join("; ")}`, { causes });
}

function randomSuffix(): string {
  return [...crypto.getRandomValues(new Uint8Array(5))].map((byte) => nameAlphabet[byte % nameAlphabet.length]).join("");
}
