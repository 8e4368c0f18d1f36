import { setTimeout as delay } from "node:timers/promises";
import { openKubernetes } from "@cilium-ts/kubernetes";
import { Lab, ownPlace } from "@cilium-ts/lab";
import { PaperCluster } from "./paper-cluster.ts";
import { cpuSeconds, residentMegabytes } from "./process-usage.ts";
import { createRow, type Row, type Samples } from "./report.ts";

/** What grows by ten. */
const sizes = [
  { name: "1x", nodes: 100, pods: 5_000, identities: 200 },
  { name: "10x", nodes: 1_000, pods: 50_000, identities: 2_000 },
] as const;
type Size = (typeof sizes)[number];
/** Of all pods in a minute: each goes, and another comes. */
const churnPerMinute = 0.05;
const churnSeconds = 30;
const settleMs = 5_000;

/**
 * One real node, the real operator and the real API server, in a cluster whose other nodes are on paper: a process writes their objects as their
 * agents would, and writes what changes with the churn. What all agents ask of the API server follows from what that process had to ask
 * for them, and from what the real agent asks besides.
 */
export async function benchScale(root: string, options: { readonly size: string }): Promise<Row[]> {
  const chosen = sizes.filter(({ name }) => options.size === "" || options.size === name);
  if (chosen.length === 0) throw new Error(`--size is ${sizes.map(({ name }) => name).join(" or ")}, not "${options.size}"`);
  const rows: Row[] = [];
  const figures = new Map<Size["name"], ReadonlyMap<string, number>>();
  for (const size of chosen) {
    const measured = await measure(root, size);
    figures.set(size.name, new Map(measured.map(({ name, ours }) => [name, ours[0] ?? Number.NaN])));
    for (const samples of measured) rows.push(createRow({ ...samples, name: `${samples.name}-${size.name}` }));
  }
  for (const name of ["agent-cpu", "agent-rss", "operator-cpu", "operator-rss", "api-requests"]) {
    const [one, ten] = [figures.get("1x")?.get(name), figures.get("10x")?.get(name)];
    if (one !== undefined && ten !== undefined) rows.push(createRow({ name: `${name}-growth`, unit: "10x/1x", ours: [ten / one] }));
  }
  return rows;
}

async function measure(root: string, size: Size): Promise<Samples[]> {
  const say = (what: string): void => console.error(`dev bench scale: ${size.name}: ${what}`);
  const agentArguments = ["--prometheus-serve-addr", ":9962"];
  await using lab = await Lab.start({ root, ...ownPlace("b"), ipam: "cluster-pool", agentArguments });
  await using client = await openKubernetes({ kubeconfigPath: lab.kubeconfigPath, connectionsMax: 64 });
  const paper = new PaperCluster(client, size);
  say(`${size.nodes} nodes, ${size.identities} identities, ${size.pods} pods`);
  const loadedMs = await timed(() => paper.load());
  say(`loaded in ${Math.round(loadedMs / 1_000)} s; the agent starts anew`);
  const startedS = (await timed(() => restartAgent(lab))) / 1_000;
  const known = await addressesKnown(lab);
  if (known < 2 * size.pods)
    throw new Error(`the agent knows ${known} addresses of ${2 * size.pods}: it is not the whole cluster that was measured`);
  await delay(settleMs);
  say(`${Math.round((churnPerMinute * size.pods) / 60)} pods a second go and come, for ${churnSeconds} s`);
  const before = await usage(lab);
  const startedAt = performance.now();
  paper.asked = 0;
  const lateMs = await paper.churn({ perSecond: (churnPerMinute * size.pods) / 60, seconds: churnSeconds });
  const seconds = (performance.now() - startedAt) / 1_000;
  const after = await usage(lab);
  const rate = (of: (usage: Usage) => number): number => (of(after) - of(before)) / seconds;
  const ownRequests = rate(({ agentRequests }) => agentRequests);
  const operatorRequests = rate(({ requests }) => requests) - ownRequests - paper.requests / seconds;
  const one = (name: string, unit: string, ours: number): Samples => ({ name, unit, ours: [ours] });
  return [
    one("agent-start-to-synced", "s", startedS),
    one("agent-cpu", "% of a core", 100 * rate(({ agentCpu }) => agentCpu)),
    one("agent-rss", "MB", after.agentMemory),
    one(
      "agent-events",
      "1/s",
      rate(({ agentEvents }) => agentEvents),
    ),
    one("operator-cpu", "% of a core", 100 * rate(({ operatorCpu }) => operatorCpu)),
    one("operator-rss", "MB", after.operatorMemory),
    one("operator-api-requests", "1/s", operatorRequests),
    // Of all agents: what the churn makes them ask, and what each asks whatever happens.
    one("api-requests", "1/s", paper.asked / seconds + ownRequests * size.nodes + operatorRequests),
    one("apiserver-cpu", "% of a core", 100 * rate(({ serverCpu }) => serverCpu)),
    one("apiserver-rss", "MB", after.serverMemory),
    one("churn-lateness", "ms", lateMs),
  ];
}

interface Usage {
  readonly agentCpu: number;
  readonly agentMemory: number;
  readonly agentRequests: number;
  readonly agentEvents: number;
  readonly operatorCpu: number;
  readonly operatorMemory: number;
  readonly serverCpu: number;
  readonly serverMemory: number;
  /** Of the API server, from everybody. */
  readonly requests: number;
}

async function usage(lab: Lab): Promise<Usage> {
  const [agent, operator, server] = ["agent-node1", "operator", "apiserver"].map((name) => lab.daemon(name).pid) as [
    number,
    number,
    number,
  ];
  const agentMetrics = await metricsOf(lab);
  const serverMetrics = await lab.kubectl.run(["get", "--raw", "/metrics"]);
  return {
    agentCpu: cpuSeconds(agent),
    agentMemory: residentMegabytes(agent),
    agentRequests: sumOf(agentMetrics, "cilium_k8s_client_api_calls_total"),
    agentEvents: sumOf(agentMetrics, "cilium_kubernetes_events_total"),
    operatorCpu: cpuSeconds(operator),
    operatorMemory: residentMegabytes(operator),
    serverCpu: cpuSeconds(server),
    serverMemory: residentMegabytes(server),
    requests: sumOf(serverMetrics, "apiserver_request_total"),
  };
}

async function metricsOf(lab: Lab): Promise<string> {
  const answer = await fetch(`http://${lab.node().underlayAddress}:9962/metrics`);
  return answer.text();
}

function sumOf(metrics: string, name: string): number {
  let sum = 0;
  for (const line of metrics.split("\n"))
    if (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) sum += Number(line.split(" ").at(-1));
  return sum;
}

/** It is ready when it knows every node and every pod, and has its policies in force. */
async function restartAgent(lab: Lab): Promise<void> {
  await lab.stopAgent();
  lab.startAgent();
  for (let tries = 1; ; tries += 1) {
    try {
      return await lab.waitForAgent();
    } catch (cause) {
      if (tries === 4) throw cause; // Each waits for half a minute.
    }
  }
}

/** Rows of the ipcache in the kernel. */
async function addressesKnown(lab: Lab): Promise<number> {
  const metrics = await metricsOf(lab);
  const rowOf = (name: string): number => Number(new RegExp(`^${name}\\{[^}]*"ipcache"[^}]*\\} (.*)$`, "m").exec(metrics)?.[1]);
  return Math.round(rowOf("cilium_bpf_map_pressure") * rowOf("cilium_bpf_map_capacity"));
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}
