import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type KubernetesClient, openKubernetes, reflect, resources } from "@cilium-ts/kubernetes";
import { startEtcd } from "@cilium-ts/kubernetes-server/testing";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { type RunningServer, runProgram, startProgram } from "./program.ts";

// What clients were told stays true, whatever dies: our own client and reflector, writing and watching while it happens.

const folder = mkdtempSync(join(tmpdir(), "cilium-ts-apiserver-faults-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const signal = new AbortController().signal;
const nodes = resources.nodes;

interface Writer extends AsyncDisposable {
  /** What was acknowledged: versions by name. */
  readonly written: ReadonlyMap<string, string>;
}

/** Creates nodes one after another until it is disposed. */
function startWriting(client: KubernetesClient, name: string): Writer {
  const written = new Map<string, string>();
  let isOver = false;
  const writing = (async () => {
    for (let index = 0; !isOver; index += 1) {
      const own = `${name}-${index}`;
      try {
        const created = await client.create(nodes, { metadata: { name: own } }, { signal });
        written.set(own, created.metadata.resourceVersion ?? "");
      } catch {
        await delay(5); // Nobody promised anything.
      }
    }
  })();
  return {
    written,
    async [Symbol.asyncDispose]() {
      isOver = true;
      await writing;
    },
  };
}

interface Mirror extends AsyncDisposable {
  /** What the reflector has been told: versions by name. */
  readonly versions: ReadonlyMap<string, string>;
  readonly wrong: readonly string[];
}

function startMirror(client: KubernetesClient): Mirror {
  const versions = new Map<string, string>();
  const wrong: string[] = [];
  const stopping = new AbortController();
  const running = reflect({
    client,
    resource: nodes,
    signal: stopping.signal,
    clock: systemClock,
    onUpsert({ metadata: { name = "", resourceVersion = "" } }) {
      if (versions.get(name) === resourceVersion) wrong.push(`${name} was told twice`);
      versions.set(name, resourceVersion);
    },
    onDelete({ name }) {
      wrong.push(`${name} was told to be gone`);
    },
  });
  return {
    versions,
    wrong,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running;
    },
  };
}

async function stored(client: KubernetesClient): Promise<ReadonlyMap<string, string>> {
  const { items } = await client.list(nodes, { signal });
  return new Map(items.map(({ metadata: { name = "", resourceVersion = "" } }) => [name, resourceVersion]));
}

function holdsAll(found: ReadonlyMap<string, string>, written: ReadonlyMap<string, string>): void {
  for (const [name, version] of written) assert.equal(found.get(name), version, name);
}

test("killed at any moment, the server has what it acknowledged, and reflectors are told each change once", async () => {
  const stateDir = join(folder, "killed");
  let server = await startProgram(stateDir);
  await using ending = new AsyncDisposableStack();
  ending.defer(async () => void (await server.stop("SIGKILL")));
  const { port } = new URL(server.url);
  const client = ending.use(await openKubernetes({ kubeconfigPath: server.kubeconfig }));
  const mirror = ending.use(startMirror(client));
  await using writing = new AsyncDisposableStack();
  const writers = ["a", "b", "c", "d"].map((name) => writing.use(startWriting(client, name)));
  const count = () => writers.reduce((sum, { written }) => sum + written.size, 0);
  for (let round = 0; round < 6; round += 1) {
    const enough = count() + 20 + 7 * round;
    await eventually(() => assert.ok(count() > enough), { deadlineMs: 30_000, intervalMs: 1 });
    await server.stop("SIGKILL");
    server = await startProgram(stateDir, ["--listen", `127.0.0.1:${port}`]);
    const acknowledged = writers.map(({ written }) => new Map(written));
    const found = await stored(client);
    for (const written of acknowledged) holdsAll(found, written);
  }
  await writing.disposeAsync();
  await eventually(async () => assert.deepEqual(sorted(mirror.versions), sorted(await stored(client))), { deadlineMs: 60_000 });
  assert.deepEqual(mirror.wrong, []);
});

test("the leader of three members of etcd is killed under two servers: what either acknowledged both have, and are told once", async () => {
  await using etcd = await startEtcd(3);
  const start = (name: string): Promise<RunningServer> => startProgram(join(folder, name), ["--etcd-servers", etcd.endpoints.join(",")]);
  await using one = await start("one");
  mkdirSync(join(folder, "two"), { mode: 0o700 });
  for (const name of ["ca.crt", "ca.key"]) cpSync(join(folder, "one", name), join(folder, "two", name));
  await using two = await start("two");
  await using first = await openKubernetes({ kubeconfigPath: one.kubeconfig });
  await using second = await openKubernetes({ kubeconfigPath: two.kubeconfig });
  // Each is watched through the server that it does not write to.
  await using watching = new AsyncDisposableStack();
  const mirrors = [watching.use(startMirror(second)), watching.use(startMirror(first))];
  await using writing = new AsyncDisposableStack();
  const writers = [writing.use(startWriting(first, "one")), writing.use(startWriting(second, "two"))];
  const haveWritten = async (more: number): Promise<void> => {
    const enough = writers.map(({ written }) => written.size + more);
    await eventually(() => assert.ok(writers.every(({ written }, index) => written.size > (enough[index] ?? 0))), { deadlineMs: 60_000 });
  };
  await haveWritten(20);
  const leader = await etcd.leader();
  assert.ok(leader !== undefined);
  await leader.stop("SIGKILL");
  await haveWritten(20);
  leader.start();
  await haveWritten(20);
  await writing.disposeAsync();
  const [found, also] = [await stored(first), await stored(second)];
  assert.deepEqual(sorted(found), sorted(also));
  for (const { written } of writers) holdsAll(found, written);
  for (const { versions, wrong } of mirrors) {
    await eventually(() => assert.deepEqual(sorted(versions), sorted(found)), { deadlineMs: 30_000 });
    assert.deepEqual(wrong, []);
  }
});

test("a store that was half written is named with the way out, and one whose certificates were is served with new ones", async () => {
  const stateDir = join(folder, "half");
  const server = await startProgram(stateDir);
  assert.equal(await server.stop("SIGTERM"), 0);
  truncateSync(join(stateDir, "server.crt"), 100);
  const again = await startProgram(stateDir);
  await using client = await openKubernetes({ kubeconfigPath: again.kubeconfig });
  assert.ok((await client.list(resources.namespaces, { signal })).items.length >= 4);
  assert.equal(await again.stop("SIGTERM"), 0);
  truncateSync(join(stateDir, "state.db"), 10_000);
  const { code, errors } = await runProgram(["--state-dir", stateDir, "--listen", "127.0.0.1:0"]);
  assert.equal(code, 1);
  assert.match(
    errors,
    /^cilium-apiserver: .*state\.db is damaged \(it ends after 10000 bytes, within a page\); put a backup in its place, or .*\n$/,
  );
});

function sorted(versions: ReadonlyMap<string, string>): [string, string][] {
  return [...versions].sort(([left], [right]) => (left < right ? -1 : 1));
}
