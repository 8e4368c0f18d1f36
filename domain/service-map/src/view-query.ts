import { type FilterTerm, formatFilter, parseFilter } from "./filter/filter-term.ts";
import { type VerdictKind, verdictKinds } from "./seen-flow.ts";

/** Which flows somebody looks at. The same in the page's address and in what it asks of the backend. */
export interface ViewQuery {
  /** Empty: all of them. */
  readonly namespaces: readonly string[];
  /** Empty: all of them. */
  readonly verdicts: readonly VerdictKind[];
  readonly terms: readonly FilterTerm[];
  /** A closed range of the past, in milliseconds since 1970; undefined: what happens now. */
  readonly range?: { readonly sinceMs: number; readonly untilMs: number };
}

export const emptyViewQuery: ViewQuery = { namespaces: [], verdicts: [], terms: [] };

const namespaceCountMax = 200;

export type ParsedViewQuery =
  | { readonly kind: "query"; readonly query: ViewQuery }
  /** What was understood is in the query, so that a damaged link still opens. */
  | { readonly kind: "problems"; readonly problems: readonly string[]; readonly query: ViewQuery };

/** The names are those of Hubble's own page: `namespace`, `verdict`, `flows-filter`; `since` and `until` are ours. Unknown ones are left alone. */
export function parseViewQuery(parameters: URLSearchParams): ParsedViewQuery {
  const problems: string[] = [];
  const namespaces = listOf(parameters, "namespace").filter((name) => {
    const isName = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name);
    if (!isName) problems.push(`namespace: "${name.slice(0, 80)}" cannot be the name of a namespace`);
    return isName;
  });
  if (namespaces.length > namespaceCountMax) problems.push(`namespace: only the first ${namespaceCountMax} are looked at`);
  const verdicts: VerdictKind[] = [];
  for (const text of listOf(parameters, "verdict")) {
    const verdict = verdictKinds.find((kind) => kind === text.toLowerCase());
    if (verdict === undefined) problems.push(`verdict: there is no "${text.slice(0, 80)}", but ${verdictKinds.join(", ")}`);
    else verdicts.push(verdict);
  }
  const parsed = parseFilter(parameters.get("flows-filter") ?? "");
  if (parsed.kind === "problem") problems.push(`flows-filter: ${parsed.problem}`);
  const range = rangeOf(parameters, problems);
  const query: ViewQuery = {
    namespaces: [...new Set(namespaces)].sort().slice(0, namespaceCountMax),
    verdicts: verdictKinds.filter((kind) => verdicts.includes(kind)),
    terms: parsed.kind === "terms" ? parsed.terms : [],
    ...(range === undefined ? {} : { range }),
  };
  return problems.length === 0 ? { kind: "query", query } : { kind: "problems", problems, query };
}

/** Parameters that `parseViewQuery` reads as this query; equal queries give equal ones. */
export function formatViewQuery({ namespaces, verdicts, terms, range }: ViewQuery): URLSearchParams {
  const parameters = new URLSearchParams();
  if (namespaces.length > 0) parameters.set("namespace", namespaces.join(","));
  if (verdicts.length > 0) parameters.set("verdict", verdicts.join(","));
  if (terms.length > 0) parameters.set("flows-filter", formatFilter(terms));
  if (range !== undefined) {
    parameters.set("since", new Date(range.sinceMs).toISOString());
    parameters.set("until", new Date(range.untilMs).toISOString());
  }
  return parameters;
}

function listOf(parameters: URLSearchParams, name: string): string[] {
  return parameters
    .getAll(name)
    .flatMap((text) => text.split(","))
    .map((text) => text.trim())
    .filter((text) => text !== "");
}

function rangeOf(parameters: URLSearchParams, problems: string[]): ViewQuery["range"] | undefined {
  const [since, until] = [parameters.get("since"), parameters.get("until")];
  if (since === null && until === null) return undefined;
  const [sinceMs, untilMs] = [Date.parse(since ?? ""), Date.parse(until ?? "")];
  if (Number.isNaN(sinceMs) || Number.isNaN(untilMs))
    problems.push("since and until: both are needed, as times such as 2026-01-31T15:00:00Z");
  else if (sinceMs >= untilMs) problems.push("since and until: the range ends before it begins");
  else return { sinceMs, untilMs };
  return undefined;
}
