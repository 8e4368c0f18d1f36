import { builtinResources } from "../resources/builtin.ts";
import { definedResources } from "../resources/definition.ts";
import { apiVersionOf } from "../resources/resource.ts";
import type { Json, Mutable, Schema } from "../schema/schema.ts";

/** What an editor needs of a schema: which fields there are, what they mean, and which values they take. */
export interface FieldSchema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, FieldSchema>>;
  /** Of any other field. */
  readonly additionalProperties?: FieldSchema;
  readonly items?: FieldSchema;
  readonly required?: readonly string[];
  readonly enum?: readonly Json[];
  readonly default?: Json;
}

export interface KindSchema {
  readonly apiVersion: string;
  readonly kind: string;
  readonly schema: FieldSchema;
}

/** What people write of an object's metadata; the rest is the server's. */
const writtenMetadata: readonly string[] = ["name", "namespace", "labels", "annotations"];

/** The schemas by which a server with these CustomResourceDefinitions judges objects of some kinds, as far as people write such objects. */
export function kindSchemas(definitions: readonly Mutable[], kinds: readonly string[]): KindSchema[] {
  return [...builtinResources, ...definitions.flatMap(definedResources)]
    .filter(({ kind, version, storageVersion }) => kinds.includes(kind) && version === storageVersion)
    .map((resource) => {
      const { properties = {}, ...root } = fieldSchema(resource.schema);
      const { status: _status, metadata = {}, ...rest } = properties;
      const written = Object.entries(metadata.properties ?? {}).filter(
        ([name]) => writtenMetadata.includes(name) && (name !== "namespace" || resource.isNamespaced),
      );
      const schema = { ...root, properties: { ...rest, metadata: { ...metadata, properties: Object.fromEntries(written) } } };
      return { apiVersion: apiVersionOf(resource), kind: resource.kind, schema };
    });
}

function fieldSchema(schema: Schema): FieldSchema {
  const { type, description, properties, additionalProperties, items, required, enum: values, default: preset } = schema;
  return {
    ...(type !== undefined && { type }),
    ...(description !== undefined && { description }),
    ...(properties !== undefined && {
      properties: Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, fieldSchema(property)])),
    }),
    ...(typeof additionalProperties === "object" && { additionalProperties: fieldSchema(additionalProperties) }),
    ...(items !== undefined && { items: fieldSchema(items) }),
    ...(required !== undefined && { required }),
    ...(values !== undefined && { enum: values }),
    ...(preset !== undefined && { default: preset }),
  };
}
