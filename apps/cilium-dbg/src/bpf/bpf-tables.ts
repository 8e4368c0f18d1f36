import { tableText } from "@cilium-ts/command-line";
import type { InspectedAddress, InspectedEndpoint, InspectedMetric, IpcacheRow } from "@cilium-ts/datapath";
import { dropReasonText, sourceFileName } from "@cilium-ts/flow";

export function ipcacheTable(entries: readonly IpcacheRow[]): string {
  const rows = entries.map(({ prefix, identity, tunnelEndpoint = "0.0.0.0" }) => {
    return [prefix, `identity=${identity} encryptkey=0 tunnelendpoint=${tunnelEndpoint} flags=<none>`];
  });
  return tableText([["IP PREFIX/ADDRESS", "IDENTITY"], ...rows]);
}

export function addressTable(addresses: readonly InspectedAddress[], endpoints: readonly InspectedEndpoint[]): string {
  const byId = new Map(endpoints.map((endpoint) => [endpoint.id, endpoint]));
  const rows = addresses.map(({ address, endpointId, host }) => {
    const endpoint = byId.get(endpointId);
    return [address, host ? "(localhost)" : endpoint === undefined ? `id=${endpointId} (has no row)` : endpointText(endpoint)];
  });
  return tableText([["IP ADDRESS", "LOCAL ENDPOINT INFO"], ...rows]);
}

function endpointText({ id, identity, rawFlags, ifindex, mac, hostMac, policySet }: InspectedEndpoint): string {
  const flags = `0x${rawFlags.toString(16).padStart(4, "0")}`;
  return `id=${id} sec_id=${identity} flags=${flags} ifindex=${ifindex} mac=${mac.toUpperCase()} nodemac=${hostMac.toUpperCase()} policy_set=${policySet}`;
}

/** `enum metrics_direction` of `bpf/include/metrics.h`. */
const directions = ["UNKNOWN", "INGRESS", "EGRESS", "SERVICE"] as const;

export function metricsTable(metrics: readonly InspectedMetric[]): string {
  const rows = metrics.map(({ reason, direction, packets, bytes, line, file }) => {
    const place = line === 0 ? ["", ""] : [String(line), sourceFileName(file) ?? ""];
    const text = reason === 0 ? "Success" : dropReasonText(reason);
    return [text, directions[direction] ?? String(direction), String(packets), String(bytes), ...place];
  });
  return tableText([["REASON", "DIRECTION", "PACKETS", "BYTES", "LINE", "FILE"], ...rows]);
}
