/** JSON as it travels: what a request body, a stored object and a patch are made of. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** An object of ours that may still be changed: it was parsed for this request and belongs to it. */
export type Mutable = { [key: string]: MutableJson };
export type MutableJson = null | boolean | number | string | MutableJson[] | Mutable;

export interface ValidationRule {
  readonly rule: string;
  readonly message?: string;
}

/**
 * A structural OpenAPI v3 schema as CustomResourceDefinitions have it; the built-in kinds use the same, made from our notation.
 * Unknown fields are dropped unless `x-kubernetes-preserve-unknown-fields` says otherwise.
 */
export interface Schema {
  readonly type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly enum?: readonly Json[];
  readonly default?: Json;
  readonly format?: string;
  readonly pattern?: string;
  readonly nullable?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly multipleOf?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly not?: Schema;
  readonly "x-kubernetes-int-or-string"?: boolean;
  readonly "x-kubernetes-preserve-unknown-fields"?: boolean;
  readonly "x-kubernetes-embedded-resource"?: boolean;
  readonly "x-kubernetes-list-type"?: "atomic" | "set" | "map";
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-map-type"?: "atomic" | "granular";
  readonly "x-kubernetes-patch-strategy"?: string;
  readonly "x-kubernetes-patch-merge-key"?: string;
  readonly "x-kubernetes-validations"?: readonly ValidationRule[];
  /** The component's name, such as `io.k8s.api.core.v1.PodSpec`, where the schema has one; documents refer to it by name. */
  readonly componentName?: string;
  /** The component itself, where this is one with a description or a default of the field that holds it. */
  readonly wrapped?: Schema;
}

export const anything: Schema = { "x-kubernetes-preserve-unknown-fields": true };

/** The schema of a member of an object, undefined when the object has no such field. */
export function propertySchema(schema: Schema, name: string): Schema | undefined {
  const own = schema.properties;
  if (own !== undefined && Object.hasOwn(own, name)) return own[name];
  const rest = schema.additionalProperties;
  if (typeof rest === "object") return rest;
  return rest === true || schema["x-kubernetes-preserve-unknown-fields"] === true ? anything : undefined;
}

export function isObject(value: unknown): value is Mutable {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
