import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Datapath, datapathDefaults, openDatapath } from "@cilium-ts/datapath";
import { emptyDatapathObjects, fakeDatapathObjects } from "@cilium-ts/datapath/testing";
import { EndpointIdAllocator, type EndpointRow } from "@cilium-ts/endpoint";
import { LocalIdentityAllocator, reservedPeers } from "@cilium-ts/identity";
import { MemoryClusterIdentities } from "@cilium-ts/identity/testing";
import { type FakeKernel, FakeMachine, openFakeKernel } from "@cilium-ts/kernel/testing";
import { Labels, Selector } from "@cilium-ts/labels";
import { parsePrefix } from "@cilium-ts/net";
import { CookieTable, type Peer, PolicyEngine, protocols, type Rule } from "@cilium-ts/policy";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import type { CniRequest } from "../cni/cni-request.ts";
import { createNodePool, type NodePool } from "../ipam/node-pool.ts";
import { IpcacheTable } from "../ipcache-table.ts";
import { PolicyUpdates } from "../policy/policy-updates.ts";
import { RealisedPolicies } from "../policy/realised-policies.ts";
import { noProxies } from "../proxies/proxies.ts";
import { EndpointFiles } from "./endpoint-files.ts";
import { Endpoints } from "./endpoints.ts";
import type { PlumbingRequest, PodPlumbing } from "./pod-plumbing.ts";
import type { PodFacts } from "./pod-source.ts";

/** What outlives an agent: the machine, its devices, its disk, and the cluster. */
export class EndpointsWorld implements Disposable {
  readonly machine = new FakeMachine();
  readonly directory = mkdtempSync(join(tmpdir(), "cilium-ts-endpoints-"));
  readonly devices = new Map<string, number>();
  readonly pods = new Map<string, PodFacts>();
  #nextIfindex = 100;

  /** The pod's labels are an app, besides those that every pod has. */
  setPod(name: string, app: string, facts: Partial<PodFacts> = {}): Labels {
    const labels = Labels.parse([`k8s:app=${app}`, "k8s:io.kubernetes.pod.namespace=shop", "k8s:io.cilium.k8s.policy.cluster=default"]);
    this.pods.set(`shop/${name}`, { uid: `uid-${name}`, labels, namedPorts: [], workloads: [], serviceAccount: "", ...facts });
    return labels;
  }

  takeIfindex(): number {
    this.#nextIfindex += 1;
    return this.#nextIfindex;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** An agent's endpoints with everything that they stand on. Ending it is a crash: nothing is closed, and what is pinned stays. */
export class TestEndpoints implements PodPlumbing {
  readonly world: EndpointsWorld;
  readonly kernel: FakeKernel;
  readonly clock = createSimulatedClock();
  readonly log: string[] = [];
  readonly changes: string[] = [];
  /** Namespaces where policy only audits. */
  readonly audited = new Set<string>();
  readonly stop = new AbortController();
  readonly datapath: Datapath;
  readonly pool: NodePool;
  readonly ids: EndpointIdAllocator;
  readonly identities = new MemoryClusterIdentities();
  readonly engine = new PolicyEngine({ mode: "default", allowLocalhost: "policy", clusterName: "default", families: [4, 6] });
  readonly updates: PolicyUpdates;
  readonly realised: RealisedPolicies;
  readonly ipcache: IpcacheTable;
  readonly files: EndpointFiles;
  readonly endpoints: Endpoints;
  /** What fails once, by `connect`, `disconnect`, `find`, `pod`, `acquire` or `write`. */
  readonly failing = new Set<string>();
  /** Held back until it settles. */
  answer: Promise<void> = Promise.resolve();

  constructor(world: EndpointsWorld, options: { idMax?: number; ipv4Range?: string } = {}) {
    this.world = world;
    this.kernel = openFakeKernel({ machine: world.machine, objects: fakeDatapathObjects() });
    const range = (text: string): NonNullable<ReturnType<typeof parsePrefix>> =>
      parsePrefix(text) ?? { address: new Uint8Array(4), length: 0 };
    this.pool = createNodePool({ ipv4Range: range(options.ipv4Range ?? "10.0.1.0/24"), ipv6Range: range("fd00::/112") }, this.clock);
    this.ids = new EndpointIdAllocator(options.idMax === undefined ? {} : { idMax: options.idMax });
    const objects = emptyDatapathObjects();
    const { routerIPv4, routerIPv6 } = this.pool;
    this.datapath = openDatapath(this.kernel, { ...datapathDefaults, objects, bpfRoot: "/bpf", routerIPv4, routerIPv6 });
    const cookies = new CookieTable();
    this.realised = new RealisedPolicies(this.datapath.policySets, cookies, noProxies);
    this.ipcache = new IpcacheTable(this.datapath.ipcache, () => {});
    this.files = new (failingFiles(this))(world.directory);
    this.updates = new PolicyUpdates({
      engine: this.engine,
      localIdentities: new LocalIdentityAllocator({ families: [4, 6] }),
      wantedIdentity: () => undefined,
      claimPrefix: (prefix, { id }) => this.ipcache.upsert(prefix, "generated", id),
      releasePrefix: (prefix) => this.ipcache.remove(prefix, "generated"),
      claimAddress() {},
      releaseAddress() {},
      regenerate: (subjects) => this.endpoints.regenerate(subjects),
      onProblem: (message) => this.log.push(message),
    });
    for (const [id, labels] of reservedPeers()) this.updates.upsertIdentity(id, labels);
    this.endpoints = this.#createEndpoints();
  }

  /** An agent that has been told everything, and has taken up what the one before it left. */
  static async start(world: EndpointsWorld, options: { idMax?: number; ipv4Range?: string } = {}): Promise<TestEndpoints> {
    const agent = new TestEndpoints(world, options);
    await agent.endpoints.restore();
    agent.updates.open(() => agent.endpoints.enforceRestored());
    return agent;
  }

  /** `kill -9`. */
  kill(): void {
    this.stop.abort();
    this.kernel.exit();
  }

  add(name: string, change: Partial<CniRequest> = {}): Promise<EndpointRow> {
    return this.endpoints.add(cniRequest(name, change));
  }

  /** The row that is in force now. */
  row(name: string): EndpointRow {
    const [row] = this.endpoints.index.byPod("shop", name);
    if (row === undefined) throw new Error(`there is no endpoint of pod ${name}`);
    return row;
  }

  /** Allowed peers of a pod's ingress, as the kernel has them: identity, and port where there is one. */
  allowedBy(name: string): string[] {
    const set = this.datapath.endpoints.read(this.row(name).id)?.policySet;
    const { keys, count } = this.datapath.maps.policy.dump();
    const lines: string[] = [];
    for (let index = 0; index < count; index += 1) {
      const view = new DataView(keys.buffer, keys.byteOffset + (index * keys.length) / count, keys.length / count);
      if (view.getUint32(4, true) === set && view.getUint8(12) === 0) lines.push(`${view.getUint32(8, true)}:${view.getUint16(14, false)}`);
    }
    return lines.sort();
  }

  /** Everything that an endpoint takes, so that what is left behind shows. */
  taken(): Record<string, unknown> {
    this.realised.sweep();
    const { affected } = this.engine.upsertPolicy("probe", [allow("probe", Selector.everything, [])]);
    this.engine.removePolicy("probe");
    return {
      devices: [...this.world.devices.keys()],
      ids: this.ids.used,
      addresses: [...this.pool.pools.ipv4.snapshot(), ...this.pool.pools.ipv6.snapshot()].map(({ address }) => address),
      references: [256, 257, 258, 259].map((id) => this.identities.references(id)),
      policySets: this.datapath.policySets.count,
      rememberedSubjects: affected.size,
      ipcache: this.datapath.ipcache.rows(),
      kernelDevices: this.datapath.maps.endpoint_devices.dump().count,
      kernelAddresses: this.datapath.maps.local_addresses.dump().count,
      kernelRows: [1, 2, 3, 4, 5].filter((id) => this.datapath.endpoints.read(id) !== undefined),
      links: [...this.world.machine.links].length,
      pinnedLinks: this.datapath.endpoints.pinnedIds(),
      files: readdirSync(this.world.directory),
      endpoints: this.endpoints.index.size,
    };
  }

  async connect({ hostDevice }: PlumbingRequest): Promise<{ ifindex: number; netnsCookie: string }> {
    await this.#step("connect");
    const ifindex = this.world.takeIfindex();
    this.world.devices.set(hostDevice, ifindex);
    return { ifindex, netnsCookie: "1" };
  }

  async disconnect(hostDevice: string): Promise<void> {
    await this.#step("disconnect");
    const ifindex = this.world.devices.get(hostDevice);
    this.world.devices.delete(hostDevice);
    if (ifindex !== undefined) this.world.machine.removeDevice(ifindex);
  }

  async disconnectIndex(ifindex: number): Promise<void> {
    for (const [name, index] of [...this.world.devices]) if (index === ifindex) await this.disconnect(name);
  }

  async find(hostDevice: string): Promise<number | undefined> {
    await this.#step("find");
    return this.world.devices.get(hostDevice);
  }

  async #step(name: string): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.failing.delete(name)) throw new Error(`${name} fails`);
  }

  #createEndpoints(): Endpoints {
    const { datapath, ids, engine, updates, realised, ipcache, files, clock, world } = this;
    const line = (message: string): void => void this.log.push(message);
    return new Endpoints({
      datapath,
      plumbing: this,
      addresses: this.pool,
      ids,
      identities: {
        acquire: async (labels, signal) => {
          await this.#step("acquire");
          await this.answer;
          return this.identities.acquire(labels, signal);
        },
        release: (id, signal) => this.identities.release(id, signal),
        get: (id) => this.identities.get(id),
      },
      engine,
      updates,
      realised,
      ipcache,
      pods: {
        find: async (namespace, name) => {
          await this.#step("pod");
          return world.pods.get(`${namespace}/${name}`);
        },
        known: (namespace, name) => world.pods.get(`${namespace}/${name}`),
      },
      files,
      clock,
      log: { error: line, warn: line, info: line, debug: line },
      signal: this.stop.signal,
      mtu: 1_500,
      audits: (namespace) => this.audited.has(namespace),
      notReady: () => undefined,
      onChange: (id, row, before) => this.changes.push(`${id} ${before?.state ?? "-"} > ${row?.state ?? "gone"}`),
    });
  }
}

function failingFiles(agent: { readonly failing: Set<string> }): typeof EndpointFiles {
  return class extends EndpointFiles {
    override write(row: EndpointRow): void {
      if (agent.failing.delete("write")) throw new Error("write fails");
      super.write(row);
    }
  };
}

export function cniRequest(name: string, change: Partial<CniRequest> = {}): CniRequest {
  return {
    command: "ADD",
    containerId: `container-${name}`,
    namespacePath: `/run/netns/${name}`,
    interfaceName: "eth0",
    cniVersion: "1.0.0",
    pod: { namespace: "shop", name, uid: `uid-${name}` },
    mac: undefined,
    mtu: undefined,
    hasPrevResult: false,
    ...change,
  };
}

export const app = (name: string): Selector => Selector.of({ matchLabels: { app: name } });

/** A rule that lets the peers in to TCP port 80, and nobody else. */
export function allow(name: string, endpointSelector: Selector, peers: readonly Peer[]): Rule {
  const port = { kind: "number", protocol: protocols.tcp, first: 80, last: 80 } as const;
  return {
    policy: { kind: "CiliumNetworkPolicy", namespace: "shop", name, uid: "", labels: [] },
    endpointSelector,
    ingress: [{ path: "ingress[0]", peers, ports: [{ path: "ingress[0].toPorts[0]", ports: [port] }] }],
    ingressDeny: [],
    egress: [],
    egressDeny: [],
    enableDefaultDeny: { ingress: true, egress: false },
  };
}
