import { formatAddress, formatMac } from "@cilium-ts/net";
import {
  endpointCodec,
  endpointFlags,
  endpointId,
  localAddressCodec,
  localAddressFlags,
  localAddressKeyCodec,
  type MetricsValue,
  metricsKeyCodec,
  metricsValueCodec,
  policyDirection,
  policyEntryCodec,
  policyEntryFlags,
  policyKeyCodec,
} from "./gen/index.ts";
import { u32Codec } from "./gen/scalars.ts";
import { decodePerCpuRows, decodeRows, type MapDump } from "./map-dump.ts";

/** A workload, as the programs know it. */
export interface InspectedEndpoint {
  readonly id: number;
  readonly ifindex: number;
  readonly identity: number;
  /** 0: its policy is not realised, nothing passes. */
  readonly policySet: number;
  readonly mac: string;
  readonly hostMac: string;
  /** Undefined: it has none. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  readonly ingressEnforced: boolean;
  readonly egressEnforced: boolean;
  readonly audit: boolean;
  /** As in the kernel. */
  readonly rawFlags: number;
}

/** An address that this node delivers to. */
export interface InspectedAddress {
  readonly address: string;
  /** 0: the node itself. */
  readonly endpointId: number;
  readonly host: boolean;
}

/** One entry of a policy set. */
export interface InspectedPolicyEntry {
  readonly set: number;
  readonly direction: "ingress" | "egress";
  /** 0: any. */
  readonly identity: number;
  /** 0: any. */
  readonly protocol: number;
  readonly port: number;
  /** Significant bits of the port, 0 (any port) to 16. */
  readonly portPrefixLength: number;
  readonly deny: boolean;
  /** No rule allows it, where a wider entry says otherwise. */
  readonly unallowed: boolean;
  /** What it would drop passes, and is reported. */
  readonly audit: boolean;
  /** A proxy decides: the one at `proxyPort`, or (0) nobody. */
  readonly redirect: boolean;
  readonly proxyPort: number;
  readonly authType: number;
  readonly precedence: number;
  /** Names the rules behind it in verdict events. */
  readonly cookie: number;
}

/** What was dropped (reasons from 130) or forwarded (reason 0), summed over the CPUs. */
export interface InspectedMetric {
  readonly reason: number;
  readonly direction: number;
  /** Where in the datapath; 0 when it is not counted apart. */
  readonly line: number;
  readonly file: number;
  readonly packets: bigint;
  readonly bytes: bigint;
}

/** Bits of a policy key before the protocol: set, identity and direction. */
const bitsBeforeProtocol = 72;
const protocolBits = 8;

/** A dump of map "endpoints"; free rows are passed over. The node itself has one without a device, where it is judged. */
export function decodeEndpoints(dump: MapDump): InspectedEndpoint[] {
  const rows = decodeRows(dump, u32Codec, endpointCodec, (_, row) => row);
  return rows
    .filter(({ id, ifindex, policySet }) => ifindex !== 0 || (id === endpointId.host && policySet !== 0))
    .map((row) => ({
      id: row.id,
      ifindex: row.ifindex,
      identity: row.identity,
      policySet: row.policySet,
      mac: formatMac(row.mac),
      hostMac: formatMac(row.hostMac),
      ipv4: addressOrNone(row.ipv4),
      ipv6: addressOrNone(row.ipv6),
      ingressEnforced: (row.flags & endpointFlags.ingressEnforced) !== 0,
      egressEnforced: (row.flags & endpointFlags.egressEnforced) !== 0,
      audit: (row.flags & endpointFlags.audit) !== 0,
      rawFlags: row.flags,
    }));
}

/** A dump of map "local_addresses". */
export function decodeLocalAddresses(dump: MapDump): InspectedAddress[] {
  return decodeRows(dump, localAddressKeyCodec, localAddressCodec, ({ address, family }, { endpointId, flags }) => ({
    address: formatAddress(family === 4 ? address.subarray(0, 4) : address),
    endpointId,
    host: (flags & localAddressFlags.host) !== 0,
  }));
}

/** A dump of map "policy", all sets of it. */
export function decodePolicy(dump: MapDump): InspectedPolicyEntry[] {
  return decodeRows(dump, policyKeyCodec, policyEntryCodec, (key, entry) => ({
    set: key.set,
    direction: key.direction === policyDirection.ingress ? "ingress" : "egress",
    identity: key.identity,
    protocol: key.protocol,
    port: key.port,
    portPrefixLength: Math.max(0, key.prefixLength - bitsBeforeProtocol - protocolBits),
    deny: (entry.flags & policyEntryFlags.deny) !== 0,
    unallowed: (entry.flags & policyEntryFlags.unallowed) !== 0,
    audit: (entry.flags & policyEntryFlags.audit) !== 0,
    redirect: (entry.flags & policyEntryFlags.redirect) !== 0,
    proxyPort: entry.proxyPort,
    authType: entry.authType,
    precedence: entry.precedence,
    cookie: entry.cookie,
  }));
}

/** A dump of map "metrics": drops. */
export function decodeDropMetrics(dump: MapDump): InspectedMetric[] {
  return decodePerCpuRows(dump, metricsKeyCodec, metricsValueCodec, ({ reason, direction, line, file }, values) => ({
    reason,
    direction,
    line,
    file,
    ...sumOf(values),
  }));
}

/** A dump of map "forwarded": the index is the direction. */
export function decodeForwardMetrics(dump: MapDump): InspectedMetric[] {
  return decodePerCpuRows(dump, u32Codec, metricsValueCodec, (direction, values) => ({
    reason: 0,
    direction,
    line: 0,
    file: 0,
    ...sumOf(values),
  })).filter(({ packets }) => packets > 0n);
}

function sumOf(values: readonly MetricsValue[]): { packets: bigint; bytes: bigint } {
  let [packets, bytes] = [0n, 0n];
  for (const value of values) {
    packets += value.count;
    bytes += value.bytes;
  }
  return { packets, bytes };
}

function addressOrNone(address: Uint8Array): string | undefined {
  return address.every((byte) => byte === 0) ? undefined : formatAddress(address);
}
