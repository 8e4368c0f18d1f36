import { clean } from "@cilium-ts/command-line";
import { reservedIdentityNames } from "@cilium-ts/flow";
import type { flowpb } from "@cilium-ts/observer";

/** One end of a flow: `namespace/pod`, the name of a reserved identity, or the address. */
export function endpointText(endpoint: flowpb.Endpoint | undefined, address: string): string {
  if (endpoint !== undefined && endpoint.podName !== "") return clean(`${endpoint.namespace}/${endpoint.podName}`);
  const reserved = reservedIdentityNames[endpoint?.identity ?? 0];
  return clean(endpoint === undefined || endpoint.identity === 0 || reserved === undefined ? address : `${reserved} (${address})`);
}

export interface Transport {
  /** `TCP`, `ICMPv4`; empty when it is not known. */
  readonly protocol: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export function transportOf(l4: flowpb.Layer4 | undefined): Transport {
  const protocol = l4?.protocol;
  const hasPorts = protocol?.case === "TCP" || protocol?.case === "UDP" || protocol?.case === "SCTP";
  const ports = hasPorts ? protocol.value : { sourcePort: 0, destinationPort: 0 };
  return { protocol: protocol?.case ?? "", sourcePort: ports.sourcePort, destinationPort: ports.destinationPort };
}
