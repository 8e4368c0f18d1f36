import type { EventView } from "../event.ts";
import { type CompiledField, compileField, type FieldResult, filterFields } from "./filter-fields.ts";

/**
 * What a client asks for. Names and meaning are those of the Hubble API's FlowFilter: the fields are joined by AND, the values of one
 * field by OR, and a field without values says nothing.
 */
export interface FlowFilter {
  readonly uuid?: readonly string[];
  readonly sourceIp?: readonly string[];
  readonly sourceIpXlated?: readonly string[];
  readonly sourcePod?: readonly string[];
  readonly sourceFqdn?: readonly string[];
  readonly sourceLabel?: readonly string[];
  readonly sourceService?: readonly string[];
  readonly sourceWorkload?: ReadonlyArray<{ readonly name: string; readonly kind: string }>;
  readonly sourceClusterName?: readonly string[];
  readonly destinationIp?: readonly string[];
  readonly destinationPod?: readonly string[];
  readonly destinationFqdn?: readonly string[];
  readonly destinationLabel?: readonly string[];
  readonly destinationService?: readonly string[];
  readonly destinationWorkload?: ReadonlyArray<{ readonly name: string; readonly kind: string }>;
  readonly destinationClusterName?: readonly string[];
  readonly trafficDirection?: readonly number[];
  readonly verdict?: readonly number[];
  readonly dropReasonDesc?: readonly number[];
  readonly interface?: ReadonlyArray<{ readonly index: number; readonly name: string }>;
  readonly eventType?: ReadonlyArray<{ readonly type: number; readonly matchSubType: boolean; readonly subType: number }>;
  readonly httpStatusCode?: readonly string[];
  readonly protocol?: readonly string[];
  readonly sourcePort?: readonly string[];
  readonly destinationPort?: readonly string[];
  readonly reply?: readonly boolean[];
  readonly dnsQuery?: readonly string[];
  readonly sourceIdentity?: readonly number[];
  readonly destinationIdentity?: readonly number[];
  readonly httpMethod?: readonly string[];
  readonly httpPath?: readonly string[];
  readonly httpUrl?: readonly string[];
  readonly httpHeader?: ReadonlyArray<{ readonly key: string; readonly value: string }>;
  /** Bits of `TcpFlag`: all of an entry's must be set. */
  readonly tcpFlags?: readonly number[];
  readonly nodeName?: readonly string[];
  readonly nodeLabels?: readonly string[];
  readonly ipVersion?: readonly number[];
  readonly traceId?: readonly string[];
  readonly ipTraceId?: readonly bigint[];
  readonly celExpression?: readonly string[];
}

export interface FilterOptions {
  /** A regular expression of a client, in RE2 syntax and by an engine whose time grows with the text and no faster. */
  readonly compileRegex: (pattern: string) => Regex | { readonly problem: string };
  /** An expression of a client over the whole flow. */
  readonly compileExpression: (expression: string) => { readonly matches: FlowPredicate } | { readonly problem: string };
}

export interface Regex {
  /** Whether it is found anywhere in the text. */
  test(text: string): boolean;
}

export type FlowPredicate = (event: EventView) => boolean;

export type CompiledFilters = { readonly matches: FlowPredicate } | { readonly problem: string };

const everything: FlowPredicate = () => true;

/** A flow passes when it matches one of the allowed filters (or there are none) and none of the denied. */
export function compileFilters(allow: readonly FlowFilter[], deny: readonly FlowFilter[], options: FilterOptions): CompiledFilters {
  const allowed = compileList(allow, options);
  if ("problem" in allowed) return allowed;
  const denied = compileList(deny, options);
  if ("problem" in denied) return denied;
  const [accepts, refuses] = [anyOf(allowed.predicates), anyOf(denied.predicates)];
  if (allow.length === 0 && deny.length === 0) return { matches: everything };
  if (deny.length === 0) return { matches: accepts };
  if (allow.length === 0) return { matches: (event) => !refuses(event) };
  return { matches: (event) => accepts(event) && !refuses(event) };
}

function compileList(filters: readonly FlowFilter[], options: FilterOptions): { predicates: FlowPredicate[] } | { problem: string } {
  const predicates: FlowPredicate[] = [];
  for (const filter of filters) {
    const compiled = compileFilter(filter, options);
    if ("problem" in compiled) return compiled;
    predicates.push(compiled.matches);
  }
  return { predicates };
}

/** Cheap fields are compared first: most events are turned away by a byte of the raw record. */
function compileFilter(filter: FlowFilter, options: FilterOptions): CompiledFilters {
  const fields: CompiledField[] = [];
  for (const name of filterFields) {
    const result: FieldResult | undefined = compileField(name, filter, options);
    if (result === undefined) continue;
    if ("problem" in result) return result;
    fields.push(result);
  }
  const predicates = fields.sort((a, b) => a.cost - b.cost).map((field) => field.matches);
  if (predicates.length === 0) return { matches: everything };
  return {
    matches: (event) => {
      for (const matches of predicates) if (!matches(event)) return false;
      return true;
    },
  };
}

function anyOf(predicates: readonly FlowPredicate[]): FlowPredicate {
  const [only] = predicates;
  if (predicates.length === 1 && only !== undefined) return only;
  return (event) => {
    for (const matches of predicates) if (matches(event)) return true;
    return false;
  };
}
