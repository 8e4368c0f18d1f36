import { isDeepStrictEqual } from "node:util";
import { anything, isObject, type MutableJson, propertySchema, type Schema } from "../schema/schema.ts";

/**
 * A set of fields of an object, as a tree: the keys of a node are path elements as `managedFields` writes them (`f:name`, `k:{"name":"x"}`,
 * `v:"x"`). A node without children is a field of the set; one with children is in it only when `self` is true (written as `.`).
 */
export interface FieldSet {
  readonly self: boolean;
  readonly children: ReadonlyMap<string, FieldSet>;
}

const none: ReadonlyMap<string, FieldSet> = new Map();
export const noFields: FieldSet = { self: false, children: none };
const oneField: FieldSet = { self: true, children: none };

export function isEmptySet(set: FieldSet): boolean {
  return !set.self && set.children.size === 0;
}

/** How the schema lets an array be owned: as a whole, by its items' keys, or by its values. */
type Ownership = "whole" | "members" | "keyed" | "values";

function ownership(schema: Schema, value: MutableJson): Ownership {
  if (Array.isArray(value)) {
    const type = schema["x-kubernetes-list-type"];
    if (type === "map" && value.every(isObject)) return "keyed";
    return type === "set" ? "values" : "whole";
  }
  return isObject(value) && schema["x-kubernetes-map-type"] !== "atomic" ? "members" : "whole";
}

/** The key of an item of a keyed list, with defaults of the schema where the item leaves a key out. */
export function itemKey(schema: Schema, item: MutableJson): string {
  const fields = isObject(item) ? item : {};
  const key: Record<string, MutableJson> = {};
  for (const name of schema["x-kubernetes-list-map-keys"]?.toSorted() ?? []) {
    const value = fields[name] ?? (schema.items?.properties?.[name]?.default as MutableJson | undefined);
    if (value !== undefined) key[name] = value;
  }
  return `k:${JSON.stringify(key)}`;
}

/** The members of a value by path element, or undefined when it is owned as a whole. */
export function membersOf(
  schema: Schema,
  value: MutableJson,
): Map<string, { readonly schema: Schema; readonly value: MutableJson }> | undefined {
  const kind = ownership(schema, value);
  if (kind === "whole") return undefined;
  const members = new Map<string, { schema: Schema; value: MutableJson }>();
  if (kind === "members" && isObject(value)) {
    for (const name in value) members.set(`f:${name}`, { schema: propertySchema(schema, name) ?? anything, value: value[name] ?? null });
  } else if (Array.isArray(value)) {
    const items = schema.items ?? anything;
    for (const item of value)
      members.set(kind === "keyed" ? itemKey(schema, item) : `v:${JSON.stringify(item)}`, { schema: items, value: item });
  }
  return members;
}

/** Every field that the value sets. Items of keyed lists and sets are fields of their own. */
export function fieldsOf(schema: Schema, value: MutableJson, isItem = false): FieldSet {
  const members = membersOf(schema, value);
  if (members === undefined || members.size === 0) return oneField;
  const children = new Map<string, FieldSet>();
  for (const [element, member] of members) {
    const set = element.startsWith("v:") ? oneField : fieldsOf(member.schema, member.value, element.startsWith("k:"));
    children.set(element, set);
  }
  return { self: isItem, children };
}

export interface Difference {
  /** Fields that are new or have another value. */
  readonly changed: FieldSet;
  /** Fields that are gone. */
  readonly removed: FieldSet;
}

const noDifference: Difference = { changed: noFields, removed: noFields };

export function compareFields(schema: Schema, before: MutableJson | undefined, after: MutableJson | undefined, isItem = false): Difference {
  if (before === undefined) return after === undefined ? noDifference : { changed: addedFields(schema, after, isItem), removed: noFields };
  if (after === undefined) return { changed: noFields, removed: addedFields(schema, before, isItem) };
  if (before === after) return noDifference;
  const old = membersOf(schema, before);
  const now = membersOf(schema, after);
  if (old === undefined || now === undefined) {
    return isDeepStrictEqual(before, after) ? noDifference : { changed: oneField, removed: noFields };
  }
  const changed = new Map<string, FieldSet>();
  const removed = new Map<string, FieldSet>();
  for (const element of new Set([...old.keys(), ...now.keys()])) {
    const member = now.get(element) ?? old.get(element);
    if (member === undefined) continue;
    const inner = element.startsWith("v:")
      ? compareValues(old.has(element), now.has(element))
      : compareFields(member.schema, old.get(element)?.value, now.get(element)?.value, element.startsWith("k:"));
    if (!isEmptySet(inner.changed)) changed.set(element, inner.changed);
    if (!isEmptySet(inner.removed)) removed.set(element, inner.removed);
  }
  return { changed: { self: false, children: changed }, removed: { self: false, children: removed } };
}

function compareValues(before: boolean, after: boolean): Difference {
  if (before === after) return noDifference;
  return after ? { changed: oneField, removed: noFields } : { changed: noFields, removed: oneField };
}

/** Everything in a value that appeared or went, the value itself included. */
function addedFields(schema: Schema, value: MutableJson, isItem: boolean): FieldSet {
  const fields = fieldsOf(schema, value, isItem);
  return { self: true, children: fields.children };
}

export function union(left: FieldSet, right: FieldSet): FieldSet {
  if (isEmptySet(left)) return right;
  if (isEmptySet(right)) return left;
  const children = new Map(left.children);
  for (const [element, set] of right.children) children.set(element, union(children.get(element) ?? noFields, set));
  return { self: left.self || right.self, children };
}

/** What of the left is not in the right. A field of the right takes everything of the left below it only where `deep` says so. */
export function subtract(left: FieldSet, right: FieldSet): FieldSet {
  if (isEmptySet(right)) return left;
  const children = new Map<string, FieldSet>();
  for (const [element, set] of left.children) {
    const other = right.children.get(element);
    const rest = other === undefined ? set : subtract(set, other);
    if (!isEmptySet(rest)) children.set(element, rest);
  }
  return { self: left.self && !right.self, children };
}

export function intersect(left: FieldSet, right: FieldSet): FieldSet {
  const children = new Map<string, FieldSet>();
  for (const [element, set] of left.children) {
    const other = right.children.get(element);
    const both = other === undefined ? noFields : intersect(set, other);
    if (!isEmptySet(both)) children.set(element, both);
  }
  return { self: left.self && right.self, children };
}

/** The set without everything at or below one path. */
export function without(set: FieldSet, path: readonly string[]): FieldSet {
  const [element, ...rest] = path;
  if (element === undefined) return noFields;
  const child = set.children.get(element);
  if (child === undefined) return set;
  const children = new Map(set.children);
  const inner = without(child, rest);
  if (isEmptySet(inner)) children.delete(element);
  else children.set(element, inner);
  return { self: set.self, children };
}

/** Paths such as `.spec.ports[name="web"].port`, at most so many. */
export function describeFields(set: FieldSet, limit: number, path = ""): string[] {
  const found: string[] = set.self && path !== "" ? [path] : [];
  for (const [element, child] of set.children) {
    if (found.length >= limit) break;
    found.push(...describeFields(child, limit - found.length, path + describeElement(element)));
  }
  return found;
}

function describeElement(element: string): string {
  const text = element.slice(2);
  if (element.startsWith("f:")) return `.${text}`;
  if (element.startsWith("v:")) return `[=${text}]`;
  const key = JSON.parse(text) as Record<string, unknown>;
  return `[${Object.entries(key)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(",")}]`;
}

/** As `fieldsV1` of `managedFields`. */
export function encodeFields(set: FieldSet): Record<string, MutableJson> {
  const fields: Record<string, MutableJson> = {};
  if (set.self && set.children.size > 0) fields["."] = {};
  for (const [element, child] of set.children) fields[element] = encodeFields(child);
  return fields;
}

export function decodeFields(fields: MutableJson | undefined, isRoot = true): FieldSet {
  if (!isObject(fields)) return noFields;
  const children = new Map<string, FieldSet>();
  let self = false;
  for (const [element, child] of Object.entries(fields)) {
    if (element === ".") self = true;
    else if (/^[fkv]:/.test(element)) children.set(element, decodeFields(child, false));
  }
  return { self: self || (!isRoot && children.size === 0), children };
}
