import assert from "node:assert/strict";
import { test } from "node:test";
import { listAt, textAt, valueAt } from "../resources/column.ts";
import type { Mutable } from "../schema/schema.ts";
import { createTestClient } from "../testing/test-client.ts";
import { startTestServer } from "../testing/test-server.ts";

const deployments = "/apis/apps/v1/namespaces/default/deployments";
const template = (labels: Mutable, restartPolicy?: string): Mutable => ({
  metadata: { labels },
  spec: { containers: [{ name: "main", image: "image:1" }], ...(restartPolicy !== undefined && { restartPolicy }) },
});
const deployment = (spec: Mutable = {}): Mutable => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web" },
  spec: { selector: { matchLabels: { app: "web" } }, template: template({ app: "web" }), ...spec },
});
const asTable = { Accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json" };
const cellsOf = (table: Mutable): unknown => listAt(table, "rows")[0]?.cells;

async function open() {
  const server = await startTestServer({ definitions: [] });
  return { client: createTestClient(server.url), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

test("a deployment has its defaults, and the columns of Kubernetes", async () => {
  await using running = await open();
  const { client } = running;
  const { body, code } = await client.post(deployments, deployment());
  assert.equal(code, 201, JSON.stringify(body));
  const { selector: _selector, template: made, ...rest } = body.spec as Mutable;
  assert.deepEqual(rest, {
    replicas: 1,
    strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: "25%", maxSurge: "25%" } },
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
  });
  assert.equal(listAt(made, "spec", "containers")[0]?.imagePullPolicy, "IfNotPresent");
  await client.patch(`${deployments}/web/status`, "merge", { status: { readyReplicas: 1, updatedReplicas: 1, availableReplicas: 1 } });
  const { body: table } = await client.get(deployments, asTable);
  assert.deepEqual((cellsOf(table) as unknown[]).toSpliced(4, 1), ["web", "1/1", 1, 1, "main", "image:1", "app=web"]);
});

test("the scale of a workload is read, replaced and patched, and only its replicas change", async (t) => {
  await using running = await open();
  const { client } = running;
  await client.post(deployments, deployment());
  const { body: scale } = await client.get(`${deployments}/web/scale`);
  assert.deepEqual([scale.kind, scale.apiVersion, scale.spec], ["Scale", "autoscaling/v1", { replicas: 1 }]);
  assert.deepEqual(scale.status, { replicas: 0, selector: "app=web" });
  const set = await client.put(`${deployments}/web/scale`, { ...scale, spec: { replicas: 3 } });
  assert.deepEqual([set.code, valueAt(set.body, "spec", "replicas")], [200, 3]);
  const stale = await client.put(`${deployments}/web/scale`, { ...scale, spec: { replicas: 4 } });
  assert.deepEqual([stale.code, stale.body.reason], [409, "Conflict"]);
  for (const type of ["merge", "strategic-merge"] as const) {
    await t.test(type, async () => {
      const { body } = await client.patch(`${deployments}/web/scale`, type, { spec: { replicas: 0 } });
      assert.equal(valueAt(body, "spec", "replicas"), 0);
    });
  }
  const refused = await client.patch(`${deployments}/web/scale`, "merge", { spec: { replicas: -1 } });
  assert.match(String(refused.body.message), /Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1/);
  const dry = await client.patch(`${deployments}/web/scale?dryRun=All`, "merge", { spec: { replicas: 9 } });
  assert.equal(valueAt(dry.body, "spec", "replicas"), 9);
  const { body: after } = await client.get(`${deployments}/web`);
  assert.deepEqual([valueAt(after, "spec", "replicas"), valueAt(after, "metadata", "generation")], [0, 3]);
});

test("a custom resource scales where its definition says so", async () => {
  await using running = await open();
  const { client } = running;
  await client.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "fleets.example.com" },
    spec: {
      group: "example.com",
      scope: "Namespaced",
      names: { kind: "Fleet", plural: "fleets" },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          subresources: {
            scale: { specReplicasPath: ".spec.size", statusReplicasPath: ".status.size", labelSelectorPath: ".status.ships" },
          },
          schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
        },
      ],
    },
  });
  const fleets = "/apis/example.com/v1/namespaces/default/fleets";
  const fleet = { apiVersion: "example.com/v1", kind: "Fleet", metadata: { name: "f" }, status: { size: 2, ships: "a=b" } };
  assert.equal((await client.post(fleets, fleet)).code, 201);
  await client.patch(`${fleets}/f/scale`, "merge", { spec: { replicas: 5 } });
  const { body } = await client.get(`${fleets}/f/scale`);
  assert.deepEqual([body.spec, body.status], [{ replicas: 5 }, { replicas: 2, selector: "a=b" }]);
  const discovery = await client.get("/apis/example.com/v1");
  assert.ok(listAt(discovery.body, "resources").some(({ name, kind }) => name === "fleets/scale" && kind === "Scale"));
  assert.equal((await client.get("/apis/apps/v1/namespaces/default/daemonsets/x/scale")).code, 404);
});

test("workloads that contradict themselves are refused with the path of the field", async (t) => {
  await using running = await open();
  const { client } = running;
  await client.post(deployments, deployment());
  const jobs = "/apis/batch/v1/namespaces/default/jobs";
  const roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
  const binding = { metadata: { name: "b" }, roleRef: { kind: "Role", name: "r" } };
  assert.equal((await client.post(roles, binding)).code, 201);
  const rows: readonly [string, () => ReturnType<typeof client.post>, RegExp][] = [
    [
      "a template that the selector does not choose",
      () => client.post(deployments, deployment({ template: template({ app: "other" }) })),
      /spec\.template\.metadata\.labels: Invalid value: .*`selector` does not match template `labels`/,
    ],
    [
      "another selector",
      () => client.put(`${deployments}/web`, deployment({ selector: { matchLabels: { tier: "x" } }, template: template({ tier: "x" }) })),
      /spec\.selector: Invalid value: .*field is immutable/,
    ],
    [
      "a deployment of pods that end",
      () => client.post(deployments, deployment({ template: template({ app: "web" }, "Never") })),
      /spec\.template\.spec\.restartPolicy: Unsupported value: "Never": supported values: "Always"/,
    ],
    [
      "a job of pods that never end",
      () => client.post(jobs, { metadata: { name: "j" }, spec: { template: template({}) } }),
      /spec\.template\.spec\.restartPolicy: Unsupported value: "Always": supported values: "OnFailure", "Never"/,
    ],
    [
      "a schedule of four fields",
      () =>
        client.post("/apis/batch/v1/namespaces/default/cronjobs", {
          metadata: { name: "c" },
          spec: { schedule: "* * * *", jobTemplate: { spec: { template: template({}, "Never") } } },
        }),
      /spec\.schedule: Invalid value: "\* \* \* \*": must have five fields/,
    ],
    [
      "another role",
      () => client.put(`${roles}/b`, { ...binding, roleRef: { kind: "Role", name: "other" } }),
      /roleRef: Invalid value: .*cannot change roleRef/,
    ],
  ];
  for (const [name, ask, message] of rows) {
    await t.test(name, async () => {
      const { code, body } = await ask();
      assert.equal(code, 422);
      assert.match(String(body.message), message);
    });
  }
});

test("a job finds its pods by its own uid", async () => {
  await using running = await open();
  const { body } = await running.client.post("/apis/batch/v1/namespaces/default/jobs", {
    metadata: { name: "j" },
    spec: { template: template({ a: "b" }, "Never") },
  });
  const uid = textAt(body, "metadata", "uid");
  assert.deepEqual(valueAt(body, "spec", "selector"), { matchLabels: { "batch.kubernetes.io/controller-uid": uid } });
  assert.deepEqual(valueAt(body, "spec", "template", "metadata", "labels"), {
    a: "b",
    "batch.kubernetes.io/controller-uid": uid,
    "batch.kubernetes.io/job-name": "j",
  });
  assert.deepEqual([valueAt(body, "spec", "completions"), valueAt(body, "spec", "backoffLimit")], [1, 6]);
});
