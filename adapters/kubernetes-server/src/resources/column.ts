import { isObject, type Mutable, type MutableJson } from "../schema/schema.ts";
import { ageOf } from "./age.ts";
import { parseJsonPath, readJsonPath } from "./json-path.ts";
import type { Column } from "./resource.ts";

export const nameColumn: Column = {
  name: "Name",
  type: "string",
  format: "name",
  description: "The name of the object.",
  priority: 0,
  cell: (object) => textAt(object, "metadata", "name"),
};

export const ageColumn: Column = column("Age", (object, nowMs) => ageOf(valueAt(object, "metadata", "creationTimestamp"), nowMs));

/** A column of text. */
export function column(name: string, cell: Column["cell"], options: { priority?: number; type?: Column["type"] } = {}): Column {
  return { name, type: options.type ?? "string", description: name, priority: options.priority ?? 0, cell };
}

/** A column that a definition describes by a path. A path that is not understood gives empty cells. */
export function pathColumn(definition: Mutable): Column {
  const type = String(definition.type ?? "string") as Column["type"];
  const path = parseJsonPath(String(definition.jsonPath ?? ""));
  const cell: Column["cell"] = (object, nowMs) => {
    // Kubernetes shows the first of several values, and nothing where the value is of another type than the column.
    const [first] = path === undefined ? [] : readJsonPath(path, object);
    if (first === undefined || first === null) return null;
    switch (type) {
      case "date":
        return typeof first === "string" ? ageOf(first, nowMs) : null;
      case "integer":
        return typeof first === "number" ? Math.trunc(first) : null;
      case "number":
      case "boolean":
        return typeof first === type ? (first as number | boolean) : null;
      default:
        return cellText(first);
    }
  };
  return {
    name: String(definition.name ?? ""),
    type,
    ...(typeof definition.format === "string" && { format: definition.format }),
    description: typeof definition.description === "string" ? definition.description : String(definition.name ?? ""),
    priority: typeof definition.priority === "number" ? definition.priority : 0,
    cell,
  };
}

function cellText(value: MutableJson): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The value at a path of members; undefined when any is missing. */
export function valueAt(object: MutableJson | undefined, ...path: readonly string[]): MutableJson | undefined {
  let current = object;
  for (const name of path) current = isObject(current) && Object.hasOwn(current, name) ? current[name] : undefined;
  return current;
}

export function textAt(object: MutableJson | undefined, ...path: readonly string[]): string {
  const value = valueAt(object, ...path);
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

export function listAt(object: MutableJson | undefined, ...path: readonly string[]): Mutable[] {
  const value = valueAt(object, ...path);
  return Array.isArray(value) ? value.filter(isObject) : [];
}
