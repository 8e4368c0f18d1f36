import { isDeepStrictEqual } from "node:util";
import { anything, isObject, type Mutable, type MutableJson, propertySchema, type Schema } from "../schema/schema.ts";
import { PatchError } from "./json-patch.ts";

const deleteItems = "$deleteFromPrimitiveList/";
const setOrder = "$setElementOrder/";
const retainKeys = "$retainKeys";

/**
 * The strategic merge patch of the built-in kinds: like a merge patch, but lists whose schema names a merge key are merged item by item,
 * and the directives `$patch`, `$retainKeys`, `$deleteFromPrimitiveList/x` and `$setElementOrder/x` are obeyed. Neither argument is changed.
 */
export function applyStrategicMergePatch(schema: Schema, target: Mutable, patch: Mutable): Mutable {
  return mergeObject(schema, target, patch, "") ?? {};
}

/** Undefined: the patch asks for the object to be deleted. */
function mergeObject(schema: Schema, target: Mutable, patch: Mutable, path: string): Mutable | undefined {
  const directive = patch.$patch;
  if (directive === "delete") return undefined;
  if (directive === "replace") return withoutDirectives(patch);
  if (directive !== undefined && directive !== "merge") throw new PatchError(`${path}: "$patch" must be merge, replace or delete`);
  let result: Mutable = { ...target };
  const kept = patch[retainKeys];
  if (Array.isArray(kept)) result = Object.fromEntries(Object.entries(result).filter(([name]) => kept.includes(name)));
  for (const [name, value] of Object.entries(patch)) {
    if (name === "$patch" || name === retainKeys || name.startsWith(setOrder)) continue;
    if (name.startsWith(deleteItems)) {
      deletePrimitives(result, name.slice(deleteItems.length), value);
      continue;
    }
    mergeMember(result, schema, name, value, patch, path === "" ? name : `${path}.${name}`);
  }
  orderLists(result, schema, patch);
  return result;
}

function mergeMember(result: Mutable, schema: Schema, name: string, value: MutableJson, patch: Mutable, path: string): void {
  const member = propertySchema(schema, name) ?? anything;
  const before = result[name];
  if (value === null) delete result[name];
  else if (isObject(value)) {
    const merged = mergeObject(member, isObject(before) ? before : {}, value, path);
    if (merged === undefined) delete result[name];
    else result[name] = merged;
  } else if (Array.isArray(value) && mergesLists(member)) {
    result[name] = mergeList(member, Array.isArray(before) ? before : [], value, patch[setOrder + name], path);
  } else result[name] = value;
}

function mergesLists(schema: Schema): boolean {
  return schema["x-kubernetes-patch-strategy"]?.split(",").includes("merge") === true;
}

function mergeList(
  schema: Schema,
  target: readonly MutableJson[],
  patch: readonly MutableJson[],
  order: unknown,
  path: string,
): MutableJson[] {
  const key = schema["x-kubernetes-patch-merge-key"];
  if (key === undefined) {
    const added = patch.filter((item) => !target.some((present) => isDeepStrictEqual(present, item)));
    return orderItems([...target, ...added.map((item) => structuredClone(item))], Array.isArray(order) ? order : patch, target, key);
  }
  if (patch.some((item) => isObject(item) && item.$patch === "replace" && item[key] === undefined)) {
    return patch.filter((item) => !(isObject(item) && item.$patch === "replace" && Object.keys(item).length === 1));
  }
  const result = [...target];
  for (const item of patch) {
    if (!isObject(item) || item[key] === undefined)
      throw new PatchError(`${path}: every item of the patch needs "${key}", by which the list is merged`);
    const index = result.findIndex((present) => isObject(present) && present[key] === item[key]);
    const present = result[index];
    const merged = mergeObject(schema.items ?? anything, isObject(present) ? present : {}, item, `${path}[${key}=${String(item[key])}]`);
    if (merged === undefined) {
      if (index >= 0) result.splice(index, 1);
    } else if (index >= 0) result[index] = merged;
    else result.push(merged);
  }
  return orderItems(result, Array.isArray(order) ? order : patch, target, key);
}

function deletePrimitives(result: Mutable, name: string, removed: MutableJson): void {
  const list = result[name];
  if (Array.isArray(list) && Array.isArray(removed))
    result[name] = list.filter((item) => !removed.some((one) => isDeepStrictEqual(one, item)));
}

/** Lists that the patch only orders, or that hold plain values. */
function orderLists(result: Mutable, schema: Schema, patch: Mutable): void {
  for (const [directive, order] of Object.entries(patch)) {
    if (!directive.startsWith(setOrder) || !Array.isArray(order)) continue;
    const name = directive.slice(setOrder.length);
    const list = result[name];
    if (!Array.isArray(list)) continue;
    const key = propertySchema(schema, name)?.["x-kubernetes-patch-merge-key"];
    result[name] = orderItems(list, order, list, key);
  }
}

/**
 * Items named by the order come in that order, the others in the order that they had. Between the two kinds what stood in front before
 * stays in front, and what is new comes before what is not named: so Kubernetes does it.
 */
function orderItems(
  items: readonly MutableJson[],
  order: readonly MutableJson[],
  before: readonly MutableJson[],
  key: string | undefined,
): MutableJson[] {
  const identity = (item: MutableJson): string => JSON.stringify(key !== undefined && isObject(item) ? item[key] : item);
  const ranks = (list: readonly MutableJson[]) => new Map(list.map((item, index) => [identity(item), index]));
  const [wanted, former] = [ranks(order), ranks(before)];
  const sorted = (list: readonly MutableJson[], by: ReadonlyMap<string, number>) =>
    list.toSorted((left, right) => (by.get(identity(left)) ?? 0) - (by.get(identity(right)) ?? 0));
  const { named = [], others = [] } = Object.groupBy(items, (item) => (wanted.has(identity(item)) ? "named" : "others"));
  const [rest, first] = [sorted(others, former), sorted(named, wanted)];
  const result: MutableJson[] = [];
  for (const item of rest) {
    const place = former.get(identity(item));
    while (first.length > 0) {
      const next = former.get(identity(first[0] as MutableJson));
      if (place !== undefined && next !== undefined && place < next) break;
      result.push(...first.splice(0, 1));
    }
    result.push(item);
  }
  return [...result, ...first];
}

function withoutDirectives(patch: Mutable): Mutable {
  return Object.fromEntries(
    Object.entries(patch)
      .filter(([name]) => !name.startsWith("$"))
      .map(([name, value]) => [name, isObject(value) ? withoutDirectives(value) : value]),
  );
}
