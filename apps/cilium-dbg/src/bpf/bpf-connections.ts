import { tableText } from "@cilium-ts/command-line";
import type { InspectedConnection, InspectedFragment, InspectedTranslation } from "@cilium-ts/datapath";
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

/** `TCP OUT 10.0.1.5:40000 -> 192.0.2.1:443 XLATE_SRC 172.31.1.11:32768` */
export function translationLine(row: InspectedTranslation): string {
  const ends = `${hostPort(row.source, row.sourcePort)} -> ${hostPort(row.destination, row.destinationPort)}`;
  const [direction, what] = row.direction === "out" ? ["OUT", "XLATE_SRC"] : ["IN", "XLATE_DST"];
  return `${protocolText(row.protocol)} ${direction} ${ends} ${what} ${hostPort(row.address, row.port)}\n`;
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
