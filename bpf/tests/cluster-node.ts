import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { openKernel } from "@cilium-ts/kernel";
import { formatAddress } from "@cilium-ts/net";
import { openNetlink } from "@cilium-ts/netlink";
import { notifyFlags, type TraceNotify } from "../../adapters/datapath/src/gen/index.ts";
import { type Datapath, datapathDefaults, openDatapath, type PolicySetEntry } from "../../adapters/datapath/src/index.ts";
import { applyProxyRoutes } from "../../apps/agent/src/network/proxy-routes.ts";
import { addressBytes, macBytes } from "./layers.ts";
import { drainEvents, type Event } from "./pod-programs.ts";

// One node of cluster.ts, run inside its network namespace: opens a datapath of its own, says "ready", and answers each line (a
// NodeCommand) with a line of JSON. It leaves nothing behind when its input ends.

export type Routing = "tunnel" | "stack" | "direct";

export interface NodeSetup {
  readonly bpfRoot: string;
  /** How pods of the other node are reached; directly is natively, past the stack. */
  readonly routing: Routing;
  readonly routers: readonly [ipv4: string, ipv6: string];
  /** The uplink's addresses and the prefixes that see the pod's own; undefined: everybody sees those. */
  readonly masquerade: Masquerading | undefined;
  readonly hostAddresses: readonly string[];
  /** Policies of the node itself are possible. */
  readonly hostFirewall: boolean;
  /** Its device is "pod". */
  readonly pod: NodePod;
  /** Its device is "near". It may do anything. */
  readonly near: NodePod;
  readonly ipcache: readonly IpcacheEntry[];
}

interface NodePod {
  readonly mac: string;
  readonly id: number;
  readonly identity: number;
  readonly ipv4: string;
  readonly ipv6: string;
}

export interface Masquerading {
  readonly ipv4: string;
  readonly ipv6: string;
  readonly exempt: readonly string[];
}

export interface IpcacheEntry {
  readonly prefix: string;
  readonly identity: number;
  readonly tunnelEndpoint?: string;
}

/** Of the pod: the identities that may talk to it, and it to them; 0 is anybody. */
export interface NodePolicy {
  readonly ingress: readonly number[];
  readonly egress: readonly number[];
  readonly redirects?: readonly NodeRedirect[];
}

/** Anybody on this port, by the proxy there. */
export interface NodeRedirect {
  readonly direction: "ingress" | "egress";
  readonly protocol: number;
  readonly port: number;
  readonly proxyPort: number;
}

export type NodeCommand =
  | { readonly kind: "policy"; readonly policy: NodePolicy }
  | { readonly kind: "host-policy"; readonly policy: NodePolicy }
  | { readonly kind: "ipcache"; readonly rows: readonly IpcacheEntry[] }
  | { readonly kind: "tunnel-source"; readonly address: string }
  | { readonly kind: "events" };

/** An event in short. `subtype`: the drop's reason, or where the trace was taken. */
export interface NodeEvent {
  readonly kind: Event["kind"];
  readonly subtype: number;
  readonly source: number;
  readonly destination: number;
  /** The source before it was translated; "" where it was not. */
  readonly original: string;
  /** What carries the packet between the nodes: `SOURCE to DESTINATION:PORT, VNI`; "" where nothing does. */
  readonly outer: string;
}

function policyEntries({ ingress, egress, redirects = [] }: NodePolicy): PolicySetEntry[] {
  const allow = (direction: "ingress" | "egress", identity: number): PolicySetEntry => ({
    ...{ direction, identity, protocol: 0, port: 0, portPrefixLength: 0, deny: false, precedence: 0, cookie: 1 },
  });
  return [
    ...ingress.map((identity) => allow("ingress", identity)),
    ...egress.map((identity) => allow("egress", identity)),
    ...redirects.map((redirect) => ({ ...allow(redirect.direction, 0), ...redirect, portPrefixLength: 16, precedence: 24 })),
  ];
}

function originalOf({ originalIp, flags }: TraceNotify): string {
  if (originalIp.every((byte) => byte === 0)) return "";
  return formatAddress((flags & notifyFlags.ipv6) !== 0 ? originalIp : originalIp.subarray(0, 4));
}

function summary(event: Event): NodeEvent {
  const { kind, notify } = event;
  if (kind === "verdict") return { kind, subtype: notify.verdict, source: notify.remoteIdentity, destination: 0, original: "", outer: "" };
  const original = kind === "trace" ? originalOf(notify) : "";
  return {
    kind,
    subtype: notify.header.subtype,
    source: notify.sourceIdentity,
    destination: notify.destinationIdentity,
    original,
    outer: outerOf(event),
  };
}

function outerOf(event: Event): string {
  const { notify, payload } = event;
  if (!("flags" in notify) || event.kind === "verdict" || (notify.flags & notifyFlags.vxlan) === 0) return "";
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const [source, destination] = [formatAddress(payload.subarray(12, 16)), formatAddress(payload.subarray(16, 20))];
  return `${source} to ${destination}:${view.getUint16(22)}, ${view.getUint32(32) >>> 8}`;
}

function ifindexOf(device: string): number {
  return JSON.parse(execFileSync("ip", ["-json", "link", "show", device], { encoding: "utf8" }))[0].ifindex;
}

/** Endpoint and devices, as an agent would set them. */
function place(datapath: Datapath, setup: NodeSetup): (policy: NodePolicy) => void {
  const links: ReadonlyArray<{ ifname: string; ifindex: number; address: string }> = JSON.parse(
    execFileSync("ip", ["-json", "link"], { encoding: "utf8" }),
  );
  const find = (name: string): (typeof links)[number] => {
    const link = links.find(({ ifname }) => ifname === name);
    if (link === undefined) throw new RangeError(`the node has no device "${name}"`);
    return link;
  };
  const endpointOf = (pod: NodePod, device: string) => {
    const { ifindex, address } = find(device);
    const flags = { ingressEnforced: true, egressEnforced: true, audit: false };
    const macs = { mac: macBytes(pod.mac), hostMac: macBytes(address) };
    const addresses = { ipv4: addressBytes(pod.ipv4), ipv6: addressBytes(pod.ipv6) };
    return { id: pod.id, identity: pod.identity, ifindex, ...flags, ...macs, ...addresses };
  };
  const endpoint = endpointOf(setup.pod, "pod");
  const open = (): number => datapath.policySets.acquire(policyEntries({ ingress: [0], egress: [0] }));
  const enforce = (policy: NodePolicy): void => {
    datapath.endpoints.applyRow({ ...endpoint, policySet: datapath.policySets.acquire(policyEntries(policy)) });
  };
  datapath.endpoints.apply({ ...endpoint, policySet: open() });
  datapath.endpoints.apply({ ...endpointOf(setup.near, "near"), policySet: open() });
  datapath.endpoints.setHostAddresses(setup.hostAddresses.map(addressBytes));
  const uplink = find("uplink").ifindex;
  datapath.deviceLinks.apply({
    proxy: find("cilium_net").ifindex,
    ...(setup.routing === "tunnel" && { vxlan: find("cilium_vxlan").ifindex, host: find("cilium_host").ifindex }),
    native: setup.routing === "direct" || setup.masquerade !== undefined || setup.hostFirewall ? [uplink] : [],
  });
  if (setup.masquerade !== undefined) {
    const { ipv4, ipv6, exempt } = setup.masquerade;
    datapath.masquerade?.setDevices([{ ifindex: uplink, ipv4: addressBytes(ipv4), ipv6: addressBytes(ipv6) }]);
    datapath.masquerade?.setExempt(exempt);
  }
  return enforce;
}

async function main(setup: NodeSetup): Promise<void> {
  const kernel = openKernel();
  const object = (name: string): Uint8Array => readFileSync(join(import.meta.dirname, "../build", `${name}.o`));
  using stack = new DisposableStack();
  stack.defer(() => {
    kernel.unmount(setup.bpfRoot);
    rmSync(setup.bpfRoot, { recursive: true, force: true });
  });
  const [routerIPv4, routerIPv6] = setup.routers;
  const datapath = stack.use(
    openDatapath(kernel, {
      ...datapathDefaults,
      objects: {
        pod: object("pod"),
        conntrack: object("conntrack"),
        overlay: object("overlay"),
        host: object("host"),
        network: object("network"),
        proxy: object("proxy"),
      },
      bpfRoot: setup.bpfRoot,
      routerIPv4: addressBytes(routerIPv4),
      routerIPv6: addressBytes(routerIPv6),
      tunnelMtu: 1450,
      tunnelPort: setup.routing === "tunnel" ? 8472 : 0,
      tunnelIfindex: setup.routing === "tunnel" ? ifindexOf("cilium_vxlan") : 0,
      directRoutingIfindex: setup.routing === "direct" ? ifindexOf("uplink") : 0,
      proxyIfindex: ifindexOf("cilium_net"),
      masquerade: setup.masquerade !== undefined,
      hostFirewall: setup.hostFirewall,
      conntrackEntriesMax: 1024,
    }),
  );
  const ring = stack.use(kernel.openRingBuffer(datapath.maps.events));
  const target = new Uint8Array(1 << 22);
  for (const row of setup.ipcache) datapath.ipcache.upsert(row);
  const enforce = place(datapath, setup);
  await using netlink = openNetlink(kernel);
  await applyProxyRoutes(netlink);
  console.log("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    const command: NodeCommand = JSON.parse(line);
    if (command.kind === "policy") enforce(command.policy);
    if (command.kind === "host-policy") {
      const policySet = datapath.policySets.acquire(policyEntries(command.policy));
      datapath.host.apply({ policySet, ingressEnforced: true, egressEnforced: true, audit: false });
    }
    if (command.kind === "tunnel-source") datapath.setTunnelSource(addressBytes(command.address));
    if (command.kind === "ipcache") for (const row of command.rows) datapath.ipcache.upsert(row);
    console.log(JSON.stringify(command.kind === "events" ? drainEvents(ring, target).map(summary) : "done"));
  }
}

if (import.meta.main) await main(JSON.parse(process.argv[2] ?? ""));
