import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AgentOptions, parseSettings, runAgent, type World } from "@cilium-ts/agent";
import type { AgentOperations } from "@cilium-ts/agent-api";
import {
  DatapathInspection,
  type InspectedAddress,
  type InspectedEndpoint,
  type InspectedPolicyEntry,
  type IpcacheRow,
} from "@cilium-ts/datapath";
import { emptyDatapathObjects, fakeDatapathObjects } from "@cilium-ts/datapath/testing";
import type { BpfMap } from "@cilium-ts/kernel";
import { type FakeKernel, FakeMachine, openFakeKernel } from "@cilium-ts/kernel/testing";
import { type AddressBytes, maskAddress, parseAddress } from "@cilium-ts/net";
import type { Netlink } from "@cilium-ts/netlink";
import { FakeNetworks } from "@cilium-ts/netlink/testing";
import { errorMessage } from "@cilium-ts/std";
import type { Random } from "@cilium-ts/testing";
import type { SimulatedApi } from "./simulated-api.ts";
import type { SimulatedTime } from "./simulated-time.ts";

const objects = emptyDatapathObjects();
/** Rows of endpoints: those of real machines take long to look at after every step. */
const endpointRowsMax = 1_024;
const shapes = Object.fromEntries(
  Object.entries(fakeDatapathObjects()).map(([name, shape]) => {
    const maps = shape.maps?.map((map) => (map.name === "endpoints" ? { ...map, maxEntries: endpointRowsMax } : map));
    return [name, { ...shape, ...(maps !== undefined && { maps }) }];
  }),
);
const never = new AbortController().signal;
/** Between two looks of the container runtime at what should run. */
const runtimeIntervalMs = 500;

export type IpamMode = "cluster-pool" | "host-scope" | "kubernetes" | "multi-pool";

/** One pod of the container runtime. */
export interface Sandbox {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Given by the ADD that succeeded. */
  addresses: readonly string[] | undefined;
  isWanted: boolean;
  isBusy: boolean;
}

export interface KernelState {
  readonly endpoints: readonly InspectedEndpoint[];
  readonly localAddresses: readonly InspectedAddress[];
  readonly ipcache: readonly IpcacheRow[];
  readonly policy: readonly InspectedPolicyEntry[];
}

export interface SimulatedNodeOptions {
  readonly name: string;
  /** From 1. */
  readonly number: number;
  readonly routingMode: "tunnel" | "native";
  readonly ipam: IpamMode;
  readonly slices: boolean;
  readonly time: SimulatedTime;
  readonly api: SimulatedApi;
}

/** One life of the agent. */
interface AgentProcess {
  isAlive: boolean;
  readonly kernel: FakeKernel;
  readonly netlinks: Set<Netlink>;
  readonly stop: AbortController;
  operations: AgentOperations | undefined;
}

/** A machine with its kernel, disk and container runtime; and an agent that lives and dies on it. */
export class SimulatedNode implements Disposable {
  readonly name: string;
  readonly machine = new FakeMachine();
  readonly networks = new FakeNetworks();
  /** By the pod's uid. */
  readonly sandboxes = new Map<string, Sandbox>();
  /** What no agent may do: end by itself. */
  readonly deaths: string[] = [];
  readonly log: string[] = [];
  readonly #options: SimulatedNodeOptions;
  readonly #directory = mkdtempSync(join(tmpdir(), "cilium-ts-sim-"));
  readonly #inspecting: FakeKernel;
  readonly #gone = new AbortController();
  readonly #agentOptions: AgentOptions;
  #underlay: readonly string[];
  #clockOffsetMs = 0;
  /** A file of the state was damaged since the last life of the agent began. */
  #isDamaged = false;
  #process: AgentProcess | undefined;

  constructor(options: SimulatedNodeOptions) {
    this.#options = options;
    this.name = options.name;
    this.#underlay = underlayOf(options.number);
    this.#inspecting = openFakeKernel({ machine: this.machine });
    this.#agentOptions = this.#parseSettings();
    mkdirSync(this.#agentOptions.stateDirectory, { recursive: true });
  }

  /** Plugs the machine into the underlay, and starts the container runtime. */
  async boot(): Promise<void> {
    await using netlink = this.networks.open();
    await netlink.links.createVeth({ name: "eth0", up: true, peer: { name: "wire" } });
    await this.#plug(netlink, this.#underlay);
    void this.#run();
  }

  /** Its addresses, IPv4 and IPv6. */
  get underlay(): readonly string[] {
    return this.#underlay;
  }

  /** As by DHCP: other addresses, and those before are gone. */
  async readdress(number: number): Promise<void> {
    const before = this.#underlay;
    this.#underlay = underlayOf(number);
    await using netlink = this.networks.open();
    const linkIndex = await this.#plug(netlink, this.#underlay);
    for (const text of before) {
      const address = addressOf(text);
      await netlink.addresses.delete({ linkIndex, address, prefixLength: address.length === 4 ? 24 : 64 });
    }
  }

  async #plug(netlink: Netlink, underlay: readonly string[]): Promise<number> {
    const linkIndex = (await netlink.links.get("eth0"))?.index ?? 0;
    for (const text of underlay) {
      const address = addressOf(text);
      const length = address.length === 4 ? 24 : 64;
      await netlink.addresses.add({ linkIndex, address, prefixLength: length });
      // A kernel makes this route by itself.
      await netlink.routes.replace({ destination: { address: maskAddress(address, length), length }, linkIndex });
    }
    return linkIndex;
  }

  get isRunning(): boolean {
    return this.#process?.isAlive === true;
  }

  /** What is in the kernel; nothing as long as no agent has ever made its maps. */
  inspect(): KernelState {
    if (!this.machine.pins.has("/bpf/maps/runtime")) return { endpoints: [], localAddresses: [], ipcache: [], policy: [] };
    const inspection = new DatapathInspection(this.#inspecting, "/bpf");
    return {
      endpoints: inspection.endpoints(),
      localAddresses: inspection.localAddresses(),
      ipcache: inspection.ipcache(),
      policy: inspection.policy(),
    };
  }

  /** The clock on the wall jumps. */
  setClock(offsetMs: number): void {
    this.#clockOffsetMs += offsetMs;
  }

  start(): void {
    if (this.isRunning || this.#gone.signal.aborted) return;
    this.#isDamaged = false;
    const { time } = this.#options;
    const monotonicNs = (): bigint => BigInt(time.elapsedMs) * 1_000_000n;
    const kernel = openFakeKernel({ machine: this.machine, objects: shapes, monotonicNs });
    const life: AgentProcess = { isAlive: true, kernel, netlinks: new Set(), stop: new AbortController(), operations: undefined };
    this.#process = life;
    runAgent(this.#worldOf(life), this.#agentOptions, life.stop.signal).then(
      () => this.#died(life, "it ended"),
      (cause) => this.#died(life, errorMessage(cause)),
    );
  }

  /** `kill -9`: nothing is closed or finished. What is pinned, attached and on disk stays. */
  kill(): void {
    const life = this.#process;
    if (life === undefined || !life.isAlive) return;
    life.isAlive = false;
    life.kernel.exit();
    for (const netlink of life.netlinks) void netlink[Symbol.asyncDispose]();
    life.stop.abort(new Error("killed"));
  }

  /** The disk damages one file of the agent's state, while there is no agent. */
  damageState(random: Random): void {
    if (this.isRunning || this.#isDamaged) return;
    const { stateDirectory } = this.#agentOptions;
    const names = readdirSync(stateDirectory, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".json"));
    if (names.length === 0) return;
    this.#isDamaged = true;
    const path = join(stateDirectory, random.pick(names.sort()));
    const text = readFileSync(path, "utf8");
    writeFileSync(
      path,
      random.pick(["", "\0".repeat(text.length), text.slice(0, random.below(text.length)), "{}", text.replaceAll("1", "x")]),
    );
  }

  /** As no kernel does. */
  losePolicyEntry(): void {
    this.#lose("policy", (map) => {
      const { keys, count } = map.dump();
      if (count > 0) map.delete(keys.slice(0, map.keySizeBytes));
    });
  }

  /** As no kernel does. */
  loseEndpointRow(): void {
    const [row] = this.inspect().endpoints;
    if (row === undefined) return;
    const key = new Uint8Array(4);
    new DataView(key.buffer).setUint32(0, row.id, true);
    this.#lose("endpoints", (map) => void map.update(key, new Uint8Array(map.valueSizeBytes)));
  }

  addPod(pod: Pick<Sandbox, "uid" | "namespace" | "name">): void {
    this.networks.createNamespace(namespacePath(pod.uid));
    this.sandboxes.set(pod.uid, { ...pod, addresses: undefined, isWanted: true, isBusy: false });
  }

  removePod(uid: string): void {
    const sandbox = this.sandboxes.get(uid);
    if (sandbox !== undefined) sandbox.isWanted = false;
  }

  [Symbol.dispose](): void {
    this.kill();
    this.#gone.abort(new Error("the simulation is over"));
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #lose(name: string, change: (map: BpfMap) => void): void {
    if (!this.machine.pins.has(`/bpf/maps/${name}`)) return;
    using map = this.#inspecting.openPinnedMap(`/bpf/maps/${name}`);
    change(map);
  }

  #worldOf(life: AgentProcess): World {
    const { time, api } = this.#options;
    const say = (message: string): void => {
      this.log.push(`${time.elapsedMs} ${message}`);
      if (this.log.length > 400) this.log.shift();
    };
    return {
      kernel: life.kernel,
      clock: time.clock(() => this.#clockOffsetMs),
      log: { error: say, warn: say, info: say, debug: () => {} },
      objects,
      openNetlink: (options) => {
        if (!life.isAlive) throw new Error("the process is dead");
        const netlink = this.networks.open(options);
        life.netlinks.add(netlink);
        return netlink;
      },
      openClient: async () => api.connect("cilium-agent", () => life.isAlive),
      openApiDoor: async () => ({
        async serve(operations, signal) {
          life.operations = operations;
          const stopped = Promise.withResolvers<void>();
          signal.addEventListener("abort", () => stopped.resolve(), { once: true });
          if (!signal.aborted) await stopped.promise;
          life.operations = undefined;
        },
        async [Symbol.asyncDispose]() {},
      }),
      startHubble: async () => ({ certificateExpiresMs: undefined, async [Symbol.asyncDispose]() {} }),
    };
  }

  #died(life: AgentProcess, why: string): void {
    if (life.isAlive) this.deaths.push(`the agent of ${this.name} ended by itself at ${this.#options.time.elapsedMs} ms: ${why}`);
    life.isAlive = false;
  }

  /** The container runtime: asks the agent again and again until what should run runs, and nothing else. */
  async #run(): Promise<void> {
    while (!this.#gone.signal.aborted) {
      for (const sandbox of this.sandboxes.values()) {
        const isSettled = sandbox.isWanted && sandbox.addresses !== undefined;
        if (!sandbox.isBusy && !isSettled) void this.#serve(sandbox);
      }
      await this.#options.time.sleep(runtimeIntervalMs, this.#gone.signal).catch(() => {}); // Rejects only on abort.
    }
  }

  async #serve(sandbox: Sandbox): Promise<void> {
    const operations = this.#process?.operations;
    if (operations === undefined) return;
    sandbox.isBusy = true;
    try {
      const isWanted = sandbox.isWanted;
      const answer = await Promise.race([operations.cni(cniBody(sandbox, isWanted ? "ADD" : "DEL"), never), this.#deathOf(this.#process)]);
      if (answer === undefined || answer.status !== 200) return;
      if (isWanted) sandbox.addresses = addressesIn(answer.body);
      else {
        this.sandboxes.delete(sandbox.uid);
        this.networks.deleteNamespace(namespacePath(sandbox.uid));
      }
    } finally {
      sandbox.isBusy = false;
    }
  }

  /** The plugin hears no more of a call to an agent that dies. */
  async #deathOf(life: AgentProcess | undefined): Promise<undefined> {
    const died = Promise.withResolvers<undefined>();
    life?.stop.signal.addEventListener("abort", () => died.resolve(undefined), { once: true });
    return died.promise;
  }

  #parseSettings(): AgentOptions {
    const { number, routingMode, ipam, slices } = this.#options;
    const at = (name: string): string => join(this.#directory, name);
    const settings: Readonly<Record<string, string>> = {
      "node-name": this.name,
      "state-dir": at("state"),
      "socket-path": at("cilium.sock"),
      "hubble-socket-path": at("hubble.sock"),
      "delete-queue-dir": at("queue"),
      "bpf-root": "/bpf",
      "routing-mode": routingMode,
      ipam,
      "enable-cilium-endpoint-slice": String(slices),
      "ipam-multi-pool-pre-allocation": "default=2",
      "ipv4-range": `10.200.${number}.0/24`,
      "ipv6-range": `fd00:200:0:${number}::/112`,
      "agent-health-port": "0",
      "enable-health-checking": "false",
      "hubble-event-buffer-capacity": "1",
      "hubble-history-max-size-mb": "0",
    };
    const parsed = parseSettings(
      Object.entries(settings).map(([name, value]) => `--${name}=${value}`),
      {},
      () => undefined,
    );
    if (parsed.kind !== "options") throw new Error(JSON.stringify(parsed));
    return parsed.options;
  }
}

function underlayOf(number: number): readonly string[] {
  return [`192.168.0.${number}`, `2001:db8::${number}`];
}

function addressOf(text: string): AddressBytes {
  return parseAddress(text) ?? new Uint8Array(4);
}

function namespacePath(uid: string): string {
  return `/run/netns/${uid}`;
}

function cniBody({ uid, namespace, name }: Sandbox, command: "ADD" | "DEL"): object {
  const args = `K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=${uid}`;
  const config = { cniVersion: "1.0.0", name: "cilium", type: "cilium-cni" };
  return { command, containerId: `c-${uid}`, netns: namespacePath(uid), ifname: "eth0", args, config };
}

function addressesIn(body: unknown): string[] {
  const { ips = [] } = body as { readonly ips?: ReadonlyArray<{ readonly address: string }> };
  return ips.map(({ address }) => address.split("/")[0] ?? "");
}
