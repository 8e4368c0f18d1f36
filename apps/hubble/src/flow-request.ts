import { create, fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { UsageError } from "@cilium-ts/command-line";
import { flowpb, observerpb } from "@cilium-ts/observer";
import type { OutputFormat } from "./printer.ts";
import { parseTime } from "./time-format.ts";

export interface SelectorFlags {
  readonly all?: boolean;
  readonly first?: number;
  readonly last?: number;
  readonly follow?: boolean;
  readonly since?: string;
  readonly until?: string;
}

const lastDefault = 20n;
const everything = 2n ** 64n - 1n;

/** What is shown in a line: nothing else need be sent. JSON shows everything. */
const lineFields = [
  "time",
  "node_name",
  "verdict",
  "auth_type",
  "ethernet",
  "IP.source",
  "IP.destination",
  "l4",
  "l7",
  "source.identity",
  "source.namespace",
  "source.pod_name",
  "destination.identity",
  "destination.namespace",
  "destination.pod_name",
  "source_names",
  "destination_names",
  "source_service",
  "destination_service",
  "is_reply",
  "event_type",
  "traffic_direction",
  "policy_match_type",
  "trace_observation_point",
  "drop_reason_desc",
  "debug_capture_point",
  "sock_xlate_point",
  "ip_trace_id",
  "egress_allowed_by",
  "ingress_allowed_by",
  "egress_denied_by",
  "ingress_denied_by",
  "Summary",
];

/** The request that the flags describe. */
export function buildFlowsRequest(
  selectors: SelectorFlags,
  filters: { readonly allow: flowpb.FlowFilter[]; readonly deny: flowpb.FlowFilter[] },
  options: { readonly format: OutputFormat; readonly fieldMask: readonly string[]; readonly nowMs: number },
): observerpb.GetFlowsRequest {
  const { all = false, first = 0, last = 0, follow = false, since, until } = selectors;
  const refuse = (one: string, other: string): never => {
    throw new UsageError(`--${one} and --${other} cannot be combined`);
  };
  if (first > 0 && last > 0) refuse("first", "last");
  if (first > 0 && all) refuse("first", "all");
  if (first > 0 && follow) refuse("first", "follow");
  if (last > 0 && all) refuse("last", "all");
  const isJson = options.format === "json" || options.format === "jsonpb";
  if (!isJson && options.fieldMask.length > 0) throw new UsageError(`a field mask needs -o json: ${options.format} shows what it shows`);
  const paths = isJson ? options.fieldMask : lineFields;
  const bounded = since !== undefined || (until !== undefined && !follow) || first > 0;
  return create(observerpb.GetFlowsRequestSchema, {
    number: first > 0 ? BigInt(first) : last > 0 ? BigInt(last) : bounded ? 0n : all ? everything : follow ? 0n : lastDefault,
    first: first > 0,
    follow,
    whitelist: filters.allow,
    blacklist: filters.deny,
    ...(since === undefined ? {} : { since: timestampFromMs(parseTime(since, options.nowMs)) }),
    ...(until === undefined || follow ? {} : { until: timestampFromMs(parseTime(until, options.nowMs)) }),
    ...(paths.length === 0 ? {} : { fieldMask: { paths: [...paths] } }),
  });
}

/** Filters as JSON objects, one after another in a text. */
export function parseRawFilters(flag: string, texts: readonly string[]): flowpb.FlowFilter[] {
  return texts.flatMap((text) =>
    splitJsonObjects(text).map((part) => {
      try {
        return fromJsonString(flowpb.FlowFilterSchema, part);
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new UsageError(`--${flag} ${JSON.stringify(part)} is no flow filter in JSON: ${reason}`);
      }
    }),
  );
}

/** The filters as YAML, ready for --allowlist and --denylist. */
export function formatRawFilters(request: observerpb.GetFlowsRequest): string {
  const list = (name: string, filters: readonly flowpb.FlowFilter[]): string => {
    if (filters.length === 0) return "";
    const lines = filters.map(
      (filter) => `    - '${toJsonString(flowpb.FlowFilterSchema, filter, { useProtoFieldName: true }).replaceAll("'", "''")}'\n`,
    );
    return `${name}:\n${lines.join("")}`;
  };
  return `${list("allowlist", request.whitelist)}${list("denylist", request.blacklist)}` || "{}\n";
}

function splitJsonObjects(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let inString = false;
  let start = 0;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index];
    if (inString) {
      if (character === "\\") index += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === "{") depth += 1;
    else if (character === "}") {
      depth -= 1;
      if (depth !== 0) continue;
      parts.push(text.slice(start, index + 1).trim());
      start = index + 1;
    }
  }
  const rest = text.slice(start).trim();
  return rest === "" ? parts : [...parts, rest];
}
