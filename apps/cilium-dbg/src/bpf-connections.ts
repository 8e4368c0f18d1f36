import { tableText } from "@cilium-ts/command-line";
import type { InspectedConnection, InspectedFragment } from "@cilium-ts/datapath";
import { protocolText } from "./protocols.ts";

/** One line; with a time, how long it has still to live. */
export function connectionLine(row: InspectedConnection, nowS: number | undefined): string {
  const ends = `${hostPort(row.source, row.sourcePort)} -> ${hostPort(row.destination, row.destinationPort)}`;
  const remaining = nowS === undefined ? "" : ` (remaining: ${row.expiresS - nowS} sec(s))`;
  const flags = `Flags=0x${row.rawFlags.toString(16).padStart(4, "0")} [ ${[...row.flags, ""].join(" ")}]`;
  const identities = `SourceSecurityID=${row.sourceIdentity} DestinationSecurityID=${row.destinationIdentity}`;
  const sets = `EgressPolicySet=${row.egressSet} IngressPolicySet=${row.ingressSet}`;
  return `${protocolText(row.protocol)} ${ends} expires=${row.expiresS}${remaining} ${flags} ${identities} ${sets} ProxyPort=${row.proxyPort}\n`;
}

export function fragmentTable(fragments: readonly InspectedFragment[]): string {
  const rows = fragments.map(({ source, destination, id, protocol, sourcePort, destinationPort }) => {
    return [source, destination, String(id), protocolText(protocol), String(sourcePort), String(destinationPort)];
  });
  return tableText([["SOURCE", "DESTINATION", "ID", "PROTOCOL", "SOURCE PORT", "DESTINATION PORT"], ...rows]);
}

export function hostPort(address: string, port: number): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}
