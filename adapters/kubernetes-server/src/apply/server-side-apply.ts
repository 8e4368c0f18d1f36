import { anything, isObject, type Mutable, type MutableJson, propertySchema, type Schema } from "../schema/schema.ts";
import {
  compareFields,
  describeFields,
  type FieldSet,
  fieldsOf,
  intersect,
  isEmptySet,
  itemKey,
  membersOf,
  noFields,
  subtract,
  union,
} from "./field-set.ts";
import { type FieldManager, isSameManager, ownable, type Writer } from "./managed-fields.ts";

export interface FieldConflict {
  readonly manager: FieldManager;
  /** Such as `.spec.nodeName`. */
  readonly field: string;
}

export type ApplyResult =
  | { readonly outcome: "applied"; readonly object: Mutable; readonly managers: readonly FieldManager[] }
  | { readonly outcome: "conflict"; readonly conflicts: readonly FieldConflict[] };

const reportedConflictsMax = 32;

/**
 * Server-side apply: the configuration is what the writer wants, whole. Its fields are set, fields that it owned before and no longer names
 * go unless somebody else owns them too, and fields that others own with another value are conflicts unless the writer insists.
 */
export function applyConfiguration(
  schema: Schema,
  live: Mutable,
  managers: readonly FieldManager[],
  configuration: Mutable,
  writer: Writer,
  force: boolean,
): ApplyResult {
  const wanted = fieldsOf(schema, ownable(configuration));
  const merged = mergeObject(schema, live, configuration);
  const { changed } = compareFields(schema, ownable(live), ownable(merged));
  const isOwn = (entry: FieldManager) => isSameManager(entry, writer, "Apply");
  const conflicts = conflictsOf(
    managers.filter((entry) => !isOwn(entry)),
    changed,
  );
  if (conflicts.length > 0 && !force) return { outcome: "conflict", conflicts };
  const others = managers.filter((entry) => !isOwn(entry)).map((entry) => ({ ...entry, fields: subtract(entry.fields, changed) }));
  const before = managers.find(isOwn);
  const dropped = subtract(before?.fields ?? noFields, wanted);
  const kept = others.map(({ fields }) => fields).reduce(union, wanted);
  const object = isEmptySet(dropped) ? merged : removeFields(schema, merged, dropped, kept);
  const isSame = before !== undefined && isEmptySet(dropped) && isEmptySet(subtract(wanted, before.fields)) && isEmptySet(changed);
  const own: FieldManager = { ...writer, operation: "Apply", time: isSame ? before.time : writer.time, fields: wanted };
  return { outcome: "applied", object, managers: [...others.filter(({ fields }) => !isEmptySet(fields)), own] };
}

function conflictsOf(others: readonly FieldManager[], changed: FieldSet): FieldConflict[] {
  return others.flatMap((manager) =>
    describeFields(intersect(manager.fields, changed), reportedConflictsMax).map((field) => ({ manager, field })),
  );
}

function mergeObject(schema: Schema, live: Mutable, wanted: Mutable): Mutable {
  const result: Mutable = { ...live };
  for (const [name, value] of Object.entries(wanted))
    result[name] = mergeValue(propertySchema(schema, name) ?? anything, live[name], value);
  return result;
}

function mergeValue(schema: Schema, live: MutableJson | undefined, wanted: MutableJson): MutableJson {
  const isGranular = live !== undefined && membersOf(schema, live) !== undefined && membersOf(schema, wanted) !== undefined;
  if (!isGranular) return wanted;
  if (isObject(live) && isObject(wanted)) return mergeObject(schema, live, wanted);
  if (!Array.isArray(live) || !Array.isArray(wanted)) return wanted;
  const isKeyed = schema["x-kubernetes-list-type"] === "map";
  const identity = (item: MutableJson) => (isKeyed ? itemKey(schema, item) : JSON.stringify(item));
  const result = [...live];
  const index = new Map(live.map((item, position) => [identity(item), position]));
  for (const item of wanted) {
    const position = index.get(identity(item));
    if (position === undefined) result.push(item);
    else if (isKeyed) result[position] = mergeValue(schema.items ?? anything, live[position], item);
  }
  return result;
}

/** The object without the dropped fields, except what the kept set holds. Containers that become empty go too. */
function removeFields(schema: Schema, object: Mutable, dropped: FieldSet, kept: FieldSet): Mutable {
  const result: Mutable = { ...object };
  for (const [element, set] of dropped.children) {
    const name = element.slice(2);
    const value = result[name];
    if (!element.startsWith("f:") || value === undefined) continue;
    const rest = removeFrom(propertySchema(schema, name) ?? anything, value, set, kept.children.get(element));
    if (rest === undefined) delete result[name];
    else result[name] = rest;
  }
  return result;
}

function removeFrom(schema: Schema, value: MutableJson, dropped: FieldSet, kept: FieldSet | undefined): MutableJson | undefined {
  if (kept === undefined && dropped.self) return undefined;
  const keptSet = kept ?? noFields;
  let rest: MutableJson = value;
  if (isObject(value)) rest = removeFields(schema, value, dropped, keptSet);
  else if (Array.isArray(value)) rest = removeItems(schema, value, dropped, keptSet);
  const isEmptied = isObject(rest) ? Object.keys(rest).length === 0 : Array.isArray(rest) && rest.length === 0;
  return isEmptied && kept === undefined ? undefined : rest;
}

function removeItems(schema: Schema, list: readonly MutableJson[], dropped: FieldSet, kept: FieldSet): MutableJson[] {
  const isKeyed = schema["x-kubernetes-list-type"] === "map";
  const result: MutableJson[] = [];
  for (const item of list) {
    const element = isKeyed ? itemKey(schema, item) : `v:${JSON.stringify(item)}`;
    const set = dropped.children.get(element);
    const rest = set === undefined ? item : removeFrom(schema.items ?? anything, item, set, kept.children.get(element));
    if (rest !== undefined) result.push(rest);
  }
  return result;
}
