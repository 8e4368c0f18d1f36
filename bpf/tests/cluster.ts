import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { openKernel } from "@cilium-ts/kernel";
import { buildBpf } from "../../tools/src/build-bpf.ts";
import type { IpcacheEntry, NodeCommand, NodeEvent, NodeSetup, Routing } from "./cluster-node.ts";
import type { RelaySetup } from "./relay-proxy.ts";

const run = promisify(execFile);

export const nodeNames = ["a", "b"] as const;
export type NodeName = (typeof nodeNames)[number];

export interface ClusterNode {
  readonly name: NodeName;
  /** Of its uplink. */
  readonly ipv4: string;
  readonly ipv6: string;
  readonly router: { readonly ipv4: string; readonly ipv6: string };
  readonly podCidrs: readonly [ipv4: string, ipv6: string];
  readonly pod: ClusterPod;
  /** Another pod, which may do anything. */
  readonly near: ClusterPod;
}

export interface ClusterPod {
  readonly id: number;
  readonly identity: number;
  readonly ipv4: string;
  readonly ipv6: string;
}

function nodeOf(name: NodeName, number: number): ClusterNode {
  return {
    name,
    ipv4: `192.168.77.${number}`,
    ipv6: `fd77::${number}`,
    router: { ipv4: `10.77.${number}.1`, ipv6: `fd00:77:${number}::1` },
    podCidrs: [`10.77.${number}.0/24`, `fd00:77:${number}::/64`],
    pod: { id: number, identity: 1000 + number, ipv4: `10.77.${number}.5`, ipv6: `fd00:77:${number}::5` },
    near: { id: 10 + number, identity: 2000 + number, ipv4: `10.77.${number}.6`, ipv6: `fd00:77:${number}::6` },
  };
}

export const nodes: Readonly<Record<NodeName, ClusterNode>> = { a: nodeOf("a", 1), b: nodeOf("b", 2) };
export const other = (name: NodeName): ClusterNode => nodes[name === "a" ? "b" : "a"];

/** A namespace: a node's own, its pod's, or somebody's outside of the cluster. */
export type Place = NodeName | `pod-${NodeName}` | `near-${NodeName}` | "world";

export interface ClusterOptions {
  readonly routing: Routing;
  /** Of the pods' devices. */
  readonly podMtu: number;
  /** Destinations to which the pods go with their own addresses; undefined: all. */
  readonly exempt?: readonly string[];
  readonly hostFirewall?: boolean;
  /** What a node knows of the other's pod. */
  readonly ipcache: (of: ClusterNode, seenBy: NodeName) => readonly IpcacheEntry[];
}

let clusters = 0;

/** Somebody outside, behind node b, by a link that takes less than the others. */
export const world = { ipv4: "198.51.100.9", ipv6: "2001:db8:77::9", mtu: 1300 };
const worldGateway = { ipv4: "198.51.100.1", ipv6: "2001:db8:77::1" };

/** Two nodes with a pod each and a cable between them, all in namespaces: real programs, devices and traffic. */
export class Cluster implements AsyncDisposable {
  readonly #options: ClusterOptions;
  readonly #prefix: string;
  readonly #children: ChildProcess[] = [];
  readonly #asks = new Map<NodeName, (line: string) => Promise<string>>();

  private constructor(options: ClusterOptions) {
    this.#options = options;
    clusters += 1;
    this.#prefix = `bpfc${process.pid}${String.fromCharCode(0x60 + clusters)}`;
  }

  static async open(options: ClusterOptions): Promise<Cluster> {
    await buildBpf({ onBuilt: () => {} });
    const cluster = new Cluster(options);
    try {
      await cluster.#lay();
      for (const name of nodeNames) await cluster.#start(nodes[name]);
    } catch (cause) {
      await cluster[Symbol.asyncDispose]();
      throw cause;
    }
    return cluster;
  }

  namespacePath(place: Place): string {
    return `/run/netns/${this.#prefix}${place}`;
  }

  /** Standard output of a command that ends. */
  async run(place: Place, command: string, ...args: readonly string[]): Promise<string> {
    const { stdout } = await run("nsenter", [`--net=${this.namespacePath(place)}`, command, ...args]);
    return stdout;
  }

  /** What the script prints. */
  script(place: Place, source: string): Promise<string> {
    return this.run(place, process.execPath, "-e", source).then((text) => text.trim());
  }

  /** A process that goes on until the cluster ends. */
  start(place: Place, command: string, ...args: readonly string[]): ChildProcess {
    const child = spawn("nsenter", [`--net=${this.namespacePath(place)}`, command, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    this.#children.push(child);
    return child;
  }

  /** The frames that cross the node's uplink under the filter while something is done: the first so many. */
  async capture(name: NodeName, filter: string, count: number, action: () => Promise<unknown>): Promise<Uint8Array[]> {
    const options = ["-i", "uplink", "--immediate-mode", "-U", "-w", "-", "-c", String(count), filter];
    const child = spawn("nsenter", [`--net=${this.namespacePath(name)}`, "tcpdump", ...options], { stdio: ["ignore", "pipe", "pipe"] });
    this.#children.push(child);
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    const ended = new Promise((resolve) => child.once("exit", resolve));
    for await (const line of createInterface({ input: child.stderr })) if (line.includes("listening on")) break;
    child.stderr.resume();
    await action();
    await ended;
    return framesOf(Buffer.concat(chunks));
  }

  /** A proxy on the node, once it listens. */
  async proxy(name: NodeName, setup: Omit<RelaySetup, "bpfRoot">): Promise<ChildProcess> {
    const child = this.start(name, process.execPath, relayScript, JSON.stringify({ ...setup, bpfRoot: this.#bpfRoot(name) }));
    assert.ok(child.stdout !== null);
    for await (const line of createInterface({ input: child.stdout })) if (line === "ready") break;
    return child;
  }

  async tell(name: NodeName, command: NodeCommand): Promise<void> {
    assert.equal(await this.#ask(name, command), "done");
  }

  /** Since the last call. */
  async events(name: NodeName): Promise<readonly NodeEvent[]> {
    return (await this.#ask(name, { kind: "events" })) as NodeEvent[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      if (child.exitCode !== null || child.signalCode !== null) continue;
      if (child.spawnargs.includes(nodeScript)) child.stdin?.end();
      else child.kill();
      await ended;
    }
    for (const place of ["world", ...nodeNames.flatMap((name) => [`pod-${name}`, `near-${name}`, name])])
      await run("ip", ["netns", "del", `${this.#prefix}${place}`]).catch(() => {});
  }

  async #ask(name: NodeName, command: NodeCommand): Promise<unknown> {
    const ask = this.#asks.get(name);
    assert.ok(ask !== undefined);
    return JSON.parse(await ask(JSON.stringify(command)));
  }

  #bpfRoot(name: NodeName): string {
    return `/run/${this.#prefix}${name}`;
  }

  #ip(place: Place, ...args: readonly string[]): Promise<string> {
    return this.run(place, "ip", ...args);
  }

  async #lay(): Promise<void> {
    for (const name of nodeNames) {
      for (const place of [name, `pod-${name}`, `near-${name}`] as const) {
        await run("ip", ["netns", "add", `${this.#prefix}${place}`]);
        await this.#ip(place, "link", "set", "lo", "up");
      }
      openKernel().writeSysctls({
        namespacePath: this.namespacePath(name),
        values: [
          ["/proc/sys/net/ipv4/ip_forward", "1"],
          ["/proc/sys/net/ipv6/conf/all/forwarding", "1"],
          ["/proc/sys/net/ipv4/conf/all/rp_filter", "0"],
          ["/proc/sys/net/ipv4/conf/default/rp_filter", "0"],
        ],
      });
    }
    await this.#ip("a", "link", "add", "uplink", "type", "veth", "peer", "name", "uplink", "netns", `${this.#prefix}b`);
    for (const name of nodeNames) await this.#layNode(nodes[name]);
    if (this.#options.exempt !== undefined) await this.#layWorld();
  }

  async #layWorld(): Promise<void> {
    const mtu = ["mtu", String(world.mtu)];
    await run("ip", ["netns", "add", `${this.#prefix}world`]);
    await this.#ip("b", "link", "add", "world", ...mtu, "type", "veth", "peer", "name", "eth0", ...mtu, "netns", `${this.#prefix}world`);
    await this.#ip("b", "link", "set", "world", "up");
    for (const device of ["lo", "eth0"]) await this.#ip("world", "link", "set", device, "up");
    for (const [own, gateway, bits, way] of [
      [world.ipv4, worldGateway.ipv4, 24, nodes.b.ipv4],
      [world.ipv6, worldGateway.ipv6, 64, nodes.b.ipv6],
    ] as const) {
      const noDad = bits === 64 ? ["nodad"] : [];
      await this.#ip("b", "address", "add", `${gateway}/${bits}`, "dev", "world", ...noDad);
      await this.#ip("world", "address", "add", `${own}/${bits}`, "dev", "eth0", ...noDad);
      await this.#ip("world", "route", "add", "default", "via", gateway);
      await this.#ip("a", "route", "add", `${own}/${bits === 24 ? 32 : 128}`, "via", way);
    }
  }

  async #layNode({ name, ipv4, ipv6, router, pod, near }: ClusterNode): Promise<void> {
    const { routing } = this.#options;
    const tunnel = routing === "tunnel";
    const address = (device: string, text: string): Promise<string> =>
      this.#ip(name, "address", "add", text, "dev", device, ...(text.includes(":") ? ["nodad"] : []));
    await address("uplink", `${ipv4}/24`);
    await address("uplink", `${ipv6}/64`);
    await this.#ip(name, "link", "set", "uplink", "up");
    await this.#ip(name, "link", "add", "cilium_host", "arp", "off", "type", "veth", "peer", "name", "cilium_net");
    openKernel().writeSysctls({
      namespacePath: this.namespacePath(name),
      values: [["/proc/sys/net/ipv4/conf/cilium_net/accept_local", "1"]],
    });
    for (const device of ["cilium_net", "cilium_host"]) await this.#ip(name, "link", "set", device, "mtu", tunnel ? "1450" : "1500", "up");
    await address("cilium_host", `${router.ipv4}/32`);
    await address("cilium_host", `${router.ipv6}/128`);
    if (tunnel) {
      await this.#ip(name, "link", "add", "cilium_vxlan", "type", "vxlan", "external", "dstport", "8472");
      await this.#ip(name, "link", "set", "cilium_vxlan", "up");
    }
    const remote = other(name);
    for (const [index, cidr] of remote.podCidrs.entries()) {
      const source = index === 0 ? router.ipv4 : router.ipv6;
      const way = tunnel ? ["dev", "cilium_host", "src", source, "mtu", "1450"] : ["via", index === 0 ? remote.ipv4 : remote.ipv6];
      await this.#ip(name, "route", "add", cidr, ...way);
    }
    for (const [device, party] of [
      ["pod", pod],
      ["near", near],
    ] as const)
      await this.#layPod({ name, router }, device, party);
  }

  async #layPod({ name, router }: Pick<ClusterNode, "name" | "router">, device: "pod" | "near", pod: ClusterPod): Promise<void> {
    const place: Place = `${device}-${name}`;
    const mtu = ["mtu", String(this.#options.podMtu)];
    await this.#ip(name, "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", `${this.#prefix}${place}`);
    await this.#ip(name, "link", "set", device, ...mtu, "up");
    await this.#ip(place, "link", "set", "eth0", ...mtu, "up");
    for (const [own, gateway, bits] of [
      [pod.ipv4, router.ipv4, 32],
      [pod.ipv6, router.ipv6, 128],
    ] as const) {
      await this.#ip(place, "address", "add", `${own}/${bits}`, "dev", "eth0", ...(bits === 128 ? ["nodad"] : []));
      await this.#ip(place, "route", "add", gateway, "dev", "eth0");
      await this.#ip(place, "route", "add", "default", "via", gateway, "dev", "eth0");
      await this.#ip(name, "route", "add", `${own}/${bits}`, "dev", device);
    }
  }

  async #start(node: ClusterNode): Promise<void> {
    const { name, router, pod, near } = node;
    const macOf = async (place: Place): Promise<string> => JSON.parse(await this.#ip(place, "-json", "link", "show", "eth0"))[0].address;
    const setup: NodeSetup = {
      bpfRoot: this.#bpfRoot(name),
      routing: this.#options.routing,
      hostFirewall: this.#options.hostFirewall === true,
      masquerade: this.#options.exempt && { ipv4: node.ipv4, ipv6: node.ipv6, exempt: this.#options.exempt },
      routers: [router.ipv4, router.ipv6],
      hostAddresses: [node.ipv4, node.ipv6, router.ipv4, router.ipv6],
      pod: { ...pod, mac: await macOf(`pod-${name}`) },
      near: { ...near, mac: await macOf(`near-${name}`) },
      ipcache: [
        ...[pod, near].flatMap(({ ipv4, ipv6, identity }) => [
          { prefix: `${ipv4}/32`, identity },
          { prefix: `${ipv6}/128`, identity },
        ]),
        ...[node.ipv4, router.ipv4].map((address) => ({ prefix: `${address}/32`, identity: 1 })),
        ...[node.ipv6, router.ipv6].map((address) => ({ prefix: `${address}/128`, identity: 1 })),
        { prefix: "0.0.0.0/0", identity: 9 },
        { prefix: "::/0", identity: 10 },
        ...this.#options.ipcache(other(name), name),
      ],
    };
    const child = this.start(name, process.execPath, nodeScript, JSON.stringify(setup));
    assert.ok(child.stdout !== null);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<string> => (await lines.next()).value ?? `node ${name} has ended`;
    assert.equal(await next(), "ready");
    this.#asks.set(name, (line) => {
      child.stdin?.write(`${line}\n`);
      return next();
    });
  }
}

/** Of a file as tcpdump writes it: a header of 24 bytes, and one of 16 before each frame, with its length at 8. */
function framesOf(file: Buffer): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let offset = 24; offset + 16 <= file.length; ) {
    const length = file.readUInt32LE(offset + 8);
    frames.push(file.subarray(offset + 16, offset + 16 + length));
    offset += 16 + length;
  }
  return frames;
}

const relayScript = join(import.meta.dirname, "relay-proxy.ts");
const nodeScript = join(import.meta.dirname, "cluster-node.ts");

/** Answers every request with so many bytes. */
export const answerBytes = 4 << 20;

/** A server on port 8080 of both families: `/who` is told its own address, a POST how much came, and all else so many bytes. */
export const serverScript = `require("node:http").createServer((request, answer) => {
  let size = 0;
  request.on("data", (chunk) => { size += chunk.length; });
  request.on("end", () => answer.end(size > 0 ? String(size) : request.url === "/who" ? request.socket.remoteAddress : Buffer.alloc(${answerBytes})));
}).listen(8080, "::")`;

/** What a place gets from a server: the number of bytes, or "nothing" before the deadline. */
export function get(cluster: Cluster, place: Place, address: string, deadlineMs = 10_000, port = 8080): Promise<string> {
  const url = `http://${address.includes(":") ? `[${address}]` : address}:${port}/`;
  return cluster.script(
    place,
    `fetch(${JSON.stringify(url)}, { signal: AbortSignal.timeout(${deadlineMs}) }).then((r) => r.arrayBuffer())
      .then((b) => console.log(b.byteLength), () => console.log("nothing")).finally(() => process.exit())`,
  );
}
