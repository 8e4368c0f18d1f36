import { apiVersionOf, type Resource } from "../resources/resource.ts";
import { isObject, type Mutable, type MutableJson } from "../schema/schema.ts";
import { textInVersion } from "./object-text.ts";
import type { ListQuery } from "./request.ts";

/** The columns as a `Table` declares them. */
export function columnDefinitions(resource: Resource): MutableJson[] {
  return resource.columns.map(({ name, type, format, description, priority }) => ({
    name,
    type,
    format: format ?? "",
    description,
    priority,
  }));
}

export function tableRow(
  resource: Resource,
  text: string,
  object: Mutable,
  includeObject: ListQuery["includeObject"],
  nowMs: number,
): string {
  const cells = JSON.stringify(resource.columns.map((column) => column.cell(object, nowMs)));
  if (includeObject === "None") return `{"cells":${cells}}`;
  const row = includeObject === "Object" ? textInVersion(resource, text) : JSON.stringify(partialMetadata(object));
  return `{"cells":${cells},"object":${row}}`;
}

export function partialMetadata(object: Mutable): Mutable {
  return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: isObject(object.metadata) ? object.metadata : {} };
}

/** Everything of the list but its items: before and behind them. */
export function listEnvelope(
  resource: Resource,
  form: "object" | "table" | "metadata",
): { readonly head: string; readonly itemsName: string } {
  if (form === "table") {
    const columns = JSON.stringify(columnDefinitions(resource));
    return { head: `{"kind":"Table","apiVersion":"meta.k8s.io/v1","columnDefinitions":${columns},`, itemsName: "rows" };
  }
  if (form === "metadata") return { head: '{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1",', itemsName: "items" };
  return { head: `{"kind":"${resource.listKind}","apiVersion":"${apiVersionOf(resource)}",`, itemsName: "items" };
}
