import assert from "node:assert/strict";
import { test } from "node:test";
import { type KubernetesObject, listAt, recordAt, resources, textAt } from "@cilium-ts/kubernetes";
import { eventually } from "@cilium-ts/testing";
import { TestCluster } from "../test-cluster.ts";

const { ciliumEndpoints, ciliumEndpointSlices: slices, namespaces } = resources;
const settings = { "enable-cilium-endpoint-slice": "true", "ces-max-ciliumendpoints-per-ces": "3" };

function endpoint(namespace: string, name: string, identity: number): KubernetesObject {
  const networking = { addressing: [{ ipv4: "10.0.0.9", ipv6: "fd00::9" }], node: "192.0.2.1" };
  const status = {
    id: 77,
    identity: { id: identity, labels: ["k8s:a=b"] },
    networking,
    encryption: {},
    "named-ports": [{ name: "web", port: 80, protocol: "TCP" }],
    "service-account": "default",
    state: "ready",
  };
  return { metadata: { namespace, name }, status };
}

/** Each slice as `namespace: names`, and that the endpoints in it show the right identity. */
async function shown(cluster: TestCluster): Promise<string[]> {
  const all = await cluster.list(slices);
  return all
    .map(
      (slice) =>
        `${textAt(slice, "namespace")}: ${listAt(slice, "endpoints")
          .map((found) => textAt(found, "name"))
          .join(" ")}`,
    )
    .sort();
}

test("endpoints are gathered by namespace, and slices follow what comes, changes and goes", async () => {
  await using cluster = await TestCluster.start();
  await cluster.create(namespaces, { metadata: { name: "other" } });
  for (const name of ["a", "b", "c", "d"]) await cluster.create(ciliumEndpoints, endpoint("default", name, 300));
  await cluster.create(ciliumEndpoints, endpoint("other", "a", 301));
  cluster.startOperator(settings);
  await eventually(async () => assert.deepEqual(await shown(cluster), ["default: a b c", "default: d", "other: a"]));
  const [first] = (await cluster.list(slices)).filter((slice) => listAt(slice, "endpoints").length === 3);
  assert.match(first?.metadata.name ?? "", /^ces-/);
  assert.deepEqual(listAt(first, "endpoints")[0], {
    name: "a",
    id: 300,
    networking: { addressing: [{ ipv4: "10.0.0.9", ipv6: "fd00::9" }], node: "192.0.2.1" },
    encryption: {},
    "named-ports": [{ name: "web", port: 80, protocol: "TCP" }],
    "service-account": "default",
  });
  await cluster.delete(ciliumEndpoints, { namespace: "other", name: "a" });
  await cluster.delete(ciliumEndpoints, { namespace: "default", name: "b" });
  await cluster.patch(ciliumEndpoints, { namespace: "default", name: "d" }, { status: { identity: { id: 555 } } });
  await eventually(async () => assert.deepEqual(await shown(cluster), ["default: a c", "default: d"]));
  await eventually(async () => {
    const ids = (await cluster.list(slices)).flatMap((slice) => listAt(slice, "endpoints")).map((found) => recordAt({ found }, "found").id);
    assert.ok(ids.includes(555));
  });
});

test("a new leader takes the slices over, and repairs what changed or went wrong meanwhile", async () => {
  await using cluster = await TestCluster.start();
  for (const name of ["a", "b", "c", "d"]) await cluster.create(ciliumEndpoints, endpoint("default", name, 300));
  const first = cluster.startOperator(settings);
  await eventually(async () => assert.deepEqual(await shown(cluster), ["default: a b c", "default: d"]));
  const before = (await cluster.list(slices)).map(({ metadata }) => metadata.name);
  await first[Symbol.asyncDispose]();
  await cluster.delete(ciliumEndpoints, { namespace: "default", name: "a" });
  await cluster.create(ciliumEndpoints, endpoint("default", "e", 300));
  const entry = { name: "b", networking: { addressing: [] } };
  await cluster.create(slices, { metadata: { name: "zz-twice" }, namespace: "default", endpoints: [entry] });
  cluster.startOperator(settings);
  await eventually(async () => assert.deepEqual(await shown(cluster), ["default: b c e", "default: d"]));
  assert.deepEqual(
    (await cluster.list(slices)).map(({ metadata }) => metadata.name),
    before,
  );
});
