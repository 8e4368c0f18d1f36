import type { IncomingMessage } from "node:http";
import { parseDocument } from "yaml";
import { isObject, type Mutable, type MutableJson } from "../schema/schema.ts";
import { ApiError, badRequest } from "./api-error.ts";

/** The most that one request may carry; etcd behind Kubernetes takes half of it. */
export const bodySizeBytesMax = 3 * 1024 * 1024;
const depthMax = 200;

export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodySizeBytesMax) {
      throw new ApiError(413, "RequestEntityTooLarge", `the request has more than ${bodySizeBytesMax} bytes; make the object smaller`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** `application/json; charset=utf-8` → `application/json`. */
export function mediaType(header: string | undefined): string {
  return (header ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

const yamlTypes = new Set(["application/yaml", "application/apply-patch+yaml", "text/yaml"]);

export function parseBody(body: Buffer, type: string): MutableJson {
  const value = yamlTypes.has(type) ? parseYaml(body) : parseJson(body);
  const problem = shapeProblem(value, 0);
  if (problem !== undefined) throw badRequest(problem);
  return value;
}

export function parseObjectBody(body: Buffer, type: string): Mutable {
  if (!["", "application/json"].includes(type) && !yamlTypes.has(type)) {
    throw unsupportedMediaType(type, ["application/json", "application/yaml"]);
  }
  const value = parseBody(body, type);
  if (!isObject(value)) throw badRequest("the body must be an object with apiVersion, kind and metadata");
  return value;
}

export function unsupportedMediaType(type: string, supported: readonly string[]): ApiError {
  return new ApiError(
    415,
    "UnsupportedMediaType",
    `the body of the request was in an unknown format (${type}) - accepted media types include: ${supported.join(", ")}`,
  );
}

function parseJson(body: Buffer): MutableJson {
  try {
    return JSON.parse(body.toString("utf8")) as MutableJson;
  } catch (cause) {
    throw badRequest(`the body is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

function parseYaml(body: Buffer): MutableJson {
  // Plenty of aliases are an attack, or a mistake.
  const document = parseDocument(body.toString("utf8"), { uniqueKeys: true, prettyErrors: true });
  const [error] = document.errors;
  if (error !== undefined) throw badRequest(`the body is not YAML: ${error.message.split("\n", 1)[0]}`);
  try {
    return document.toJS({ maxAliasCount: 100 }) as MutableJson;
  } catch (cause) {
    throw badRequest(`the body is not YAML: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

function shapeProblem(value: unknown, depth: number): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (depth >= depthMax) return `the body is nested deeper than ${depthMax} levels`;
  if (Array.isArray(value)) {
    for (const item of value) {
      const problem = shapeProblem(item, depth + 1);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }
  if (!isPlain(value)) return "the body holds a value that JSON cannot hold";
  for (const name in value) {
    if (name === "__proto__") return 'the body has a field "__proto__", which no object may have';
    const problem = shapeProblem((value as Record<string, unknown>)[name], depth + 1);
    if (problem !== undefined) return problem;
  }
  return Object.hasOwn(value, "__proto__") ? 'the body has a field "__proto__", which no object may have' : undefined;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
