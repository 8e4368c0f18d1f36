import { createHash } from "node:crypto";
import type { Registry } from "../resources/registry.ts";
import { apiVersionOf, type Resource } from "../resources/resource.ts";
import type { Mutable, MutableJson, Schema } from "../schema/schema.ts";
import { serverVersion } from "./discovery.ts";

interface Document {
  readonly text: string;
  readonly hash: string;
}

/** OpenAPI v3, one document for each group and version; what `kubectl explain` and validation read. Made when asked for, and kept until a definition changes. */
export class OpenApi {
  readonly #registry: Registry;
  readonly #documents = new Map<string, Document>();
  #generation = -1;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** /openapi/v3 */
  index(): Mutable {
    const apiVersions = new Set(this.#registry.all().map(apiVersionOf));
    const paths: Mutable = {};
    for (const apiVersion of apiVersions) {
      const path = rootOf(apiVersion);
      const hash = this.document(apiVersion)?.hash ?? "";
      paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` };
    }
    return { paths };
  }

  document(apiVersion: string): Document | undefined {
    if (this.#generation !== this.#registry.generation) {
      this.#documents.clear();
      this.#generation = this.#registry.generation;
    }
    const known = this.#documents.get(apiVersion);
    if (known !== undefined) return known;
    const resources = this.#registry.all().filter((resource) => apiVersionOf(resource) === apiVersion);
    if (resources.length === 0) return undefined;
    const text = JSON.stringify(createDocument(resources));
    const document = { text, hash: createHash("sha256").update(text).digest("hex").slice(0, 32).toUpperCase() };
    this.#documents.set(apiVersion, document);
    return document;
  }
}

function rootOf(apiVersion: string): string {
  return apiVersion.includes("/") ? `apis/${apiVersion}` : `api/${apiVersion}`;
}

function createDocument(resources: readonly Resource[]): Mutable {
  const components: Mutable = {};
  const paths: Mutable = {};
  for (const resource of resources) {
    const name = addComponent(components, resource.schema);
    const component = components[name] as Mutable;
    component["x-kubernetes-group-version-kind"] = [kindOf(resource)];
    const listName = `${name}List`;
    components[listName] = listComponent(resource, name);
    Object.assign(paths, resourcePaths(resource, name, listName));
  }
  return {
    openapi: "3.0.0",
    info: { title: "cilium-apiserver", version: serverVersion.gitVersion },
    paths,
    components: { schemas: components },
  };
}

function kindOf(resource: Resource): Mutable {
  return { group: resource.group, version: resource.version, kind: resource.kind };
}

function reference(name: string): Mutable {
  return { $ref: `#/components/schemas/${name}` };
}

function listComponent(resource: Resource, itemName: string): Mutable {
  const { group, version, listKind } = resource;
  return {
    type: "object",
    description: `A list of objects of the kind ${resource.kind}.`,
    required: ["items"],
    properties: {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { type: "object" },
      items: { type: "array", items: reference(itemName) },
    },
    "x-kubernetes-group-version-kind": [{ group, version, kind: listKind }],
  };
}

/** Writes the schema under its name, and those that it refers to. */
function addComponent(components: Mutable, schema: Schema): string {
  const name = schema.componentName ?? "";
  if (components[name] === undefined) {
    components[name] = {};
    components[name] = writeSchema(components, schema);
  }
  return name;
}

function writeSchema(components: Mutable, schema: Schema): Mutable {
  const { componentName: _name, wrapped: _wrapped, properties, items, additionalProperties, ...rest } = schema;
  const written = structuredClone(rest) as unknown as Mutable;
  if (schema["x-kubernetes-int-or-string"] === true) written.oneOf = [{ type: "integer" }, { type: "string" }];
  if (properties !== undefined) {
    written.properties = Object.fromEntries(Object.entries(properties).map(([name, member]) => [name, writeNested(components, member)]));
  }
  if (written.required !== undefined && (written.required as MutableJson[]).length === 0) delete written.required;
  if (items !== undefined) written.items = writeNested(components, items);
  if (additionalProperties !== undefined) {
    written.additionalProperties =
      typeof additionalProperties === "boolean" ? additionalProperties : writeNested(components, additionalProperties);
  }
  return written;
}

function writeNested(components: Mutable, schema: Schema): Mutable {
  if (schema.componentName === undefined) return writeSchema(components, schema);
  const wrapped: Mutable = { allOf: [reference(addComponent(components, schema.wrapped ?? schema))] };
  if (schema.wrapped === undefined) return wrapped;
  if (schema.description !== undefined) wrapped.description = schema.description;
  if (schema.default !== undefined) wrapped.default = structuredClone(schema.default) as MutableJson;
  return wrapped;
}

function queryParameter(name: string, type: string): Mutable {
  return { name, in: "query", schema: { type, uniqueItems: true } };
}

const writeParameters = ["dryRun", "fieldManager", "fieldValidation", "pretty"].map((name) => queryParameter(name, "string"));
const patchTypes = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
const listParameters = ["labelSelector", "fieldSelector", "continue", "resourceVersion", "resourceVersionMatch"].map((name) =>
  queryParameter(name, "string"),
);

function operation(resource: Resource, action: string, component: string, more: Mutable = {}): Mutable {
  const content = { "application/json": { schema: reference(component) } };
  return {
    responses: { "200": { description: "OK", content } },
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": kindOf(resource),
    ...more,
  };
}

function resourcePaths(resource: Resource, name: string, listName: string): Mutable {
  const root = `/${rootOf(apiVersionOf(resource))}`;
  const owner = resource.isNamespaced ? `${root}/namespaces/{namespace}` : root;
  const body = (types: readonly string[]): Mutable => ({
    requestBody: { required: true, content: Object.fromEntries(types.map((type) => [type, { schema: reference(name) }])) },
    parameters: structuredClone(writeParameters),
  });
  const put = operation(resource, "put", name, body(["application/json", "application/yaml"]));
  const patch = operation(
    resource,
    "patch",
    name,
    body(resource.isCustom ? patchTypes : [...patchTypes, "application/strategic-merge-patch+json"]),
  );
  (patch.parameters as MutableJson[]).push(queryParameter("force", "boolean"));
  const paths: Mutable = {
    [`${owner}/${resource.plural}`]: {
      get: operation(resource, "list", listName, { parameters: structuredClone(listParameters) }),
      post: operation(resource, "post", name, body(["application/json", "application/yaml"])),
      delete: operation(resource, "deletecollection", name),
    },
    [`${owner}/${resource.plural}/{name}`]: {
      get: operation(resource, "get", name),
      put,
      patch,
      delete: operation(resource, "delete", name),
    },
  };
  if (resource.hasStatus) paths[`${owner}/${resource.plural}/{name}/status`] = { get: operation(resource, "get", name), put, patch };
  if (resource.isNamespaced) paths[`${root}/${resource.plural}`] = { get: operation(resource, "list", listName) };
  return paths;
}

export const swaggerProtobufType = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/**
 * OpenAPI v2 with nothing in it. kubectl reads it, in protobuf, only for kinds that version 3 does not have, to find
 * that it is not there either; without an answer it would complain about the download instead of the kind.
 */
export function emptySwagger(): Buffer {
  const field = (number: number, content: Buffer) => Buffer.concat([Buffer.from([(number << 3) | 2, content.length]), content]);
  // Document: swagger 1, info 2 (title 1, version 2), paths 8.
  const info = Buffer.concat([field(1, Buffer.from("cilium-apiserver")), field(2, Buffer.from(serverVersion.gitVersion))]);
  return Buffer.concat([field(1, Buffer.from("2.0")), field(2, info), field(8, Buffer.alloc(0))]);
}
