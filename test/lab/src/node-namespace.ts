import { runOrThrow, runToEnd } from "./shell.ts";

/** Where a lab's nodes meet: one bridge, and an uplink of each node on it. */
export interface Underlay {
  readonly lab: string;
  /** Third number of 172.31.N.0/24. */
  readonly subnet: number;
}

/** This machine's own address there. */
export function gatewayOf({ subnet }: Underlay): string {
  return `172.31.${subnet}.1`;
}

/** Of the node of that number, from 1. */
export function nodeAddresses({ subnet }: Underlay, index: number): { ipv4: string; ipv6: string } {
  return { ipv4: `172.31.${subnet}.${10 + index}`, ipv6: `fd31:${subnet}::${10 + index}` };
}

export async function makeUnderlay(underlay: Underlay): Promise<void> {
  const bridge = `ct-${underlay.lab}`;
  await runOrThrow("ip", ["link", "add", bridge, "type", "bridge"]);
  await runOrThrow("ip", ["address", "add", `${gatewayOf(underlay)}/24`, "dev", bridge]);
  await runOrThrow("ip", ["link", "set", bridge, "up"]);
}

/** A network namespace on the underlay: a node, or a machine outside of the cluster. */
export async function makeMachine(
  underlay: Underlay,
  machine: { readonly namespace: string; readonly uplink: string; readonly ipv4: string; readonly ipv6: string },
): Promise<void> {
  const { namespace, uplink, ipv4, ipv6 } = machine;
  await runOrThrow("ip", ["netns", "add", namespace]);
  await runOrThrow("ip", ["link", "add", uplink, "type", "veth", "peer", "name", "eth0", "netns", namespace]);
  await runOrThrow("ip", ["link", "set", uplink, "master", `ct-${underlay.lab}`, "up"]);
  const inside = (...args: string[]): Promise<string> => runOrThrow("nsenter", [`--net=/run/netns/${namespace}`, "ip", ...args]);
  await inside("link", "set", "lo", "up");
  await inside("address", "add", `${ipv4}/24`, "dev", "eth0");
  await inside("address", "add", `${ipv6}/64`, "dev", "eth0", "nodad");
  await inside("link", "set", "eth0", "up");
  await inside("route", "add", "default", "via", gatewayOf(underlay));
}

export function uplinkOf({ lab }: Underlay, index: number): string {
  return `ct-${lab}${index}`;
}

/** A node whose uplink is down hears and reaches nobody, the API server included. */
export async function setUplink(underlay: Underlay, index: number, state: "up" | "down"): Promise<void> {
  await runOrThrow("ip", ["link", "set", uplinkOf(underlay, index), state]);
}

export async function removeMachine(namespace: string, uplink: string): Promise<void> {
  await runToEnd("ip", ["link", "del", uplink]);
  await runToEnd("ip", ["netns", "del", namespace]);
}
