import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errorMessage } from "@cilium-ts/std";
import { type Kubectl, openKubectl } from "./kubectl.ts";
import { labImage } from "./kubelet/pod-row.ts";
import { labDirectory } from "./lab-directory.ts";
import {
  gatewayOf,
  makeMachine,
  makeUnderlay,
  nodeAddresses,
  removeMachine,
  setUplink,
  type Underlay,
  uplinkOf,
} from "./node-namespace.ts";
import { labNameLengthMax } from "./own-place.ts";
import { addPodNetwork, removePodNetwork } from "./pod-network.ts";
import { readLab } from "./read-lab.ts";
import { endProcessesIn, removeDirectory, removeLab } from "./remove-lab.ts";
import { type Daemon, isRunning, runOrThrow, startDaemon, stopDaemon } from "./shell.ts";

export const labIpams = ["cluster-pool", "multi-pool", "kubernetes", "host-scope"] as const;
export type LabIpam = (typeof labIpams)[number];

export interface LabOptions {
  /** The checkout. */
  readonly root: string;
  /** At most `labNameLengthMax` characters. */
  readonly name: string;
  /** Third number of the underlay 172.31.N.0/24: labs that run at the same time need different ones. */
  readonly subnet: number;
  readonly agentArguments?: readonly string[];
  /** One when absent. */
  readonly nodes?: number;
  /** Who gives nodes their pod CIDRs: the lab itself (host-scope, when absent), or the operator. */
  readonly ipam?: LabIpam;
  /** How nodes reach each other's pods; the agent's default when absent. */
  readonly routing?: "tunnel" | "native";
  /** Whether Hubble's nodes listen on the underlay, and a relay gathers them. */
  readonly relay?: boolean;
  /** Whether Hubble UI shows what the relay gathers. */
  readonly ui?: boolean;
  /** Whether pods that anybody makes through the API server are run. */
  readonly kubelet?: boolean;
  /** Where the API server keeps objects; one SQLite file when absent. */
  readonly store?: "sqlite" | "etcd";
}

export interface LabNode {
  readonly name: string;
  /** From 1; its addresses and devices follow from it. */
  readonly index: number;
  readonly namespacePath: string;
  readonly directory: string;
  readonly socketPath: string;
  readonly hubbleSocketPath: string;
  readonly underlayAddress: string;
  readonly underlayAddressIPv6: string;
}

export interface LabPod {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly containerId: string;
  readonly namespacePath: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** What other processes need to know about a lab. */
export interface LabRecord {
  readonly name: string;
  readonly options: LabOptions;
  readonly daemons: readonly Daemon[];
  readonly nodes: readonly LabNode[];
  readonly pods: readonly LabPod[];
  readonly kubeconfigPath: string;
}

/** A cluster on this machine: nodes and pods are namespaces, the programs are the real ones. */
export class Lab implements AsyncDisposable {
  readonly name: string;
  readonly directory: string;
  readonly kubeconfigPath: string;
  readonly #options: LabOptions;
  readonly #daemons = new Map<string, Daemon>();
  readonly #nodes = new Map<string, LabNode>();
  readonly #pods = new Map<string, LabPod>();
  #kubectl: Kubectl | undefined;

  private constructor(options: LabOptions) {
    this.name = options.name;
    this.directory = labDirectory(options.name);
    this.kubeconfigPath = join(this.directory, "apiserver/admin.kubeconfig");
    this.#options = options;
  }

  /** The API server and one node, ready. On failure nothing is left behind. */
  static async start(options: LabOptions): Promise<Lab> {
    if (options.name.length > labNameLengthMax) {
      throw new Error(`the lab's name "${options.name}" has more than ${labNameLengthMax} characters: its devices could not be named`);
    }
    await removeLab(options.name);
    const lab = new Lab(options);
    try {
      mkdirSync(lab.directory, { recursive: true });
      await makeUnderlay(lab.#underlay());
      if (options.store === "etcd") lab.startEtcd();
      await lab.startApiserver();
      if ((options.ipam ?? "host-scope") !== "host-scope") lab.startOperator();
      for (let index = 1; index <= (options.nodes ?? 1); index += 1) await lab.addNode(`node${index}`);
      if (options.relay === true) lab.startRelay();
      if (options.ui === true) lab.startUi();
      if (options.kubelet === true) lab.startKubelet();
      return lab;
    } catch (cause) {
      const logs = [...lab.#daemons.values()].map((daemon) => tail(daemon)).join("");
      await removeLab(options.name);
      throw new Error(`the lab did not start: ${errorMessage(cause)}${logs}`, { cause });
    }
  }

  /** A lab that another process started. Undefined when there is none. */
  static async attach(name: string): Promise<Lab | undefined> {
    const record = readLab(name);
    if (record === undefined) return undefined;
    const lab = new Lab(record.options);
    for (const daemon of record.daemons) lab.#daemons.set(daemon.name, daemon);
    for (const node of record.nodes) lab.#nodes.set(node.name, node);
    for (const pod of record.pods) lab.#pods.set(`${pod.namespace}/${pod.name}`, pod);
    lab.#kubectl = await openKubectl(lab.kubeconfigPath);
    return lab;
  }

  get nodes(): readonly LabNode[] {
    return [...this.#nodes.values()];
  }

  get daemons(): readonly Daemon[] {
    return [...this.#daemons.values()];
  }

  get kubectl(): Kubectl {
    if (this.#kubectl === undefined) throw new Error("the lab's API server has not been started");
    return this.#kubectl;
  }

  node(name = "node1"): LabNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new Error(`the lab has no node ${name}`);
    return node;
  }

  pod(key: string): LabPod {
    const pod = this.#pods.get(key);
    if (pod === undefined) throw new Error(`the lab has no pod ${key}`);
    return pod;
  }

  daemon(name: string): Daemon {
    const daemon = this.#daemons.get(name);
    if (daemon === undefined) throw new Error(`the lab has no process ${name}`);
    return daemon;
  }

  /** One member of etcd, which the API server waits for. */
  startEtcd(): void {
    const [clients, peers] = [this.#etcdUrl(2379), this.#etcdUrl(2380)];
    this.#start("etcd", "etcd", [
      ...["--name", this.name, "--data-dir", join(this.directory, "etcd"), "--logger=zap", "--log-level=warn"],
      ...["--listen-client-urls", clients, "--advertise-client-urls", clients],
      ...["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", `${this.name}=${peers}`],
    ]);
  }

  async startApiserver(): Promise<void> {
    const address = gatewayOf(this.#underlay());
    this.#start("apiserver", process.execPath, [
      join(this.#options.root, "apps/apiserver/build/bin/main.js"),
      "--state-dir",
      join(this.directory, "apiserver"),
      "--listen",
      `${address}:6443`,
      "--advertise-address",
      address,
      ...(this.#options.store === "etcd" ? ["--etcd-servers", this.#etcdUrl(2379)] : []),
    ]);
    this.#kubectl = await openKubectl(this.kubeconfigPath);
    await this.waitForApiserver();
  }

  async waitForApiserver(): Promise<void> {
    await this.waitFor("the API server", async () => void (await this.kubectl.run(["get", "--raw", "/readyz"])));
  }

  startOperator(name = "operator"): void {
    const address = gatewayOf(this.#underlay());
    this.#start(name, process.execPath, [
      join(this.#options.root, "apps/operator/build/bin/main.js"),
      "--k8s-kubeconfig-path",
      this.kubeconfigPath,
      "--operator-api-serve-addr",
      `${address}:9234`,
      "--operator-prometheus-serve-addr",
      `${address}:9963`,
      "--ipam",
      this.#options.ipam ?? "cluster-pool",
      "--auto-create-cilium-pod-ip-pools",
      "default=ipv4-cidrs:10.0.0.0/16;ipv4-mask-size:26;ipv6-cidrs:fd00::/104;ipv6-mask-size:120",
    ]);
  }

  /** One Observer API over all nodes, on the underlay in plain text. It learns of the nodes from the first. */
  startRelay(): void {
    const address = gatewayOf(this.#underlay());
    this.#start("relay", process.execPath, [
      join(this.#options.root, "apps/relay/build/bin/main.js"),
      "serve",
      "--listen-address",
      `${address}:4245`,
      "--disable-server-tls",
      "true",
      "--health-listen-address",
      "",
      "--tls-dir",
      this.#hubbleTlsDirectory(),
      "--peer-service",
      `unix://${this.node().hubbleSocketPath}`,
      "--retry-timeout",
      "1s",
    ]);
  }

  /** Where a browser on this machine finds Hubble UI. */
  get uiUrl(): string {
    return `http://${gatewayOf(this.#underlay())}:12000/`;
  }

  /** Hubble UI, page and backend, over the relay. */
  startUi(): void {
    const address = gatewayOf(this.#underlay());
    this.#start("ui", "env", [
      `UI_LISTEN_HOST=${address}`,
      "EVENTS_SERVER_PORT=12000",
      `FLOWS_API_ADDR=${address}:4245`,
      `UI_KUBECONFIG=${this.kubeconfigPath}`,
      // Who reaches the lab's page owns the machine.
      "UI_CHANGES_AS=backend",
      `UI_PUBLIC_URL=${this.uiUrl}`,
      `UI_STATIC_DIR=${join(this.#options.root, "apps/ui/build/page")}`,
      process.execPath,
      join(this.#options.root, "apps/ui-backend/build/bin/main.js"),
    ]);
  }

  /** Runs the pods of all nodes, and shows the lab's own programs as pods. */
  startKubelet(): void {
    this.#start("kubelet", process.execPath, [join(this.#options.root, "test/lab/src/kubelet/main.ts"), this.name]);
  }

  /** A machine outside of the cluster that sends back what it is sent, over TCP and UDP on port 8080. */
  async addWorld(): Promise<{ ipv4: string; ipv6: string }> {
    const { subnet } = this.#options;
    const [ipv4, ipv6] = [`172.31.${subnet}.2`, `fd31:${subnet}::2`];
    const namespace = `ct-${this.name}-world`;
    await makeMachine(this.#underlay(), { namespace, uplink: uplinkOf(this.#underlay(), 0), ipv4, ipv6 });
    const args = [`--net=/run/netns/${namespace}`, process.execPath, join(this.#options.root, "test/lab/src/world-server.ts"), "8080"];
    this.#start("world", "nsenter", args);
    return { ipv4, ipv6 };
  }

  /** A node: a network namespace with an uplink, its agent, and a Node object. */
  async addNode(name: string): Promise<LabNode> {
    if (this.#nodes.has(name)) throw new Error(`the lab has a node ${name} already`);
    const index = this.#freeIndex();
    const directory = join(this.directory, name);
    const namespace = `ct-${this.name}-${name}`;
    const { ipv4, ipv6 } = nodeAddresses(this.#underlay(), index);
    const node: LabNode = {
      name,
      index,
      namespacePath: `/run/netns/${namespace}`,
      directory,
      socketPath: join(directory, "cilium.sock"),
      hubbleSocketPath: join(directory, "hubble.sock"),
      underlayAddress: ipv4,
      underlayAddressIPv6: ipv6,
    };
    mkdirSync(directory, { recursive: true });
    await makeMachine(this.#underlay(), { namespace, uplink: uplinkOf(this.#underlay(), index), ipv4, ipv6 });
    this.#nodes.set(name, node);
    const metadata = { name, labels: { "kubernetes.io/hostname": name } };
    const spec = this.#options.ipam === "kubernetes" ? { podCIDRs: rangesOf(index) } : {};
    await this.kubectl.apply({ apiVersion: "v1", kind: "Node", metadata, spec });
    this.startAgent(name);
    await this.waitForAgent(name);
    return node;
  }

  /** As a machine that is gone for good: its pods, its agent, its objects and its namespace. */
  async removeNode(name: string): Promise<void> {
    const node = this.node(name);
    for (const [key, pod] of this.#pods) if (pod.node === name) await this.deletePod(key);
    await this.kubectl.run(["delete", "pods", "--all-namespaces", `--field-selector=spec.nodeName=${name}`, "--wait=false"]);
    await this.stopAgent(name);
    await this.kubectl.run(["delete", "node", name, "--ignore-not-found"]);
    await endProcessesIn(`ct-${this.name}-${name}`);
    await removeMachine(`ct-${this.name}-${name}`, uplinkOf(this.#underlay(), node.index));
    await removeDirectory(node.directory);
    this.#daemons.delete(`agent-${name}`);
    this.#nodes.delete(name);
    this.#write();
  }

  /** Cuts a node off the underlay: its pods, its agent and its neighbours hear nothing more of each other. */
  async cutNode(name: string): Promise<void> {
    await setUplink(this.#underlay(), this.node(name).index, "down");
  }

  async joinNode(name: string): Promise<void> {
    await setUplink(this.#underlay(), this.node(name).index, "up");
  }

  /** Ends a program of the lab and starts it again as it was. */
  async restart(name: string): Promise<void> {
    const daemon = this.daemon(name);
    await stopDaemon(daemon);
    this.#start(daemon.name, daemon.command, daemon.args);
  }

  /** `further`: arguments of this start alone, which win over the lab's. */
  startAgent(name = "node1", further: readonly string[] = []): void {
    const node = this.node(name);
    this.#start(`agent-${name}`, "nsenter", [
      `--net=${node.namespacePath}`,
      process.execPath,
      join(this.#options.root, "apps/agent/build/bin/main.js"),
      "--k8s-kubeconfig-path",
      this.kubeconfigPath,
      "--node-name",
      name,
      "--state-dir",
      join(node.directory, "state"),
      "--socket-path",
      node.socketPath,
      "--hubble-socket-path",
      node.hubbleSocketPath,
      "--health-socket-path",
      join(node.directory, "health.sock"),
      "--hubble-history-dir",
      join(node.directory, "hubble-history"),
      "--bpf-root",
      join(node.directory, "bpf"),
      "--delete-queue-dir",
      join(node.directory, "deleteQueue"),
      ...this.#rangeArguments(node.index),
      ...(this.#options.relay === true ? ["--hubble-listen-address", ":4244", "--hubble-tls-dir", this.#hubbleTlsDirectory()] : []),
      ...(this.#options.routing === undefined ? [] : ["--routing-mode", this.#options.routing]),
      ...(this.#options.agentArguments ?? []),
      ...further,
    ]);
  }

  async waitForAgent(name = "node1"): Promise<void> {
    const socket = this.node(name).socketPath;
    await this.waitFor(`the agent of ${name}`, async () => {
      const answer = await runOrThrow("curl", ["--silent", "--max-time", "2", "--unix-socket", socket, "http://localhost/v1/healthz"]);
      const status: { cilium?: { state?: string; msg?: string } } = JSON.parse(answer);
      if (status.cilium?.state !== "Ok") throw new Error(`status ${status.cilium?.state}: ${status.cilium?.msg}`);
    });
  }

  /** Ends the agent at once, as a crash would. */
  async killAgent(name = "node1"): Promise<void> {
    await stopDaemon(this.daemon(`agent-${name}`), { signal: "SIGKILL" });
  }

  async stopAgent(name = "node1"): Promise<void> {
    await stopDaemon(this.daemon(`agent-${name}`));
  }

  /** A pod: its object, its network namespace, a real CNI ADD, and then its process. */
  async createPod(options: {
    namespace?: string;
    name: string;
    labels?: Record<string, string>;
    node?: string;
    command?: readonly string[];
    ports?: ReadonlyArray<{ name: string; containerPort: number; protocol?: string }>;
  }): Promise<LabPod> {
    const namespace = options.namespace ?? "default";
    const node = this.node(options.node ?? "node1");
    const key = `${namespace}/${options.name}`;
    await this.kubectl.apply(podObject(namespace, options.name, node.name, options.labels ?? {}, options.ports ?? []));
    const uid = (await this.kubectl.run(["get", "pod", "-n", namespace, options.name, "-o", "jsonpath={.metadata.uid}"])).trim();
    const reference = { namespace, name: options.name, uid };
    const network = await addPodNetwork({ root: this.#options.root, lab: this.name, node, pod: reference });
    const pod: LabPod = { namespace, name: options.name, node: node.name, ...network };
    this.#pods.set(key, pod);
    this.#write();
    if (options.command !== undefined) this.startInPod(key, `${key} ${options.command.join(" ")}`, options.command);
    await this.#publishStatus(pod, node);
    return pod;
  }

  /** A process inside a pod that ends with the lab. */
  startInPod(key: string, name: string, command: readonly string[]): Daemon {
    return this.#start(name, "nsenter", [`--net=${this.pod(key).namespacePath}`, ...command]);
  }

  async deletePod(key: string): Promise<void> {
    const pod = this.pod(key);
    for (const [name, daemon] of this.#daemons) if (name.startsWith(`${key} `)) await stopDaemon(daemon, { graceMs: 500 });
    const reference = { namespace: pod.namespace, name: pod.name, uid: "" };
    await removePodNetwork({ root: this.#options.root, lab: this.name, node: this.node(pod.node), pod: reference }, pod);
    await this.kubectl.run(["delete", "pod", "-n", pod.namespace, pod.name, "--ignore-not-found", "--wait=false"]);
    this.#pods.delete(key);
    this.#write();
  }

  async waitFor(what: string, check: () => Promise<void>, deadlineMs = 30_000): Promise<void> {
    const end = Date.now() + deadlineMs;
    for (;;) {
      try {
        return await check();
      } catch (cause) {
        const ended = [...this.#daemons.values()].find((daemon) => !isRunning(daemon) && what.includes(daemon.name.split("-")[0] ?? ""));
        if (ended !== undefined) throw new Error(`${ended.name} ended by itself`, { cause });
        if (Date.now() > end) throw new Error(`${what} did not become ready within ${deadlineMs} ms`, { cause });
      }
      await delay(20);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeLab(this.name);
  }

  #underlay(): Underlay {
    return { lab: this.name, subnet: this.#options.subnet };
  }

  #hubbleTlsDirectory(): string {
    return join(this.directory, "hubble-tls");
  }

  /** The first that no node has: that of a node that was removed comes back. */
  #freeIndex(): number {
    const taken = new Set(this.nodes.map(({ index }) => index));
    let index = 1;
    while (taken.has(index)) index += 1;
    return index;
  }

  #etcdUrl(port: number): string {
    return `http://${gatewayOf(this.#underlay())}:${port}`;
  }

  #rangeArguments(index: number): string[] {
    const { ipam = "host-scope" } = this.#options;
    const [ipv4, ipv6] = rangesOf(index);
    return ipam === "host-scope" ? ["--ipv4-range", ipv4, "--ipv6-range", ipv6] : ["--ipam", ipam];
  }

  async #publishStatus(pod: LabPod, node: LabNode): Promise<void> {
    const podIPs = [{ ip: pod.ipv4 }, { ip: pod.ipv6 }];
    const conditions = [{ type: "Ready", status: "True" }];
    const containerStatuses = [
      { name: "main", image: labImage, imageID: "", ready: true, started: true, restartCount: 0, state: { running: {} } },
    ];
    const status = { phase: "Running", hostIP: node.underlayAddress, podIP: pod.ipv4, podIPs, conditions, containerStatuses };
    await this.kubectl.run([
      "patch",
      "pod",
      "-n",
      pod.namespace,
      pod.name,
      "--subresource=status",
      "--type=merge",
      "-p",
      JSON.stringify({ status }),
    ]);
  }

  #start(name: string, command: string, args: readonly string[]): Daemon {
    const logs = join(this.directory, "logs");
    mkdirSync(logs, { recursive: true });
    const daemon = startDaemon({ name, command, args, logPath: join(logs, `${name.replace(/[^a-z0-9-]+/gi, "_").slice(0, 80)}.log`) });
    this.#daemons.set(name, daemon);
    this.#write();
    return daemon;
  }

  /** Written before anything can be lost: `down` relies on it. */
  #write(): void {
    const record: LabRecord = {
      name: this.name,
      options: this.#options,
      daemons: [...this.#daemons.values()],
      nodes: [...this.#nodes.values()],
      pods: [...this.#pods.values()],
      kubeconfigPath: this.kubeconfigPath,
    };
    const path = join(this.directory, "lab.json");
    writeFileSync(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`);
    renameSync(`${path}.new`, path);
  }
}

/** Pod CIDRs where the lab itself gives them. */
function rangesOf(index: number): [ipv4: string, ipv6: string] {
  return [`10.0.${index}.0/24`, `fd00:10:0:${index}::/112`];
}

function podObject(
  namespace: string,
  name: string,
  nodeName: string,
  labels: Record<string, string>,
  ports: ReadonlyArray<{ name: string; containerPort: number; protocol?: string }>,
): object {
  const containers = [{ name: "main", image: labImage, ports }];
  return { apiVersion: "v1", kind: "Pod", metadata: { namespace, name, labels }, spec: { nodeName, containers } };
}

function tail(daemon: Daemon): string {
  try {
    const lines = readFileSync(daemon.logPath, "utf8").trimEnd().split("\n").slice(-15);
    return `\n--- the last lines of ${daemon.name} ---\n${lines.join("\n")}`;
  } catch {
    return "";
  }
}
