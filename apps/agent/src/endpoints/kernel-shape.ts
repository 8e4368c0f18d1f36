import type { DatapathEndpoint } from "@cilium-ts/datapath";
import type { EndpointRow } from "@cilium-ts/endpoint";
import { Labels } from "@cilium-ts/labels";
import { type AddressBytes, parseAddress, parseMac } from "@cilium-ts/net";
import { type NamedPort, type PolicySubject, protocols } from "@cilium-ts/policy";

/** What policy sees of an endpoint. */
export function subjectOf(row: EndpointRow): PolicySubject {
  return { labels: Labels.parse(row.labels), namedPorts: policyPorts(row) };
}

export function policyPorts(row: EndpointRow): NamedPort[] {
  const numbers = { TCP: protocols.tcp, UDP: protocols.udp, SCTP: protocols.sctp };
  return row.namedPorts.map(({ name, port, protocol }) => ({ name, port, protocol: numbers[protocol] }));
}

export function addressesOf(row: EndpointRow): AddressBytes[] {
  return [row.ipv4, row.ipv6].flatMap((text) => (text === undefined ? [] : (parseAddress(text) ?? [])));
}

/** By what the kernel knows an endpoint. */
export function kernelKey(row: EndpointRow): Pick<DatapathEndpoint, "id" | "ifindex" | "ipv4" | "ipv6"> {
  const address = (text: string | undefined): AddressBytes | undefined => (text === undefined ? undefined : parseAddress(text));
  return { id: row.id, ifindex: row.ifindex, ipv4: address(row.ipv4), ipv6: address(row.ipv6) };
}

/** `audit`: what policy would drop passes, and is reported. */
export function kernelEndpoint(row: EndpointRow, audit: boolean): DatapathEndpoint {
  const mac = (text: string): Uint8Array => parseMac(text) ?? new Uint8Array(6);
  return {
    ...kernelKey(row),
    identity: row.identity,
    policySet: row.policySet,
    ingressEnforced: row.ingressEnforced,
    egressEnforced: row.egressEnforced,
    audit,
    mac: mac(row.mac),
    hostMac: mac(row.hostMac),
  };
}
