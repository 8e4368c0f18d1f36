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
    return [...target, ...added.map((item) => structuredClone(item))];
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
  return Array.isArray(order) ? orderItems(result, order, (item) => (isObject(item) ? item[key] : undefined), key) : result;
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
    result[name] = orderItems(list, order, (item) => (key !== undefined && isObject(item) ? item[key] : item), key);
  }
}

/** Items named by the order come in that order; the others stay where they were among them, behind their former neighbour. */
function orderItems(
  items: readonly MutableJson[],
  order: readonly MutableJson[],
  identity: (item: MutableJson) => MutableJson | undefined,
  key: string | undefined,
): MutableJson[] {
  const wanted = order.map((entry) => JSON.stringify(key !== undefined && isObject(entry) ? entry[key] : entry));
  const rank = new Map(wanted.map((entry, index) => [entry, index]));
  const ordered = items
    .filter((item) => rank.has(JSON.stringify(identity(item))))
    .sort((left, right) => (rank.get(JSON.stringify(identity(left))) ?? 0) - (rank.get(JSON.stringify(identity(right))) ?? 0));
  const result = [...ordered];
  for (const [index, item] of items.entries()) {
    if (rank.has(JSON.stringify(identity(item)))) continue;
    const neighbour = index === 0 ? -1 : result.indexOf(items[index - 1] as MutableJson);
    result.splice(neighbour + 1, 0, item);
  }
  return result;
}

function withoutDirectives(patch: Mutable): Mutable {
  return Object.fromEntries(
    Object.entries(patch)
      .filter(([name]) => !name.startsWith("$"))
      .map(([name, value]) => [name, isObject(value) ? withoutDirectives(value) : value]),
  );
}
