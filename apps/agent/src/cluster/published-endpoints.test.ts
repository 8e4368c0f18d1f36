import assert from "node:assert/strict";
import { test } from "node:test";
import { changeEndpoint, createEndpoint, type EndpointRow } from "@cilium-ts/endpoint";
import { type KubernetesClient, type KubernetesObject, openKubernetes, resources } from "@cilium-ts/kubernetes";
import { startTestServer } from "@cilium-ts/kubernetes-server/testing";
import { reconcile } from "@cilium-ts/state";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { PublishedEndpoints } from "./published-endpoints.ts";

const { signal } = new AbortController();
const named = { namespace: "default", name: "web" };

/** Without an owner: there is no such pod, so the server would collect the object. */
function row(id: number, containerId: string, createdAtMs = id, podUid = ""): EndpointRow {
  const device = { ifindex: 10 + id, hostDeviceName: `lxc${id}`, mac: "02:00:00:00:00:01", hostMac: "02:00:00:00:00:02" };
  const pod = { podNamespace: "default", podName: "web", podUid, identity: 300, labels: ["k8s:app=web"], ipv4: "10.0.1.2" };
  return createEndpoint({ id, containerId, containerIfname: "eth0", ...pod, ...device }, createdAtMs);
}

function publish(client: KubernetesClient): PublishedEndpoints {
  return new PublishedEndpoints({
    client,
    nodeAddress: () => "192.0.2.1",
    podLabels: () => ({ app: "web" }),
    isCurrentPod: async ({ uid }) => uid === "current",
  });
}

async function containerOf(client: KubernetesClient): Promise<string | undefined> {
  const object = await client.get(resources.ciliumEndpoints, named, { signal });
  return (object?.status as { "external-identifiers"?: { "container-id"?: string } } | undefined)?.["external-identifiers"]?.[
    "container-id"
  ];
}

/** Runs the body with published endpoints that are being reconciled, against our own API server. */
async function withPublished(body: (client: KubernetesClient, published: PublishedEndpoints) => Promise<void>): Promise<void> {
  await using server = await startTestServer();
  await using client = await openKubernetes({ server: server.url });
  const published = publish(client);
  const stop = new AbortController();
  const reconciling = reconcile({
    desired: published.table,
    target: published.target,
    clock: systemClock,
    signal: stop.signal,
    retryDelayMs: () => 10,
    resyncIntervalMs: 20,
    onResult() {},
  });
  published.table.markSynced("endpoints");
  try {
    await body(client, published);
  } finally {
    stop.abort();
    await reconciling;
  }
}

test("an endpoint is shown as it is, written only when it changes, and taken back with it", async () => {
  await withPublished(async (client, published) => {
    const first = row(1, "c1");
    published.set(first);
    await eventually(async () => assert.equal(await containerOf(client), "c1"));
    const version = (await client.get(resources.ciliumEndpoints, named, { signal }))?.metadata.resourceVersion;
    published.set(changeEndpoint(first, { policyRevision: 7, policySet: 9 }));
    assert.equal((await client.get(resources.ciliumEndpoints, named, { signal }))?.metadata.resourceVersion, version);
    published.set(changeEndpoint(first, { identity: 301 }));
    await eventually(async () =>
      assert.match(JSON.stringify((await client.get(resources.ciliumEndpoints, named, { signal }))?.status), /"id":301/),
    );
    published.delete(first);
    await eventually(async () => assert.equal(await containerOf(client), undefined));
  });
});

test("the object belongs to the pod that has the name now, and the end of the one before it does not take it away", async () => {
  await withPublished(async (client, published) => {
    const [former, next] = [row(1, "c1"), row(2, "c2")];
    published.set(former);
    published.set(next);
    await eventually(async () => assert.equal(await containerOf(client), "c2"));
    published.set(changeEndpoint(former, { identity: 301 }));
    published.delete(former);
    assert.equal(published.table.get("default/web")?.endpointId, 2);
    published.delete(next);
    await eventually(async () => assert.equal(await containerOf(client), undefined));
  });
});

test("the object of an endpoint that did not live through a restart goes, but not one that another node has written since", async () => {
  await withPublished(async (client, published) => {
    const other = publish(client); // An earlier run.
    other.set(row(1, "c1"));
    for (const written of other.table.rows()) await other.target.apply(written, signal);
    published.delete(row(1, "c1"));
    await eventually(async () => assert.equal(await containerOf(client), undefined));
    other.set(row(5, "c5"));
    for (const written of other.table.rows()) await other.target.apply(written, signal);
    published.delete(row(1, "c1"));
    await eventually(async () => assert.deepEqual([...(await published.target.realised(signal))], []));
    assert.equal(await containerOf(client), "c5");
  });
});

test("what is no pod is not shown", () => {
  const published = publish({} as KubernetesClient);
  const unnamed = changeEndpoint(row(1, "c1"), { podName: "", podNamespace: "" });
  published.set(unnamed);
  published.delete(unnamed);
  assert.equal(published.table.size, 0);
});

test("what somebody else has put under our pod's name, or taken away there, is put right", async () => {
  await withPublished(async (client, published) => {
    published.set(row(1, "c1"));
    await eventually(async () => assert.equal(await containerOf(client), "c1"));
    await client.delete(resources.ciliumEndpoints, named, { signal });
    published.observe(named, undefined);
    await eventually(async () => assert.equal(await containerOf(client), "c1"));
    await client.delete(resources.ciliumEndpoints, named, { signal });
    published.observeAll(() => true);
    published.observeAll(() => false);
    await eventually(async () => assert.equal(await containerOf(client), "c1"));
    const body = { metadata: named, status: { "external-identifiers": { "cni-attachment-id": "c9:eth0", "container-id": "c9" } } };
    published.observe(named, await client.patch(resources.ciliumEndpoints, named, { type: "apply", body, force: true }, { signal }));
    await eventually(async () => assert.equal(await containerOf(client), "c1"));
  });
});

test("a pod that is gone does not take its name from the one that came after it elsewhere", async () => {
  await withPublished(async (client, published) => {
    const body = { metadata: named, status: { "external-identifiers": { "cni-attachment-id": "c9:eth0", "container-id": "c9" } } };
    await client.patch(resources.ciliumEndpoints, named, { type: "apply", body }, { signal });
    const { target } = published;
    published.set(row(1, "c1", 1, "gone"));
    const [waiting] = published.table.rows();
    assert.ok(waiting !== undefined);
    await target.apply(waiting, signal);
    assert.equal(await containerOf(client), "c9");
  });
});

test("a slice that is late changes nothing; one that shows our pod with others' addresses makes us write again", async () => {
  await withPublished(async (client, published) => {
    published.set(row(1, "c1"));
    await eventually(async () => assert.equal(await containerOf(client), "c1"));
    const [shown] = published.table.rows();
    assert.ok(shown !== undefined);
    const { status } = JSON.parse(shown.content) as KubernetesObject & { status: { networking: object } };
    await client.delete(resources.ciliumEndpoints, named, { signal });
    const late = { metadata: named, status: { identity: { id: 999 }, networking: status.networking } };
    published.observeSliced(late as KubernetesObject);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(await containerOf(client), undefined, "nothing was doubted, and so nothing written");
    const others = { metadata: named, status: { identity: { id: 999 }, networking: { addressing: [{ ipv4: "10.9.9.9" }] } } };
    published.observeSliced(others as unknown as KubernetesObject);
    await eventually(async () => assert.equal(await containerOf(client), "c1"));
  });
});
