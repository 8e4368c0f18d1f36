import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { startTestServer, type TestServer } from "@cilium-ts/kubernetes-server/testing";
import type { ChangeReport, ChangeRights } from "@cilium-ts/service-map";
import { Backend } from "../running-backend.ts";
import { parseSettings } from "../settings.ts";

const folder = mkdtempSync(join(tmpdir(), "ui-changes-"));
after(() => rmSync(folder, { recursive: true }));
const accessPath = join(folder, "access.json");
writeFileSync(
  accessPath,
  JSON.stringify({ users: { ann: ["shop"], bob: ["shop", "pay"], "system:admin": ["*"] }, groups: { ops: ["*"] } }),
);
const origin = "https://hubble.example.com";
const environment = {
  UI_TRUSTED_USER_HEADER: "x-user",
  UI_TRUSTED_GROUPS_HEADER: "x-groups",
  UI_ACCESS_FILE: accessPath,
  UI_PUBLIC_URL: `${origin}/hubble`,
  UI_CHANGES_AS: "user",
};
const ours = { origin, "x-hubble-ui": "1" };
const ann = { ...ours, "x-user": "ann" };
const bob = { ...ours, "x-user": "bob" };

const policy = (spec: string, name = "web", namespace = "shop") =>
  `apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: ${spec}\n`;
const web = "{ endpointSelector: { matchLabels: { app: web } }, ingress: [{}] }";
const key = "CiliumNetworkPolicy/shop/web";

/** A cluster in which bob may write policies of the namespace `shop` and ann may not, and a backend before it. */
async function start(more: Record<string, string> = {}) {
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await startTestServer());
  const call = caller(server);
  for (const name of ["shop", "pay"]) await call("POST", "/api/v1/namespaces", { metadata: { name } });
  const verbs = ["get", "create", "patch", "delete"];
  const rules = [{ apiGroups: ["cilium.io"], resources: ["ciliumnetworkpolicies"], verbs }];
  await call("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles", { metadata: { name: "writer" }, rules });
  await call("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings", {
    metadata: { name: "bob" },
    roleRef: { kind: "Role", name: "writer" },
    subjects: [{ kind: "User", name: "bob" }],
  });
  const kubeconfig = join(folder, `config-${server.port}`);
  const cluster = { name: "c", cluster: { server: server.url } };
  const context = { name: "c", context: { cluster: "c", user: "c" } };
  writeFileSync(
    kubeconfig,
    JSON.stringify({ "current-context": "c", contexts: [context], clusters: [cluster], users: [{ name: "c", user: {} }] }),
  );
  const backend = opened.use(await Backend.start("127.0.0.1:1", { ...environment, UI_KUBECONFIG: kubeconfig, ...more }));
  const running = opened.move();
  const change = async (path: string, body: string, headers: Record<string, string>) => {
    const { status, text } = await backend.post(`/api/changes/${path}`, body, headers);
    return { status, ...(JSON.parse(text) as Partial<ChangeReport & ChangeRights & { problem: string }>) };
  };
  return { backend, call, change, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function caller({ url }: TestServer) {
  return async (method: string, path: string, body?: unknown, type = "application/json") => {
    const response = await fetch(url + path, {
      method,
      headers: { "content-type": type },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return {
      status: response.status,
      body: (await response.json()) as Record<string, unknown> & { spec?: unknown; metadata?: { generation?: number } },
    };
  };
}
const stored = "/apis/cilium.io/v2/namespaces/shop/ciliumnetworkpolicies/web";
const byKubectl = `${stored}?fieldManager=kubectl`;
const applyType = "application/apply-patch+yaml";

suite("changing policies as the user who asks", () => {
  test("tells before what is missing, and applies with the rights of the user and not of the backend", async () => {
    await using cluster = await start();
    const { change, call, backend } = cluster;
    const rights = await change("rights", policy(web), ann);
    assert.deepEqual(rights.apply, [
      "patch ciliumnetworkpolicies.cilium.io in the namespace shop (web)",
      "create ciliumnetworkpolicies.cilium.io in the namespace shop (web)",
    ]);
    const refused = await change("apply", policy(web), ann);
    assert.equal(refused.isDone, false);
    assert.match(refused.objects?.[0]?.problem ?? "", /^ciliumnetworkpolicies.cilium.io "web" is forbidden: User "ann" cannot patch/);
    assert.equal((await call("GET", stored)).status, 404);
    assert.deepEqual((await change("rights", policy(web), bob)).apply, []);
    const tried = await change("apply?dry-run", policy(web), bob);
    assert.deepEqual(tried.objects, [{ key, outcome: "created", problem: "", conflicts: [] }]);
    assert.equal((await call("GET", stored)).status, 404, "a trial changes nothing");
    const done = await change("apply", policy(web), bob);
    assert.deepEqual([done.isDone, done.objects?.[0]?.outcome], [true, "created"]);
    assert.deepEqual((await change("apply", policy(web), bob)).objects?.[0]?.outcome, "unchanged");
    const lines = backend.said.filter((line) => line.startsWith("change:"));
    assert.match(lines[0] ?? "", /^change: ann may not apply CiliumNetworkPolicy\/shop\/web: .*forbidden/);
    assert.equal(lines[1], "change: bob applied CiliumNetworkPolicy/shop/web: created");
  });

  test("keeps to the namespaces that the user sees here, whatever the cluster would allow", async () => {
    await using cluster = await start();
    const { change, backend } = cluster;
    for (const [text, reason] of [
      [policy(web, "web", "pay"), /you do not see the namespace pay here/],
      [policy(web).replace("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"), /holds for namespaces that you do not see/],
      ["kind: Secret\napiVersion: v1\nmetadata: { name: a }", /Secret is no kind of policy/],
      [policy(web, "'../../a'"), /is no name/],
      ["a: [", /^line \d+: /],
      ["", /nothing in the text/],
    ] as const) {
      const { status, problem } = await change("apply", text, ann);
      assert.equal(status, 400);
      assert.match(problem ?? "", reason);
    }
    const hidden = await change(`delete?key=CiliumNetworkPolicy/pay/web&generation=1`, "", ann);
    assert.equal(hidden.status, 404);
    const probed = await backend.post("/api/policies/what-if?delete=CiliumNetworkPolicy/pay/web", "", ann);
    assert.match(probed.text, /there is no policy .* that you may see/);
  });

  test("tells nothing of policies and pods in namespaces that the user does not see", async () => {
    await using cluster = await start();
    const { backend, call } = cluster;
    const object = { apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", spec: { endpointSelector: {}, ingress: [{}] } };
    for (const namespace of ["shop", "pay"])
      await call("POST", `/apis/cilium.io/v2/namespaces/${namespace}/ciliumnetworkpolicies`, { ...object, metadata: { name: "own" } });
    const { spec: _spec, ...wide } = {
      ...object,
      kind: "CiliumClusterwideNetworkPolicy",
      specs: [object.spec],
      metadata: { name: "wide" },
    };
    await call("POST", "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies", wide);
    const user = { "x-user": "ann" };
    const listed = await backend.ask("/api/policies", user);
    assert.deepEqual(
      JSON.parse(listed.text).map(({ key }: { key: string }) => key),
      ["CiliumNetworkPolicy/shop/own"],
    );
    const whole = await backend.ask("/api/policies", { "x-user": "x", "x-groups": "ops" });
    assert.equal(JSON.parse(whole.text).length, 3);
    for (const path of [
      "text?key=CiliumNetworkPolicy/pay/own",
      "text?key=CiliumClusterwideNetworkPolicy/wide",
      "suggest?namespace=pay",
      "suggest?namespace=",
    ]) {
      const { status, text } = await backend.ask(`/api/policies/${path}`, user);
      assert.ok([400, 404].includes(status), `${path}: ${status} ${text}`);
    }
    const probing = policy(
      "{ endpointSelector: { matchLabels: { app: secret } }, ingress: [{ fromEntities: [cluster] }] }",
      "probe",
      "pay",
    );
    assert.deepEqual(JSON.parse((await backend.post("/api/policies/check", probing, user)).text), []);
    const missing = await backend.post("/api/changes/rights?key=CiliumNetworkPolicy/pay/own", probing, user);
    const { apply, delete: deletion } = JSON.parse(missing.text) as ChangeRights;
    assert.deepEqual([apply, deletion], [[], []], "nothing is asked about what the user does not see");
  });

  test("shows the fields that others have set, or that would stay, and replaces them only when it is told to", async () => {
    await using cluster = await start();
    const { change, call } = cluster;
    const full = { endpointSelector: { matchLabels: { app: "web", tier: "front" } }, ingress: [{}], egress: [{}] };
    const object = { apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", metadata: { name: "web" }, spec: full };
    await call("PATCH", byKubectl, object, applyType);
    const other = "{ endpointSelector: { matchLabels: { app: web } }, ingress: [{ fromEntities: [host] }] }";
    const conflict = await change("apply", policy(other), bob);
    assert.deepEqual(conflict.objects?.[0]?.conflicts, [
      { field: "spec.endpointSelector", reason: "kubectl has set it to something else" },
      { field: "spec.ingress", reason: "kubectl has set it to something else" },
      { field: "spec.egress", reason: "the text does not have it, and what others have set would stay" },
    ]);
    const staying = await change("apply", policy("{ endpointSelector: { matchLabels: { app: web, tier: front } } }"), bob);
    assert.deepEqual(staying.objects?.[0]?.conflicts.map(({ field }) => field).sort(), ["spec.egress", "spec.ingress"]);
    assert.deepEqual((await call("GET", stored)).body.spec, full);
    const tried = await change("apply?replace&dry-run", policy(other), bob);
    assert.equal(tried.objects?.[0]?.outcome, "changed");
    const done = await change("apply?replace", policy(other), bob);
    assert.equal(done.isDone, true, JSON.stringify(done));
    assert.deepEqual((await call("GET", stored)).body.spec, {
      endpointSelector: { matchLabels: { app: "web" } },
      ingress: [{ fromEntities: ["host"] }],
    });
    const again = await change("apply", policy(web), bob);
    assert.equal(again.isDone, true, `the fields are the page's own now: ${JSON.stringify(again)}`);
  });

  test("nobody overwrites, or deletes, what somebody else has changed meanwhile", async () => {
    await using cluster = await start();
    const { change, call } = cluster;
    await change("apply", policy(web), bob);
    const generation = (await call("GET", stored)).body.metadata?.generation;
    const began = `key=${key}&generation=${generation}`;
    await change("apply", policy(web.replace("[{}]", "[]")), bob);
    const late = await change(`apply?${began}`, policy(web), bob);
    assert.match(late.objects?.[0]?.problem ?? "", /somebody has changed it meanwhile/);
    const kept = await change(`delete?${began}`, "", bob);
    assert.match(kept.objects?.[0]?.problem ?? "", /somebody has changed it meanwhile: look at it again/);
    assert.equal((await change(`apply?replace&${began}`, policy(web), bob)).isDone, true);
    const now = (await call("GET", stored)).body.metadata?.generation;
    const foreign = await change(`delete?key=${key}&generation=${now}`, "", ann);
    assert.match(foreign.objects?.[0]?.problem ?? "", /User "ann" cannot delete/);
    assert.deepEqual((await change(`delete?key=${key}&generation=${now}`, "", bob)).objects?.[0]?.outcome, "deleted");
    assert.equal((await call("GET", stored)).status, 404);
    assert.match((await change(`apply?${began}`, policy(web), bob)).objects?.[0]?.problem ?? "", /somebody has deleted it meanwhile/);
  });

  test("of several policies changes none when one is refused", async () => {
    await using cluster = await start();
    const { change, call } = cluster;
    const text = `${policy(web)}---\n${policy("{ endpointSelector: {}, ingress: [{ fromPorts: 1 }] }", "broken")}`;
    const { objects, isDone } = await change("apply", text, bob);
    assert.deepEqual([isDone, objects?.map(({ outcome }) => outcome)], [false, ["untried", "refused"]]);
    assert.equal((await call("GET", stored)).status, 404);
  });

  test("takes changes only from its own page", async () => {
    await using cluster = await start();
    const { change, call } = cluster;
    const user = { "x-user": "bob" };
    for (const headers of [
      user,
      { ...user, origin },
      { ...user, "x-hubble-ui": "1" },
      { ...user, ...ours, origin: "https://evil.example" },
    ]) {
      const { status, problem } = await change("apply", policy(web), headers);
      assert.equal(status, 403);
      assert.match(problem ?? "", /changes are taken only from the page at https:\/\/hubble.example.com\/hubble\//);
    }
    assert.equal((await call("GET", stored)).status, 404);
  });

  test("never stands for the cluster's own names and groups", async () => {
    await using cluster = await start();
    const { change, call } = cluster;
    const admin = await change("apply", policy(web), { ...ours, "x-user": "system:admin" });
    assert.match(admin.problem ?? "", /system:admin is a name of the cluster itself/);
    const grouped = await change("apply", policy(web), { ...ann, "x-groups": "ops, system:masters" });
    assert.match(grouped.objects?.[0]?.problem ?? "", /User "ann" cannot patch/);
    assert.equal((await call("GET", stored)).status, 404);
  });

  test("a backend that may change nothing says so, and one with rights of its own uses these", async () => {
    await using reading = await start({ UI_CHANGES_AS: "nobody" });
    assert.match((await reading.change("rights", policy(web), bob)).refusal ?? "", /this page only shows/);
    assert.equal((await reading.change("apply", policy(web), bob)).status, 403);
    await using own = await start({ UI_CHANGES_AS: "backend", UI_TRUSTED_USER_HEADER: "", UI_ACCESS_FILE: "" });
    assert.equal((await own.change("rights", policy(web), ours)).as, "the account of this page");
    assert.equal((await own.change("apply", policy(web), ours)).isDone, true);
  });
});

for (const [settings, problem] of [
  [{ UI_CHANGES_AS: "root" }, /UI_CHANGES_AS is one of nobody, user, token, backend/],
  [{ UI_CHANGES_AS: "user" }, /needs UI_PUBLIC_URL.*needs a sign-in/s],
  [{ ...environment, UI_CHANGES_AS: "backend" }, /for a page without sign-in/],
  [{ UI_PUBLIC_URL: "ftp://a" }, /UI_PUBLIC_URL is an address such as/],
] as const) {
  test(`${JSON.stringify(settings)} is refused with a sentence`, () => {
    const parsed = parseSettings(settings);
    assert.ok(parsed.kind === "problems" && problem.test(parsed.problems.join()), JSON.stringify(parsed));
  });
}
