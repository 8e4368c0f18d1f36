import assert from "node:assert/strict";
import { test } from "node:test";
import { KubernetesError, openKubernetes, resources } from "@cilium-ts/kubernetes";
import { startTestServer } from "@cilium-ts/kubernetes-server/testing";
import { countedClient } from "./counted-client.ts";

const { signal } = new AbortController();
const name = { namespace: "default", name: "settings" };

test("every request is told with its outcome, a watch with what it brings", async () => {
  await using server = await startTestServer();
  const told: string[] = [];
  await using client = countedClient(await openKubernetes({ server: server.url }), {
    onCall: ({ method, resource, status }) => told.push(`${method} ${resource.plural} ${status}`),
    onEvent: ({ resource, action }) => told.push(`${action} of a ${resource.kind}`),
  });
  const { resourceVersion } = await client.list(resources.configMaps, { signal });
  await client.create(resources.configMaps, { metadata: name, data: { a: "1" } }, { signal });
  await client.get(resources.configMaps, name, { signal });
  await client.patch(resources.configMaps, name, { type: "merge", body: { data: { a: "2" } } }, { signal });
  await assert.rejects(client.create(resources.configMaps, { metadata: name }, { signal }), KubernetesError);
  await client.delete(resources.configMaps, name, { signal });
  await client.delete(resources.configMaps, name, { signal });
  await client.get(resources.configMaps, name, { signal });
  for await (const event of client.watch(resources.configMaps, { resourceVersion, namespace: "default", timeoutSeconds: 5, signal }))
    if (event.type === "DELETED") break;
  assert.deepEqual(told, [
    "GET configmaps 200",
    "POST configmaps 201",
    "GET configmaps 200",
    "PATCH configmaps 200",
    "POST configmaps 409",
    "DELETE configmaps 200",
    "DELETE configmaps 404",
    "GET configmaps 404",
    "create of a ConfigMap",
    "update of a ConfigMap",
    "delete of a ConfigMap",
  ]);
});
