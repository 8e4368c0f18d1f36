import assert from "node:assert/strict";
import { test } from "node:test";
import { readCiliumDefinitions } from "@cilium-ts/kubernetes-server";
import { startTestServer } from "@cilium-ts/kubernetes-server/testing";
import { type KubernetesClient, openKubernetes } from "./client.ts";
import { registerDefinition, schemaVersionLabel } from "./custom-resource-definition.ts";
import { recordAt } from "./fields.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";
import { resources } from "./resource.ts";

const signal = new AbortController().signal;
const definitions = readCiliumDefinitions() as unknown as KubernetesObject[];
const nodes = definitions.find(({ metadata }) => metadata.name === "ciliumnodes.cilium.io") ?? { metadata: {} };
const name = { name: "ciliumnodes.cilium.io" };

async function withServer(body: (client: KubernetesClient) => Promise<void>): Promise<void> {
  await using server = await startTestServer({ definitions: [] });
  await using client = await openKubernetes({ server: server.url });
  await body(client);
  assert.deepEqual(server.errors, []);
}

/** Ours under another version, and with another short name to tell it by. */
function versioned(version: string | undefined, shortName: string): KubernetesObject {
  const spec = recordAt(nodes, "spec");
  const labels: Record<string, string> = version === undefined ? {} : { [schemaVersionLabel]: version };
  return { ...nodes, metadata: { ...name, labels }, spec: { ...spec, names: { ...recordAt(spec, "names"), shortNames: [shortName] } } };
}

test("every definition is made, and is served", async () => {
  await withServer(async (client) => {
    for (const definition of definitions) assert.equal(await registerDefinition(client, definition, signal), "created");
    for (const definition of definitions) assert.equal(await registerDefinition(client, definition, signal), "current");
    await client.create(resources.ciliumNodes, { metadata: { name: "n" }, spec: {} }, { signal });
  });
});

for (const [there, registered, shortName] of [
  ["0.9.9", "updated", "ours"],
  ["1.29.12", "updated", "ours"],
  [undefined, "updated", "ours"],
  ["latest", "updated", "ours"],
  ["1.30.0", "current", "theirs"],
  ["1.30.1", "newer", "theirs"],
  ["2.0.0", "newer", "theirs"],
] as const) {
  test(`with schema version ${there} there, 1.30.0 is ${registered}`, async () => {
    await withServer(async (client) => {
      const theirs = versioned(there, "theirs");
      const labels = { ...theirs.metadata.labels, "example.com/team": "net" };
      await client.create(resources.customResourceDefinitions, { ...theirs, metadata: { ...theirs.metadata, labels } }, { signal });
      assert.equal(await registerDefinition(client, versioned("1.30.0", "ours"), signal), registered);
      const found = await client.get(resources.customResourceDefinitions, name, { signal });
      assert.deepEqual(recordAt(recordAt(found, "spec"), "names").shortNames, [shortName]);
      assert.equal(found?.metadata.labels?.["example.com/team"], "net");
      assert.equal(found?.metadata.labels?.[schemaVersionLabel], registered === "updated" ? "1.30.0" : there);
    });
  });
}

test("several that register at once all succeed", async () => {
  await withServer(async (client) => {
    await registerDefinition(client, versioned("1.0.0", "old"), signal);
    const registered = await Promise.all(
      ["1.1.0", "1.2.0", "1.3.0"].map((version) => registerDefinition(client, versioned(version, "new"), signal)),
    );
    assert.ok(
      registered.every((outcome) => outcome === "updated" || outcome === "newer"),
      registered.join(),
    );
    const found = await client.get(resources.customResourceDefinitions, name, { signal });
    assert.equal(found?.metadata.labels?.[schemaVersionLabel], "1.3.0");
  });
});

test("a definition without a version is our own mistake", async () => {
  await withServer(async (client) => {
    await assert.rejects(registerDefinition(client, versioned(undefined, "x"), signal), /no version of the form 1\.2\.3/);
  });
});
