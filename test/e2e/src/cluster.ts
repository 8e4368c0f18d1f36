import { join } from "node:path";
import { AgentClient, type Endpoint } from "@cilium-ts/agent-api";
import { Lab, type LabOptions, ownPlace, runOrThrow, runToEnd, startDaemon } from "@cilium-ts/lab";
import { eventually } from "@cilium-ts/testing";
import { repositoryRoot } from "@cilium-ts/tools/repository";
import { type Place, Workload } from "./workload-client.ts";

const signal = new AbortController().signal;

/** Of this process: files of tests run one after another, but not alone on the machine. */
export const { name: labName, subnet: labSubnet } = ownPlace("e");

/** For tests that count addresses and devices: the agent has one endpoint of its own otherwise. */
export const withoutHealthEndpoint = ["--enable-endpoint-health-checking", "false"] as const;

export interface PodOptions {
  readonly labels?: Record<string, string>;
  readonly namespace?: string;
  readonly ports?: ReadonlyArray<{ name: string; containerPort: number; protocol?: string }>;
  /** The first when absent. */
  readonly node?: string;
  /** The program by which the workload speaks SCTP; it does not without one. */
  readonly sctpEnds?: string;
}

/** A lab with workloads in its pods, and what the tests ask of it. */
export class Cluster implements AsyncDisposable {
  readonly lab: Lab;
  readonly agent: AgentClient;
  readonly #workloads: Workload[] = [];
  #policies = new Set<string>();

  private constructor(lab: Lab) {
    this.lab = lab;
    this.agent = new AgentClient({ socketPath: lab.node().socketPath });
  }

  static async start(options: Partial<Omit<LabOptions, "root">> = {}): Promise<Cluster> {
    return new Cluster(await Lab.start({ root: repositoryRoot, name: labName, subnet: labSubnet, ...options }));
  }

  /** A pod with a workload in it. Its key in the lab is `namespace/name`. */
  async pod(name: string, options: PodOptions = {}): Promise<Workload> {
    const namespace = options.namespace ?? "default";
    const socketPath = this.#socketPath(`${namespace}-${name}`);
    const pod = await this.lab.createPod({
      name,
      namespace,
      labels: options.labels ?? { app: name },
      ports: options.ports ?? [],
      node: options.node ?? "node1",
      command: [...workloadCommand(socketPath), ...(options.sctpEnds === undefined ? [] : [options.sctpEnds])],
    });
    return this.#open({ name, namespacePath: pod.namespacePath, ipv4: pod.ipv4, ipv6: pod.ipv6 }, socketPath);
  }

  /** A workload on a node itself, by the addresses that its pods have for it. */
  async host(name = "node1"): Promise<Workload> {
    const { namespacePath, socketPath } = this.lab.node(name);
    using agent = new AgentClient({ socketPath });
    const { status } = await agent.configuration(signal);
    const { ipv4, ipv6 } = status?.addressing ?? {};
    return this.#startIn({ name: `host of ${name}`, namespacePath, ipv4: ipv4?.ip ?? "", ipv6: ipv6?.ip ?? "" });
  }

  /** A machine outside of the cluster, on the node's underlay. IPv6 comes to the underlay with it. */
  async world(): Promise<Workload> {
    const namespace = `ct-${this.lab.name}-world`;
    const place = { name: "world", namespacePath: `/run/netns/${namespace}`, ipv4: `172.31.${labSubnet}.2`, ipv6: `fd31:${labSubnet}::2` };
    const node = this.lab.node();
    const nodeIPv6 = `fd31:${labSubnet}::11`;
    const link = `ct-${this.lab.name}9`;
    await runOrThrow("ip", ["netns", "add", namespace]);
    await runOrThrow("ip", ["link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace]);
    await runOrThrow("ip", ["link", "set", link, "master", `ct-${this.lab.name}`, "up"]);
    await ipIn(node.namespacePath, "route add default via", place.ipv6);
    await ipIn(place.namespacePath, "link set lo up");
    await ipIn(place.namespacePath, "link set eth0 up");
    await ipIn(place.namespacePath, "address add", `${place.ipv4}/24`, "dev eth0");
    await ipIn(place.namespacePath, "address add", `${place.ipv6}/64`, "dev eth0 nodad");
    await ipIn(place.namespacePath, "route add 10.0.1.0/24 via", node.underlayAddress);
    await ipIn(place.namespacePath, "route add fd00:10:0:1::/112 via", nodeIPv6);
    return this.#startIn(place);
  }

  /** A second address for the machine outside, from which it does not speak by itself. */
  async addAddress(to: Workload, ipv4: string, ipv6: string): Promise<Place> {
    await ipIn(to.namespacePath, "address add", `${ipv4}/24`, "dev eth0");
    await ipIn(to.namespacePath, "address add", `${ipv6}/64`, "dev eth0 nodad preferred_lft 0");
    return { name: `${to.name} (${ipv4})`, namespacePath: to.namespacePath, ipv4, ipv6 };
  }

  /** Applies policies with kubectl and waits until the agent has them in force. */
  async apply(...policies: readonly Policy[]): Promise<void> {
    await this.changing(policies.length, async () => {
      await this.lab.kubectl.apply(policies.map((one) => JSON.stringify(policyObject(one))).join("\n---\n"));
    });
    for (const { name } of policies) this.#policies.add(name);
  }

  async deletePolicies(...names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    await this.changing(names.length, async () => void (await this.lab.kubectl.run(["delete", "ciliumnetworkpolicy", ...names])));
    for (const name of names) this.#policies.delete(name);
  }

  /** Between tests: nothing is enforced any more. */
  async clear(): Promise<void> {
    await this.deletePolicies(...this.#policies);
  }

  /** Waits until the agent has carried out that many changes of policies. It counts one when it begins, and ends it in the same turn. */
  async changing(count: number, change: () => Promise<void>): Promise<void> {
    const before = await this.#revision();
    await change();
    await eventually(async () => {
      const now = await this.#revision();
      if (now < before + count) throw new Error(`the agent's policy revision is ${now}; ${count} changes after ${before} were made`);
    });
  }

  async endpoint(pod: Place): Promise<Endpoint> {
    return this.agent.endpoint(`cep-name:default/${pod.name}`, signal);
  }

  /** Those of workloads: the agent's own health endpoint is not among them. */
  async endpoints(): Promise<readonly Endpoint[]> {
    return (await this.agent.endpoints(signal)).filter(({ status }) => !status?.identity?.labels?.includes("reserved:health"));
  }

  /** Flows as `hubble observe` prints them. */
  async flows(...args: readonly string[]): Promise<readonly Flow[]> {
    const output = await this.hubble("observe", "--output", "jsonpb", ...args);
    return output
      .trim()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line).flow);
  }

  /** What the agent's pods have heard of names. */
  async fqdnCache(): Promise<ReadonlyArray<{ readonly fqdn?: string; readonly ips?: readonly string[]; readonly source?: string }>> {
    return await this.agent.nameCache(signal);
  }

  hubble(...args: readonly string[]): Promise<string> {
    const program = join(repositoryRoot, "apps/hubble/build/bin/main.js");
    return runOrThrow(process.execPath, [program, ...args, "--server", `unix://${this.lab.node().hubbleSocketPath}`]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const workload of this.#workloads) workload.close();
    this.agent[Symbol.dispose]();
    await this.lab[Symbol.asyncDispose]();
  }

  async #revision(): Promise<number> {
    return (await this.agent.policy(signal)).revision ?? 0;
  }

  #socketPath(name: string): string {
    return join(this.lab.directory, `${name}.sock`);
  }

  async #startIn(place: Place): Promise<Workload> {
    const socketPath = this.#socketPath(place.name);
    const args = [`--net=${place.namespacePath}`, ...workloadCommand(socketPath)];
    // Ends with the lab, as everything does that runs in its namespaces.
    startDaemon({ name: place.name, command: "nsenter", args, logPath: `${socketPath}.log` });
    return this.#open(place, socketPath);
  }

  async #open(place: Place, socketPath: string): Promise<Workload> {
    const workload = await Workload.open(place, socketPath);
    this.#workloads.push(workload);
    return workload;
  }
}

/** The fields of a flow that the tests look at. */
export interface Flow {
  readonly verdict: string;
  readonly drop_reason_desc?: string;
  readonly source?: { readonly pod_name?: string; readonly identity?: number };
  readonly destination?: { readonly pod_name?: string; readonly identity?: number; readonly labels?: readonly string[] };
  readonly l4?: Readonly<Record<string, { readonly destination_port?: number; readonly type?: number }>>;
  readonly IP?: { readonly ipVersion: string };
  readonly traffic_direction?: string;
  readonly ingress_allowed_by?: readonly FlowPolicy[];
  readonly ingress_denied_by?: readonly FlowPolicy[];
  readonly egress_allowed_by?: readonly FlowPolicy[];
  readonly egress_denied_by?: readonly FlowPolicy[];
  readonly policy_log?: readonly string[];
}

export interface FlowPolicy {
  readonly name: string;
  readonly namespace?: string;
  readonly kind?: string;
  readonly labels?: readonly string[];
  /** 64 bits, as text. */
  readonly revision?: string;
}

export interface Policy {
  readonly name: string;
  readonly spec: object;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A policy for the pods with label `app` of that value. */
export function policy(name: string, app: string, rules: object): Policy {
  return { name, spec: { endpointSelector: { matchLabels: { app } }, ...rules } };
}

export function policyObject({ name, spec, annotations = {} }: Policy): object {
  return { apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", metadata: { namespace: "default", name, annotations }, spec };
}

/** `ip` inside of a network namespace; arguments may be written together. */
export async function ipIn(namespacePath: string, ...args: readonly string[]): Promise<void> {
  await runOrThrow("nsenter", [`--net=${namespacePath}`, "ip", ...args.flatMap((arg) => arg.split(" "))]);
}

/** Three echo requests of that size; the exit status of ping is 0 when an answer came. */
export async function pings(from: Place, address: string, sizeBytes = 56): Promise<boolean> {
  const args = [`--net=${from.namespacePath}`, "ping", "-n", "-q", "-c", "3", "-i", "0.1", "-W", "1", "-s", String(sizeBytes), address];
  return (await runToEnd("nsenter", args)).status === 0;
}

function workloadCommand(socketPath: string): string[] {
  return [process.execPath, join(import.meta.dirname, "workload.ts"), socketPath];
}
