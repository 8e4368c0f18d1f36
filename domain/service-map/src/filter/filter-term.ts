/** Of an end of a flow. */
export const endTermKinds = ["label", "ip", "dns", "identity", "workload", "pod", "port", "namespace", "service-name"] as const;
/** Of a flow as a whole: its side says nothing. */
export const flowTermKinds = ["tcp-flag", "protocol", "direction", "drop-reason", "policy-name", "node-name"] as const;

export type EndTermKind = (typeof endTermKinds)[number];
export type FlowTermKind = (typeof flowTermKinds)[number];
/** What a term looks at. `label` when a term names nothing. */
export type TermKind = EndTermKind | FlowTermKind;

export const termKinds: readonly TermKind[] = [...endTermKinds, ...flowTermKinds];

/** Which end of a flow. */
export type TermSide = "from" | "to" | "either";

/** `[!][from:|to:|either:]kind=query`, as in Hubble's own page. */
export interface FilterTerm {
  readonly isNegative: boolean;
  readonly side: TermSide;
  readonly kind: TermKind;
  readonly query: string;
}

export type ParsedFilter =
  | { readonly kind: "terms"; readonly terms: readonly FilterTerm[] }
  | { readonly kind: "problem"; readonly problem: string };

/** More would be a mistake, or somebody's attempt to make each flow expensive. */
const termCountMax = 50;
const queryLengthMax = 500;

/** Terms parted by commas. A comma inside a query is written `\,`. */
export function parseFilter(text: string): ParsedFilter {
  const terms: FilterTerm[] = [];
  for (const part of splitTerms(text)) {
    const trimmed = part.trim();
    if (trimmed === "") continue;
    const term = parseTerm(trimmed);
    if (typeof term === "string") return { kind: "problem", problem: term };
    terms.push(term);
  }
  if (terms.length > termCountMax) return { kind: "problem", problem: `${terms.length} terms are too many: at most ${termCountMax}` };
  return { kind: "terms", terms };
}

/** The shortest text that `parseFilter` reads as these terms. */
export function formatFilter(terms: readonly FilterTerm[]): string {
  return terms.map(formatTerm).join(",");
}

export function formatTerm({ isNegative, side, kind, query }: FilterTerm): string {
  return `${isNegative ? "!" : ""}${side === "either" ? "" : `${side}:`}${kind}=${query.replaceAll(",", "\\,")}`;
}

function splitTerms(text: string): string[] {
  return text.split(/(?<!\\),/).map((part) => part.replaceAll("\\,", ","));
}

function parseTerm(text: string): FilterTerm | string {
  const match = /^(!?)(?:(from|to|either):)?(.*)$/s.exec(text);
  const rest = match?.[3] ?? "";
  const side = (match?.[2] ?? "either") as TermSide;
  const isNegative = match?.[1] === "!";
  const equals = rest.indexOf("=");
  const word = equals < 0 ? "" : rest.slice(0, equals);
  const kind = termKinds.find((candidate) => candidate === word);
  // A label is written as it is: `app=client` looks for that label.
  const query = kind === undefined ? rest : rest.slice(equals + 1);
  if (query === "") return `"${text}" names nothing to look for: write, for example, to:pod=default/server`;
  if (query.length > queryLengthMax) return `a term is longer than ${queryLengthMax} characters`;
  const term: FilterTerm = { isNegative, side, kind: kind ?? "label", query };
  const problem = problemOf(term);
  return problem === undefined ? term : `"${text}": ${problem}`;
}

const tcpFlags = new Set(["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"]);

function problemOf({ kind, query }: FilterTerm): string | undefined {
  if (kind === "identity" && !/^\d{1,10}$/.test(query)) return "an identity is a number";
  if (kind === "port" && !(/^\d{1,5}$/.test(query) && Number(query) <= 65_535)) return "a port is a number of at most 65535";
  if (kind === "tcp-flag" && !tcpFlags.has(query.toUpperCase())) return `TCP's flags are ${[...tcpFlags].join(", ")}`;
  if (kind === "ip" && !/^[\da-fA-F:.]+(\/\d{1,3})?$/.test(query)) return "an address is needed, or a prefix of one such as 10.0.0.0/8";
  return undefined;
}
