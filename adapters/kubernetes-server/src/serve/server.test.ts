import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import { listAt, textAt, valueAt } from "../resources/column.ts";
import type { Mutable } from "../schema/schema.ts";
import { createMemoryStore } from "../testing/memory-store.ts";
import { createTestClient } from "../testing/test-client.ts";
import { startTestServer } from "../testing/test-server.ts";

const pod = (name: string, more: Mutable = {}): Mutable => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, labels: { app: name } },
  spec: { containers: [{ name: "main", image: "image:1" }] },
  ...more,
});
const configMap = (name: string, metadata: Mutable = {}): Mutable => ({
  kind: "ConfigMap",
  apiVersion: "v1",
  metadata: { name, ...metadata },
  data: { a: "1" },
});
const pods = "/api/v1/namespaces/default/pods";
const maps = "/api/v1/namespaces/default/configmaps";
const policies = "/apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies";
const names = (list: Mutable) => listAt(list, "items").map((item) => textAt(item, "metadata", "name"));

async function open(options: Parameters<typeof startTestServer>[0] = {}) {
  const server = await startTestServer(options);
  return { server, client: createTestClient(server.url), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

test("a created object has what the server gives, and status apart", async () => {
  await using running = await open();
  const { client } = running;
  const made = await client.post(pods, pod("web", { status: { phase: "Running" } }));
  assert.equal(made.code, 201);
  assert.equal(textAt(made.body, "status", "phase"), "Pending");
  assert.equal(textAt(made.body, "spec", "serviceAccountName"), "default");
  assert.match(textAt(made.body, "metadata", "uid"), /^[0-9a-f-]{36}$/);
  assert.equal(valueAt(made.body, "metadata", "generation"), 1);
  const changed = await client.patch(`${pods}/web/status`, "merge", { spec: { nodeName: "x" }, status: { phase: "Running" } });
  assert.equal(textAt(changed.body, "status", "phase"), "Running");
  assert.equal(valueAt(changed.body, "spec", "nodeName"), undefined);
  assert.equal(valueAt(changed.body, "metadata", "generation"), 1);
  const bound = await client.patch(`${pods}/web`, "merge", { spec: { nodeName: "x" }, status: { phase: "Failed" } });
  assert.equal(textAt(bound.body, "status", "phase"), "Running");
  assert.equal(valueAt(bound.body, "metadata", "generation"), 2);
});

test("bad requests are answered with a Status that says what is wrong", async (t) => {
  await using running = await open();
  const { client } = running;
  await client.post(pods, pod("there"));
  const rows: readonly [string, Promise<{ code: number; body: Mutable }>, number, string, RegExp][] = [
    ["not JSON", client.post(pods, "{"), 400, "BadRequest", /the body is not JSON/],
    ["not YAML", client.post(pods, "a: b: c", { "Content-Type": "application/yaml" }), 400, "BadRequest", /the body is not YAML/],
    ["too deep", client.post(pods, `{"a":${"[".repeat(300)}${"]".repeat(300)}}`), 400, "BadRequest", /nested deeper than/],
    ["too large", client.post(pods, `"${"x".repeat(3 * 1024 * 1024)}"`), 413, "RequestEntityTooLarge", /more than 3145728 bytes/],
    ["a dangerous field", client.post(pods, '{"__proto__":{}}'), 400, "BadRequest", /"__proto__"/],
    ["another kind", client.post(pods, configMap("x")), 400, "BadRequest", /kind in the data \(ConfigMap\) does not match/],
    [
      "another namespace",
      client.post(pods, pod("x", { metadata: { name: "x", namespace: "other" } })),
      400,
      "BadRequest",
      /does not match the namespace/,
    ],
    ["no such namespace", client.post("/api/v1/namespaces/nope/pods", pod("x")), 404, "NotFound", /namespaces "nope" not found/],
    ["a bad name", client.post(pods, pod("A_b")), 422, "Invalid", /^Pod "A_b" is invalid: metadata\.name: Invalid value/],
    ["twice", client.post(pods, pod("there")), 409, "AlreadyExists", /pods "there" already exists/],
    ["not there", client.get(`${pods}/nope`), 404, "NotFound", /pods "nope" not found/],
    ["no such kind", client.get("/apis/cilium.io/v2/frobs"), 404, "NotFound", /could not find the requested resource/],
    ["a name with a slash in it", client.get(`${pods}/a%2Fb`), 404, "NotFound", /could not find/],
    ["an unknown method", client.put(pods, {}), 405, "MethodNotAllowed", /does not allow/],
    [
      "an unknown patch",
      client.post(`${pods}`, pod("y"), { "Content-Type": "text/plain" }),
      415,
      "UnsupportedMediaType",
      /accepted media types/,
    ],
    ["a form that nobody has", client.get(pods, { Accept: "application/xml" }), 406, "NotAcceptable", /accepted: application\/json/],
    ["a selector that is none", client.get(`${pods}?labelSelector=a%20b`), 400, "BadRequest", /unable to parse requirement/],
    [
      "a future revision",
      client.get(`${pods}?resourceVersion=999999&resourceVersionMatch=NotOlderThan`),
      504,
      "Timeout",
      /Too large resource version/,
    ],
    ["a token of nobody", client.get(`${pods}?continue=abc`), 400, "BadRequest", /continue token/],
    ["a moved object", client.put(`${pods}/there`, pod("elsewhere")), 422, "Invalid", /metadata\.name: .*immutable/],
    [
      "an old version of it",
      client.put(`${pods}/there`, pod("there", { metadata: { name: "there", resourceVersion: "1" } })),
      409,
      "Conflict",
      /has been modified/,
    ],
    ["a failed precondition", client.delete(`${pods}/there`, { preconditions: { uid: "x" } }), 409, "Conflict", /Precondition failed: UID/],
  ];
  for (const [name, asked, code, reason, message] of rows) {
    await t.test(name, async () => {
      const { body, ...answer } = await asked;
      assert.deepEqual([answer.code, body.kind, body.code, body.reason], [code, "Status", code, reason]);
      assert.match(String(body.message), message);
    });
  }
  assert.deepEqual(running.server.errors, []);
});

const policy = (spec: Mutable): Mutable => ({ apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", metadata: { name: "p" }, spec });

test("a bad policy is refused with the path of the field, and what was there stays", async (t) => {
  const refuse = (object: Mutable) =>
    valueAt(object, "spec", "description") === "refuse me"
      ? [{ reason: "FieldValueForbidden" as const, path: "spec", message: "Forbidden: two kinds of peers" }]
      : [];
  await using running = await open({ validators: { CiliumNetworkPolicy: refuse } });
  const { client } = running;
  const good = await client.post(policies, policy({ endpointSelector: {} }));
  assert.equal(good.code, 201);
  const ports = (port: unknown) => ({ endpointSelector: {}, ingress: [{ toPorts: [{ ports: [{ port }] }] }] }) as Mutable;
  const rows: readonly [string, Mutable, RegExp][] = [
    [
      "a port out of range",
      ports("70000"),
      /spec\.ingress\[0\]\.toPorts\[0\]\.ports\[0\]\.port: Invalid value: "70000": .*A number from 0 to 65535/,
    ],
    ["a number as port", ports(80), /ports\[0\]\.port: Invalid value: "integer": .* must be of type string/],
    [
      "a bad range",
      { endpointSelector: {}, egress: [{ toCIDR: ["10.0.0.0/40"] }] },
      /spec\.egress\[0\]\.toCIDR\[0\]: Invalid value: "10\.0\.0\.0\/40": .* of type cidr/,
    ],
    ["an unknown field", { endpointSelector: {}, ingres: [] }, /strict decoding error: unknown field "spec\.ingres"/],
    ["what only the validator sees", { endpointSelector: {}, description: "refuse me" }, /spec: Forbidden: two kinds of peers/],
  ];
  for (const [name, spec, message] of rows) {
    await t.test(name, async () => {
      const { body } = await client.put(`${policies}/p?fieldValidation=Strict`, policy(spec));
      assert.match(String(body.message), message);
    });
  }
  const after = await client.get(`${policies}/p`);
  assert.equal(textAt(after.body, "metadata", "resourceVersion"), textAt(good.body, "metadata", "resourceVersion"));
  const warned = await client.put(`${policies}/p?fieldValidation=Warn`, policy({ endpointSelector: {}, ingres: [], description: "x" }));
  assert.equal(warned.warnings, '299 - "unknown field \\"spec.ingres\\""');
  assert.equal(valueAt(warned.body, "spec", "ingres"), undefined);
});

test("lists are paged over one state, however it changes meanwhile", async () => {
  await using running = await open();
  const { client } = running;
  for (const name of ["a", "b", "c", "d"]) await client.post(maps, configMap(name));
  const first = await client.get(`${maps}?limit=2`);
  assert.deepEqual([names(first.body), valueAt(first.body, "metadata", "remainingItemCount")], [["a", "b"], 2]);
  await client.delete(`${maps}/c`);
  await client.post(maps, configMap("bb"));
  const second = await client.get(`${maps}?limit=2&continue=${textAt(first.body, "metadata", "continue")}`);
  assert.deepEqual([names(second.body), valueAt(second.body, "metadata", "continue")], [["c", "d"], undefined]);
  assert.deepEqual(names((await client.get(maps)).body), ["a", "b", "bb", "d"]);
});

test("selectors choose by labels and by fields", async () => {
  await using running = await open();
  const { client } = running;
  for (const name of ["one", "two"]) await client.post(pods, pod(name));
  await client.patch(`${pods}/two`, "merge", { spec: { nodeName: "n1" } });
  assert.deepEqual(names((await client.get(`${pods}?labelSelector=app%3Done`)).body), ["one"]);
  assert.deepEqual(names((await client.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1")).body), ["two"]);
  assert.deepEqual(names((await client.get("/api/v1/pods?fieldSelector=metadata.name%3Done")).body), ["one"]);
  assert.deepEqual(names((await client.get(`${pods}?limit=1&labelSelector=app%3Dtwo`)).body), ["two"]);
});

test("a table has the columns of the kind, and rows with metadata", async () => {
  await using running = await open();
  const { client } = running;
  await client.post(pods, pod("web"));
  const { body } = await client.get(pods, { Accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json" });
  assert.deepEqual(
    listAt(body, "columnDefinitions")
      .slice(0, 5)
      .map((column) => column.name),
    ["Name", "Ready", "Status", "Restarts", "Age"],
  );
  const [row] = listAt(body, "rows");
  assert.deepEqual((row?.cells as unknown[] | undefined)?.slice(0, 4), ["web", "0/1", "Pending", "0"]);
  assert.equal(textAt(row, "object", "kind"), "PartialObjectMetadata");
});

test("a watch tells what is there, then every change, as its selector sees it", async () => {
  await using running = await open();
  const { client } = running;
  await client.post(maps, configMap("a", { labels: { x: "1" } }));
  const events = client.watch(`${maps}?watch=true&labelSelector=x%3D1`);
  const next = async () => {
    const { value } = await events.next();
    return `${value?.type} ${textAt(value?.object, "metadata", "name")}`;
  };
  assert.equal(await next(), "ADDED a");
  await client.post(maps, configMap("b"));
  await client.post(maps, configMap("c", { labels: { x: "1" } }));
  assert.equal(await next(), "ADDED c");
  await client.patch(`${maps}/b`, "merge", { metadata: { labels: { x: "1" } } });
  assert.equal(await next(), "ADDED b");
  await client.patch(`${maps}/a`, "merge", { data: { a: "2" } });
  assert.equal(await next(), "MODIFIED a");
  await client.patch(`${maps}/a`, "merge", { metadata: { labels: { x: null } } });
  assert.equal(await next(), "DELETED a");
  await client.delete(`${maps}/c`);
  assert.equal(await next(), "DELETED c");
  await events.return(undefined);
});

test("a watch goes on from a revision, and is refused when the history is gone", async () => {
  const store = createMemoryStore({ revisionsMax: 60, sizeBytesMax: 10_000_000 });
  await using running = await open({ store, definitions: [] });
  const { client } = running;
  await client.post(maps, configMap("a"));
  const { body } = await client.get(maps);
  const from = textAt(body, "metadata", "resourceVersion");
  await client.patch(`${maps}/a`, "merge", { data: { a: "2" } });
  const events = client.watch(`${maps}?watch=true&resourceVersion=${from}`);
  const first = await events.next();
  assert.deepEqual([first.value?.type, textAt(first.value?.object, "data", "a")], ["MODIFIED", "2"]);
  await events.return(undefined);
  for (let index = 0; index < 80; index += 1) await client.patch(`${maps}/a`, "merge", { data: { a: `x${index}` } });
  const refused = await client.get(`${maps}?watch=true&resourceVersion=${from}`);
  assert.deepEqual([refused.code, refused.body.reason], [410, "Expired"]);
});

test("initial events end with a bookmark, and bookmarks follow the revision", async () => {
  await using running = await open({
    watchLimits: { watchersMax: 10, watchersPerClientMax: 10, bufferedBytesMax: 1_000_000, bookmarkIntervalMs: 20 },
  });
  const { client } = running;
  await client.post(maps, configMap("a"));
  const query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
  const events = client.watch(`${maps}?${query}`);
  assert.equal((await events.next()).value?.type, "ADDED");
  const end = (await events.next()).value;
  assert.deepEqual([end?.type, valueAt(end?.object, "metadata", "annotations", "k8s.io/initial-events-end")], ["BOOKMARK", "true"]);
  const other = await client.post(pods, pod("web"));
  await eventually(async () => {
    const { value } = await events.next();
    assert.deepEqual(
      [value?.type, textAt(value?.object, "metadata", "resourceVersion")],
      ["BOOKMARK", textAt(other.body, "metadata", "resourceVersion")],
    );
  });
  await events.return(undefined);
});

test("watches are limited per client", async () => {
  await using running = await open({
    watchLimits: { watchersMax: 10, watchersPerClientMax: 1, bufferedBytesMax: 1_000_000, bookmarkIntervalMs: 60_000 },
  });
  const { client } = running;
  await client.post(maps, configMap("a"));
  const events = client.watch(`${maps}?watch=true`);
  await events.next();
  const refused = await client.get(`${maps}?watch=true`);
  assert.deepEqual([refused.code, refused.body.reason], [429, "TooManyRequests"]);
  await events.return(undefined);
});

test("a watcher that does not read is sent away, and the others hear everything", async () => {
  await using running = await open({
    watchLimits: { watchersMax: 10, watchersPerClientMax: 10, bufferedBytesMax: 100_000, bookmarkIntervalMs: 60_000 },
  });
  const { client, server } = running;
  const idle = connect(server.port, "127.0.0.1");
  idle.on("error", () => undefined);
  try {
    idle.write(`GET ${maps}?watch=true HTTP/1.1\r\nHost: server\r\n\r\n`);
    await once(idle, "data");
    idle.pause();
    const events = client.watch(`${maps}?watch=true`);
    const count = 300;
    // More than the kernel buffers on its own.
    const padding = "x".repeat(50_000);
    for (let index = 0; index < count; index += 1) await client.post(maps, { ...configMap(`m${index}`), data: { padding } });
    for (let index = 0; index < count; index += 1) assert.equal((await events.next()).value?.type, "ADDED");
    await events.return(undefined);
    await eventually(async () => {
      const metrics = await (await fetch(`${server.url}/metrics`)).text();
      assert.match(metrics, /apiserver_watches_slow_closed_total 1\n/);
    });
  } finally {
    idle.destroy();
  }
});

test("a watch ends when its time is over", async () => {
  await using running = await open();
  const seen: string[] = [];
  for await (const event of running.client.watch("/api/v1/namespaces?watch=true&timeoutSeconds=1")) seen.push(event.type);
  assert.deepEqual(seen, ["ADDED", "ADDED", "ADDED", "ADDED"]);
});

test("finalizers hold an object until they are gone", async () => {
  await using running = await open();
  const { client } = running;
  await client.post(maps, configMap("held", { finalizers: ["example.com/hold"] }));
  const marked = await client.delete(`${maps}/held`);
  assert.match(textAt(marked.body, "metadata", "deletionTimestamp"), /^\d{4}-/);
  const added = await client.patch(`${maps}/held`, "merge", { metadata: { finalizers: ["example.com/hold", "example.com/more"] } });
  assert.match(String(added.body.message), /no new finalizers can be added/);
  await client.patch(`${maps}/held`, "merge", { metadata: { finalizers: null } });
  assert.equal((await client.get(`${maps}/held`)).code, 404);
});

test("a namespace takes with it what is inside, and lets nothing in while it goes", async () => {
  await using running = await open();
  const { client } = running;
  await client.post("/api/v1/namespaces", { metadata: { name: "demo" } });
  const inside = "/api/v1/namespaces/demo/configmaps";
  for (let index = 0; index < 30; index += 1) await client.post(inside, configMap(`m${index}`));
  await client.post(inside, configMap("held", { finalizers: ["example.com/hold"] }));
  await client.post("/apis/cilium.io/v2/namespaces/demo/ciliumnetworkpolicies", policy({ endpointSelector: {} }));
  const marked = await client.delete("/api/v1/namespaces/demo");
  assert.equal(textAt(marked.body, "status", "phase"), "Terminating");
  const late = await client.post(inside, configMap("late"));
  assert.match(String(late.body.message), /configmaps "late" is forbidden: .* being terminated/);
  await eventually(async () => assert.deepEqual(names((await client.get(inside)).body), ["held"]));
  assert.equal((await client.get("/api/v1/namespaces/demo")).code, 200);
  await client.patch(`${inside}/held`, "json", [{ op: "remove", path: "/metadata/finalizers" }]);
  await eventually(async () => assert.equal((await client.get("/api/v1/namespaces/demo")).code, 404));
  assert.deepEqual(running.server.errors, []);
});

test("dependents go with their last owner, unless they are orphaned", async () => {
  await using running = await open();
  const { client } = running;
  const owner = async (name: string) => {
    const { body } = await client.post(maps, configMap(name));
    return { apiVersion: "v1", kind: "ConfigMap", name, uid: textAt(body, "metadata", "uid") };
  };
  const [one, two] = [await owner("one"), await owner("two")];
  await client.post(maps, configMap("of-one", { ownerReferences: [one] }));
  await client.post(maps, configMap("of-both", { ownerReferences: [one, two] }));
  await client.delete(`${maps}/one`);
  await eventually(async () => assert.deepEqual(names((await client.get(maps)).body), ["of-both", "two"]));
  await client.delete(`${maps}/two?propagationPolicy=Orphan`);
  await client.post(maps, configMap("later"));
  await client.delete(`${maps}/later`);
  await eventually(async () => assert.deepEqual(names((await client.get(maps)).body), ["of-both"]));
});

const widgets = (versions: Mutable[]): Mutable => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "widgets.example.com" },
  spec: { group: "example.com", scope: "Namespaced", names: { kind: "Widget", plural: "widgets", shortNames: ["wd"] }, versions },
});
const widgetVersion = (name: string, storage: boolean, properties: Mutable): Mutable => ({
  name,
  served: true,
  storage,
  subresources: { status: {} },
  schema: { openAPIV3Schema: { type: "object", properties: { spec: { type: "object", properties } } } },
});

test("a definition is served at once, in all its versions, and takes its objects with it", async () => {
  await using running = await open();
  const { client } = running;
  const size: Mutable = { size: { type: "integer", default: 3 } };
  const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  const made = await client.post(definitions, widgets([widgetVersion("v1", true, size), widgetVersion("v1beta1", false, size)]));
  assert.deepEqual(
    listAt(made.body, "status", "conditions").map((condition) => `${condition.type}=${condition.status}`),
    ["NamesAccepted=True", "Established=True"],
  );
  const path = (version: string) => `/apis/example.com/${version}/namespaces/default/widgets`;
  const widget = await client.post(path("v1beta1"), {
    apiVersion: "example.com/v1beta1",
    kind: "Widget",
    metadata: { name: "w" },
    spec: {},
  });
  assert.deepEqual([widget.code, widget.body.apiVersion, valueAt(widget.body, "spec", "size")], [201, "example.com/v1beta1", 3]);
  assert.equal((await client.get(`${path("v1")}/w`)).body.apiVersion, "example.com/v1");
  const openApi = await client.get("/openapi/v3/apis/example.com/v1");
  assert.ok(valueAt(openApi.body, "components", "schemas", "com.example.v1.Widget") !== undefined);
  await client.delete(`${definitions}/widgets.example.com`);
  await eventually(async () => assert.equal((await client.get(path("v1"))).code, 404));
  await eventually(async () => assert.equal((await client.get(`${definitions}/widgets.example.com`)).code, 404));
});

test("a bad definition is refused with the place of the mistake", async () => {
  await using running = await open();
  const { body } = await running.client.post(
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    widgets([widgetVersion("v1", false, { a: { type: "string", pattern: "(" }, b: { type: "frob" } })]),
  );
  const message = String(body.message);
  for (const part of [
    /exactly one version marked as storage/,
    /properties\[a\]\.pattern: .*not a regular expression/,
    /properties\[b\]\.type: Unsupported value/,
  ]) {
    assert.match(message, part);
  }
});

test("a rule that the server cannot check is accepted with a warning", async () => {
  await using running = await open();
  const rule = { rule: "self.all(x, x > 1)" };
  const definition = widgets([
    widgetVersion("v1", true, { a: { type: "array", items: { type: "integer" }, "x-kubernetes-validations": [rule] } }),
  ]);
  const { code, warnings } = await running.client.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition);
  assert.equal(code, 201);
  assert.match(warnings, /does not check the rule .*self\.all/);
});

test("an apply that names a uid makes no object where that one is gone", async () => {
  await using running = await open();
  const { client } = running;
  const body = { ...configMap("a"), metadata: { name: "a", uid: "00000000-0000-4000-8000-000000000000" } };
  const refused = await client.apply(`${maps}/a?fieldManager=one`, body);
  assert.deepEqual([refused.code, refused.body.reason], [409, "Conflict"]);
  assert.match(String(refused.body.message), /uid mismatch.*no existing object was found/);
  assert.equal((await client.get(`${maps}/a`)).code, 404);
});

test("apply owns fields, and tells whose field a conflict is about", async () => {
  await using running = await open();
  const { client } = running;
  const made = await client.apply(`${maps}/a?fieldManager=one`, configMap("a"));
  assert.equal(made.code, 201);
  const other = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, data: { a: "2" } };
  const refused = await client.apply(`${maps}/a?fieldManager=two`, other);
  assert.equal(refused.body.message, 'Apply failed with 1 conflict: conflict with "one": .data.a');
  assert.deepEqual(listAt(refused.body, "details", "causes"), [
    { reason: "FieldManagerConflict", message: 'conflict with "one"', field: ".data.a" },
  ]);
  const forced = await client.apply(`${maps}/a?fieldManager=two&force=true`, other);
  assert.deepEqual([forced.code, textAt(forced.body, "data", "a")], [200, "2"]);
  const again = await client.apply(`${maps}/a?fieldManager=two`, other);
  assert.equal(textAt(again.body, "metadata", "resourceVersion"), textAt(forced.body, "metadata", "resourceVersion"));
  assert.match(String((await client.apply(`${maps}/a`, other)).body.message), /fieldManager: Required value/);
});

test("a dry run changes nothing, and a change that changes nothing writes nothing", async () => {
  await using running = await open();
  const { client } = running;
  assert.equal((await client.post(`${maps}?dryRun=All`, configMap("a"))).code, 201);
  assert.equal((await client.get(`${maps}/a`)).code, 404);
  const made = await client.post(maps, configMap("a"));
  const same = await client.patch(`${maps}/a`, "merge", { data: { a: "1" } });
  assert.equal(textAt(same.body, "metadata", "resourceVersion"), textAt(made.body, "metadata", "resourceVersion"));
});

test("metadata that holds nothing is left out, and to say so again changes nothing", async () => {
  await using running = await open();
  const { client } = running;
  const { body } = await client.post(maps, configMap("a", { labels: {}, annotations: { x: "1" }, finalizers: [], ownerReferences: [] }));
  const metadata = (object: Mutable) => Object.keys(valueAt(object, "metadata") ?? {}).filter((name) => name !== "managedFields");
  assert.deepEqual(metadata(body).sort(), ["annotations", "creationTimestamp", "name", "namespace", "resourceVersion", "uid"]);
  const changed = await client.patch(`${maps}/a`, "merge", { metadata: { annotations: { x: null } } });
  assert.ok(!metadata(changed.body).includes("annotations"));
  const same = await client.patch(`${maps}/a`, "merge", { metadata: { annotations: {}, labels: {} } });
  assert.equal(textAt(same.body, "metadata", "resourceVersion"), textAt(changed.body, "metadata", "resourceVersion"));
});

test("generateName completes the name", async () => {
  await using running = await open();
  const { body } = await running.client.post(maps, { metadata: { generateName: "x-" }, data: {} });
  assert.match(textAt(body, "metadata", "name"), /^x-[a-z0-9]{5}$/);
});

test("a collection is deleted by selector", async () => {
  await using running = await open();
  const { client } = running;
  for (const name of ["a", "b", "c"]) await client.post(maps, configMap(name, { labels: { keep: name === "b" ? "yes" : "no" } }));
  await client.delete(`${maps}?labelSelector=keep%3Dno`);
  assert.deepEqual(names((await client.get(maps)).body), ["b"]);
});

test("discovery names every kind, and documents describe it", async () => {
  await using running = await open();
  const { client } = running;
  const aggregated = await client.get("/apis", { Accept: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" });
  const cilium = listAt(aggregated.body, "items").find((group) => textAt(group, "metadata", "name") === "cilium.io");
  assert.deepEqual(
    listAt(cilium, "versions").map((version) => version.version),
    ["v2", "v2alpha1"],
  );
  const plain = await client.get("/apis/cilium.io/v2");
  const names = listAt(plain.body, "resources").map((resource) => resource.name);
  assert.ok(names.includes("ciliumnetworkpolicies") && names.includes("ciliumnetworkpolicies/status"));
  const index = await client.get("/openapi/v3");
  for (const entry of Object.values(index.body.paths as Mutable)) {
    const { code, body } = await client.get(textAt(entry, "serverRelativeURL"));
    assert.deepEqual([code, body.openapi], [200, "3.0.0"]);
  }
});
