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
  writerOf,
} from "./draft.ts";
import { formatTime, isBeingDeleted, isHeld, metadataOf } from "./object-meta.ts";
import { decodeObject, encodeObject } from "./object-text.ts";
import type { FieldValidation } from "./request.ts";

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
}

export interface Written {
  readonly text: string;
  readonly created: boolean;
  /** The object is gone. */
  readonly deleted: boolean;
  readonly warnings: readonly string[];
  /** Settles when the write is safe; the client must not hear of it before. */
  readonly durable: Promise<void>;
}

export type PatchKind = "json" | "merge" | "strategic" | "apply";

export interface DeleteOptions {
  readonly isDryRun: boolean;
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
}

const namesakes = { group: "", plural: "namespaces", isNamespaced: false } as const;
const nameAlphabet = "bcdfghjklmnpqrstvwxz2456789";

/**
 * Creates, changes and deletes objects. Every method runs without waiting, so no two writes interleave;
 * what it returns is durable only when `durable` says so.
 */
export class Objects {
  readonly #store: Store;
  readonly #validators: Validators;
  readonly #nowMs: () => number;

  constructor(store: Store, validators: Validators, nowMs: () => number) {
    this.#store = store;
    this.#validators = validators;
    this.#nowMs = nowMs;
  }

  create(resource: Resource, namespace: string, given: Mutable, options: WriteOptions): Written {
    checkKind(resource, given);
    const metadata = metadataOf(given);
    this.#placeInNamespace(resource, namespace, metadata);
    if (typeof metadata.resourceVersion === "string" && metadata.resourceVersion !== "") {
      throw badRequest("resourceVersion should not be set on objects to be created");
    }
    if (textAt(given, "metadata", "name") === "" && textAt(given, "metadata", "generateName") !== "") {
      metadata.name = `${textAt(given, "metadata", "generateName").slice(0, 58)}${randomSuffix()}`;
    }
    const context = this.#context(options);
    const object = draftNew(resource, given, context);
    const name = textAt(object, "metadata", "name");
    this.#checkNamespace(resource, namespace, name);
    const key = objectKey(resource, namespace, name);
    if (this.#store.get(key) !== undefined) throw alreadyExists(resource, name);
    return this.#write({ resource, namespace, name }, 0, object, context, options.isDryRun, true);
  }

  update(target: Target, given: Mutable, options: WriteOptions): Written {
    const { resource } = target;
    checkKind(resource, given);
    const stored = this.#read(target);
    const previous = decodeObject(stored.text);
    const context = this.#context(options);
    const object = draftChanged(resource, given, previous, context);
    return this.#writeChanged(target, stored, object, context, options.isDryRun);
  }

  patch(target: Target, kind: PatchKind, patch: MutableJson, options: WriteOptions): Written {
    if (kind === "apply") return this.#apply(target, patch, options);
    const stored = this.#read(target);
    const previous = decodeObject(stored.text);
    const context = this.#context(options);
    const patched = patchObject(target.resource, kind, inVersion(target.resource, previous), patch);
    checkKind(target.resource, patched);
    const object = draftChanged(target.resource, patched, previous, context);
    return this.#writeChanged(target, stored, object, context, options.isDryRun);
  }

  /** Sets the replicas; the scale is whole, or a patch of what `scaleOf` shows. */
  scale(target: Target, given: { readonly kind: PatchKind | "whole"; readonly body: MutableJson }, options: WriteOptions): Written {
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
    return this.#writeChanged(target, stored, object, context, options.isDryRun);
  }

  /** Deletes at once, or marks the object when finalizers hold it. */
  delete(target: Target, options: DeleteOptions): Written {
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
    const durable = this.#store.settled();
    const unchanged: Written = { text: stored.text, created: false, deleted: false, warnings: [], durable };
    if (isHeld(resource, object)) {
      if (isBeingDeleted(object) || options.isDryRun) return unchanged;
      metadata.deletionTimestamp = formatTime(this.#nowMs());
      metadata.deletionGracePeriodSeconds = 0;
      if (resource.plural === "namespaces" && resource.group === "") object.status = { phase: "Terminating" };
      return this.#put(target, stored.revision, object, [], false, false);
    }
    if (options.isDryRun) return { ...unchanged, deleted: true };
    return this.#put(target, stored.revision, object, [], false, true);
  }

  /** A change by the server itself: no validation, no managers. Deletes what nothing holds any more. */
  amend(target: Target, change: (object: Mutable) => void): Written {
    const stored = this.#read(target);
    const object = decodeObject(stored.text);
    change(object);
    return this.#put(target, stored.revision, object, [], false, isBeingDeleted(object) && !isHeld(target.resource, object));
  }

  #apply(target: Target, patch: MutableJson, options: WriteOptions): Written {
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
    const previous = stored === undefined ? undefined : decodeObject(stored.text);
    const live = previous === undefined ? {} : inVersion(resource, previous);
    const managers = decodeManagers(previous === undefined ? undefined : metadataOf(previous).managedFields);
    const result = applyConfiguration(resource.schema, live, managers, patch, writerOf(resource, context), options.force);
    if (result.outcome === "conflict") throw applyConflict(result.conflicts);
    if (stored === undefined || previous === undefined) {
      const object = draftNew(resource, structuredClone(result.object), context, result.managers);
      this.#checkNamespace(resource, namespace, name);
      return this.#write(target, 0, object, context, options.isDryRun, true);
    }
    const object = draftChanged(resource, structuredClone(result.object), previous, context, result.managers);
    return this.#writeChanged(target, stored, object, context, options.isDryRun);
  }

  #context(options: WriteOptions): DraftContext {
    const { manager, fieldValidation, subresource } = options;
    return { manager, fieldValidation, subresource, nowMs: this.#nowMs(), validators: this.#validators, warnings: [] };
  }

  #read(target: Target): StoredObject {
    const stored = this.#store.get(objectKey(target.resource, target.namespace, target.name));
    if (stored === undefined) throw notFound(target.resource, target.name);
    return stored;
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

  #writeChanged(target: Target, stored: StoredObject, object: Mutable | undefined, context: DraftContext, isDryRun: boolean): Written {
    if (object === undefined) {
      return { text: stored.text, created: false, deleted: false, warnings: context.warnings, durable: this.#store.settled() };
    }
    return this.#write(target, stored.revision, object, context, isDryRun, false);
  }

  #write(target: Target, expected: number, object: Mutable, context: DraftContext, isDryRun: boolean, created: boolean): Written {
    if (isDryRun) {
      const text = encodeObject(target.resource, object, expected);
      return { text, created, deleted: false, warnings: context.warnings, durable: this.#store.settled() };
    }
    const isDone = isBeingDeleted(object) && !isHeld(target.resource, object);
    return this.#put(target, expected, object, context.warnings, created, isDone);
  }

  #put(target: Target, expected: number, object: Mutable, warnings: readonly string[], created: boolean, deleted: boolean): Written {
    const { resource, namespace, name } = target;
    const key = objectKey(resource, namespace, name);
    const result = this.#store.write({ key, expected, encode: (revision) => encodeObject(resource, object, revision), deleted });
    if (result.outcome === "conflict") throw created ? alreadyExists(resource, name) : conflict(resource, name);
    return { text: result.text, created, deleted, warnings, durable: result.durable };
  }
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
