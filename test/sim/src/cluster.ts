import { type KubernetesObject, type Resource, resources } from "@cilium-ts/kubernetes";
import type { Mutable } from "@cilium-ts/kubernetes-server";
import { parseSettings as parseOperatorSettings, runOperator } from "@cilium-ts/operator";
import { errorMessage } from "@cilium-ts/std";
import type { Random } from "@cilium-ts/testing";
import { SimulatedApi } from "./simulated-api.ts";
import { type IpamMode, SimulatedNode } from "./simulated-node.ts";
import { SimulatedTime } from "./simulated-time.ts";

export interface ClusterShape {
  readonly nodes: number;
  readonly routingMode: "tunnel" | "native";
  readonly ipam: IpamMode;
  /** Agents learn of pods by slices. */
  readonly slices: boolean;
  /** Nodes for which there are pod CIDRs; a power of two. */
  readonly podCIDRs: number;
  /** Changes that the API server remembers. */
  readonly revisionsMax: number;
}

interface RunningOperator {
  isAlive: boolean;
  /** Of the clock on its wall. */
  clockOffsetMs: number;
  readonly stop: AbortController;
}

export interface SimulatedPod {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly node: SimulatedNode;
  /** Of which its addresses must be. */
  readonly pool: string;
}

const operatorSettings: Readonly<Record<string, string>> = {
  "skip-crd-creation": "true",
  "operator-api-serve-addr": "",
  "enable-metrics": "false",
  "remove-cilium-node-taints": "false",
  "set-cilium-is-up-condition": "false",
  "identity-gc-interval": "20s",
  "identity-heartbeat-timeout": "40s",
  "cilium-endpoint-gc-interval": "30s",
  "nodes-gc-interval": "60s",
};

/** Pools of so many pod CIDRs. */
function poolSettings({ podCIDRs, ipam, slices }: ClusterShape): Readonly<Record<string, string>> {
  const bits = Math.log2(podCIDRs);
  const families = [`ipv4-cidrs:10.0.0.0/${26 - bits}`, "ipv4-mask-size:26", `ipv6-cidrs:fd00::/${120 - bits}`, "ipv6-mask-size:120"];
  return {
    "enable-cilium-endpoint-slice": String(slices),
    ipam: ipam === "host-scope" ? "cluster-pool" : ipam,
    "auto-create-cilium-pod-ip-pools": `default=${families.join(";")}`,
    "cluster-pool-ipv4-cidr": `10.0.0.0/${26 - bits}`,
    "cluster-pool-ipv4-mask-size": "26",
    "cluster-pool-ipv6-cidr": `fd00::/${120 - bits}`,
    "cluster-pool-ipv6-mask-size": "120",
  };
}

/** API server, operators and nodes, and everything that users and faults do to them. */
export class SimulatedCluster implements AsyncDisposable {
  readonly time: SimulatedTime;
  readonly api: SimulatedApi;
  readonly nodes: SimulatedNode[] = [];
  /** By uid. */
  readonly pods = new Map<string, SimulatedPod>();
  readonly shape: ClusterShape;
  readonly deaths: string[] = [];
  readonly operatorLog: string[] = [];
  readonly #operators: RunningOperator[] = [];
  readonly #end = new AbortController();
  #operatorCount = 0;
  #nodeCount = 0;

  private constructor(time: SimulatedTime, api: SimulatedApi, shape: ClusterShape) {
    this.time = time;
    this.api = api;
    this.shape = shape;
  }

  static async start(shape: ClusterShape, random: Random): Promise<SimulatedCluster> {
    const time = new SimulatedTime();
    const api = await SimulatedApi.open({ time, random, revisionsMax: shape.revisionsMax });
    const cluster = new SimulatedCluster(time, api, shape);
    await cluster.setPool("10.1.0.0/23");
    await cluster.create(resources.namespaces, { metadata: { name: "prod", labels: { team: "red" } } });
    for (let count = 0; count < shape.nodes; count += 1) await cluster.addNode();
    cluster.startOperator();
    return cluster;
  }

  async addNode(): Promise<void> {
    this.#nodeCount += 1;
    const number = this.#nodeCount;
    const { routingMode, ipam, slices } = this.shape;
    const name = `n${number}`;
    const podCIDRs = [`10.100.${number}.0/24`, `fd00:100:0:${number}::/112`];
    await this.create(resources.nodes, { metadata: { name }, spec: ipam === "kubernetes" ? { podCIDRs } : {} } as KubernetesObject);
    const node = new SimulatedNode({ name, number, routingMode, ipam, slices, time: this.time, api: this.api });
    this.nodes.push(node);
    await node.boot();
    node.start();
  }

  /** The machine is switched off for good, and its Node and pods are deleted. The rest is the operator's. */
  async removeNode(node: SimulatedNode): Promise<void> {
    node[Symbol.dispose]();
    this.nodes.splice(this.nodes.indexOf(node), 1);
    for (const pod of [...this.pods.values()]) if (pod.node === node) await this.deletePod(pod);
    await this.remove(resources.nodes, { name: node.name });
  }

  /** Aborted when the simulation is over. */
  get ended(): AbortSignal {
    return this.#end.signal;
  }

  get operators(): number {
    return this.#operators.length;
  }

  startOperator(): void {
    const life: RunningOperator = { isAlive: true, clockOffsetMs: 0, stop: new AbortController() };
    this.#operators.push(life);
    this.#operatorCount += 1;
    const identity = `operator-${this.#operatorCount}`;
    let ids = 0;
    const say = (message: string): void => {
      this.operatorLog.push(`${this.time.elapsedMs} ${identity}: ${message}`);
      if (this.operatorLog.length > 400) this.operatorLog.shift();
    };
    const parsed = parseOperatorSettings(
      Object.entries({ ...operatorSettings, ...poolSettings(this.shape) }).flatMap(([name, value]) => [`--${name}`, value]),
      {},
      () => undefined,
    );
    if (parsed.kind !== "options") throw new Error(JSON.stringify(parsed));
    const world = {
      clock: this.time.clock(() => life.clockOffsetMs),
      monotonicMs: () => this.time.elapsedMs,
      log: { error: say, warn: say, info: say, debug: () => {} },
      identity,
      createId: () => `${this.#operatorCount}x${ids++}`,
      definitions: [],
      openClient: async () => this.api.connect("cilium-operator", () => life.isAlive),
    };
    const died = (why: string): void => {
      if (life.isAlive) this.deaths.push(`${identity} ended by itself at ${this.time.elapsedMs} ms: ${why}`);
      life.isAlive = false;
      const index = this.#operators.indexOf(life);
      if (index >= 0) this.#operators.splice(index, 1);
    };
    runOperator(world, parsed.options, life.stop.signal).then(
      () => died("it ended"),
      (cause) => died(errorMessage(cause)),
    );
  }

  /** `kill -9`: its lease stays. */
  killOperator(): void {
    const life = this.#operators.shift();
    if (life === undefined) return;
    life.isAlive = false;
    life.stop.abort(new Error("killed"));
  }

  /** The clock on the wall of every operator jumps. */
  setOperatorClocks(offsetMs: number): void {
    for (const life of this.#operators) life.clockOffsetMs += offsetMs;
  }

  /** Its addresses become others that nobody had. */
  async readdressNode(node: SimulatedNode): Promise<void> {
    this.#nodeCount += 1;
    await node.readdress(this.#nodeCount);
  }

  /** Of the pool that its annotation names, where it has one. */
  async createPod(options: { namespace: string; name: string; app: string; node: SimulatedNode; pool?: string }): Promise<void> {
    const { namespace, name, app, node, pool } = options;
    const annotations = pool === undefined ? {} : { "ipam.cilium.io/ip-pool": pool };
    const metadata = { namespace, name, labels: { app }, annotations };
    const spec = { nodeName: node.name, containers: [{ name: "main", image: "none" }] };
    const object = await this.create(resources.pods, { metadata, spec } as KubernetesObject);
    const { uid } = object.metadata as unknown as { readonly uid: string };
    this.pods.set(uid, { uid, namespace, name, node, pool: pool ?? "default" });
    node.addPod({ uid, namespace, name });
  }

  async deletePod(pod: SimulatedPod): Promise<void> {
    await this.remove(resources.pods, pod);
    this.pods.delete(pod.uid);
    pod.node.removePod(pod.uid);
  }

  create(resource: Resource, object: KubernetesObject): Promise<Mutable> {
    return this.time.still(() => this.api.layer.create(resource, object as unknown as Mutable, { manager: "user" }));
  }

  async apply(resource: Resource, object: KubernetesObject): Promise<void> {
    const { namespace = "", name = "" } = object.metadata;
    const apiVersion = resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
    const body = { ...object, apiVersion, kind: resource.kind } as unknown as Mutable;
    await this.time.still(() =>
      this.api.layer.patch(resource, { namespace, name }, { kind: "apply", body }, { manager: "user", force: true }),
    );
  }

  async merge(resource: Resource, name: { readonly namespace?: string; readonly name: string }, body: Mutable): Promise<void> {
    await this.time.still(() => this.api.layer.patch(resource, name, { kind: "merge", body }, { manager: "user" }));
  }

  async remove(resource: Resource, { namespace = "", name }: { readonly namespace?: string; readonly name: string }): Promise<void> {
    await this.time.still(() => this.api.layer.delete(resource, { namespace, name }));
  }

  /** The pool "blue" is cut from this from now on. */
  async setPool(cidr: string): Promise<void> {
    const spec = { ipv4: { cidrs: [cidr], maskSize: 29 }, ipv6: { cidrs: ["fd00:1::/112"], maskSize: 125 } };
    if (this.shape.ipam === "multi-pool")
      await this.apply(resources.ciliumPodIPPools, { metadata: { name: "blue" }, spec } as KubernetesObject);
  }

  /** There are no faults, everybody runs, and there is room for all. */
  async heal(): Promise<void> {
    await this.setPool("10.1.0.0/23");
    Object.assign(this.api.faults, { failure: 0, latencyMsMax: 5 });
    this.api.setDown(false);
    if (this.#operators.length === 0) this.startOperator();
    for (const node of this.nodes) node.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(new Error("the simulation is over"));
    for (const node of this.nodes) node[Symbol.dispose]();
    while (this.#operators.length > 0) this.killOperator();
    await this.api[Symbol.asyncDispose]();
    await this.time.settle();
  }
}
