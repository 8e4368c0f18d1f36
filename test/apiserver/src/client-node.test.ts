import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createMemoryStore, startTestServer } from "@cilium-ts/kubernetes-server/testing";
import { eventually } from "@cilium-ts/testing";
import {
  ApiException,
  AppsV1Api,
  CoreV1Api,
  CustomObjectsApi,
  type Informer,
  KubeConfig,
  makeInformer,
  type ObjectCache,
  PatchStrategy,
  setHeaderOptions,
  type V1ConfigMap,
  Watch,
} from "@kubernetes/client-node";
import { type RunningServer, startProgram } from "./program.ts";

// The official client of JavaScript against the real program: what a controller that others have written does.

const folder = mkdtempSync(join(tmpdir(), "cilium-ts-client-node-"));
const stateDir = join(folder, "state");
const tokens = join(folder, "tokens.csv");
const namespace = "default";
let server: RunningServer;
let config: KubeConfig;
let core: CoreV1Api;

before(async () => {
  writeFileSync(tokens, 'secret,robot,1,"system:masters"\n');
  server = await startProgram(stateDir, ["--token-file", tokens]);
  config = new KubeConfig();
  config.loadFromFile(server.kubeconfig);
  core = config.makeApiClient(CoreV1Api);
});
after(async () => {
  await server.stop("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

const mapPath = `/api/v1/namespaces/${namespace}/configmaps`;
const create = (name: string, labels: Record<string, string> = {}, api = core): Promise<V1ConfigMap> =>
  api.createNamespacedConfigMap({ namespace, body: { metadata: { name, labels }, data: { k: "1" } } });
const as = (strategy: string): ReturnType<typeof setHeaderOptions> => setHeaderOptions("Content-Type", strategy);
const isRefused =
  (code: number) =>
  (error: unknown): boolean =>
    error instanceof ApiException && error.code === code;

interface Mirror extends AsyncDisposable {
  readonly informer: Informer<V1ConfigMap> & ObjectCache<V1ConfigMap>;
  readonly told: readonly string[];
  /** Throws until it holds what the server has. */
  check(): Promise<void>;
  stop(): Promise<void>;
  /** From where it had come. */
  start(): Promise<void>;
}

/** An informer that is started again after errors, as its documentation says. */
async function mirror(of: KubeConfig, labelSelector: string): Promise<Mirror> {
  const api = of.makeApiClient(CoreV1Api);
  const list = () => api.listNamespacedConfigMap({ namespace, labelSelector });
  const informer = makeInformer(of, mapPath, list, labelSelector);
  const told: string[] = [];
  let isOver = false;
  for (const verb of ["add", "update", "delete"] as const) informer.on(verb, ({ metadata }) => told.push(`${verb} ${metadata?.name}`));
  informer.on("error", () => setTimeout(() => isOver || informer.start(), 50));
  const start = async (): Promise<void> => {
    isOver = false;
    await informer.start();
  };
  const stop = async (): Promise<void> => {
    isOver = true;
    await informer.stop();
  };
  await start();
  const versions = (objects: readonly V1ConfigMap[]) =>
    objects.map(({ metadata }) => `${metadata?.name} ${metadata?.uid} ${metadata?.resourceVersion}`).sort();
  return {
    informer,
    told,
    check: async () => assert.deepEqual(versions(informer.list()), versions((await list()).items)),
    start,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

test("an informer sees what comes, changes and goes, as its selector does", async () => {
  await using seen = await mirror(config, "set=one");
  await create("a", { set: "one" });
  await create("b", { set: "two" });
  await core.patchNamespacedConfigMap(
    { namespace, name: "b", body: { metadata: { labels: { set: "one" } } } },
    as(PatchStrategy.MergePatch),
  );
  await core.patchNamespacedConfigMap({ namespace, name: "a", body: { data: { k: "2" } } }, as(PatchStrategy.MergePatch));
  await core.patchNamespacedConfigMap(
    { namespace, name: "a", body: { metadata: { labels: { set: null } } } },
    as(PatchStrategy.MergePatch),
  );
  await core.deleteNamespacedConfigMap({ namespace, name: "b" });
  await eventually(() => assert.deepEqual(seen.told, ["add a", "add b", "update a", "delete a", "delete b"]));
  await seen.check();
});

test("informers outlive the sudden death of the server, and hold what it has when it is back", async () => {
  await using one = await mirror(config, "set=lasting");
  await using two = await mirror(config, "set=lasting");
  await Promise.all(Array.from({ length: 20 }, (_, index) => create(`l${index}`, { set: "lasting" })));
  const { port } = new URL(server.url);
  const change = async (index: number): Promise<void> => {
    await core.deleteNamespacedConfigMap({ namespace, name: `l${index}` });
    await create(`m${index}`, { set: "lasting" });
  };
  const changing = Promise.allSettled(Array.from({ length: 20 }, (_, index) => change(index)));
  await server.stop("SIGKILL");
  await changing;
  server = await startProgram(stateDir, ["--token-file", tokens, "--listen", `127.0.0.1:${port}`]);
  await create("last", { set: "lasting" });
  for (const { informer, check } of [one, two]) {
    await eventually(() => assert.ok(informer.get("last", namespace) !== undefined), { deadlineMs: 60_000 });
    await eventually(check, { deadlineMs: 60_000 });
  }
});

test("an informer whose place in the history is gone lists again", async () => {
  const store = createMemoryStore({ revisionsMax: 60, sizeBytesMax: 10_000_000 });
  await using small = await startTestServer({ store, definitions: [] });
  const own = new KubeConfig();
  own.loadFromClusterAndUser({ name: "small", server: small.url, skipTLSVerify: true }, { name: "nobody" });
  const api = own.makeApiClient(CoreV1Api);
  await create("kept", { set: "small" }, api);
  await create("deleted", { set: "small" }, api);
  await using seen = await mirror(own, "set=small");
  await eventually(seen.check);
  await seen.stop();
  await api.deleteNamespacedConfigMap({ namespace, name: "deleted" });
  for (let index = 0; index < 80; index += 1) {
    const body = { data: { k: String(index) } };
    await api.patchNamespacedConfigMap({ namespace, name: "kept", body }, as(PatchStrategy.MergePatch));
  }
  assert.ok(store.oldest > Number(seen.informer.get("kept", namespace)?.metadata?.resourceVersion));
  await seen.start();
  await eventually(seen.check);
  assert.equal(seen.told.at(-2), "delete deleted");
  await store[Symbol.asyncDispose]();
});

test("a watch that asks for the state gets it, a bookmark at its end, and then what happens", async () => {
  await create("w1", { set: "watched" });
  const lines: string[] = [];
  const query = {
    labelSelector: "set=watched",
    sendInitialEvents: true,
    resourceVersionMatch: "NotOlderThan",
    allowWatchBookmarks: true,
  };
  const watch = await new Watch(config).watch(
    mapPath,
    query,
    (type: string, { metadata }: V1ConfigMap) => {
      const isEnd = metadata?.annotations?.["k8s.io/initial-events-end"] === "true";
      lines.push(type === "BOOKMARK" ? `${type} ${isEnd}` : `${type} ${metadata?.name}`);
    },
    () => {},
  );
  try {
    await eventually(() => assert.deepEqual(lines, ["ADDED w1", "BOOKMARK true"]));
    await create("w2", { set: "watched" });
    await eventually(() => assert.deepEqual(lines, ["ADDED w1", "BOOKMARK true", "ADDED w2"]));
  } finally {
    watch.abort();
  }
});

test("lists come in pages of one state, and fields select", async () => {
  for (const name of ["p1", "p2", "p3"]) await create(name, { set: "paged" });
  const names: (string | undefined)[] = [];
  let next: string | undefined;
  do {
    const page = await core.listNamespacedConfigMap({
      namespace,
      labelSelector: "set in (paged)",
      limit: 2,
      ...(next && { _continue: next }),
    });
    names.push(...page.items.map(({ metadata }) => metadata?.name));
    if (next === undefined) await create("p4", { set: "paged" });
    next = page.metadata?._continue;
  } while (next !== undefined && next !== "");
  assert.deepEqual(names, ["p1", "p2", "p3"]);
  const { items } = await core.listConfigMapForAllNamespaces({ fieldSelector: "metadata.name=p4,metadata.namespace!=kube-system" });
  assert.equal(items.length, 1);
});

test("each kind of patch does what it is for, and an old version is refused", async () => {
  const apps = config.makeApiClient(AppsV1Api);
  const container = (name: string, image: string) => ({ name, image });
  const template = { metadata: { labels: { app: "d" } }, spec: { containers: [container("main", "a:1")] } };
  const made = await apps.createNamespacedDeployment({
    namespace,
    body: { metadata: { name: "d" }, spec: { selector: { matchLabels: { app: "d" } }, template } },
  });
  const target = { namespace, name: "d" };
  const containers = (list: object[]) => ({ spec: { template: { spec: { containers: list } } } });
  const images = (d: typeof made) => d.spec?.template.spec?.containers.map(({ image }) => image);
  const strategic = { ...target, body: containers([container("side", "b:1")]) };
  assert.deepEqual(images(await apps.patchNamespacedDeployment(strategic, as(PatchStrategy.StrategicMergePatch))), ["b:1", "a:1"]);
  const merge = { ...target, body: containers([container("only", "c:1")]) };
  assert.deepEqual(images(await apps.patchNamespacedDeployment(merge, as(PatchStrategy.MergePatch))), ["c:1"]);
  const path = "/spec/template/spec/containers/0/image";
  const json = { ...target, body: [{ op: "replace", path, value: "d:1" }] };
  assert.deepEqual(images(await apps.patchNamespacedDeployment(json, as(PatchStrategy.JsonPatch))), ["d:1"]);
  const body = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "d" }, ...containers([container("only", "e:1")]) };
  const apply = { ...target, body, fieldManager: "other" };
  await assert.rejects(apps.patchNamespacedDeployment(apply, as(PatchStrategy.ServerSideApply)), isRefused(409));
  assert.deepEqual(images(await apps.patchNamespacedDeployment({ ...apply, force: true }, as(PatchStrategy.ServerSideApply))), ["e:1"]);
  await assert.rejects(apps.replaceNamespacedDeployment({ ...target, body: made }), isRefused(409));
});

test("status and scale are apart from the object, names can be left to the server, and a dry run leaves nothing", async () => {
  const apps = config.makeApiClient(AppsV1Api);
  const target = { namespace, name: "d" };
  const scaled = await apps.patchNamespacedDeploymentScale({ ...target, body: { spec: { replicas: 4 } } }, as(PatchStrategy.MergePatch));
  assert.equal(scaled.spec?.replicas, 4);
  const body = { spec: { replicas: 9 }, status: { readyReplicas: 3 } };
  const changed = await apps.patchNamespacedDeploymentStatus({ ...target, body }, as(PatchStrategy.MergePatch));
  assert.deepEqual([changed.spec?.replicas, changed.status?.readyReplicas], [4, 3]);
  const named = await core.createNamespacedConfigMap({ namespace, body: { metadata: { generateName: "gen-" } } });
  assert.match(named.metadata?.name ?? "", /^gen-[a-z0-9]{5}$/);
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "dry" } }, dryRun: "All" });
  await assert.rejects(core.readNamespacedConfigMap({ namespace, name: "dry" }), isRefused(404));
});

test("what an owner leaves behind is what it was asked to", async () => {
  const own = async (name: string, owner: V1ConfigMap, finalizers: string[] = []): Promise<void> => {
    const { name: ownerName = "", uid = "" } = owner.metadata ?? {};
    const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: ownerName, uid, blockOwnerDeletion: true }];
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name, ownerReferences, finalizers } } });
  };
  const isGone = (name: string) => eventually(() => assert.rejects(core.readNamespacedConfigMap({ namespace, name }), isRefused(404)));
  for (const propagationPolicy of ["Background", "Foreground", "Orphan"]) {
    const name = propagationPolicy.toLowerCase();
    await own(`${name}-child`, await create(name), propagationPolicy === "Foreground" ? ["example.com/hold"] : []);
    await core.deleteNamespacedConfigMap({ namespace, name, propagationPolicy });
  }
  await isGone("background");
  await isGone("background-child");
  await isGone("orphan");
  const orphan = await core.readNamespacedConfigMap({ namespace, name: "orphan-child" });
  assert.deepEqual(orphan.metadata?.ownerReferences ?? [], []);
  const held = await core.readNamespacedConfigMap({ namespace, name: "foreground" });
  assert.deepEqual(held.metadata?.finalizers, ["foregroundDeletion"]);
  const release = { namespace, name: "foreground-child", body: { metadata: { finalizers: null } } };
  await core.patchNamespacedConfigMap(release, as(PatchStrategy.MergePatch));
  await isGone("foreground-child");
  await isGone("foreground");
});

test("Cilium's kinds are custom objects like any others", async () => {
  const custom = config.makeApiClient(CustomObjectsApi);
  const kind = { group: "cilium.io", version: "v2", namespace, plural: "ciliumnetworkpolicies" };
  const policy = (port: string) => ({
    apiVersion: "cilium.io/v2",
    kind: "CiliumNetworkPolicy",
    metadata: { name: "p" },
    spec: { endpointSelector: {}, ingress: [{ toPorts: [{ ports: [{ port, protocol: "TCP" }] }] }] },
  });
  await custom.createNamespacedCustomObject({ ...kind, body: policy("80") });
  await assert.rejects(custom.createNamespacedCustomObject({ ...kind, body: policy("70000") }), isRefused(422));
  const { items } = (await custom.listNamespacedCustomObject(kind)) as { items: unknown[] };
  assert.equal(items.length, 1);
  await custom.deleteNamespacedCustomObject({ ...kind, name: "p" });
});

test("a token opens the door as a certificate does, and nothing else does", async () => {
  const cluster = config.getCurrentCluster();
  assert.ok(cluster);
  const rows: readonly [string, Parameters<KubeConfig["loadFromClusterAndUser"]>[1], boolean][] = [
    ["a token", { name: "robot", token: "secret" }, true],
    ["another token", { name: "robot", token: "wrong" }, false],
    ["nothing", { name: "nobody" }, false],
  ];
  for (const [what, user, isLetIn] of rows) {
    const own = new KubeConfig();
    own.loadFromClusterAndUser(cluster, user);
    const listing = own.makeApiClient(CoreV1Api).listNamespace();
    if (isLetIn) assert.ok((await listing).items.length >= 4, what);
    else await assert.rejects(listing, isRefused(401), what);
  }
});
