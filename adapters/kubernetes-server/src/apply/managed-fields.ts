import { isObject, type Mutable, type MutableJson, type Schema } from "../schema/schema.ts";
import { compareFields, decodeFields, encodeFields, type FieldSet, isEmptySet, subtract, union } from "./field-set.ts";

/** The fields that one client owns through one kind of request. */
export interface FieldManager {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  /** As in the API: seconds, UTC. */
  readonly time: string;
  readonly subresource: string;
  readonly fields: FieldSet;
}

/** Who asks, as `managedFields` names it. */
export type Writer = Pick<FieldManager, "manager" | "apiVersion" | "time" | "subresource">;

/** Entries of clients that update; the oldest beyond that are merged into one. */
const updateManagersMax = 10;
const ancient = "ancient-changes";

export function decodeManagers(entries: MutableJson | undefined): FieldManager[] {
  if (!Array.isArray(entries)) return [];
  return entries.filter(isObject).map((entry) => ({
    manager: text(entry.manager),
    operation: entry.operation === "Apply" ? "Apply" : "Update",
    apiVersion: text(entry.apiVersion),
    time: text(entry.time),
    subresource: text(entry.subresource),
    fields: decodeFields(entry.fieldsV1),
  }));
}

export function encodeManagers(managers: readonly FieldManager[]): MutableJson[] {
  const entries = managers
    .filter(({ fields }) => !isEmptySet(fields))
    .map(
      (entry): Mutable => ({
        manager: entry.manager,
        operation: entry.operation,
        apiVersion: entry.apiVersion,
        ...(entry.time === "" ? {} : { time: entry.time }),
        fieldsType: "FieldsV1",
        fieldsV1: encodeFields(entry.fields),
        ...(entry.subresource === "" ? {} : { subresource: entry.subresource }),
      }),
    );
  return entries;
}

function text(value: MutableJson | undefined): string {
  return typeof value === "string" ? value : "";
}

const unowned = new Set([
  "name",
  "namespace",
  "uid",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "generation",
  "managedFields",
  "resourceVersion",
  "selfLink",
]);

/** The part of an object whose fields have owners. */
export function ownable(object: Mutable): Mutable {
  const { apiVersion: _apiVersion, kind: _kind, metadata, ...rest } = object;
  const result: Mutable = rest;
  if (isObject(metadata)) {
    const kept = Object.entries(metadata).filter(([name]) => !unowned.has(name));
    if (kept.length > 0) result.metadata = Object.fromEntries(kept);
  }
  return result;
}

export function isSameManager(entry: FieldManager, writer: Writer, operation: FieldManager["operation"]): boolean {
  const sameVersion = operation === "Apply" || entry.apiVersion === writer.apiVersion;
  return entry.manager === writer.manager && entry.operation === operation && entry.subresource === writer.subresource && sameVersion;
}

/** The owners after a request that is no apply: the writer owns what it changed, others lose it. */
export function trackUpdate(
  schema: Schema,
  managers: readonly FieldManager[],
  before: Mutable | undefined,
  after: Mutable,
  writer: Writer,
): readonly FieldManager[] {
  const { changed, removed } = compareFields(schema, before === undefined ? {} : ownable(before), ownable(after));
  if (isEmptySet(changed) && isEmptySet(removed)) return managers;
  const gone = union(changed, removed);
  const others: FieldManager[] = [];
  let own: FieldSet = changed;
  for (const entry of managers) {
    if (isSameManager(entry, writer, "Update")) own = union(subtract(entry.fields, removed), own);
    else others.push({ ...entry, fields: subtract(entry.fields, gone) });
  }
  return limitManagers([...others, { ...writer, operation: "Update", fields: { ...own, self: false } }]);
}

function limitManagers(managers: readonly FieldManager[]): readonly FieldManager[] {
  const kept = managers.filter(({ fields }) => !isEmptySet(fields));
  const updates = kept.filter(({ operation }) => operation === "Update");
  if (updates.length <= updateManagersMax) return kept;
  const oldest = updates.toSorted((left, right) => left.time.localeCompare(right.time)).slice(0, updates.length - updateManagersMax + 1);
  const [first] = oldest;
  if (first === undefined) return kept;
  const merged: FieldManager = { ...first, manager: ancient, fields: oldest.map(({ fields }) => fields).reduce(union) };
  return [merged, ...kept.filter((entry) => !oldest.includes(entry))];
}
