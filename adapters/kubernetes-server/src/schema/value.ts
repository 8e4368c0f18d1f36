import { isDeepStrictEqual } from "node:util";
import { formatMatches } from "./format.ts";
import { patternMatches } from "./pattern.ts";
import { invalid, type Problem, shown } from "./problem.ts";
import { isObject, type MutableJson, type Schema } from "./schema.ts";

/** What is wrong with one value itself, not with its members. */
export function checkValue(schema: Schema, value: MutableJson, path: string): readonly Problem[] {
  const wrongType = typeProblem(schema, value, path);
  if (wrongType !== undefined) return [wrongType];
  const problems: Problem[] = [];
  if (typeof value === "string") checkString(schema, value, path, problems);
  else if (typeof value === "number") checkNumber(schema, value, path, problems);
  else if (Array.isArray(value)) checkArray(schema, value, path, problems);
  else if (isObject(value)) checkObject(schema, value, path, problems);
  if (schema.enum !== undefined && !schema.enum.some((allowed) => isDeepStrictEqual(allowed, value))) {
    const supported = schema.enum.map(shown).join(", ");
    problems.push({
      reason: "FieldValueNotSupported",
      path,
      message: `Unsupported value: ${shown(value)}: supported values: ${supported}`,
    });
  }
  checkCombinations(schema, value, path, problems);
  return problems;
}

function typeProblem(schema: Schema, value: MutableJson, path: string): Problem | undefined {
  if (schema["x-kubernetes-int-or-string"] === true) {
    if (typeof value === "string" || typeof value === "number") return undefined;
    return wrongType(path, value, "integer,string");
  }
  if (schema.type === undefined || hasType(schema.type, value)) return undefined;
  return wrongType(path, value, schema.type);
}

function hasType(type: NonNullable<Schema["type"]>, value: MutableJson): boolean {
  switch (type) {
    case "array":
      return Array.isArray(value);
    case "object":
      return isObject(value);
    case "integer":
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function wrongType(path: string, value: MutableJson, wanted: string): Problem {
  const found = value === null ? "null" : Array.isArray(value) ? "array" : Number.isInteger(value) ? "integer" : typeof value;
  const message = `Invalid value: "${found}": ${path || "the object"} in body must be of type ${wanted}: "${found}"`;
  return { reason: "FieldValueTypeInvalid", path, message };
}

function checkString(schema: Schema, value: string, path: string, problems: Problem[]): void {
  const { minLength, maxLength, pattern, format } = schema;
  if (minLength !== undefined && value.length < minLength) {
    problems.push(invalid(path, value, `${path} in body should be at least ${minLength} chars long`));
  }
  if (maxLength !== undefined && value.length > maxLength && [...value].length > maxLength) {
    problems.push({ reason: "FieldValueTooLong", path, message: `Too long: may not be more than ${maxLength} bytes` });
    return;
  }
  if (pattern !== undefined && !patternMatches(pattern, value)) {
    // A pattern tells few readers what is meant; where the field has a description, that does.
    const meaning = schema.description === undefined ? "" : ` (${schema.description})`;
    problems.push(invalid(path, value, `${path} in body should match '${pattern}'${meaning}`));
  }
  if (format !== undefined && value !== "" && !formatMatches(format, value)) {
    problems.push(invalid(path, value, `${path} in body must be of type ${format}: ${shown(value)}`));
  }
}

function checkNumber(schema: Schema, value: number, path: string, problems: Problem[]): void {
  const { minimum, maximum, multipleOf, format } = schema;
  if (minimum !== undefined && (value < minimum || (schema.exclusiveMinimum === true && value === minimum))) {
    const bound = schema.exclusiveMinimum === true ? "greater than" : "greater than or equal to";
    problems.push(invalid(path, value, `${path} in body should be ${bound} ${minimum}`));
  }
  if (maximum !== undefined && (value > maximum || (schema.exclusiveMaximum === true && value === maximum))) {
    const bound = schema.exclusiveMaximum === true ? "less than" : "less than or equal to";
    problems.push(invalid(path, value, `${path} in body should be ${bound} ${maximum}`));
  }
  if (multipleOf !== undefined && value % multipleOf !== 0) {
    problems.push(invalid(path, value, `${path} in body should be a multiple of ${multipleOf}`));
  }
  if (format === "int32" && (value < -(2 ** 31) || value >= 2 ** 31)) {
    problems.push(invalid(path, value, `${path} in body must be of type int32: ${shown(String(value))}`));
  }
}

function checkArray(schema: Schema, value: readonly MutableJson[], path: string, problems: Problem[]): void {
  const { minItems, maxItems } = schema;
  if (minItems !== undefined && value.length < minItems) {
    problems.push(invalid(path, value.length, `${path} in body should have at least ${minItems} items`));
  }
  if (maxItems !== undefined && value.length > maxItems) {
    problems.push({ reason: "FieldValueTooMany", path, message: `Too many: ${value.length}: must have at most ${maxItems} items` });
    return;
  }
  const keys = schema["x-kubernetes-list-map-keys"];
  if (schema["x-kubernetes-list-type"] === "map" && keys !== undefined) {
    checkUnique(value, (item) => (isObject(item) ? keys.map((key) => item[key] ?? null) : undefined), path, problems);
  } else if (schema["x-kubernetes-list-type"] === "set" || schema.uniqueItems === true) checkUnique(value, (item) => item, path, problems);
}

function checkUnique(
  array: readonly MutableJson[],
  identity: (item: MutableJson) => MutableJson | undefined,
  path: string,
  problems: Problem[],
): void {
  const seen = new Set<string>();
  for (const [index, item] of array.entries()) {
    const key = JSON.stringify(identity(item));
    if (key === undefined) continue;
    if (seen.has(key))
      problems.push({ reason: "FieldValueDuplicate", path: `${path}[${index}]`, message: `Duplicate value: ${shown(item)}` });
    seen.add(key);
  }
}

function checkObject(schema: Schema, value: object, path: string, problems: Problem[]): void {
  const { minProperties, maxProperties } = schema;
  if (minProperties === undefined && maxProperties === undefined) return;
  const count = Object.keys(value).length;
  if (minProperties !== undefined && count < minProperties) {
    problems.push(invalid(path, count, `${path} in body should have at least ${minProperties} properties`));
  }
  if (maxProperties !== undefined && count > maxProperties) {
    problems.push({ reason: "FieldValueTooMany", path, message: `Too many: ${count}: must have at most ${maxProperties} items` });
  }
}

/** `allOf`, `anyOf`, `oneOf` and `not` may only narrow what the structural part says. */
function checkCombinations(schema: Schema, value: MutableJson, path: string, problems: Problem[]): void {
  for (const part of schema.allOf ?? []) problems.push(...checkDeep(part, value, path));
  const matches = (part: Schema) => checkDeep(part, value, path).length === 0;
  if (schema.anyOf !== undefined && !schema.anyOf.some(matches)) {
    problems.push(invalid(path, value, `${path} in body must validate at least one schema (anyOf)`));
  }
  if (schema.oneOf !== undefined && schema.oneOf.filter(matches).length !== 1) {
    problems.push(invalid(path, value, `${path} in body must validate one and only one schema (oneOf)`));
  }
  if (schema.not !== undefined && matches(schema.not))
    problems.push(invalid(path, value, `${path} in body must not validate the schema (not)`));
}

function checkDeep(schema: Schema, value: MutableJson, path: string): readonly Problem[] {
  const problems = [...checkValue(schema, value, path)];
  if (isObject(value)) {
    for (const name of schema.required ?? []) {
      if (value[name] === undefined) problems.push({ reason: "FieldValueRequired", path: `${path}.${name}`, message: "Required value" });
    }
    for (const [name, member] of Object.entries(schema.properties ?? {})) {
      const inner = value[name];
      if (inner !== undefined) problems.push(...checkDeep(member, inner, `${path}.${name}`));
    }
  } else if (Array.isArray(value) && schema.items !== undefined) {
    for (const [index, item] of value.entries()) problems.push(...checkDeep(schema.items, item, `${path}[${index}]`));
  }
  return problems;
}
