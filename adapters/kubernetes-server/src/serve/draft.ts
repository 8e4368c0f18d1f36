import { isDeepStrictEqual } from "node:util";
import { decodeManagers, encodeManagers, type FieldManager, trackUpdate, type Writer } from "../apply/managed-fields.ts";
import { textAt } from "../resources/column.ts";
import { apiVersionOf, type Resource } from "../resources/resource.ts";
import { conform } from "../schema/conform.ts";
import { invalid, type Problem } from "../schema/problem.ts";
import { isObject, type Mutable } from "../schema/schema.ts";
import { badRequest, conflict, invalidObject } from "./api-error.ts";
import {
  dropEmptyMembers,
  dropServerWritten,
  finalizersOf,
  formatTime,
  isBeingDeleted,
  keepServerWritten,
  metadataOf,
  metadataProblems,
} from "./object-meta.ts";
import type { FieldValidation } from "./request.ts";

/** Checks of whole objects that a schema cannot say; by kind. */
export type Validators = Readonly<Record<string, (object: Mutable) => readonly Problem[]>>;

/** The part of an object that a request is about; empty: the object. */
export type Subresource = "" | "status" | "scale";

/** Throws when the writer may not write this. */
export type WriteGuard = (resource: Resource, object: Mutable, previous: Mutable | undefined) => void;

export interface DraftContext {
  readonly manager: string;
  readonly nowMs: number;
  readonly fieldValidation: FieldValidation;
  readonly subresource: Subresource;
  readonly validators: Validators;
  /** Sentences for the client's `Warning` headers. */
  readonly warnings: string[];
  readonly guard?: WriteGuard;
}

export function writerOf(resource: Resource, context: DraftContext): Writer {
  return {
    manager: context.manager,
    apiVersion: apiVersionOf(resource),
    time: formatTime(context.nowMs),
    subresource: context.subresource,
  };
}

/** The unknown fields of a request: an error that names them, a warning, or nothing, as the client asked. */
export function judgeUnknown(resource: Resource, unknown: readonly string[], context: DraftContext): void {
  if (unknown.length === 0 || context.fieldValidation === "Ignore") return;
  const messages = unknown.map((path) => `unknown field ${JSON.stringify(path)}`);
  if (context.fieldValidation === "Warn") {
    context.warnings.push(...messages);
    return;
  }
  throw badRequest(
    `${resource.kind} in version ${JSON.stringify(resource.version)} cannot be handled as a ${resource.kind}: strict decoding error: ${messages.join(", ")}`,
  );
}

/** `apiVersion` and `kind` must be those of the path; where they are missing they are filled in. */
export function checkKind(resource: Resource, object: Mutable): void {
  const apiVersion = object.apiVersion ?? apiVersionOf(resource);
  const kind = object.kind ?? resource.kind;
  if (apiVersion !== apiVersionOf(resource)) {
    throw badRequest(
      `the API version in the data (${String(apiVersion)}) does not match the expected API version (${apiVersionOf(resource)})`,
    );
  }
  if (kind !== resource.kind)
    throw badRequest(`the kind in the data (${String(kind)}) does not match the expected kind (${resource.kind})`);
  object.apiVersion = apiVersion;
  object.kind = kind;
  if (object.metadata !== undefined && object.metadata !== null && !isObject(object.metadata)) {
    throw badRequest("metadata must be an object");
  }
}

/** Finishes a new object: what the client may not say goes, what it left out comes, and all of it is checked. */
export function draftNew(resource: Resource, object: Mutable, context: DraftContext, managers?: readonly FieldManager[]): Mutable {
  const metadata = metadataOf(object);
  dropServerWritten(object);
  if (resource.hasStatus && resource.behaviour.keepsStatusOnCreate !== true) delete object.status;
  const { unknown, problems } = conform(resource.schema, object, { nullIsAbsent: !resource.isCustom });
  judgeUnknown(resource, unknown, context);
  metadata.uid = crypto.randomUUID();
  metadata.creationTimestamp = formatTime(context.nowMs);
  if (resource.hasStatus || resource.isCustom) metadata.generation = 1;
  const found = [...metadataProblems(resource, object), ...withoutMetadata(problems)];
  if (found.length === 0) {
    resource.behaviour.onCreate?.(object);
    found.push(...ownProblems(resource, object, undefined, context));
  }
  if (found.length > 0)
    throw invalidObject(resource, textAt(object, "metadata", "name") || textAt(object, "metadata", "generateName"), found);
  dropEmptyMembers(object);
  context.guard?.(resource, object, undefined);
  const before = managers ?? [];
  setManagers(
    object,
    managers === undefined ? trackUpdate(resource.schema, before, undefined, object, writerOf(resource, context)) : managers,
  );
  return object;
}

/** Finishes a changed object; undefined when nothing changed. */
export function draftChanged(
  resource: Resource,
  object: Mutable,
  previous: Mutable,
  context: DraftContext,
  managers?: readonly FieldManager[],
): Mutable | undefined {
  const name = textAt(previous, "metadata", "name");
  checkPreconditions(resource, object, previous);
  const next = context.subresource === "status" ? withStatus(previous, object) : withoutStatus(resource, object, previous);
  keepServerWritten(next, previous);
  const { unknown, problems } = conform(resource.schema, next, { nullIsAbsent: !resource.isCustom, previous });
  judgeUnknown(resource, unknown, context);
  const found = [...metadataProblems(resource, next), ...withoutMetadata(problems)];
  if (found.length === 0) {
    resource.behaviour.onUpdate?.(next, previous);
    found.push(...ownProblems(resource, next, previous, context));
  }
  if (found.length > 0) throw invalidObject(resource, name, found);
  dropEmptyMembers(next);
  context.guard?.(resource, next, previous);
  if ((resource.hasStatus || resource.isCustom) && !isSameSpec(resource, next, previous)) {
    metadataOf(next).generation = Number(metadataOf(previous).generation ?? 0) + 1;
  }
  // A client may rewrite the list of managers; without one the old list stands.
  const given = metadataOf(next).managedFields ?? metadataOf(previous).managedFields;
  setManagers(next, managers ?? trackUpdate(resource.schema, decodeManagers(given), previous, next, writerOf(resource, context)));
  next.apiVersion = previous.apiVersion ?? apiVersionOf(resource);
  metadataOf(next).resourceVersion = metadataOf(previous).resourceVersion ?? "";
  return isDeepStrictEqual(next, previous) ? undefined : next;
}

/** Metadata has its own checks, with better words. */
function withoutMetadata(problems: readonly Problem[]): readonly Problem[] {
  return problems.filter(({ path }) => path !== "metadata.name");
}

function ownProblems(resource: Resource, object: Mutable, previous: Mutable | undefined, context: DraftContext): readonly Problem[] {
  const problems = [...(resource.behaviour.validate?.(object, previous) ?? [])];
  context.warnings.push(...(resource.behaviour.warn?.(object) ?? []));
  if (problems.length === 0 && context.subresource === "") problems.push(...(context.validators[resource.kind]?.(object) ?? []));
  if (previous !== undefined && isBeingDeleted(previous)) {
    const added = finalizersOf(object).filter((finalizer) => !finalizersOf(previous).includes(finalizer));
    if (added.length > 0) {
      const message = `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`;
      problems.push({ reason: "FieldValueForbidden", path: "metadata.finalizers", message });
    }
  }
  return problems;
}

function setManagers(object: Mutable, managers: readonly FieldManager[]): void {
  const entries = encodeManagers(managers);
  if (entries.length > 0) metadataOf(object).managedFields = entries;
  else delete metadataOf(object).managedFields;
}

function checkPreconditions(resource: Resource, object: Mutable, previous: Mutable): void {
  const name = textAt(previous, "metadata", "name");
  const given = metadataOf(object);
  const before = metadataOf(previous);
  for (const field of ["name", "namespace"]) {
    if ((given[field] ?? before[field]) !== before[field]) {
      throw invalidObject(resource, name, [invalid(`metadata.${field}`, given[field], "field is immutable")]);
    }
    if (before[field] !== undefined) given[field] = before[field];
  }
  const revision = given.resourceVersion;
  if (revision !== undefined && revision !== null && revision !== "" && revision !== before.resourceVersion) throw conflict(resource, name);
  if (given.uid !== undefined && given.uid !== null && given.uid !== "" && given.uid !== before.uid) {
    throw conflict(
      resource,
      name,
      `Precondition failed: UID in precondition: ${String(given.uid)}, UID in object meta: ${String(before.uid)}`,
    );
  }
}

function withStatus(previous: Mutable, object: Mutable): Mutable {
  const next = { ...structuredClone(previous) };
  if (object.status === undefined) delete next.status;
  else next.status = object.status;
  const managers = metadataOf(object).managedFields;
  if (managers !== undefined) metadataOf(next).managedFields = managers;
  return next;
}

function withoutStatus(resource: Resource, object: Mutable, previous: Mutable): Mutable {
  const next = { ...object, metadata: { ...metadataOf(object) } };
  if (!resource.hasStatus) return next;
  if (previous.status === undefined) delete (next as Mutable).status;
  else (next as Mutable).status = structuredClone(previous.status);
  return next;
}

/** Whether everything but metadata (and status, where it is apart) is as it was. */
function isSameSpec(resource: Resource, next: Mutable, previous: Mutable): boolean {
  const part = ({ metadata: _metadata, status, ...rest }: Mutable): Mutable =>
    resource.hasStatus || status === undefined ? rest : { ...rest, status };
  return isDeepStrictEqual(part(next), part(previous));
}
