import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { cpuSeconds, residentMegabytes } from "./process-usage.ts";
import { createRow, type Row, type Samples } from "./report.ts";

const objectCount = 10_000;
const watcherCount = 100;
const writersAtOnce = 64;
const token = "bench-token";
const deadlineMs = 120_000;

/** The API server and what mirrors it: a real program on a file, and clients over TLS on the loopback, which share the machine's CPUs. */
export async function benchCluster(root: string, options: { repeats: number }): Promise<Row[]> {
  const rows: Row[] = [];
  const add = (samples: Samples): void => void rows.push(createRow(samples));
  const value = (better: "lower" | "higher", at: number): NonNullable<Samples["aim"]> => ({ of: "value", better, at });
  const rounds = Math.min(options.repeats, 3);
  const measured = { start: [] as number[], idle: [] as number[], writes: [] as number[], live: [] as number[], state: [] as number[] };
  const after = { loaded: [] as number[], informer: [] as number[], cpu: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    say(`round ${round + 1} of ${rounds}`);
    await using server = await startServer(root);
    measured.start.push(server.startMs);
    await delay(1_000);
    measured.idle.push(residentMegabytes(server.pid));
    measured.writes.push(await createObjects(server, "pods", objectCount));
    after.informer.push(await informerMegabytes(server));
    await using watchers = await openWatchers(server, "/api/v1/configmaps?watch=true");
    const cpuBefore = cpuSeconds(server.pid);
    const startedAt = performance.now();
    await createObjects(server, "configmaps", objectCount);
    await watchers.received(objectCount * watcherCount);
    measured.live.push((performance.now() - startedAt) / 1_000);
    after.cpu.push(cpuSeconds(server.pid) - cpuBefore);
    await watchers[Symbol.asyncDispose]();
    const stateFrom = performance.now();
    await using late = await openWatchers(server, "/api/v1/configmaps?watch=true&resourceVersion=0");
    await late.received(objectCount * watcherCount);
    measured.state.push((performance.now() - stateFrom) / 1_000);
    after.loaded.push(residentMegabytes(server.pid));
  }
  add({ name: "apiserver-start", unit: "ms", ours: measured.start });
  add({ name: "apiserver-rss-idle", unit: "MB", ours: measured.idle });
  add({ name: "apiserver-durable-writes", unit: "1/s", ours: measured.writes, aim: value("higher", 1_000) });
  add({ name: "watch-fan-out-10000-to-100-live", unit: "s", ours: measured.live, aim: value("lower", 5) });
  add({ name: "watch-fan-out-10000-to-100-live-server-cpu", unit: "s", ours: after.cpu });
  add({ name: "watch-fan-out-10000-to-100-state", unit: "s", ours: measured.state, aim: value("lower", 5) });
  add({ name: "apiserver-rss-20000-objects-100-watchers", unit: "MB", ours: after.loaded });
  add({ name: "informer-heap-10000-pods", unit: "MB", ours: after.informer, aim: value("lower", 15) });
  return rows;
}

function say(what: string): void {
  console.error(`dev bench cluster: ${what}`);
}

interface Server extends AsyncDisposable {
  readonly pid: number;
  readonly url: URL;
  readonly stateDir: string;
  readonly startMs: number;
  readonly agent: Agent;
}

async function startServer(root: string): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), "cilium-ts-bench-"));
  const tokens = join(folder, "tokens.csv");
  const stateDir = join(folder, "state");
  writeFileSync(tokens, `${token},bench,1\n`);
  const flags = ["--state-dir", stateDir, "--listen", "127.0.0.1:0", "--token-file", tokens];
  const startedAt = performance.now();
  const child = spawn(process.execPath, [join(root, "apps/apiserver/src/main.ts"), ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  const url = await urlOf(child);
  const startMs = performance.now() - startedAt;
  const agent = new Agent({ keepAlive: true, maxSockets: 1_000, ca: readFileSync(join(stateDir, "ca.crt")) });
  return {
    pid: child.pid ?? 0,
    url: new URL(url),
    stateDir,
    startMs,
    agent,
    async [Symbol.asyncDispose]() {
      agent.destroy();
      await end(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function urlOf(child: ChildProcess): Promise<string> {
  const serving = Promise.withResolvers<string>();
  let log = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    log += log.length < 10_000 ? chunk.toString() : "";
    const [, url] = /"url":"([^"]+)"/.exec(log) ?? [];
    if (url !== undefined) serving.resolve(url);
  });
  child.once("exit", () => serving.reject(new Error(`cilium-apiserver ended: ${log}`)));
  return await serving.promise;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

function optionsFor(server: Server, method: string, path: string) {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  return { host: server.url.hostname, port: server.url.port, agent: server.agent, method, path, headers };
}

/** Returns how many were durable in a second. */
async function createObjects(server: Server, plural: "pods" | "configmaps", count: number): Promise<number> {
  const numbers = Array.from({ length: count }, (_, index) => index).values();
  const startedAt = performance.now();
  const writer = async (): Promise<void> => {
    for (const index of numbers) {
      const object = plural === "pods" ? podObject(index) : configMapObject(index);
      const code = await post(server, `/api/v1/namespaces/default/${plural}`, JSON.stringify(object));
      if (code !== 201) throw new Error(`the API server answered ${code} to the creation of one of ${plural}`);
    }
  };
  await Promise.all(Array.from({ length: writersAtOnce }, writer));
  return count / ((performance.now() - startedAt) / 1_000);
}

async function post(server: Server, path: string, body: string): Promise<number> {
  const answered = Promise.withResolvers<number>();
  const asked = request(optionsFor(server, "POST", path), (response) => {
    response.resume();
    response.once("end", () => answered.resolve(response.statusCode ?? 0));
    response.once("error", answered.reject);
  });
  asked.once("error", answered.reject);
  asked.end(body);
  return await answered.promise;
}

function podObject(index: number): object {
  const labels = { app: `app${index % 500}`, "app.kubernetes.io/instance": `release-${index % 50}`, "pod-template-hash": "5d4f8c7b9" };
  const ports = [{ containerPort: 8_080, name: "http" }];
  return {
    metadata: { name: `app${index % 500}-5d4f8c7b9-${index}`, labels, annotations: { "example.com/checksum": "0123456789abcdef" } },
    spec: { nodeName: `node${index % 100}`, containers: [{ name: "main", image: "registry.example/app:1.2.3", ports }] },
  };
}

function configMapObject(index: number): object {
  return { metadata: { name: `map-${index}`, labels: { app: `app${index % 500}` } }, data: { key: "x".repeat(300) } };
}

interface Watchers extends AsyncDisposable {
  /** Resolves when all watchers together have been told so many events. */
  received(events: number): Promise<void>;
}

async function openWatchers(server: Server, path: string): Promise<Watchers> {
  let events = 0;
  const agent = new Agent({ maxSockets: watcherCount, ca: server.agent.options.ca });
  const open = async (): Promise<void> => {
    const opened = Promise.withResolvers<void>();
    const asked = request({ ...optionsFor(server, "GET", path), agent }, (response) => {
      opened.resolve();
      response.on("error", () => undefined);
      response.on("data", (chunk: Buffer) => {
        for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) events += 1;
      });
    });
    asked.on("error", opened.reject);
    asked.end();
    await opened.promise;
  };
  await Promise.all(Array.from({ length: watcherCount }, open));
  return {
    async received(wanted) {
      for (const endAt = performance.now() + deadlineMs; events < wanted; await delay(2)) {
        if (performance.now() > endAt) throw new Error(`${events} of ${wanted} events came within ${deadlineMs / 1_000} s`);
      }
    },
    async [Symbol.asyncDispose]() {
      agent.destroy();
    },
  };
}

/** What a mirror of all pods adds to the heap of a process of its own. */
async function informerMegabytes(server: Server): Promise<number> {
  const role = fileURLToPath(import.meta.resolve("./informer-role.ts"));
  const child = spawn(process.execPath, ["--expose-gc", role, join(server.stateDir, "admin.kubeconfig"), String(objectCount)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  await once(child, "close");
  const megabytes = Number(output);
  if (child.exitCode !== 0 || !(megabytes > 0)) throw new Error(`the mirror of pods ended with ${child.exitCode}: ${output}`);
  return megabytes;
}
