import type { Problem } from "./problem.ts";
import { ruleProblems } from "./rule.ts";
import { isObject, type Mutable, type MutableJson, type Schema } from "./schema.ts";
import { checkValue } from "./value.ts";

export interface Conformance {
  /** Paths of the fields that the schema does not know. They were dropped. */
  readonly unknown: readonly string[];
  readonly problems: readonly Problem[];
}

/** More than this is no help to a reader. */
const reportedMax = 64;

export interface ConformOptions {
  readonly nullIsAbsent: boolean;
  /** False: only unknown fields are dropped. */
  readonly fillsDefaults?: boolean;
  /** The object before the change, for rules that compare. */
  readonly previous?: unknown;
}

/**
 * Brings an object into the shape of its schema, in place: unknown fields are dropped, missing ones get their defaults, and what is
 * wrong is listed. Built-in kinds take `null` for absent; custom resources do so only where a default fills the gap.
 */
export function conform(schema: Schema, object: Mutable, options: ConformOptions): Conformance {
  const walk = new Walk(options);
  walk.object(schema, object, "", options.previous);
  return { unknown: walk.unknown, problems: walk.problems };
}

class Walk {
  readonly unknown: string[] = [];
  readonly problems: Problem[] = [];
  readonly #nullIsAbsent: boolean;
  readonly #fillsDefaults: boolean;

  constructor(options: ConformOptions) {
    this.#nullIsAbsent = options.nullIsAbsent;
    this.#fillsDefaults = options.fillsDefaults ?? true;
  }

  value(schema: Schema, value: MutableJson, path: string, previous: unknown): void {
    if (value === null && schema.nullable === true) return;
    const found = checkValue(schema, value, path);
    for (const problem of found) this.#report(problem);
    if (isObject(value)) this.object(schema, value, path, previous);
    else if (Array.isArray(value)) this.#array(schema, value, path, previous);
    else if (found.length === 0) this.#rules(schema, value, path, previous);
  }

  object(schema: Schema, object: Mutable, path: string, previous: unknown): void {
    const problemsBefore = this.problems.length;
    if (this.#fillsDefaults) this.#fillDefaults(schema, object);
    const before = isObject(previous) ? previous : undefined;
    for (const name of Object.keys(object)) {
      const value = object[name];
      const member = this.#memberSchema(schema, name);
      const memberPath = path === "" ? name : `${path}.${name}`;
      if (member === undefined) {
        delete object[name];
        if (this.unknown.length < reportedMax) this.unknown.push(memberPath);
      } else if (value === null && this.#nullIsAbsent) delete object[name];
      else if (value !== undefined && member !== true) this.value(member, value, memberPath, before?.[name]);
    }
    for (const name of schema.required ?? []) {
      if (object[name] !== undefined) continue;
      this.#report({ reason: "FieldValueRequired", path: path === "" ? name : `${path}.${name}`, message: "Required value" });
    }
    if (this.problems.length === problemsBefore) this.#rules(schema, object, path, previous);
  }

  #array(schema: Schema, array: MutableJson[], path: string, previous: unknown): void {
    const { items } = schema;
    const problemsBefore = this.problems.length;
    const before = Array.isArray(previous) ? previous : undefined;
    if (items !== undefined) for (const [index, item] of array.entries()) this.value(items, item, `${path}[${index}]`, before?.[index]);
    if (this.problems.length === problemsBefore) this.#rules(schema, array, path, previous);
  }

  /** True: anything goes there and nobody looks inside. */
  #memberSchema(schema: Schema, name: string): Schema | true | undefined {
    const own = schema.properties;
    if (own !== undefined && Object.hasOwn(own, name)) return own[name];
    const rest = schema.additionalProperties;
    if (typeof rest === "object") return rest;
    return rest === true || schema["x-kubernetes-preserve-unknown-fields"] === true ? true : undefined;
  }

  #fillDefaults(schema: Schema, object: Mutable): void {
    for (const name in schema.properties) {
      const member = schema.properties[name];
      if (member?.default === undefined) continue;
      const value = object[name];
      if (value === undefined || (value === null && member.nullable !== true))
        object[name] = structuredClone(member.default) as MutableJson;
    }
  }

  #rules(schema: Schema, value: MutableJson, path: string, previous: unknown): void {
    const rules = schema["x-kubernetes-validations"];
    if (rules !== undefined) for (const problem of ruleProblems(rules, value, previous, path)) this.#report(problem);
  }

  #report(problem: Problem): void {
    if (this.problems.length < reportedMax) this.problems.push(problem);
  }
}
