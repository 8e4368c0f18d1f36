import { request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { type KubernetesClient, type KubernetesObject, resources } from "@cilium-ts/kubernetes";
import { type Lab, runOrThrow } from "@cilium-ts/lab";

const signal = new AbortController().signal;

export function call(socketPath: string, method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
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

/** Milliseconds of each ADD, from the request to the answer. */
export async function addPods(lab: Lab, client: KubernetesClient, prefix: string, count: number, parallel: number): Promise<number[]> {
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

export async function deletePods(lab: Lab, prefix: string, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await call(lab.node().socketPath, "POST", "/v1/cni", cniBody(lab, "DEL", `${prefix}${index}`));
    await runOrThrow("ip", ["netns", "del", namespaceOf(lab, `${prefix}${index}`)]);
  }
}

export function namespaceOf(lab: Lab, name: string): string {
  return `ct-${lab.name}-${name}`;
}

export function cniBody(lab: Lab, command: "ADD" | "DEL", name: string): object {
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
export function podObject(name: string): KubernetesObject {
  const index = Number(name.slice(1));
  const labels = { app: `app${index % 10}`, bench: "yes", subject: index < 25 ? "first" : "rest" };
  return {
    metadata: { namespace: "default", name, labels },
    spec: { nodeName: "node1", containers: [{ name: "main", image: "bench.invalid/bench" }] },
  };
}
