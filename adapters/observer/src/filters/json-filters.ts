import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type CompiledFilters, compileFilters, type FlowFilter } from "@cilium-ts/flow";
import { FlowFilterSchema } from "../gen/flow/flow_pb.js";
import { filterOptions, toDomainFilter } from "./flow-filter.ts";

/** Filters as files of settings have them: FlowFilter messages in JSON. */
export function compileJsonFilters(allow: readonly unknown[], deny: readonly unknown[]): CompiledFilters {
  const filters: FlowFilter[] = [];
  for (const value of [...allow, ...deny]) {
    try {
      filters.push(toDomainFilter(fromJson(FlowFilterSchema, value as JsonValue)));
    } catch (cause) {
      return { problem: `${JSON.stringify(value)} is no filter: ${cause instanceof Error ? cause.message : String(cause)}` };
    }
  }
  return compileFilters(filters.slice(0, allow.length), filters.slice(allow.length), filterOptions);
}

/** `{"verdict":["DROPPED"]} {"protocol":["udp"]}`: JSON objects with nothing, blanks or commas between them, or a list of them. */
export function parseJsonFilterList(text: string): { readonly filters: readonly unknown[] } | { readonly problem: string } {
  const trimmed = text.trim();
  const list = trimmed.startsWith("[") ? trimmed : `[${trimmed.replaceAll(/\}\s*,?\s*\{/g, "},{")}]`;
  try {
    const filters: unknown = JSON.parse(list);
    return Array.isArray(filters) ? { filters } : { problem: `${text} is no list of filters` };
  } catch (cause) {
    return { problem: `${text} is no JSON: ${cause instanceof Error ? cause.message : String(cause)}` };
  }
}
