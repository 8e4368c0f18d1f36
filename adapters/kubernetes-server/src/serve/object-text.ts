import { apiVersionOf, type Resource } from "../resources/resource.ts";
import type { Mutable } from "../schema/schema.ts";

/** The object as it is stored: apiVersion, kind and metadata first, with the revision that writes it. */
export function encodeObject(resource: Resource, object: Mutable, revision: number): string {
  const { apiVersion: _apiVersion, kind: _kind, metadata, ...rest } = object;
  const stored = apiVersionOf({ group: resource.group, version: resource.storageVersion });
  return JSON.stringify({
    apiVersion: stored,
    kind: resource.kind,
    metadata: { ...(metadata as Mutable), resourceVersion: String(revision) },
    ...rest,
  });
}

export function decodeObject(text: string): Mutable {
  return JSON.parse(text) as Mutable;
}

const versionAtStart = /^\{"apiVersion":"[^"]*"/;

/** Stored text in the version in which it is asked for: versions differ in nothing else. */
export function textInVersion(resource: Resource, text: string): string {
  const start = `{"apiVersion":"${apiVersionOf(resource)}"`;
  return text.startsWith(start) ? text : text.replace(versionAtStart, () => start);
}
