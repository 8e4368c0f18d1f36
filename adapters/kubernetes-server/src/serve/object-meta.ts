import { textAt, valueAt } from "../resources/column.ts";
import { isLabelValue, isQualifiedName, pathNameProblem, subdomainNameProblem } from "../resources/name.ts";
import type { Resource } from "../resources/resource.ts";
import { forbidden, invalid, type Problem, required } from "../schema/problem.ts";
import { isObject, type Mutable, type MutableJson } from "../schema/schema.ts";

const annotationsSizeMax = 256 * 1024;

export function metadataOf(object: Mutable): Mutable {
  const { metadata } = object;
  if (isObject(metadata)) return metadata;
  const fresh: Mutable = {};
  object.metadata = fresh;
  return fresh;
}

/** What is wrong with names, labels, annotations and finalizers. */
export function metadataProblems(resource: Resource, object: Mutable): readonly Problem[] {
  const problems: Problem[] = [];
  const name = textAt(object, "metadata", "name");
  const namespace = textAt(object, "metadata", "namespace");
  if (name === "") problems.push(required("metadata.name", "name or generateName is required"));
  else {
    const check = resource.group === "rbac.authorization.k8s.io" ? pathNameProblem : subdomainNameProblem;
    const problem = check("metadata.name", name);
    if (problem !== undefined) problems.push(problem);
  }
  if (!resource.isNamespaced && namespace !== "") problems.push(forbidden("metadata.namespace", "not allowed on this type"));
  problems.push(...labelProblems(object), ...annotationProblems(object));
  for (const finalizer of finalizersOf(object)) {
    if (!isQualifiedName(finalizer))
      problems.push(invalid("metadata.finalizers", finalizer, "must be a name, or a domain and a name such as example.com/cleanup"));
  }
  return problems;
}

function* labelProblems(object: Mutable): Generator<Problem> {
  for (const [key, value] of Object.entries(valueAt(object, "metadata", "labels") ?? {})) {
    if (!isQualifiedName(key))
      yield invalid(
        "metadata.labels",
        key,
        "a label's name must consist of alphanumeric characters, '-', '_' or '.', with an optional DNS prefix and '/'",
      );
    if (typeof value === "string" && !isLabelValue(value)) {
      yield invalid(
        "metadata.labels",
        value,
        "a label's value must be empty or consist of alphanumeric characters, '-', '_' or '.', start and end with an alphanumeric character, and have at most 63 characters",
      );
    }
  }
}

function* annotationProblems(object: Mutable): Generator<Problem> {
  let size = 0;
  for (const [key, value] of Object.entries(valueAt(object, "metadata", "annotations") ?? {})) {
    size += key.length + String(value).length;
    if (!isQualifiedName(key))
      yield invalid(
        "metadata.annotations",
        key,
        "an annotation's name must consist of alphanumeric characters, '-', '_' or '.', with an optional DNS prefix and '/'",
      );
  }
  if (size > annotationsSizeMax)
    yield {
      reason: "FieldValueTooLong",
      path: "metadata.annotations",
      message: `Too long: may not be more than ${annotationsSizeMax} bytes`,
    };
}

export function finalizersOf(object: Mutable): readonly string[] {
  const finalizers = valueAt(object, "metadata", "finalizers");
  return Array.isArray(finalizers) ? finalizers.map(String) : [];
}

/** Kubernetes' names of what the server does to dependents before their owner goes. */
export const foregroundFinalizer = "foregroundDeletion";
export const orphanFinalizer = "orphan";

/** What must be finished before the object may go; namespaces have their own list besides. */
export function isHeld(resource: Resource, object: Mutable): boolean {
  if (finalizersOf(object).length > 0) return true;
  const own = valueAt(object, "spec", "finalizers");
  return resource.group === "" && resource.plural === "namespaces" && Array.isArray(own) && own.length > 0;
}

export function isBeingDeleted(object: Mutable): boolean {
  return valueAt(object, "metadata", "deletionTimestamp") !== undefined;
}

/** Members of metadata that only the server writes. */
const serverWritten = ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"];

/** Puts back what only the server writes, from the object as it was. */
export function keepServerWritten(object: Mutable, previous: Mutable): void {
  const metadata = metadataOf(object);
  const before = metadataOf(previous);
  for (const name of serverWritten) {
    const value: MutableJson | undefined = before[name];
    if (value === undefined) delete metadata[name];
    else metadata[name] = value;
  }
}

export function dropServerWritten(object: Mutable): void {
  const metadata = metadataOf(object);
  for (const name of [...serverWritten, "resourceVersion"]) delete metadata[name];
}

const omittedWhenEmpty = ["labels", "annotations", "ownerReferences", "finalizers"];

/** Members of metadata that hold nothing are not written: to take the last label away is to have no labels. */
export function dropEmptyMembers(object: Mutable): void {
  const metadata = metadataOf(object);
  for (const name of omittedWhenEmpty) {
    const value = metadata[name];
    if (typeof value === "object" && value !== null && Object.keys(value).length === 0) delete metadata[name];
  }
}

/** Kubernetes' time: seconds, UTC. */
export function formatTime(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 19)}Z`;
}
