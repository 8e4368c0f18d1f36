import type { FlowEnd, SeenFlow, TermKind, TermSide } from "@cilium-ts/service-map/view";

export interface Column {
  readonly id: string;
  readonly title: string;
  /** Pixels. */
  readonly width: number;
  text(flow: SeenFlow): string;
  /** What a click on the value filters by. */
  readonly filter?: { readonly side: TermSide; readonly kind: TermKind; query(flow: SeenFlow): string };
}

type End = "source" | "destination";
const sides = { source: "from", destination: "to" } as const;

/** All columns, in their order. */
export const columns: readonly Column[] = [
  { id: "time", title: "Time", width: 118, text: ({ timeMs }) => clockTime(timeMs) },
  endColumn("source", "Source", 210, endName),
  endColumn("destination", "Destination", 210, endName),
  {
    ...portColumn("destination", "Port"),
    text: ({ destination, protocol }) => (destination.port === 0 ? protocol : `${destination.port} ${protocol}`),
  },
  {
    id: "verdict",
    title: "Verdict",
    width: 104,
    text: ({ verdictName, verdict }) => (verdict === "forwarded" ? verdictName.toLowerCase() : verdict),
  },
  { id: "why", title: "Reason", width: 210, text: reasonOf, filter: flowFilter("drop-reason", ({ dropReason }) => dropReason) },
  { id: "summary", title: "Summary", width: 190, text: summaryOf },
  {
    id: "direction",
    title: "Direction",
    width: 84,
    text: ({ direction, isReply }) => `${direction}${isReply === true ? " reply" : ""}`,
    filter: flowFilter("direction", ({ direction }) => direction),
  },
  podColumn("source", "Source pod"),
  podColumn("destination", "Destination pod"),
  identityColumn("source", "Source identity"),
  identityColumn("destination", "Destination identity"),
  ipColumn("source", "Source IP"),
  ipColumn("destination", "Destination IP"),
  portColumn("source", "Source port"),
  { id: "service", title: "Service", width: 150, text: serviceOf, filter: flowFilter("service-name", serviceOf) },
  { id: "protocol", title: "Protocol", width: 84, text: protocolOf, filter: flowFilter("protocol", protocolOf) },
  workloadColumn("source", "Source workload"),
  workloadColumn("destination", "Destination workload"),
  {
    id: "flags",
    title: "TCP flags",
    width: 100,
    text: ({ tcpFlags }) => tcpFlags.join(" "),
    filter: flowFilter("tcp-flag", ({ tcpFlags }) => tcpFlags[0] ?? ""),
  },
  { id: "auth", title: "Authentication", width: 110, text: ({ authentication }) => authentication },
  { id: "encrypted", title: "Encrypted", width: 84, text: ({ isEncrypted }) => (isEncrypted ? "yes" : "no") },
  { id: "policies", title: "Policies", width: 220, text: policiesOf, filter: flowFilter("policy-name", firstPolicyOf) },
  { id: "node", title: "Node", width: 130, text: ({ node }) => node, filter: flowFilter("node-name", ({ node }) => node) },
];

export const usualColumns: readonly string[] = ["time", "source", "destination", "destination-port", "verdict", "why", "summary"];

/** Unknown names are left out; nothing left means the usual ones. */
export function columnsOf(ids: readonly string[] | undefined): readonly Column[] {
  const chosen = columns.filter(({ id }) => (ids ?? usualColumns).includes(id));
  return chosen.length > 0 ? chosen : columns.filter(({ id }) => usualColumns.includes(id));
}

/** With milliseconds, in the reader's own time. */
export function clockTime(timeMs: number): string {
  const time = new Date(timeMs);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

export function endName({ namespace, pod, names, labels, ip }: FlowEnd): string {
  if (pod !== "") return `${namespace}/${pod}`;
  const reserved = labels.find((label) => label.startsWith("reserved:"))?.slice("reserved:".length);
  return names[0] ?? (reserved === undefined ? ip : ip === "" ? reserved : `${reserved} ${ip}`);
}

export function policiesOf({ policies }: SeenFlow): string {
  return policies.map((policy) => `${policy.effect} by ${policyNameOf(policy)}`).join(", ");
}

/** Why it came to this, as far as the flow says. */
export function reasonOf(flow: SeenFlow): string {
  const { dropReason, policies, verdict } = flow;
  const denied = policies.filter(({ effect }) => effect === "denied");
  if (denied.length > 0) return policiesOf({ ...flow, policies: denied });
  if (dropReason === "POLICY_DENIED" || dropReason === "POLICY_DENY") return "no policy allows it";
  if (dropReason !== "") return dropReason.toLowerCase().replaceAll("_", " ");
  return verdict === "audit" ? "audit: a policy would drop it" : policiesOf(flow);
}

export function summaryOf({ request, summary }: SeenFlow): string {
  if (request === undefined) return summary;
  const { kind, method, target, status } = request;
  return `${kind.toUpperCase()} ${method} ${target}${status > 0 ? ` → ${status}` : ""}`;
}

function flowFilter(kind: TermKind, query: (flow: SeenFlow) => string): NonNullable<Column["filter"]> {
  return { side: "either", kind, query };
}

function serviceOf({ destination, source }: SeenFlow): string {
  return destination.service || source.service;
}

function protocolOf({ protocol }: SeenFlow): string {
  return protocol;
}

function firstPolicyOf({ policies: [first] }: SeenFlow): string {
  return first === undefined ? "" : policyNameOf(first);
}

/** As a term names it. */
export function policyNameOf({ namespace, name }: SeenFlow["policies"][number]): string {
  return namespace === "" ? name : `${namespace}/${name}`;
}

function endColumn(end: End, title: string, width: number, text: (end: FlowEnd) => string): Column {
  const filter: Column["filter"] = {
    side: sides[end],
    kind: "pod",
    query: (flow) => (flow[end].pod === "" ? "" : `${flow[end].namespace}/${flow[end].pod}`),
  };
  return { id: end, title, width, text: (flow) => text(flow[end]), filter };
}

function podColumn(end: End, title: string): Column {
  return { ...endColumn(end, title, 200, ({ namespace, pod }) => (pod === "" ? "" : `${namespace}/${pod}`)), id: `${end}-pod` };
}

function identityColumn(end: End, title: string): Column {
  const text = (flow: SeenFlow): string => (flow[end].identity === 0 ? "" : String(flow[end].identity));
  return { id: `${end}-identity`, title, width: 110, text, filter: { side: sides[end], kind: "identity", query: text } };
}

function ipColumn(end: End, title: string): Column {
  const text = (flow: SeenFlow): string => flow[end].ip;
  return { id: `${end}-ip`, title, width: 140, text, filter: { side: sides[end], kind: "ip", query: text } };
}

function portColumn(end: End, title: string): Column {
  const text = (flow: SeenFlow): string => (flow[end].port === 0 ? "" : String(flow[end].port));
  return { id: `${end}-port`, title, width: 90, text, filter: { side: sides[end], kind: "port", query: text } };
}

function workloadColumn(end: End, title: string): Column {
  const text = (flow: SeenFlow): string => flow[end].workloads.map(({ kind, name }) => `${kind}/${name}`).join(", ");
  const query = (flow: SeenFlow): string => {
    const [first] = flow[end].workloads;
    return first === undefined ? "" : `${first.kind}/${first.name}`;
  };
  return { id: `${end}-workload`, title, width: 180, text, filter: { side: sides[end], kind: "workload", query } };
}
