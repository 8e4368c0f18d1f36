import { parseAddress, parsePrefix, prefixContainsAddress } from "@cilium-ts/net";
import type { FlowEnd, SeenFlow, VerdictKind } from "../seen-flow.ts";
import { type EndTermKind, type FilterTerm, type FlowTermKind, flowTermKinds } from "./filter-term.ts";

export interface FlowConditions {
  /** Those with an end in one of these namespaces; empty: all. */
  readonly namespaces: readonly string[];
  /** Empty: all. */
  readonly verdicts: readonly VerdictKind[];
  readonly terms: readonly FilterTerm[];
}

export type FlowMatcher = (flow: SeenFlow) => boolean;

/**
 * Terms of one kind and side are alternatives; different ones must all hold; a flow that any negative term describes is left out. The side is that of the
 * packet, as in Hubble: `to:pod=default/server` finds what goes to the server, not its answers.
 */
export function createFlowMatcher({ namespaces, verdicts, terms }: FlowConditions): FlowMatcher {
  const groups = new Map<string, FlowMatcher[]>();
  const unwanted: FlowMatcher[] = [];
  for (const term of terms) {
    const match = termMatcher(term);
    if (term.isNegative) unwanted.push(match);
    else groups.set(`${term.side} ${term.kind}`, [...(groups.get(`${term.side} ${term.kind}`) ?? []), match]);
  }
  const wanted = [...groups.values()];
  const namespaceSet = new Set(namespaces);
  const verdictSet = new Set(verdicts);
  return (flow) =>
    (verdictSet.size === 0 || verdictSet.has(flow.verdict)) &&
    (namespaceSet.size === 0 || namespaceSet.has(flow.source.namespace) || namespaceSet.has(flow.destination.namespace)) &&
    wanted.every((alternatives) => alternatives.some((match) => match(flow))) &&
    !unwanted.some((match) => match(flow));
}

function flowMatcher(kind: FlowTermKind, query: string): FlowMatcher {
  const word = query.toUpperCase();
  switch (kind) {
    case "tcp-flag":
      return ({ tcpFlags }) => tcpFlags.includes(word);
    case "protocol":
      return ({ protocol }) => protocol.toUpperCase() === word;
    case "direction":
      return ({ direction }) => direction.toUpperCase() === word;
    case "drop-reason":
      return ({ dropReason }) => dropReason === word;
    case "node-name":
      return ({ node }) => node === query;
    case "policy-name": {
      // `namespace/name`, or `name` of a policy anywhere.
      const hasNamespace = query.includes("/");
      return ({ policies }) => policies.some(({ namespace, name }) => (hasNamespace ? `${namespace}/${name}` : name) === query);
    }
  }
}

type EndMatcher = (end: FlowEnd) => boolean;

function termMatcher({ side, kind, query }: FilterTerm): FlowMatcher {
  const flowKind = flowTermKinds.find((known) => known === kind);
  if (flowKind !== undefined) return flowMatcher(flowKind, query);
  const match = endMatcher(kind as EndTermKind, query);
  if (side === "from") return ({ source }) => match(source);
  if (side === "to") return ({ destination }) => match(destination);
  return ({ source, destination }) => match(source) || match(destination);
}

function endMatcher(kind: EndTermKind, query: string): EndMatcher {
  switch (kind) {
    case "ip":
      return addressMatcher(query);
    case "dns": {
      const matches = nameMatcher(query.toLowerCase().replace(/\.$/, ""));
      return ({ names }) => names.some((name) => matches(name.toLowerCase().replace(/\.$/, "")));
    }
    case "identity":
      return ({ identity }) => identity === Number(query);
    case "workload": {
      const [, wantedKind = "", wantedName = ""] = /^(?:([^/:]*)[/:])?(.*)$/.exec(query) ?? [];
      const matches = ({ kind: found, name }: FlowEnd["workloads"][number]): boolean =>
        name === wantedName && (wantedKind === "" || found.toLowerCase() === wantedKind.toLowerCase());
      return ({ workloads }) => workloads.some(matches);
    }
    case "pod": {
      // `namespace/name`, `name`, or the beginning of either. A namespace alone is `namespace/`.
      const slash = query.indexOf("/");
      const [wantedNamespace, wantedPod] = slash < 0 ? [undefined, query] : [query.slice(0, slash), query.slice(slash + 1)];
      return ({ namespace, pod }) =>
        pod !== "" && pod.startsWith(wantedPod) && (wantedNamespace === undefined || namespace === wantedNamespace);
    }
    case "port":
      return ({ port }) => port === Number(query);
    case "service-name":
      return ({ service }) => service === query || service.slice(service.indexOf("/") + 1) === query;
    case "namespace":
      return ({ namespace }) => namespace === query;
    case "label":
      return labelMatcher(query);
  }
}

function addressMatcher(query: string): EndMatcher {
  const prefix = query.includes("/") ? parsePrefix(query) : undefined;
  if (prefix === undefined) return ({ ip }) => ip === query;
  return ({ ip }) => {
    const address = parseAddress(ip);
    return address !== undefined && prefixContainsAddress(prefix, address);
  };
}

/** `*` stands for any characters. Linear in the name's length times the number of stars. */
function nameMatcher(pattern: string): (name: string) => boolean {
  const [head = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return (name) => name === head;
  const tail = rest.pop() ?? "";
  return (name) => {
    if (!name.startsWith(head) || !name.endsWith(tail) || name.length < head.length + tail.length) return false;
    let at = head.length;
    for (const middle of rest) {
      const found = name.indexOf(middle, at);
      if (found < 0 || found + middle.length > name.length - tail.length) return false;
      at = found + middle.length;
    }
    return true;
  };
}

/** `app`, `app=client`, or either with its source: `k8s:app=client`, `reserved:host`. */
function labelMatcher(query: string): EndMatcher {
  const hasValue = query.includes("=");
  return ({ labels }) =>
    labels.some((label) => {
      const text = hasValue ? label : (label.split("=", 1)[0] ?? "");
      return text === query || text.slice(text.indexOf(":") + 1) === query;
    });
}
