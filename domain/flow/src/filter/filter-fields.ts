import { Labels } from "@cilium-ts/labels";
import { type AddressBytes, type Prefix, parsePrefix, prefixContainsAddress } from "@cilium-ts/net";
import type { FlowEndpoint, FlowService } from "../context/context.ts";
import type { EventView } from "../event.ts";
import { IPVersion, Verdict } from "../flow.ts";
import { type Packet, PacketLayer } from "../packet.ts";
import type { FilterOptions, FlowFilter, FlowPredicate } from "./filter.ts";
import { parseLabelSelector } from "./label-selector.ts";
import {
  compileDnsQueries,
  compileHeaders,
  compileMethods,
  compileNames,
  compilePaths,
  compileStatusCodes,
  compileTraceIds,
  compileUrls,
} from "./layer7-fields.ts";
import { compileNodeName } from "./node-name-pattern.ts";

export interface CompiledField {
  /** 0 reads the record's header, 1 parses the packet, 2 finds the endpoints, 3 compares texts of them, 4 reads what a proxy told, 5 takes the whole flow. */
  readonly cost: 0 | 1 | 2 | 3 | 4 | 5;
  readonly matches: FlowPredicate;
}

export type FieldResult = CompiledField | { readonly problem: string };

/** The same fields, each with values. */
type Fields = { readonly [Name in keyof FlowFilter]-?: NonNullable<FlowFilter[Name]> };
type FieldName = keyof Fields;
type Compilers = { readonly [Name in FieldName]: (values: Fields[Name], options: FilterOptions) => FieldResult };
type Side = (event: EventView) => FlowEndpoint | undefined;

const sourceSide: Side = (event) => event.source;
const destinationSide: Side = (event) => event.destination;

/** One compiler a field. */
const compilers: Compilers = {
  verdict: (values) => field(0, (event) => values.includes(event.verdict)),
  dropReasonDesc: (values) => field(0, (event) => values.includes(event.dropReason)),
  eventType: (values) =>
    field(0, (event) =>
      values.some(
        (wanted) => (wanted.type === 0 || wanted.type === event.type) && (!wanted.matchSubType || wanted.subType === subTypeOf(event)),
      ),
    ),
  reply: (values) => field(0, (event) => matchesReply(values, event)),
  uuid: (values) => field(0, (event) => values.some((uuid) => event.hasUuid(uuid))),
  ipTraceId: (values) => field(0, (event) => values.includes(event.ipTraceId)),
  interface: (values) => field(1, (event) => matchesInterface(values, event)),
  nodeName: (values) => compileNodeName(values, (matches) => field(0, (event) => matches(event.context))),
  nodeLabels: (values) => compileLabels(values, (event) => event.context.nodeLabels),
  ipVersion: (values) => field(1, (event) => values.includes(versionOf(event))),
  protocol: compileProtocols,
  sourcePort: (values) => compilePorts(values, "source"),
  destinationPort: (values) => compilePorts(values, "destination"),
  tcpFlags: (values) =>
    field(1, ({ packet }) => packet.layer === PacketLayer.tcp && values.some((flags) => (packet.tcpFlags & flags) === flags)),
  sourceIp: (values) => compileAddresses(values, (event) => event.sourceAddress),
  destinationIp: (values) => compileAddresses(values, (event) => event.destinationAddress),
  sourceIpXlated: (values) => compileAddresses(values, (event) => (event.originalSource === undefined ? undefined : event.headerSource)),
  trafficDirection: (values) => field(2, (event) => values.includes(event.direction)),
  sourceIdentity: (values) => field(2, (event) => values.includes(event.source?.identity ?? 0)),
  destinationIdentity: (values) => field(2, (event) => values.includes(event.destination?.identity ?? 0)),
  sourcePod: (values) => compilePods(values, sourceSide),
  destinationPod: (values) => compilePods(values, destinationSide),
  sourceLabel: (values) => compileLabels(values, (event) => event.source?.labels),
  destinationLabel: (values) => compileLabels(values, (event) => event.destination?.labels),
  sourceWorkload: (values) => compileWorkloads(values, sourceSide),
  destinationWorkload: (values) => compileWorkloads(values, destinationSide),
  sourceClusterName: (values) => field(3, (event) => values.includes(event.source?.clusterName ?? "")),
  destinationClusterName: (values) => field(3, (event) => values.includes(event.destination?.clusterName ?? "")),
  sourceFqdn: (values, options) => compileNames(values, options, (event) => event.sourceNames),
  destinationFqdn: (values, options) => compileNames(values, options, (event) => event.destinationNames),
  sourceService: (values) => compileServices(values, (event) => event.sourceService),
  destinationService: (values) => compileServices(values, (event) => event.destinationService),
  httpStatusCode: compileStatusCodes,
  httpMethod: compileMethods,
  httpHeader: compileHeaders,
  httpPath: compilePaths,
  httpUrl: compileUrls,
  dnsQuery: compileDnsQueries,
  traceId: compileTraceIds,
  celExpression: compileExpressions,
};

export const filterFields = Object.keys(compilers) as readonly FieldName[];

/** Undefined when the filter says nothing of this field. */
export function compileField<Name extends FieldName>(name: Name, filter: Partial<Fields>, options: FilterOptions): FieldResult | undefined {
  const values: Fields[Name] | undefined = filter[name];
  return values === undefined || values.length === 0 ? undefined : compilers[name](values, options);
}

function field(cost: CompiledField["cost"], matches: FlowPredicate): CompiledField {
  return { cost, matches };
}

function subTypeOf(event: EventView): number {
  return event.sockXlatePoint === 0 ? event.subType : 0;
}

/** An event that does not tell matches neither; a drop counts as "no reply". */
function matchesReply(values: readonly boolean[], event: EventView): boolean {
  const reply = event.isReply ?? (event.verdict === Verdict.dropped ? false : undefined);
  return reply !== undefined && values.includes(reply);
}

function matchesInterface(values: NonNullable<FlowFilter["interface"]>, event: EventView): boolean {
  const index = event.ifindex;
  if (index === 0) return false;
  return values.some(
    (wanted) =>
      (wanted.index !== 0 && wanted.index === index) || (wanted.name !== "" && wanted.name === event.context.interfaceName(index)),
  );
}

function versionOf(event: EventView): number {
  const family = event.sockXlatePoint === 0 ? event.packet.family : event.sockFamily;
  return family === 4 ? IPVersion.v4 : family === 6 ? IPVersion.v6 : IPVersion.none;
}

const layersOfProtocol: ReadonlyMap<string, readonly number[]> = new Map<string, readonly number[]>([
  ["icmp", [PacketLayer.icmpv4, PacketLayer.icmpv6]],
  ["icmpv4", [PacketLayer.icmpv4]],
  ["icmpv6", [PacketLayer.icmpv6]],
  ["tcp", [PacketLayer.tcp]],
  ["udp", [PacketLayer.udp]],
  ["sctp", [PacketLayer.sctp]],
  ["vrrp", [PacketLayer.vrrp]],
  ["igmp", [PacketLayer.igmp]],
]);

const layer7Protocols: ReadonlySet<string> = new Set(["dns", "http", "kafka"]);

function compileProtocols(values: readonly string[]): FieldResult {
  const layers = new Set<number>();
  const messages = new Set<string>();
  for (const value of values) {
    const name = value.toLowerCase();
    const known = layersOfProtocol.get(name);
    if (layer7Protocols.has(name)) messages.add(name);
    else if (known === undefined) {
      const names = [...layersOfProtocol.keys(), ...layer7Protocols].join(", ");
      return { problem: `protocol ${JSON.stringify(value)} is none of ${names}` };
    }
    for (const layer of known ?? []) layers.add(layer);
  }
  if (messages.size === 0) return field(1, (event) => layers.has(event.packet.layer));
  return field(4, (event) => layers.has(event.packet.layer) || messages.has(event.layer7?.message.protocol ?? ""));
}

function compilePorts(values: readonly string[], side: "source" | "destination"): FieldResult {
  const ports = new Set<number>();
  for (const value of values) {
    if (!/^[0-9]{1,5}$/.test(value) || Number(value) > 65_535) {
      return { problem: `port ${JSON.stringify(value)} is no number from 0 to 65535` };
    }
    ports.add(Number(value));
  }
  const hasPorts = (packet: Packet): boolean => packet.layer >= PacketLayer.tcp && packet.layer <= PacketLayer.sctp;
  if (side === "source") return field(1, ({ packet }) => hasPorts(packet) && ports.has(packet.sourcePort));
  return field(1, ({ packet }) => hasPorts(packet) && ports.has(packet.destinationPort));
}

function compileAddresses(values: readonly string[], addressOf: (event: EventView) => AddressBytes | undefined): FieldResult {
  const prefixes: Prefix[] = [];
  for (const value of values) {
    const prefix = parsePrefix(value);
    if (prefix === undefined) return { problem: `IP ${JSON.stringify(value)} is neither an address nor a CIDR` };
    prefixes.push(prefix);
  }
  return field(1, (event) => {
    const address = addressOf(event);
    return address !== undefined && prefixes.some((prefix) => prefixContainsAddress(prefix, address));
  });
}

function compilePods(values: readonly string[], side: Side): FieldResult {
  const wanted = parseQualifiedNames(values, "pod");
  if ("problem" in wanted) return wanted;
  return field(3, (event) => {
    const endpoint = side(event);
    if (endpoint === undefined || (endpoint.namespace === "" && endpoint.podName === "")) return false;
    return wanted.matches(endpoint.namespace, endpoint.podName);
  });
}

function compileWorkloads(values: NonNullable<FlowFilter["sourceWorkload"]>, side: Side): FieldResult {
  return field(3, (event) => {
    const workloads = side(event)?.workloads ?? [];
    return workloads.some((workload) =>
      values.some(
        (wanted) => (wanted.name === "" || wanted.name === workload.name) && (wanted.kind === "" || wanted.kind === workload.kind),
      ),
    );
  });
}

/** Parsed labels, by the array that the context gave: it is the same as long as the labels are. */
const parsedLabels = new WeakMap<readonly string[], Labels>();

function compileLabels(values: readonly string[], labelsOf: (event: EventView) => readonly string[] | undefined): FieldResult {
  const selectors = values.map(parseLabelSelector);
  const problem = selectors.find((selector) => "problem" in selector);
  if (problem !== undefined && "problem" in problem) return problem;
  const parsed = selectors.flatMap((selector) => ("selector" in selector ? [selector.selector] : []));
  return field(3, (event) => {
    const texts = labelsOf(event);
    if (texts === undefined) return false;
    let labels = parsedLabels.get(texts);
    if (labels === undefined) {
      labels = Labels.parse(texts);
      parsedLabels.set(texts, labels);
    }
    for (const selector of parsed) if (selector.matches(labels)) return true;
    return false;
  });
}

function compileExpressions(values: readonly string[], options: FilterOptions): FieldResult {
  const predicates: FlowPredicate[] = [];
  for (const value of values) {
    const compiled = options.compileExpression(value);
    if ("problem" in compiled) return { problem: `CEL expression ${JSON.stringify(value)}: ${compiled.problem}` };
    predicates.push(compiled.matches);
  }
  return field(5, (event) => predicates.some((matches) => matches(event)));
}

function compileServices(values: readonly string[], serviceOf: (event: EventView) => FlowService | undefined): FieldResult {
  const wanted = parseQualifiedNames(values, "service");
  if ("problem" in wanted) return wanted;
  return field(3, (event) => {
    const service = serviceOf(event);
    return service !== undefined && wanted.matches(service.namespace, service.name);
  });
}

/** `namespace/prefix`; without a slash the namespace is "default", with nothing before it any. */
function parseQualifiedNames(
  values: readonly string[],
  what: string,
): { readonly matches: (namespace: string, name: string) => boolean } | { readonly problem: string } {
  if (values.includes("")) return { problem: `a ${what} filter is empty; write namespace/name, namespace/ or name` };
  const wanted = values.map((value) => {
    const slash = value.indexOf("/");
    return slash < 0 ? { namespace: "default", prefix: value } : { namespace: value.slice(0, slash), prefix: value.slice(slash + 1) };
  });
  return {
    matches: (namespace, name) =>
      wanted.some((one) => (one.namespace === "" || one.namespace === namespace) && name.startsWith(one.prefix)),
  };
}
