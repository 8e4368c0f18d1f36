import { type AddressBytes, type Family, formatAddress, formatPrefix, maskAddress, type Prefix } from "@cilium-ts/net";
import { malformed, unacceptable } from "./errors.ts";
import { decodeFamily, encodeFamily, familyNumberOf, sizeBytesOfFamily } from "./family.ts";
import { type Attributes, decodeAttributes, fixedPart } from "./message-reader.ts";
import type { MessageWriter } from "./message-writer.ts";
import { decodeScope, encodeScope, type Scope } from "./scope.ts";
import { routeAttribute, routeFlag, routeMetric, scopeNowhere } from "./wire.ts";

/** What becomes of a packet that a route matches (RTN_*). */
export type RouteKind =
  | "unicast"
  | "local"
  | "broadcast"
  | "anycast"
  | "multicast"
  | "blackhole"
  | "unreachable"
  | "prohibit"
  | "throw"
  | "other";

/** The kinds that can be made here. */
export type NewRouteKind = "unicast" | "local" | "blackhole" | "unreachable" | "prohibit" | "throw";

export interface Route {
  readonly family: Family;
  readonly destination: Prefix;
  readonly kind: RouteKind;
  readonly gateway: AddressBytes | undefined;
  readonly linkIndex: number | undefined;
  /** The source address for packets that have none yet. */
  readonly source: AddressBytes | undefined;
  /** 254 is main, 255 local. */
  readonly table: number;
  /** The lower wins. IPv6 has 1024 where none was given, IPv4 has 0. */
  readonly metric: number;
  /** Who put it there (RTPROT_*): 2 the kernel, 3 `ip route`, 4 somebody for good, 9 a router advertisement. */
  readonly protocol: number;
  readonly scope: Scope;
  readonly onlink: boolean;
  readonly mtu: number | undefined;
  /** It has several next hops, and none of them is decoded. */
  readonly multipath: boolean;
}

export interface NewRoute {
  /** The whole prefix of a family (`0.0.0.0/0`, `::/0`) is the default route. */
  readonly destination: Prefix;
  /** Default: unicast. */
  readonly kind?: NewRouteKind | undefined;
  readonly gateway?: AddressBytes | undefined;
  readonly linkIndex?: number | undefined;
  readonly source?: AddressBytes | undefined;
  /** Default: 254, main. */
  readonly table?: number | undefined;
  readonly metric?: number | undefined;
  /** Default: 4, static. */
  readonly protocol?: number | undefined;
  /** Default for IPv4: link without a gateway, universe with one. IPv6 has none. */
  readonly scope?: Scope | undefined;
  /** The gateway is on that link, whatever the routes say. */
  readonly onlink?: boolean | undefined;
  readonly mtu?: number | undefined;
}

export interface RouteFilter {
  readonly family?: Family | undefined;
  readonly table?: number | undefined;
  readonly linkIndex?: number | undefined;
  readonly protocol?: number | undefined;
}

export const mainTable = 254;
export const staticProtocol = 4;

/** rtmsg. */
const fixedSizeBytes = 12;
const kindNumbers: Readonly<Record<NewRouteKind, number>> = { unicast: 1, local: 2, blackhole: 6, unreachable: 7, prohibit: 8, throw: 9 };
const kindNames: readonly RouteKind[] = [
  "other",
  "unicast",
  "local",
  "broadcast",
  "anycast",
  "multicast",
  "blackhole",
  "unreachable",
  "prohibit",
  "throw",
];

export function describeRoute(route: Pick<NewRoute, "destination" | "table">): string {
  const table = route.table ?? mainTable;
  return `route ${formatPrefix(route.destination)}${table === mainTable ? "" : ` in table ${table}`}`;
}

export function checkRoute(operation: string, route: NewRoute): void {
  const size = route.destination.address.length;
  if (size !== 4 && size !== 16) throw unacceptable(operation, "route", `an address has 4 or 16 bytes, not ${size}`);
  const { length } = route.destination;
  const subject = describeRoute(route);
  if (!Number.isInteger(length) || length < 0 || length > size * 8)
    throw unacceptable(operation, subject, `a prefix length is from 0 to ${size * 8}`);
  for (const [what, address] of [
    ["gateway", route.gateway],
    ["source", route.source],
  ] as const) {
    if (address !== undefined && address.length !== size) {
      throw unacceptable(operation, subject, `its ${what} ${formatAddress(address)} is of the other family`);
    }
  }
  if (Buffer.compare(maskAddress(route.destination.address, length), route.destination.address) !== 0) {
    throw unacceptable(operation, subject, "its destination has bits after the prefix length");
  }
}

/** `deleting`: what is not given matches anything. */
export function encodeRoute(writer: MessageWriter, route: NewRoute, deleting: boolean): void {
  const table = route.table ?? mainTable;
  const kind = route.kind ?? "unicast";
  writer.u8(familyNumberOf(route.destination.address));
  writer.u8(route.destination.length);
  writer.u8(0);
  writer.u8(0);
  writer.u8(table < 256 ? table : 0);
  writer.u8(route.protocol ?? (deleting ? 0 : staticProtocol));
  writer.u8(scopeNumberOf(route, kind, deleting));
  writer.u8(deleting && route.kind === undefined ? 0 : kindNumbers[kind]);
  writer.u32(route.onlink === true ? routeFlag.onlink : 0);
  if (route.destination.length > 0) writer.attribute(routeAttribute.destination, route.destination.address);
  writer.attributeU32(routeAttribute.table, table);
  if (route.linkIndex !== undefined) writer.attributeU32(routeAttribute.outputInterface, route.linkIndex);
  if (route.gateway !== undefined) writer.attribute(routeAttribute.gateway, route.gateway);
  if (route.source !== undefined) writer.attribute(routeAttribute.preferredSource, route.source);
  if (route.metric !== undefined) writer.attributeU32(routeAttribute.priority, route.metric);
  const { mtu } = route;
  if (mtu !== undefined) writer.nested(routeAttribute.metrics, () => writer.attributeU32(routeMetric.mtu, mtu));
}

export function encodeRouteQuery(writer: MessageWriter, family: Family | undefined): void {
  writer.u8(encodeFamily(family));
  for (let index = 1; index < fixedSizeBytes; index += 1) writer.u8(0);
}

function scopeNumberOf(route: NewRoute, kind: NewRouteKind, deleting: boolean): number {
  if (route.scope !== undefined) return encodeScope(route.scope);
  if (deleting) return scopeNowhere;
  if (kind === "local") return encodeScope("host");
  return encodeScope(kind === "unicast" && route.gateway === undefined ? "link" : "universe");
}

/** Undefined for families other than IPv4 and IPv6, and for what IPv6 merely remembers (RTM_F_CLONED). */
export function decodeRoute(payload: Uint8Array): Route | undefined {
  const fixed = fixedPart(payload, fixedSizeBytes);
  const family = decodeFamily(fixed.getUint8(0));
  const sizeBytes = sizeBytesOfFamily(fixed.getUint8(0));
  const flags = fixed.getUint32(8, true);
  if (family === undefined || sizeBytes === undefined || (flags & routeFlag.cloned) !== 0) return undefined;
  const attributes = decodeAttributes(payload.subarray(fixedSizeBytes));
  const length = fixed.getUint8(1);
  if (length > sizeBytes * 8) throw malformed(`a prefix length of ${length}`);
  return {
    family,
    destination: { address: attributes.address(routeAttribute.destination, sizeBytes) ?? new Uint8Array(sizeBytes), length },
    kind: kindNames[fixed.getUint8(7)] ?? "other",
    gateway: decodeGateway(attributes, sizeBytes),
    linkIndex: attributes.u32(routeAttribute.outputInterface),
    source: attributes.address(routeAttribute.preferredSource, sizeBytes),
    table: attributes.u32(routeAttribute.table) ?? fixed.getUint8(4),
    metric: attributes.u32(routeAttribute.priority) ?? 0,
    protocol: fixed.getUint8(5),
    scope: decodeScope(fixed.getUint8(6)),
    onlink: (flags & routeFlag.onlink) !== 0,
    mtu: attributes.nested(routeAttribute.metrics)?.u32(routeMetric.mtu),
    multipath: attributes.has(routeAttribute.multipath),
  };
}

/** An IPv4 route may have an IPv6 gateway: then it is in RTA_VIA, behind two bytes of family. */
function decodeGateway(attributes: Attributes, sizeBytes: number): AddressBytes | undefined {
  const gateway = attributes.address(routeAttribute.gateway, sizeBytes);
  if (gateway !== undefined) return gateway;
  const via = attributes.bytes(routeAttribute.via);
  if (via === undefined) return undefined;
  if (via.length !== 6 && via.length !== 18) throw malformed(`a gateway of ${via.length - 2} bytes`);
  return via.slice(2);
}

export function routeMatches(route: Route, filter: RouteFilter): boolean {
  return (
    (filter.family === undefined || filter.family === route.family) &&
    (filter.table === undefined || filter.table === route.table) &&
    (filter.linkIndex === undefined || filter.linkIndex === route.linkIndex) &&
    (filter.protocol === undefined || filter.protocol === route.protocol)
  );
}
