import type { Schema } from "../schema/schema.ts";
import { ageColumn, nameColumn } from "./column.ts";
import type { Resource } from "./resource.ts";

/** What a built-in kind says of itself; the rest is as for most kinds. */
export type Given = Pick<Resource, "kind" | "plural"> & Partial<Resource>;

export function resourceOf(group: string, version: string, schemas: ReadonlyMap<string, Schema>, given: Given): Resource {
  return {
    group,
    version,
    listKind: `${given.kind}List`,
    singular: given.kind.toLowerCase(),
    shortNames: [],
    categories: [],
    isNamespaced: true,
    schema: schemas.get(given.kind) ?? {},
    hasStatus: false,
    isCustom: false,
    isReview: false,
    storageVersion: version,
    columns: [nameColumn, ageColumn],
    selectableFields: [],
    behaviour: {},
    ...given,
  };
}
