import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type KubernetesClient, resources } from "@cilium-ts/kubernetes";
import type { Target } from "@cilium-ts/state";
import type { LabNode } from "../lab.ts";
import { addPodNetwork, type PodNetwork, removePodNetwork } from "../pod-network.ts";
import { readLab } from "../read-lab.ts";
import { type Daemon, isRunning, startDaemon, stopDaemon } from "../shell.ts";
import type { PodRow } from "./pod-row.ts";

/** What is kept of a pod that runs, in its folder: a kubelet that is started again goes on with it. */
interface PodRecord {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly nodeName: string;
  readonly network: PodNetwork | undefined;
  readonly daemons: readonly Daemon[];
}

export interface PodsOnNodesOptions {
  readonly root: string;
  readonly lab: string;
  /** Where pods' records are. */
  readonly directory: string;
  readonly client: KubernetesClient;
}

/** Pods as processes on the lab's nodes. Images are not looked at: a command runs with the files of this machine, and in the pod's network alone. */
export class PodsOnNodes implements Target<string, PodRow> {
  readonly #options: PodsOnNodesOptions;

  constructor(options: PodsOnNodesOptions) {
    this.#options = options;
    mkdirSync(options.directory, { recursive: true });
  }

  async apply(row: PodRow, signal: AbortSignal): Promise<void> {
    const known = this.#read(row);
    if (known !== undefined && known.uid === row.uid) return;
    if (known !== undefined) await this.#end(known);
    const node = this.#node(row.nodeName);
    if (row.containers.some(({ command }) => command.length === 0)) return this.#refuse(row, signal);
    const { root, lab } = this.#options;
    const network = row.hostNetwork ? undefined : await addPodNetwork({ root, lab, node, pod: row });
    const record: PodRecord = { ...row, network, daemons: [] };
    this.#write(record, network?.namespacePath ?? node.namespacePath); // Before its processes: what is recorded is ended.
    const daemons = row.containers.map((container) => this.#start(row, container, network?.namespacePath ?? node.namespacePath));
    this.#write({ ...record, daemons }, network?.namespacePath ?? node.namespacePath);
    await this.#publish(
      row,
      network === undefined ? [node.underlayAddress, node.underlayAddressIPv6] : [network.ipv4, network.ipv6],
      node,
      signal,
    );
  }

  async remove(key: string): Promise<void> {
    const [namespace = "", name = ""] = key.split("/");
    const record = this.#read({ namespace, name });
    if (record !== undefined) await this.#end(record);
  }

  async realised(): Promise<Iterable<string>> {
    return readdirSync(this.#options.directory).map((entry) => entry.replace("_", "/"));
  }

  #node(name: string): LabNode {
    const node = readLab(this.#options.lab)?.nodes.find((candidate) => candidate.name === name);
    if (node === undefined) throw new Error(`the lab has no node ${name}`);
    return node;
  }

  #start(row: PodRow, { name, command, env }: PodRow["containers"][number], namespacePath: string): Daemon {
    // The image's node is ours.
    const path = `${dirname(process.execPath)}:${process.env.PATH}`;
    return startDaemon({
      name,
      command: "nsenter",
      args: [`--net=${namespacePath}`, ...command],
      logPath: join(this.#folder(row), `${name}.log`),
      env: { ...process.env, PATH: path, ...env },
    });
  }

  async #end({ namespace, name, uid, nodeName, network, daemons }: PodRecord): Promise<void> {
    await Promise.all(daemons.map((daemon) => stopDaemon(daemon, { graceMs: 500 })));
    const { root, lab } = this.#options;
    const node = readLab(lab)?.nodes.find((candidate) => candidate.name === nodeName);
    if (network !== undefined && node !== undefined && existsSync(network.namespacePath))
      await removePodNetwork({ root, lab, node, pod: { namespace, name, uid } }, network);
    rmSync(this.#folder({ namespace, name }), { recursive: true, force: true });
  }

  async #publish(row: PodRow, ips: readonly string[], node: LabNode, signal: AbortSignal): Promise<void> {
    const startedAt = new Date().toISOString();
    const containerStatuses = row.containers.map(({ name, image }) => {
      const record = this.#read(row)?.daemons.find((daemon) => daemon.name === name);
      const ready = record !== undefined && isRunning(record);
      return { name, image, imageID: "", ready, started: ready, restartCount: 0, state: { running: { startedAt } } };
    });
    const ready = containerStatuses.every((status) => status.ready) ? "True" : "False";
    const conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map((type) => ({ type, status: ready }));
    const podIPs = ips.map((ip) => ({ ip }));
    await this.#patch(
      row,
      { phase: "Running", hostIP: node.underlayAddress, podIP: ips[0], podIPs, conditions, containerStatuses },
      signal,
    );
  }

  async #refuse(row: PodRow, signal: AbortSignal): Promise<void> {
    const message = "the lab has no images: give each container a command";
    const waiting = { reason: "ErrImagePull", message };
    const containerStatuses = row.containers.map(({ name, image }) => {
      return { name, image, imageID: "", ready: false, restartCount: 0, state: { waiting } };
    });
    await this.#patch(row, { phase: "Pending", containerStatuses }, signal);
  }

  async #patch({ namespace, name }: PodRow, status: object, signal: AbortSignal): Promise<void> {
    await this.#options.client.patch(
      resources.pods,
      { namespace, name },
      { type: "merge", body: { status } },
      { signal, subresource: "status" },
    );
  }

  #folder({ namespace, name }: { namespace: string; name: string }): string {
    return join(this.#options.directory, `${namespace}_${name}`);
  }

  #read(pod: { namespace: string; name: string }): PodRecord | undefined {
    try {
      return JSON.parse(readFileSync(join(this.#folder(pod), "pod.json"), "utf8"));
    } catch {
      return undefined; // Never begun, or begun and not recorded: its namespace, if any, goes with the lab.
    }
  }

  /** With a link to its network namespace, for whoever enters it. */
  #write(record: PodRecord, namespacePath: string): void {
    const folder = this.#folder(record);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "pod.json"), `${JSON.stringify(record, null, 2)}\n`);
    if (!existsSync(join(folder, "netns"))) symlinkSync(namespacePath, join(folder, "netns"));
  }
}
