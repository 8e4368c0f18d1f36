import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createKubeconfig, ensureCertificates, parseTokens } from "@cilium-ts/kubernetes-server";
import { createMemoryStore, startTestServer } from "@cilium-ts/kubernetes-server/testing";
import { Labels } from "@cilium-ts/labels";
import { type Clock, systemClock } from "@cilium-ts/std";
import { createRandom, eventually, type Random } from "@cilium-ts/testing";
import { ciliumEndpointObject } from "./cilium-endpoint.ts";
import { ciliumIdentityFrom, ciliumIdentityObject } from "./cilium-identity.ts";
import { ciliumNodeObject } from "./cilium-node.ts";
import { type KubernetesClient, openKubernetes } from "./client.ts";
import { KubernetesError } from "./kubernetes-error.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";
import { Mirror } from "./mirror.ts";
import { type ReflectState, reflect } from "./reflect.ts";
import { resources } from "./resource.ts";

const signal = new AbortController().signal;
const named = { namespace: "default", name: "client" };
const pod = { metadata: named, spec: { containers: [{ name: "main", image: "none" }] } };

/** Time runs twenty times as fast as on the wall. */
const hurriedClock: Clock = {
  nowMs: () => performance.now() * 20,
  sleep: (delayMs, stop) => systemClock.sleep(delayMs / 20, stop),
};

/** Our client against our own API server, which takes the place of kube-apiserver where there is none. */
async function withServer(body: (client: KubernetesClient) => Promise<void>): Promise<void> {
  await using server = await startTestServer();
  await using client = await openKubernetes({ server: server.url });
  await body(client);
  assert.deepEqual(server.errors, []);
}

test("an object is created, read, replaced, patched, applied and deleted", async () => {
  await withServer(async (client) => {
    const created = await client.create(resources.pods, pod, { signal });
    assert.ok(created.metadata.uid);
    assert.deepEqual(await client.get(resources.pods, named, { signal }), created);
    const labelled = { ...created, metadata: { ...created.metadata, labels: { app: "web" } } };
    const replaced = await client.replace(resources.pods, labelled, { signal });
    assert.notEqual(replaced.metadata.resourceVersion, created.metadata.resourceVersion);
    await assert.rejects(
      client.replace(resources.pods, labelled, { signal }),
      (error) => error instanceof KubernetesError && error.reason === "Conflict",
    );
    await client.patch(resources.pods, named, { type: "merge", body: { metadata: { labels: { tier: "front" } } } }, { signal });
    const patch = [{ op: "remove", path: "/metadata/labels/app" }];
    const patched = await client.patch(resources.pods, named, { type: "json", body: patch }, { signal });
    assert.deepEqual(patched.metadata.labels, { tier: "front" });
    const own = { metadata: { ...named, annotations: { "example.com/a": "b" } } };
    const applied = await client.patch(resources.pods, named, { type: "apply", body: own, force: true }, { signal });
    assert.deepEqual([applied.metadata.labels, applied.metadata.annotations], [{ tier: "front" }, { "example.com/a": "b" }]);
    const running = await client.patch(
      resources.pods,
      named,
      { type: "merge", body: { status: { phase: "Running" } } },
      { signal, subresource: "status" },
    );
    assert.equal((running.status as { phase: string }).phase, "Running");
    await assert.rejects(
      client.delete(resources.pods, named, { signal, uid: "another" }),
      (error) => error instanceof KubernetesError && error.status === 409,
    );
    assert.equal(await client.delete(resources.pods, named, { signal, uid: created.metadata.uid ?? "" }), true);
    assert.equal(await client.get(resources.pods, named, { signal }), undefined);
    assert.equal(await client.delete(resources.pods, named, { signal }), false);
  });
});

test("the objects that we write pass the schemas of their kinds", async () => {
  await withServer(async (client) => {
    const identity = { id: 300, labels: Labels.parse(["k8s:app=web", "k8s:io.kubernetes.pod.namespace=default"]) };
    const stored = await client.create(resources.ciliumIdentities, ciliumIdentityObject(identity), { signal });
    assert.equal(ciliumIdentityFrom(stored)?.labels.key, identity.labels.key);
    const endpoint = {
      id: 7,
      podNamespace: "default",
      podName: "client",
      podUid: "u1",
      podLabels: { app: "web" },
      containerId: "c1",
      cniAttachmentId: "c1:eth0",
      identity: 300,
      identityLabels: identity.labels.format(),
      ipv4: "10.0.0.5",
      ipv6: "fd00::5",
      nodeAddress: "192.0.2.1",
      state: "ready",
      namedPorts: [{ name: "web", port: 80, protocol: "TCP" as const }],
      serviceAccount: "default",
      ingressEnforced: true,
      egressEnforced: false,
    };
    const written = ciliumEndpointObject(endpoint);
    const { status } = await client.create(resources.ciliumEndpoints, written, { signal });
    assert.deepEqual(status, written.status);
    const node = {
      name: "n1",
      labels: {},
      addresses: [{ type: "InternalIP", ip: "192.0.2.1" }],
      podCIDRs: ["10.0.0.0/24"],
      healthIPv4: "",
      healthIPv6: "",
      bootId: "b",
    };
    const nodeObject = ciliumNodeObject(node, "u2");
    assert.deepEqual((await client.create(resources.ciliumNodes, nodeObject, { signal })).spec, nodeObject.spec);
    const bad = { metadata: { name: "301" }, "security-labels": { "k8s:app": 7 } };
    await assert.rejects(client.create(resources.ciliumIdentities, bad, { signal }), /security-labels/);
  });
});

test("the kubeconfig that the server writes opens it, over TLS with a client certificate, and nothing else does", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kubernetes-contract-"));
  try {
    const certificates = ensureCertificates(folder, ["127.0.0.1", "localhost"], Date.now());
    const tokens = parseTokens("secret,robot,1,system:masters");
    assert.equal(tokens.outcome, "parsed");
    await using server = await startTestServer({ tls: { certificates, tokens: tokens.outcome === "parsed" ? tokens.tokens : new Map() } });
    const kubeconfigPath = join(folder, "kubeconfig");
    await writeFile(kubeconfigPath, createKubeconfig(server.url, certificates));
    await using client = await openKubernetes({ kubeconfigPath });
    assert.ok((await client.list(resources.namespaces, { signal })).items.length > 0);
    await using robot = await openKubernetes({ server: server.url, ca: certificates.authority, token: "secret" });
    assert.ok((await robot.list(resources.namespaces, { signal })).items.length > 0);
    await using stranger = await openKubernetes({ server: server.url, ca: certificates.authority });
    await assert.rejects(
      stranger.list(resources.namespaces, { signal }),
      (error) => error instanceof KubernetesError && error.status === 401,
    );
    await using distrustful = await openKubernetes({ server: server.url, token: "secret" });
    await assert.rejects(distrustful.list(resources.namespaces, { signal }), /cannot be reached: .*certificate/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

async function changeSomething(client: KubernetesClient, random: Random, step: number): Promise<void> {
  const name = { namespace: "default", name: `pod-${random.below(10)}` };
  const labels = { app: random.chance(0.7) ? "web" : "db", step: String(step) };
  const body: KubernetesObject = { metadata: { ...name, labels }, spec: pod.spec };
  if (random.chance(0.6)) await client.patch(resources.pods, name, { type: "apply", body, force: true }, { signal });
  else await client.delete(resources.pods, name, { signal });
}

test("a reflector follows it through random changes, lost history and restarts", async () => {
  const random = createRandom(7);
  await using store = createMemoryStore({ revisionsMax: 15, sizeBytesMax: 1e6 });
  let server = await startTestServer({ store });
  const { port } = server;
  await using client = await openKubernetes({ server: server.url });
  const mirror = new Mirror();
  const stop = new AbortController();
  const states: ReflectState[] = [];
  const reflecting = reflect({
    client,
    resource: resources.pods,
    namespace: "default",
    selector: { labels: "app=web" },
    signal: stop.signal,
    clock: hurriedClock,
    pageSize: 3,
    onUpsert: mirror.onUpsert,
    onDelete: mirror.onDelete,
    onState: (state) => states.push(state),
  });
  try {
    for (let step = 0; step < 120; step += 1) {
      await changeSomething(client, random, step);
      if (step % 40 !== 39) continue;
      await server[Symbol.asyncDispose]();
      // More happens behind its back than the history holds: another server has the same store.
      await using other = await startTestServer({ store });
      await using writer = await openKubernetes({ server: other.url });
      for (let missed = 0; missed < 30; missed += 1) await changeSomething(writer, random, 1000 * step + missed);
      server = await startTestServer({ store, port });
      await client.list(resources.pods, { signal }); // Its own connections are found to be closed.
    }
    await eventually(async () => {
      const { items } = await client.list(resources.pods, { signal, namespace: "default", selector: { labels: "app=web" } });
      mirror.equals(new Map(items.map((item) => [item.metadata.name ?? "", item])));
    });
    assert.ok(states.filter((state) => state.kind === "listing").length > 1);
  } finally {
    stop.abort();
    await reflecting;
    await server[Symbol.asyncDispose]();
  }
});
