import { clone, create, equals } from "@bufbuild/protobuf";
import { UsageError } from "@cilium-ts/command-line";
import { EventType, reservedIdentityNames, tracePointNames } from "@cilium-ts/flow";
import { flowpb } from "@cilium-ts/observer";

type Filter = flowpb.FlowFilter;
type Change = (filter: Filter) => void;

export interface FilterFlag {
  readonly name: string;
  readonly short?: string;
  /** Shown as the value's name; absent for flags without a value. */
  readonly value?: string;
  readonly help: string;
  readonly apply: (list: FilterList, value: string) => void;
}

/**
 * The filters that flags on one side (allowed, or after --not denied) ask for. A flag about either end, such as --pod, makes two
 * alternatives: one in which it is about the source, and one about the destination. Every other flag holds in both.
 */
export class FilterList {
  readonly #source = create(flowpb.FlowFilterSchema);
  readonly #destination = create(flowpb.FlowFilterSchema);
  readonly #namespaces: { either: string[]; from: string[]; to: string[] } = { either: [], from: [], to: [] };
  readonly #used = new Set<string>();

  /** Remembers the flag, and refuses it next to one that it contradicts. */
  use(flag: string): void {
    this.#used.add(flag);
    for (const group of conflicts) {
      const [first, second] = group.filter((name) => this.#used.has(name));
      if (first !== undefined && second !== undefined) throw new UsageError(`filters --${first} and --${second} cannot be combined`);
    }
  }

  both(change: Change): void {
    change(this.#source);
    change(this.#destination);
  }

  either(source: Change, destination: Change): void {
    source(this.#source);
    destination(this.#destination);
  }

  namespace(side: "either" | "from" | "to", namespace: string): void {
    this.#namespaces[side].push(namespace);
  }

  build(): Filter[] {
    if (this.#used.size === 0) return [];
    const source = clone(flowpb.FlowFilterSchema, this.#source);
    const destination = clone(flowpb.FlowFilterSchema, this.#destination);
    const { either, from, to } = this.#namespaces;
    for (const filter of [source, destination]) {
      addNamespaces(filter, "source", from);
      addNamespaces(filter, "destination", to);
    }
    addNamespaces(source, "source", either);
    addNamespaces(destination, "destination", either);
    return equals(flowpb.FlowFilterSchema, source, destination) ? [source] : [source, destination];
  }
}

/** A namespace stands before the names of pods and services that have none; without any, it means all its pods. */
function addNamespaces(filter: Filter, side: "source" | "destination", namespaces: readonly string[]): void {
  if (namespaces.length === 0) return;
  const [pods, services] =
    side === "source" ? [filter.sourcePod, filter.sourceService] : [filter.destinationPod, filter.destinationService];
  if (pods.length === 0 && services.length === 0) pods.push("");
  for (const names of [pods, services]) {
    for (const name of names.filter((named) => named.includes("/"))) {
      const own = name.slice(0, name.indexOf("/"));
      if (own !== "" && !namespaces.includes(own)) {
        throw new UsageError(
          `namespace conflict: ${JSON.stringify(name)} is not in namespace ${namespaces.map((one) => JSON.stringify(one)).join(" or ")}`,
        );
      }
    }
    const full = names.flatMap((name) => (name.includes("/") ? [name] : namespaces.map((namespace) => `${namespace}/${name}`)));
    names.splice(0, names.length, ...full);
  }
}

/** Groups of flags of which only one may be used. */
const conflicts: ReadonlyArray<readonly string[]> = (["from", "to"] as const).flatMap((side) => {
  const withSide = (...names: string[]): string[] => names.flatMap((name) => [name, `${side}-${name}`]);
  return [
    withSide("fqdn", "ip", "namespace", "all-namespaces"),
    withSide("fqdn", "ip", "pod"),
    ["namespace", "all-namespaces", `${side}-pod`],
    ["namespace", "all-namespaces", `${side}-service`],
    ...["label", "service", "port", "identity", "workload", "cluster"].map((name) => withSide(name)),
  ];
});

type TextField = {
  [Name in keyof Filter]-?: Filter[Name] extends string[] ? Name : never;
}[keyof Filter];

/** A flag about either end, and its two one-sided forms. */
function sided(name: string, source: TextField, destination: TextField, help: string, short?: string): FilterFlag[] {
  const push =
    (field: TextField, value: string): Change =>
    (filter) =>
      void filter[field].push(value);
  return [
    {
      name,
      ...(short === undefined ? {} : { short }),
      value: "filter",
      help: `Flows from or to ${help}`,
      apply: (list, value) => list.either(push(source, value), push(destination, value)),
    },
    { name: `from-${name}`, value: "filter", help: `Flows from ${help}`, apply: (list, value) => list.both(push(source, value)) },
    { name: `to-${name}`, value: "filter", help: `Flows to ${help}`, apply: (list, value) => list.both(push(destination, value)) },
  ];
}

function plain(name: string, field: TextField, help: string): FilterFlag {
  return { name, value: "filter", help, apply: (list, value) => list.both((filter) => void filter[field].push(value)) };
}

function namespaces(): FilterFlag[] {
  const sides = [
    ["", "either", "from or to"],
    ["from-", "from", "from"],
    ["to-", "to", "to"],
  ] as const;
  return sides.flatMap(([prefix, side, words]): FilterFlag[] => [
    {
      name: `${prefix}namespace`,
      ...(side === "either" ? { short: "n" } : {}),
      value: "filter",
      help: `Flows ${words} pods of the namespace`,
      apply: (list, value) => list.namespace(side, value),
    },
    {
      name: `${prefix}all-namespaces`,
      ...(side === "either" ? { short: "A" } : {}),
      help: `Flows ${words} pods of any namespace`,
      apply: (list) => list.namespace(side, ""),
    },
  ]);
}

function identities(): FilterFlag[] {
  return [
    {
      name: "identity",
      value: "filter",
      help: "Flows from or to the security identity: a number or a reserved name",
      apply: (list, value) => {
        const identity = parseIdentity(value);
        list.either(
          (filter) => void filter.sourceIdentity.push(identity),
          (filter) => void filter.destinationIdentity.push(identity),
        );
      },
    },
    {
      name: "from-identity",
      value: "filter",
      help: "Flows from the security identity",
      apply: (list, value) => list.both((filter) => void filter.sourceIdentity.push(parseIdentity(value))),
    },
    {
      name: "to-identity",
      value: "filter",
      help: "Flows to the security identity",
      apply: (list, value) => list.both((filter) => void filter.destinationIdentity.push(parseIdentity(value))),
    },
  ];
}

function workloads(): FilterFlag[] {
  const workload = (value: string): flowpb.Workload => parseWorkload(value);
  return [
    {
      name: "workload",
      value: "filter",
      help: "Flows from or to the workload ([kind/]name)",
      apply: (list, value) =>
        list.either(
          (filter) => void filter.sourceWorkload.push(workload(value)),
          (filter) => void filter.destinationWorkload.push(workload(value)),
        ),
    },
    {
      name: "from-workload",
      value: "filter",
      help: "Flows from the workload ([kind/]name)",
      apply: (list, value) => list.both((filter) => void filter.sourceWorkload.push(workload(value))),
    },
    {
      name: "to-workload",
      value: "filter",
      help: "Flows to the workload ([kind/]name)",
      apply: (list, value) => list.both((filter) => void filter.destinationWorkload.push(workload(value))),
    },
  ];
}

const ipVersions: ReadonlyMap<string, number> = new Map([
  ["none", 0],
  ["4", 1],
  ["v4", 1],
  ["ipv4", 1],
  ["6", 2],
  ["v6", 2],
  ["ipv6", 2],
]);

const eventTypes: ReadonlyMap<string, number> = new Map([
  ["capture", EventType.capture],
  ["drop", EventType.drop],
  ["l7", EventType.l7],
  ["policy-verdict", EventType.policyVerdict],
  ["trace", EventType.trace],
  ["trace-sock", EventType.traceSock],
]);

/** Every filter flag of `hubble observe`. Names and meaning are those that people type already. */
export const filterFlags: readonly FilterFlag[] = [
  ...sided("pod", "sourcePod", "destinationPod", "pods with this name prefix ([namespace/]name; the namespace is default when absent)"),
  ...namespaces(),
  ...sided("label", "sourceLabel", "destinationLabel", 'endpoints that the selector matches ("app=web", "reserved:world")', "l"),
  ...sided("ip", "sourceIp", "destinationIp", "the address or CIDR"),
  ...sided("port", "sourcePort", "destinationPort", "the port"),
  ...sided("fqdn", "sourceFqdn", "destinationFqdn", 'the domain name ("*.cilium.io")'),
  ...sided("service", "sourceService", "destinationService", "the service ([namespace/]name)"),
  ...sided("cluster", "sourceClusterName", "destinationClusterName", "endpoints of the cluster"),
  ...identities(),
  ...workloads(),
  plain("snat-ip", "sourceIpXlated", "Flows whose source was translated to the address or CIDR"),
  plain("protocol", "protocol", "Flows of the protocol (tcp, udp, icmp, icmpv4, icmpv6, sctp, vrrp, igmp, dns, http, kafka)"),
  plain("node-name", "nodeName", 'Flows seen on nodes with a name like this ("k8s*", "cluster/node")'),
  plain("node-label", "nodeLabels", "Flows seen on nodes that the selector matches"),
  plain("uuid", "uuid", "The one flow with this identifier"),
  plain("trace-id", "traceId", "Flows with this trace ID"),
  plain("http-method", "httpMethod", "Flows with this HTTP method"),
  plain("http-path", "httpPath", "Flows whose HTTP path the regular expression (RE2) matches"),
  plain("http-url", "httpUrl", "Flows whose HTTP URL the regular expression (RE2) matches"),
  plain("http-status", "httpStatusCode", 'Flows with this HTTP status ("404") or one that begins so ("5+")'),
  {
    name: "http-header",
    value: "filter",
    help: "Flows with this HTTP header (name:value)",
    apply: (list, value) => {
      const colon = value.indexOf(":");
      if (colon < 0) throw new UsageError(`--http-header ${JSON.stringify(value)}: write name:value`);
      const header = create(flowpb.HTTPHeaderSchema, { key: value.slice(0, colon), value: value.slice(colon + 1) });
      list.both((filter) => void filter.httpHeader.push(header));
    },
  },
  {
    name: "verdict",
    value: "filter",
    help: "Flows with this verdict (FORWARDED, DROPPED, AUDIT, REDIRECTED, ERROR, TRACED, TRANSLATED)",
    apply: (list, value) => {
      const verdict = enumValue(flowpb.VerdictSchema, "verdict", value);
      list.both((filter) => void filter.verdict.push(verdict));
    },
  },
  {
    name: "drop-reason-desc",
    value: "filter",
    help: "Flows dropped for this reason (POLICY_DENIED, …)",
    apply: (list, value) => {
      const reason = enumValue(flowpb.DropReasonSchema, "drop-reason-desc", value);
      list.both((filter) => void filter.dropReasonDesc.push(reason));
    },
  },
  {
    name: "type",
    short: "t",
    value: "filter",
    help: `Events of this type (${[...eventTypes.keys()].join(", ")}, or trace:POINT such as trace:to-endpoint)`,
    apply: (list, value) => {
      const type = parseEventType(value);
      list.both((filter) => void filter.eventType.push(type));
    },
  },
  {
    name: "tcp-flags",
    value: "filter",
    help: "Flows with all of these TCP flags (syn,ack)",
    apply: (list, value) => {
      const flags = parseTcpFlags(value);
      list.both((filter) => void filter.tcpFlags.push(flags));
    },
  },
  {
    name: "traffic-direction",
    value: "filter",
    help: "Flows in this direction (ingress or egress)",
    apply: (list, value) => {
      const direction = value.toLowerCase() === "ingress" ? 1 : value.toLowerCase() === "egress" ? 2 : 0;
      if (direction === 0) throw new UsageError(`--traffic-direction ${JSON.stringify(value)} is neither ingress nor egress`);
      list.both((filter) => void filter.trafficDirection.push(direction));
    },
  },
  {
    name: "ip-version",
    value: "filter",
    help: 'IPv4 flows, IPv6 flows, or those without IP ("v4", "v6", "none")',
    apply: (list, value) => {
      const version = ipVersions.get(value.toLowerCase());
      if (version === undefined) throw new UsageError(`--ip-version ${JSON.stringify(value)} is none of v4, v6, none`);
      list.both((filter) => void filter.ipVersion.push(version));
    },
  },
  { name: "ipv4", short: "4", help: "IPv4 flows", apply: (list) => list.both((filter) => void filter.ipVersion.push(1)) },
  { name: "ipv6", short: "6", help: "IPv6 flows", apply: (list) => list.both((filter) => void filter.ipVersion.push(2)) },
  {
    name: "ip-trace-id",
    value: "filter",
    help: "Flows with this IP trace ID",
    apply: (list, value) => {
      if (!/^[1-9][0-9]{0,18}$/.test(value)) throw new UsageError(`--ip-trace-id ${JSON.stringify(value)} is no number above 0`);
      list.both((filter) => void filter.ipTraceId.push(BigInt(value)));
    },
  },
  {
    name: "interface",
    value: "filter",
    help: "Flows seen at the network interface (eth0)",
    apply: (list, value) => list.both((filter) => void filter.interface.push(create(flowpb.NetworkInterfaceSchema, { name: value }))),
  },
  {
    name: "cel-expression",
    value: "filter",
    help: "Flows for which the CEL expression is true",
    apply: (list, value) =>
      list.both((filter) => {
        filter.experimental ??= create(flowpb.FlowFilter_ExperimentalSchema);
        filter.experimental.celExpression.push(value);
      }),
  },
];

function enumValue(schema: typeof flowpb.VerdictSchema | typeof flowpb.DropReasonSchema, flag: string, value: string): number {
  const found = schema.values.find(({ name }) => name === value);
  if (found !== undefined) return found.number;
  const known = schema.values.map(({ name }) => name);
  const near = known.filter((name) => name.includes(value.toUpperCase()));
  throw new UsageError(`--${flag} ${JSON.stringify(value)} is none of ${(near.length > 0 ? near : known.slice(0, 12)).join(", ")}`);
}

function parseIdentity(value: string): number {
  const reserved = reservedIdentityNames.indexOf(value);
  if (reserved > 0) return reserved;
  if (/^[0-9]{1,10}$/.test(value) && Number(value) < 2 ** 32) return Number(value);
  throw new UsageError(`identity ${JSON.stringify(value)} is neither a number nor one of ${reservedIdentityNames.slice(1).join(", ")}`);
}

function parseWorkload(value: string): flowpb.Workload {
  const slash = value.indexOf("/");
  const kind = slash < 0 ? "" : value.slice(0, slash);
  return create(flowpb.WorkloadSchema, { kind, name: value.slice(slash + 1) });
}

function parseEventType(value: string): flowpb.EventTypeFilter {
  const [name = "", subName] = value.split(":");
  const type = eventTypes.get(name) ?? parseNumber(name);
  if (type === undefined)
    throw new UsageError(`--type ${JSON.stringify(value)}: ${JSON.stringify(name)} is none of ${[...eventTypes.keys()].join(", ")}`);
  if (subName === undefined) return create(flowpb.EventTypeFilterSchema, { type });
  const point = type === EventType.trace ? tracePointNames.indexOf(subName) : -1;
  const subType = point >= 0 ? point : parseNumber(subName);
  if (subType === undefined)
    throw new UsageError(`--type ${JSON.stringify(value)}: ${JSON.stringify(subName)} is none of ${tracePointNames.join(", ")}`);
  return create(flowpb.EventTypeFilterSchema, { type, matchSubType: true, subType });
}

function parseNumber(text: string): number | undefined {
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined;
}

const tcpFlagNames = ["SYN", "FIN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"] as const;

function parseTcpFlags(value: string): flowpb.TCPFlags {
  const flags = create(flowpb.TCPFlagsSchema);
  for (const text of value.split(",")) {
    const name = tcpFlagNames.find((known) => known === text.trim().toUpperCase());
    if (name === undefined) throw new UsageError(`TCP flag ${JSON.stringify(text)} is none of ${tcpFlagNames.join(", ").toLowerCase()}`);
    flags[name] = true;
  }
  return flags;
}
