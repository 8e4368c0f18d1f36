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
  const list = trimmed.startsWith("[") ? trimmed : `[${splitObjects(trimmed).join(",")}]`;
  try {
    const filters: unknown = JSON.parse(list);
    return Array.isArray(filters) ? { filters } : { problem: `${text} is no list of filters` };
  } catch (cause) {
    return { problem: `${text} is no JSON: ${cause instanceof Error ? cause.message : String(cause)}` };
  }
}

/** Cuts behind each object; braces within texts are none. What is left over is a piece of its own. */
function splitObjects(text: string): string[] {
  const pieces: string[] = [];
  let [start, depth] = [0, 0];
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}]/g)) {
    if (token === "{") depth += 1;
    else if (token === "}") depth -= 1;
    if (token !== "}" || depth !== 0) continue;
    pieces.push(text.slice(start, index + 1).replace(/^[\s,]+/, ""));
    start = index + 1;
  }
  const rest = text.slice(start).replace(/^[\s,]+/, "");
  return rest === "" ? pieces : [...pieces, rest];
}
