import { endpointFlags, localAddressFlags, type NodeConfig } from "../../adapters/datapath/src/gen/index.ts";
import { ethernet, frame, ipv4, ipv6, type Layer } from "./layers.ts";
import { type Pod, PodPrograms, type Rule } from "./pod-programs.ts";

/** Two pods of one node, in the middle of every test. Both directions of both are enforced. */
export const client: Pod = {
  id: 1,
  identity: 1001,
  policySet: 11,
  ifindex: 101,
  mac: "02:00:00:00:01:02",
  hostMac: "02:00:00:00:01:01",
  ipv4: "10.1.0.5",
  ipv6: "fd00::5",
  flags: endpointFlags.ingressEnforced | endpointFlags.egressEnforced,
};

export const server: Pod = {
  id: 2,
  identity: 1002,
  policySet: 12,
  ifindex: 102,
  mac: "02:00:00:00:02:02",
  hostMac: "02:00:00:00:02:01",
  ipv4: "10.1.0.4",
  ipv6: "fd00::4",
  flags: endpointFlags.ingressEnforced | endpointFlags.egressEnforced,
};

/** The node's own addresses. */
export const host = { ipv4: "10.1.0.1", ipv6: "fd00::1", identity: 1 };
/** Somebody outside, known by a prefix. */
export const outside = { ipv4: "192.0.2.7", ipv6: "2001:db8::7", identity: 16_777_217 };

export const families = [4, 6] as const;
export type Family = (typeof families)[number];

/** Address of a party in a family. */
export function at(party: { ipv4: string; ipv6: string }, family: Family): string {
  return family === 4 ? party.ipv4 : party.ipv6;
}

export function ip(family: Family, source: string, destination: string, options: { ttl?: number } = {}): Layer {
  if (family === 4) return ipv4(source, destination, options);
  return ipv6(source, destination, options.ttl === undefined ? {} : { hopLimit: options.ttl });
}

/** A frame that the pod sends to its gateway. */
export function sent(pod: Pod, ...layers: ReadonlyArray<Layer | string>): Uint8Array {
  return frame(ethernet(pod.mac, pod.hostMac), ...layers);
}

/** A frame as the pod receives it. */
export function received(pod: Pod, ...layers: ReadonlyArray<Layer | string>): Uint8Array {
  return frame(ethernet(pod.hostMac, pod.mac), ...layers);
}

/** Programs with the two pods, the host, the world and somebody outside. No rules: everything is denied. */
export async function openTwoPods(config: Partial<NodeConfig> = {}, mapSizes: Readonly<Record<string, number>> = {}): Promise<PodPrograms> {
  const programs = await PodPrograms.open(config, mapSizes);
  placeTwoPods(programs);
  return programs;
}

/** As after opening. */
export function placeTwoPods(programs: PodPrograms, rules: readonly Rule[] = []): void {
  programs.reset();
  for (const pod of [client, server]) {
    programs.setPod(pod);
    programs.setIdentity(pod.ipv4, 32, pod.identity);
    programs.setIdentity(pod.ipv6, 128, pod.identity);
  }
  for (const [address, bits] of [
    [host.ipv4, 32],
    [host.ipv6, 128],
  ] as const) {
    programs.setLocalAddress(address, 0, localAddressFlags.host);
    programs.setIdentity(address, bits, host.identity);
  }
  programs.setIdentity("192.0.2.0", 24, outside.identity);
  programs.setIdentity("2001:db8::", 32, outside.identity);
  programs.setIdentity("0.0.0.0", 0, 9);
  programs.setIdentity("::", 0, 10);
  for (const rule of rules) programs.addRule(rule);
}

/** Any peer, any protocol. */
export function allowAll(...pods: readonly Pod[]): Rule[] {
  return pods.flatMap((pod) => [
    { set: pod.policySet, direction: "ingress", cookie: 1 } as const,
    { set: pod.policySet, direction: "egress", cookie: 1 } as const,
  ]);
}
