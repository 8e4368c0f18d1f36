import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type BpfMap, openKernel } from "@cilium-ts/kernel";
import { type KubernetesClient, type KubernetesObject, openKubernetes, resources } from "@cilium-ts/kubernetes";
import { Lab, type LabPod, runOrThrow, startDaemon, stopDaemon } from "@cilium-ts/lab";
import { ensureNetperf, measure, netperfPorts } from "./netperf.ts";
import { cpuSeconds, residentMegabytes } from "./process-usage.ts";
import { createRow, percentile, type Row, type Samples } from "./report.ts";

const signal = new AbortController().signal;

/** The control plane: starts, pods, policies, memory, and what a flood costs. Figures of the incumbent are in docs/decisions. */
export async function benchControl(root: string, options: { repeats: number }): Promise<Row[]> {
  await using lab = await Lab.start({ root, name: "benchc", subnet: 248 });
  await using client = await openKubernetes({ kubeconfigPath: lab.kubeconfigPath });
  const rows: Row[] = [];
  const add = (samples: Samples): void => void rows.push(createRow(samples));
  const value = (better: "lower" | "higher", at: number): NonNullable<Samples["aim"]> => ({ of: "value", better, at });

  say("agent start");
  const starts = await agentStarts(lab, options.repeats);
  add({ name: "agent-start-to-api", unit: "ms", ours: starts.api, aim: value("lower", 300), incumbent: 1_300 });
  add({ name: "agent-start-to-datapath", unit: "ms", ours: starts.datapath, aim: value("lower", 700), incumbent: 6_000 });
  await delay(3_000);
  add({ name: "agent-rss-0-endpoints", unit: "MB", ours: [residentMegabytes(agentPid(lab))], aim: value("lower", 110), incumbent: 175 });
  add({ name: "map-memory", unit: "MB", ours: [mapMegabytes(lab)], aim: value("lower", 60), incumbent: 158 });
  add({ name: "idle-cpu", unit: "% of a core", ours: [await idleCpu(lab)], aim: value("lower", 0.3), incumbent: 2 });

  say("100 pods, 8 at a time");
  const parallel = await addPods(lab, client, "p", 100, 8);
  add({ name: "cni-add-8-parallel-p50", unit: "ms", ours: parallel, incumbent: 134 });
  add({ name: "cni-add-8-parallel-p99", unit: "ms", ours: [percentile(parallel, 0.99)] });
  await deletePods(lab, "p", 100);
  say("100 pods, one after another");
  const serial = await addPods(lab, client, "s", 100, 1);
  add({ name: "cni-add-serial-p50", unit: "ms", ours: serial, aim: value("lower", 10), incumbent: 134 });
  add({ name: "cni-add-serial-p99", unit: "ms", ours: [percentile(serial, 0.99)] });
  add({ name: "agent-rss-100-endpoints", unit: "MB", ours: [residentMegabytes(agentPid(lab))], incumbent: 198 });

  for (const rules of [1, 1_000]) {
    await loadRules(client, rules);
    for (const endpoints of [25, 100]) {
      say(`policy change, ${endpoints} endpoints, ${rules} rules`);
      const ours = await policyChanges(lab, client, endpoints, Math.max(5, options.repeats));
      const incumbent = rules === 1_000 && endpoints === 25 ? { incumbent: 2_000 } : {};
      add({ name: `policy-to-enforced-${endpoints}-endpoints-${rules}-rules`, unit: "ms", ours, aim: value("lower", 30), ...incumbent });
    }
  }
  add({ name: "agent-rss-1000-rules", unit: "MB", ours: [residentMegabytes(agentPid(lab))], aim: value("lower", 150), incumbent: 370 });
  await deletePods(lab, "s", 100);

  say("connect flood without a Hubble client");
  const flood = await connectFlood(root, lab, client);
  add({ name: "flood-agent-cpu", unit: "% of a core", ours: [flood.cpuPercent], aim: value("lower", 10), incumbent: 68 });
  add({ name: "flood-connections", unit: "1/s", ours: [flood.connectionsPerSecond] });
  add({ name: "flood-flows-seen", unit: "1/s", ours: [flood.flowsPerSecond], incumbent: 13_900 });
  return rows;
}

function say(what: string): void {
  console.error(`dev bench control: ${what}`);
}

/** nsenter executes the agent in its own process: there is no child to look for. */
function agentPid(lab: Lab): number {
  return lab.daemon("agent-node1").pid;
}

async function agentStarts(lab: Lab, repeats: number): Promise<{ api: number[]; datapath: number[] }> {
  const api: number[] = [];
  const datapath: number[] = [];
  const socket = lab.node().socketPath;
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    await lab.stopAgent();
    const startedAt = performance.now();
    lab.startAgent();
    const first = await untilAnswer(socket, () => true);
    api.push(first - startedAt);
    datapath.push((await untilAnswer(socket, (status) => status.cilium?.state === "Ok")) - startedAt);
  }
  return { api, datapath };
}

interface AgentStatus {
  readonly cilium?: { readonly state?: string };
  readonly hubble?: { readonly observer?: { readonly "seen-flows"?: number } };
}

async function untilAnswer(socketPath: string, enough: (status: AgentStatus) => boolean): Promise<number> {
  for (const end = Date.now() + 30_000; Date.now() < end; await delay(1)) {
    const answer = await call(socketPath, "GET", "/v1/healthz").catch(() => undefined);
    if (answer?.status === 200 && enough(answer.body as AgentStatus)) return performance.now();
  }
  throw new Error(`nobody answers on ${socketPath}`);
}

function call(socketPath: string, method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    const outgoing = request({ socketPath, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const answer = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode ?? 0, body: answer === "" ? undefined : JSON.parse(answer) });
      });
      response.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.end(text);
  });
}

function mapMegabytes(lab: Lab): number {
  const kernel = openKernel();
  const root = join(lab.node().directory, "bpf/maps");
  let bytes = 0;
  for (const name of kernel.listPins(root)) {
    using map = kernel.openPinnedMap(join(root, name));
    bytes += map.memoryBytes();
  }
  return bytes / 1e6;
}

async function idleCpu(lab: Lab): Promise<number> {
  const pid = agentPid(lab);
  const before = cpuSeconds(pid);
  await delay(20_000);
  return ((cpuSeconds(pid) - before) / 20) * 100;
}

/** Milliseconds of each ADD, from the request to the answer. */
async function addPods(lab: Lab, client: KubernetesClient, prefix: string, count: number, parallel: number): Promise<number[]> {
  const times: number[] = [];
  const names = Array.from({ length: count }, (_, index) => `${prefix}${index}`);
  for (const name of names) {
    await client.create(resources.pods, podObject(name), { signal });
    await runOrThrow("ip", ["netns", "add", namespaceOf(lab, name)]);
  }
  await delay(500);
  const next = names.values();
  const worker = async (): Promise<void> => {
    for (const name of next) {
      const startedAt = performance.now();
      const answer = await call(lab.node().socketPath, "POST", "/v1/cni", cniBody(lab, "ADD", name));
      if (answer.status !== 200) throw new Error(`ADD of ${name} was refused: ${JSON.stringify(answer.body)}`);
      times.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return times;
}

async function deletePods(lab: Lab, prefix: string, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await call(lab.node().socketPath, "POST", "/v1/cni", cniBody(lab, "DEL", `${prefix}${index}`));
    await runOrThrow("ip", ["netns", "del", namespaceOf(lab, `${prefix}${index}`)]);
  }
}

function namespaceOf(lab: Lab, name: string): string {
  return `ct-${lab.name}-${name}`;
}

function cniBody(lab: Lab, command: "ADD" | "DEL", name: string): object {
  return {
    command,
    containerId: `bench-${name}`,
    netns: `/run/netns/${namespaceOf(lab, name)}`,
    ifname: "eth0",
    args: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name};K8S_POD_UID=`,
    path: "",
    config: { cniVersion: "1.0.0", name: "cilium", type: "cilium-cni" },
  };
}

/** Ten applications: pods of one share an identity, as replicas do. */
function podObject(name: string): KubernetesObject {
  const index = Number(name.slice(1));
  const labels = { app: `app${index % 10}`, bench: "yes", subject: index < 25 ? "first" : "rest" };
  return {
    metadata: { namespace: "default", name, labels },
    spec: { nodeName: "node1", containers: [{ name: "main", image: "bench.invalid/bench" }] },
  };
}

function policyObject(name: string, spec: object): KubernetesObject {
  return { metadata: { namespace: "default", name }, ...spec };
}

/** Rules that select every pod of the benchmark, 50 in each object. */
async function loadRules(client: KubernetesClient, count: number): Promise<void> {
  if (count === 1) return;
  for (let first = 0; first < count; first += 50) {
    const specs = Array.from({ length: 50 }, (_, offset) => {
      const rule = first + offset;
      return {
        endpointSelector: { matchLabels: { bench: "yes" } },
        ingress: [
          { fromCIDR: [`198.18.${rule >> 8}.${rule & 255}/32`], toPorts: [{ ports: [{ port: String(1_000 + rule), protocol: "TCP" }] }] },
        ],
      };
    });
    await client.create(resources.ciliumNetworkPolicies, policyObject(`load-${first}`, { specs }), { signal });
  }
  await delay(3_000);
}

/** From the write of the object to the last of the endpoints' rows in the kernel. */
async function policyChanges(lab: Lab, client: KubernetesClient, endpoints: number, repeats: number): Promise<number[]> {
  const kernel = openKernel();
  using map = kernel.openPinnedMap(join(lab.node().directory, "bpf/maps/endpoints"));
  const ids = await endpointIds(lab, endpoints);
  const matchLabels = endpoints === 25 ? { subject: "first" } : { bench: "yes" };
  const name = `change-${endpoints}`;
  const times: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const port = String(9_000 + repeat);
    const spec = { endpointSelector: { matchLabels }, ingress: [{ toPorts: [{ ports: [{ port, protocol: "TCP" }] }] }] };
    const before = policySets(map, ids);
    const startedAt = performance.now();
    await client.patch(
      resources.ciliumNetworkPolicies,
      { namespace: "default", name },
      { type: "apply", body: policyObject(name, { spec }), force: true },
      { signal },
    );
    for (const end = Date.now() + 20_000; policySets(map, ids).some((set, index) => set === before[index]); await delay(0)) {
      if (Date.now() > end) throw new Error(`a policy did not reach all of ${endpoints} endpoints within 20 s`);
    }
    times.push(performance.now() - startedAt);
    await delay(300);
  }
  await client.delete(resources.ciliumNetworkPolicies, { namespace: "default", name }, { signal });
  await delay(500);
  return times;
}

async function endpointIds(lab: Lab, count: number): Promise<number[]> {
  const { body } = await call(lab.node().socketPath, "GET", "/v1/endpoint");
  const list = body as Array<{ id: number; status: { identity: { labels: string[] } } }>;
  const wanted = list.filter(({ status }) => count !== 25 || status.identity.labels.includes("k8s:subject=first")).map(({ id }) => id);
  if (wanted.length !== count) throw new Error(`${count} endpoints were expected, ${wanted.length} are there`);
  return wanted;
}

/** Offset 8 of struct endpoint. */
function policySets(map: BpfMap, ids: readonly number[]): number[] {
  const key = new Uint8Array(4);
  const view = new DataView(key.buffer);
  return ids.map((id) => {
    view.setUint32(0, id, true);
    const row = map.lookup(key);
    return row === undefined ? 0 : new DataView(row.buffer, row.byteOffset).getUint32(8, true);
  });
}

async function connectFlood(
  root: string,
  lab: Lab,
  client: KubernetesClient,
): Promise<{ cpuPercent: number; connectionsPerSecond: number; flowsPerSecond: number }> {
  const programs = await ensureNetperf(root);
  const spec = {
    endpointSelector: { matchLabels: { app: "flood" } },
    ingress: [{ toPorts: [{ ports: [{ port: String(netperfPorts.control), endPort: netperfPorts.transfer, protocol: "TCP" }] }] }],
  };
  await client.create(resources.ciliumNetworkPolicies, policyObject("flood", { spec }), { signal });
  const from: LabPod = await lab.createPod({ name: "flood-client", labels: { app: "flood-client" } });
  const to: LabPod = await lab.createPod({ name: "flood-server", labels: { app: "flood" } });
  const args = [`--net=${to.namespacePath}`, programs.netserver, "-D", "-p", String(netperfPorts.control)];
  const server = startDaemon({ name: "netserver", command: "nsenter", args, logPath: "/dev/null" });
  try {
    await delay(500);
    const seconds = 10;
    const pid = agentPid(lab);
    const seenBefore = await seenFlows(lab);
    const before = cpuSeconds(pid);
    const startedAt = performance.now();
    const connectionsPerSecond = await measure({
      programs,
      test: "tcp-crr",
      clientNamespacePath: from.namespacePath,
      serverAddress: to.ipv4,
      seconds,
    });
    const elapsed = (performance.now() - startedAt) / 1_000;
    const cpuPercent = ((cpuSeconds(pid) - before) / elapsed) * 100;
    return { cpuPercent, connectionsPerSecond, flowsPerSecond: ((await seenFlows(lab)) - seenBefore) / elapsed };
  } finally {
    await stopDaemon(server, { graceMs: 500 });
  }
}

async function seenFlows(lab: Lab): Promise<number> {
  const { body } = await call(lab.node().socketPath, "GET", "/v1/healthz");
  return (body as AgentStatus).hubble?.observer?.["seen-flows"] ?? 0;
}
