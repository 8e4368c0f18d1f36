import type { Problem } from "../schema/problem.ts";
import type { Mutable, Schema } from "../schema/schema.ts";

/** A column of `kubectl get`. */
export interface Column {
  readonly name: string;
  readonly type: "string" | "integer" | "number" | "boolean" | "date";
  readonly format?: string;
  readonly description: string;
  /** 0: always shown; more: only with `-o wide`. */
  readonly priority: number;
  readonly cell: (object: Mutable, nowMs: number) => string | number | boolean | null;
}

/** What a kind does beyond what all kinds do. Every hook may change the object that it is given. */
export interface Behaviour {
  /** A new object, after its defaults. */
  readonly onCreate?: (object: Mutable) => void;
  readonly onUpdate?: (object: Mutable, previous: Mutable) => void;
  readonly validate?: (object: Mutable, previous: Mutable | undefined) => readonly Problem[];
  /** Sentences for the writer about what is accepted and yet not done. */
  readonly warn?: (object: Mutable) => readonly string[];
  /** Whether a new object brings its status with it, although status is a subresource. */
  readonly keepsStatusOnCreate?: boolean;
}

/** Where a kind keeps what the scale subresource shows: paths of members. */
export interface ScalePaths {
  readonly specReplicas: readonly string[];
  readonly statusReplicas: readonly string[];
  /** A selector, as an object or as text. */
  readonly selector: readonly string[] | undefined;
}

/** One kind in one version, as the API serves it. */
export interface Resource {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly isNamespaced: boolean;
  readonly schema: Schema;
  readonly hasStatus: boolean;
  /** Absent: the kind has no scale subresource. */
  readonly scale?: ScalePaths;
  /** Made from a CustomResourceDefinition. */
  readonly isCustom: boolean;
  /** A question in the form of an object: it can be created, and is answered and not kept. */
  readonly isReview: boolean;
  /** The version in which objects are stored; only `apiVersion` differs. */
  readonly storageVersion: string;
  readonly columns: readonly Column[];
  /** Fields besides metadata.name and metadata.namespace that a field selector may name. */
  readonly selectableFields: readonly string[];
  readonly behaviour: Behaviour;
}

export function apiVersionOf(resource: { readonly group: string; readonly version: string }): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

/** `pods`, `ciliumnodes.cilium.io`: as error messages call it. */
export function qualifiedName(resource: Pick<Resource, "group" | "plural">): string {
  return resource.group === "" ? resource.plural : `${resource.plural}.${resource.group}`;
}

/** The prefix of the keys of all objects of the kind, or of those in one namespace. */
export function keyPrefix(resource: Pick<Resource, "group" | "plural">, namespace?: string): string {
  const prefix = `/${resource.group === "" ? "core" : resource.group}/${resource.plural}/`;
  return namespace === undefined ? prefix : `${prefix}${namespace}/`;
}

export function objectKey(resource: Pick<Resource, "group" | "plural" | "isNamespaced">, namespace: string, name: string): string {
  return keyPrefix(resource, resource.isNamespaced ? namespace : undefined) + name;
}
