import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { type KubernetesClient, openKubernetes, resources } from "@cilium-ts/kubernetes";
import { Lab, type LabPod, ownPlace, runOrThrow } from "@cilium-ts/lab";
import { addPods, call, cniBody, namespaceOf, podObject } from "./bench-pods.ts";
import { residentMegabytes } from "./process-usage.ts";
import { createRow, percentile, type Row, type Samples } from "./report.ts";

const signal = new AbortController().signal;
const reachedPods = 50;
const restartEndpoints = 100;
const restarts = 5;

/** Two nodes: how soon a pod of the one is reached from the other, what the programs weigh, and how long an agent with many endpoints takes to start again. */
export async function benchClusterPods(root: string): Promise<Row[]> {
  await using lab = await Lab.start({ root, ...ownPlace("b"), nodes: 2, ipam: "cluster-pool", relay: true });
  await using client = await openKubernetes({ kubeconfigPath: lab.kubeconfigPath });
  const rows: Row[] = [];
  const add = (samples: Samples): void => void rows.push(createRow(samples));
  const value = (at: number): NonNullable<Samples["aim"]> => ({ of: "value", better: "lower", at });
  console.error("dev bench cluster: pods that are reached from another node");
  const reached = await reachTimes(root, lab, client);
  add({ name: "pod-reached-from-other-node-p50", unit: "ms", ours: reached, aim: value(100) });
  add({ name: "pod-reached-from-other-node-p99", unit: "ms", ours: [percentile(reached, 0.99)], aim: value(500) });
  console.error(`dev bench cluster: an agent with ${restartEndpoints} endpoints`);
  await addPods(lab, client, "r", restartEndpoints, 8);
  await delay(3_000);
  for (const [name, daemon] of [
    ["agent", "agent-node1"],
    ["operator", "operator"],
    ["apiserver", "apiserver"],
    ["relay", "relay"],
  ] as const)
    add({ name: `${name}-rss`, unit: "MB", ours: [residentMegabytes(lab.daemon(daemon).pid)] });
  const times: number[] = [];
  for (let restart = 0; restart < restarts; restart += 1) times.push(await restartTime(lab));
  add({ name: `agent-restart-${restartEndpoints}-endpoints`, unit: "ms", ours: times, aim: value(1_000) });
  return rows;
}

/** Milliseconds from the ADD on the first node to an answer on the second. */
async function reachTimes(root: string, lab: Lab, client: KubernetesClient): Promise<number[]> {
  const from: LabPod = await lab.createPod({ name: "prober", node: "node2" });
  const prober = spawn("nsenter", [`--net=${from.namespacePath}`, process.execPath, join(root, "test/bench/src/reach-role.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    const answers = createInterface({ input: prober.stdout });
    const times: number[] = [];
    for (let index = 0; index < reachedPods; index += 1) {
      const name = `n${index}`;
      await client.create(resources.pods, podObject(name), { signal });
      await runOrThrow("ip", ["netns", "add", namespaceOf(lab, name)]);
      await delay(200);
      const startedAt = performance.now();
      const answer = await call(lab.node().socketPath, "POST", "/v1/cni", cniBody(lab, "ADD", name));
      const { ips = [] } = (answer.body ?? {}) as { readonly ips?: readonly { readonly address: string }[] };
      const address = ips.find((ip) => ip.address.includes("."))?.address.split("/", 1)[0];
      if (address === undefined) throw new Error(`ADD of ${name} was refused: ${JSON.stringify(answer.body)}`);
      const told = once(answers, "line");
      prober.stdin.write(`${address}\n`);
      await told;
      times.push(performance.now() - startedAt);
    }
    return times;
  } finally {
    prober.stdin.end();
    prober.kill();
  }
}

/** Milliseconds from the start of the program to all of its endpoints as they should be. */
async function restartTime(lab: Lab): Promise<number> {
  await lab.killAgent("node1");
  const startedAt = performance.now();
  lab.startAgent("node1");
  for (;;) {
    const status = await call(lab.node().socketPath, "GET", "/v1/endpoint").catch(() => undefined);
    const endpoints = (Array.isArray(status?.body) ? status.body : []) as ReadonlyArray<{ readonly status?: { readonly state?: string } }>;
    if (endpoints.length >= restartEndpoints && endpoints.every(({ status: state }) => state?.state === "ready")) break;
    await delay(10);
  }
  await lab.waitForAgent("node1");
  return performance.now() - startedAt;
}
