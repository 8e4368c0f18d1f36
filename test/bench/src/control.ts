import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { openKernel } from "@cilium-ts/kernel";
import { type KubernetesClient, openKubernetes, resources } from "@cilium-ts/kubernetes";
import { Lab, type LabPod, ownPlace, startDaemon, stopDaemon } from "@cilium-ts/lab";
import { addPods, call, deletePods } from "./bench-pods.ts";
import { loadRules, policyChanges, policyObject } from "./enforced-changes.ts";
import { ensureNetperf, measure, netperfPorts } from "./netperf.ts";
import { cpuSeconds, residentMegabytes } from "./process-usage.ts";
import { createRow, percentile, type Row, type Samples } from "./report.ts";

const signal = new AbortController().signal;

/** The control plane: starts, pods, policies, memory, and what a flood costs. Figures of the incumbent are in docs/decisions. */
export async function benchControl(root: string, options: { repeats: number }): Promise<Row[]> {
  await using lab = await Lab.start({ root, ...ownPlace("b") });
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
