import type { FieldSchema, PolicySchema } from "@cilium-ts/service-map/view";
import type { YamlPlace } from "./yaml-place.ts";

/** What may be written at a place. */
export interface FieldChoice {
  readonly text: string;
  readonly what: "key" | "value" | "policy";
  /** `list of objects, required`. */
  readonly detail: string;
  readonly description: string;
  /** What is put in. Further lines are indented as the place is. */
  readonly insert: string;
}

/** Root of a document whose kind is not known yet. */
const anyObject: FieldSchema = {
  type: "object",
  required: ["apiVersion", "kind", "metadata", "spec"],
  properties: { apiVersion: { type: "string" }, kind: { type: "string" }, metadata: { type: "object" }, spec: { type: "object" } },
};

export function choicesAt(place: YamlPlace, schemas: readonly PolicySchema[]): readonly FieldChoice[] {
  const { at, path, key, siblings, apiVersion, kind } = place;
  if (at === "value" && path.length === 0 && (key === "kind" || key === "apiVersion")) {
    const others = schemas.filter((schema) => key === "kind" || kind === "" || schema.kind === kind);
    return [...new Set(others.map((schema) => schema[key]))].map((text) => valueChoice(text, ""));
  }
  const schema = fieldAt(place, schemas);
  if (schema === undefined) return [];
  if (at === "value") return valuesOf(schema.properties?.[key] ?? schema.additionalProperties);
  const isNew = path.length === 0 && siblings.length === 0 && kind === "" && apiVersion === "";
  if (schema.properties === undefined) return valuesOf(schema);
  const isRequired = new Set(schema.required);
  const keys = Object.entries(schema.properties)
    .filter(([name]) => !siblings.includes(name))
    .map(([name, field]) => keyChoice(name, field, isRequired.has(name)));
  return [...(isNew ? schemas.map(policyChoice) : []), ...keys];
}

/** The schema of the map or item at the place; undefined where none is known. */
export function fieldAt({ path, apiVersion, kind }: YamlPlace, schemas: readonly PolicySchema[]): FieldSchema | undefined {
  const known = schemas.find((schema) => schema.kind === kind && (apiVersion === "" || schema.apiVersion === apiVersion));
  let schema: FieldSchema | undefined = known?.schema ?? anyObject;
  for (const step of path) schema = step === "[]" ? schema?.items : (schema?.properties?.[step] ?? schema?.additionalProperties);
  return schema;
}

/** `list of objects`, `text`, `one of TCP, UDP`. */
export function fieldTypeText(field: FieldSchema): string {
  if (field.enum !== undefined) return `one of ${field.enum.map(String).join(", ")}`;
  if (field.type === "array") return field.items === undefined ? "list" : `list of ${pluralOf(field.items)}`;
  return names[field.type ?? ""] ?? field.type ?? "anything";
}

const names: Readonly<Record<string, string>> = { string: "text", boolean: "true or false", integer: "number", object: "object" };

function pluralOf(items: FieldSchema): string {
  if (items.enum !== undefined) return fieldTypeText(items);
  return ({ object: "objects", string: "texts", integer: "numbers" } as const)[items.type ?? ""] ?? "values";
}

function keyChoice(name: string, field: FieldSchema, isRequired: boolean): FieldChoice {
  const detail = `${fieldTypeText(field)}${isRequired ? ", required" : ""}`;
  return { text: name, what: "key", detail, description: field.description ?? "", insert: `${name}:${openingOf(field)}` };
}

/** A list begins its first item, a map its first key. */
function openingOf(field: FieldSchema): string {
  if (field.type === "array") return "\n  - ";
  return field.type === "object" ? "\n  " : " ";
}

function valuesOf(field: FieldSchema | undefined): FieldChoice[] {
  if (field === undefined) return [];
  const values = field.enum ?? (field.type === "boolean" ? [true, false] : field.default === undefined ? [] : [field.default]);
  return values.map((value) => valueChoice(String(value), value === field.default ? "as without it" : ""));
}

function valueChoice(text: string, detail: string): FieldChoice {
  return { text, what: "value", detail, description: "", insert: text };
}

/** A whole object, to go on from. */
function policyChoice({ apiVersion, kind, schema }: PolicySchema): FieldChoice {
  const isNamespaced = schema.properties?.metadata?.properties?.namespace !== undefined;
  const place = isNamespaced ? "\n  namespace: default" : "";
  const insert = `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata:\n  name: new${place}\nspec:\n  `;
  return { text: kind, what: "policy", detail: apiVersion, description: schema.description ?? "", insert };
}
