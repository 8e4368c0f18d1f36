import type { Json, Schema } from "./schema.ts";

/**
 * Reads our notation for the built-in kinds:
 *
 * ```
 * PodSpec What a pod should be.
 *   containers! Container[] key=name -- The programs of the pod.
 *   dnsPolicy string enum=ClusterFirst|Default default="ClusterFirst"
 * ```
 *
 * A line at the margin opens a type, with its description; an indented line is a field: name (`!` required), type, marks, and after
 * `--` a description. Types: `string int32 int64 number bool time microtime quantity intOrString bytes object any`, another type's name,
 * `T[]`, `map:T`. Marks: `key=a,b` a list keyed by those fields, `patch=a` the one key that strategic patches use where it differs,
 * `set` a list without repeats that merges, `retain` a patch drops the fields it does not name, `atomic` owned as a whole, `enum=`, `default=` (JSON),
 * `min=`, `max=`, `format=`.
 */
export function parseSchemas(text: string, packageName: string, known: ReadonlyMap<string, Schema>): Map<string, Schema> {
  const types = new Map<string, { properties: Record<string, Schema>; required: string[]; schema: Schema }>();
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  for (const line of lines) {
    if (line.startsWith(" ")) continue;
    const [, name = "", description = ""] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
    const properties: Record<string, Schema> = {};
    const required: string[] = [];
    const schema: Schema = { type: "object", description, properties, required, componentName: `${packageName}.${name}` };
    types.set(name, { properties, required, schema });
  }
  const find = (name: string): Schema => {
    const found = types.get(name)?.schema ?? known.get(name);
    if (found === undefined) throw new Error(`the notation of ${packageName} names no type "${name}"`);
    return found;
  };
  let current: { properties: Record<string, Schema>; required: string[] } | undefined;
  for (const line of lines) {
    if (!line.startsWith(" ")) current = types.get(line.split(" ", 1)[0] ?? "");
    else if (current !== undefined) parseField(line.trim(), current, find);
  }
  return new Map([...types].map(([name, { schema }]) => [name, schema]));
}

function parseField(line: string, owner: { properties: Record<string, Schema>; required: string[] }, find: (name: string) => Schema): void {
  const [definition = "", description] = line.split(" -- ");
  const [nameMark = "", type = "", ...marks] = definition.trim().split(/\s+/);
  const name = nameMark.replace("!", "");
  if (nameMark.endsWith("!")) owner.required.push(name);
  const base = typeSchema(type, find);
  const extra = Object.assign({}, ...marks.map(markSchema), description === undefined ? {} : { description }) as Schema;
  owner.properties[name] = Object.keys(extra).length === 0 ? base : addTo(base, extra);
}

/** A named type stays the same object, so that documents can refer to it; what a field adds is wrapped around it. */
function addTo(base: Schema, extra: Schema): Schema {
  if (base.componentName === undefined) return { ...base, ...extra };
  const { description: _ofTheType, ...bare } = base;
  return { ...bare, ...extra, wrapped: base };
}

const scalars: Readonly<Record<string, Schema>> = {
  string: { type: "string" },
  int32: { type: "integer", format: "int32" },
  int64: { type: "integer", format: "int64" },
  number: { type: "number", format: "double" },
  bool: { type: "boolean" },
  time: { type: "string", format: "date-time" },
  microtime: { type: "string", format: "date-time" },
  bytes: { type: "string", format: "byte" },
  quantity: { "x-kubernetes-int-or-string": true },
  intOrString: { "x-kubernetes-int-or-string": true },
  object: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
  any: { "x-kubernetes-preserve-unknown-fields": true },
};

function typeSchema(type: string, find: (name: string) => Schema): Schema {
  if (type.endsWith("[]")) return { type: "array", items: typeSchema(type.slice(0, -2), find), "x-kubernetes-list-type": "atomic" };
  if (type.startsWith("map:")) return { type: "object", additionalProperties: typeSchema(type.slice(4), find) };
  return scalars[type] ?? find(type);
}

function markSchema(mark: string): Schema {
  const [name = "", value = ""] = mark.split(/=(.*)/s);
  switch (name) {
    case "key":
      return {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": value.split(","),
        "x-kubernetes-patch-strategy": "merge",
        "x-kubernetes-patch-merge-key": value.split(",")[0] ?? "",
      };
    case "patch":
      return { "x-kubernetes-patch-merge-key": value, "x-kubernetes-patch-strategy": "merge" };
    case "set":
      return { "x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge" };
    case "retain":
      return { "x-kubernetes-patch-strategy": "merge,retainKeys" };
    case "atomic":
      return { "x-kubernetes-map-type": "atomic" };
    case "enum":
      return { enum: value.split("|") };
    case "default":
      return { default: JSON.parse(value) as Json };
    case "min":
      return { minimum: Number(value) };
    case "max":
      return { maximum: Number(value) };
    case "format":
      return { format: value };
    default:
      throw new Error(`the notation knows no mark "${mark}"`);
  }
}
