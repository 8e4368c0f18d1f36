import {
  emptyViewQuery,
  formatViewQuery,
  type PolicyState,
  parseViewQuery,
  policyStates,
  type ViewQuery,
} from "@cilium-ts/service-map/view";

/** What the details show. */
export type Selection =
  | { readonly kind: "service"; readonly id: string }
  | { readonly kind: "pair"; readonly source: string; readonly destination: string }
  | { readonly kind: "flow"; readonly uuid: string; readonly timeMs: number };

export type Tab = "map" | "services" | "flows" | "policies";

export const tabs: readonly Tab[] = ["map", "services", "flows", "policies"];

/** Everything about what is shown: the page's address, so that a link shows a colleague the same. */
export interface Address {
  readonly query: ViewQuery;
  readonly tab: Tab;
  readonly selection: Selection | undefined;
  /** Only this service and those it talks with. */
  readonly focus: string | undefined;
  /** Services that are not drawn. */
  readonly hidden: readonly string[];
  /** Services whose cards stay where they are and stand out. */
  readonly pinned: readonly string[];
  /** Services that have one of these states in some direction, and their neighbours; empty: all. */
  readonly policyStates: readonly PolicyState[];
  /** Which policy is shown: `CiliumNetworkPolicy/shop/web`; undefined: a new one. */
  readonly policy: string | undefined;
  /** Columns of the table; undefined: the usual ones. */
  readonly columns: readonly string[] | undefined;
}

export const emptyAddress: Address = {
  query: emptyViewQuery,
  tab: "map",
  selection: undefined,
  focus: undefined,
  hidden: [],
  pinned: [],
  policyStates: [],
  policy: undefined,
  columns: undefined,
};

const listLengthMax = 100;

/** What could not be read is told and left out; the rest is shown. */
export function parseAddress(search: string): { readonly address: Address; readonly problems: readonly string[] } {
  const parameters = new URLSearchParams(search);
  const parsed = parseViewQuery(parameters);
  const problems = parsed.kind === "problems" ? [...parsed.problems] : [];
  const tabText = parameters.get("tab");
  const tab = tabs.find((name) => name === tabText);
  if (tabText !== null && tab === undefined) problems.push(`tab: there is no "${tabText.slice(0, 40)}"`);
  const selectedText = parameters.get("selected");
  const selection = selectedText === null ? undefined : parseSelection(selectedText);
  if (selectedText !== null && selection === undefined) problems.push("selected: cannot be read");
  const columns = parameters.get("columns");
  const stateTexts = parameters.getAll("policy-state");
  const unknownState = stateTexts.find((text) => !policyStates.some((state) => state === text));
  if (unknownState !== undefined) problems.push(`policy-state: there is no "${unknownState.slice(0, 40)}", but ${policyStates.join(", ")}`);
  const address: Address = {
    query: parsed.query,
    tab: tab ?? "map",
    selection,
    focus: parameters.get("focus") ?? undefined,
    hidden: parameters.getAll("hide").slice(0, listLengthMax),
    pinned: parameters.getAll("pin").slice(0, listLengthMax),
    policyStates: policyStates.filter((state) => stateTexts.includes(state)),
    policy: parameters.get("policy") ?? undefined,
    columns: columns === null ? undefined : columns.split(",").slice(0, listLengthMax),
  };
  return { address, problems };
}

/** The part of the address from `?` on; empty for the plain page. */
export function formatAddress({ query, tab, selection, focus, hidden, pinned, policyStates: states, policy, columns }: Address): string {
  const parameters = formatViewQuery(query);
  if (tab !== "map") parameters.set("tab", tab);
  if (selection !== undefined) parameters.set("selected", formatSelection(selection));
  if (focus !== undefined) parameters.set("focus", focus);
  for (const id of hidden) parameters.append("hide", id);
  for (const id of pinned) parameters.append("pin", id);
  for (const state of states) parameters.append("policy-state", state);
  if (policy !== undefined) parameters.set("policy", policy);
  if (columns !== undefined) parameters.set("columns", columns.join(","));
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

function formatSelection(selection: Selection): string {
  switch (selection.kind) {
    case "service":
      return `service ${selection.id}`;
    case "pair":
      return `link ${selection.source} ${selection.destination}`;
    case "flow":
      return `flow ${selection.timeMs} ${selection.uuid}`;
  }
}

function parseSelection(text: string): Selection | undefined {
  const [kind, first = "", second = ""] = text.split(" ");
  if (kind === "service" && first !== "") return { kind, id: first };
  if (kind === "link" && first !== "" && second !== "") return { kind: "pair", source: first, destination: second };
  if (kind === "flow" && Number(first) > 0 && second !== "") return { kind, timeMs: Number(first), uuid: second };
  return undefined;
}
