import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { createTestClient } from "../testing/test-client.ts";
import { startTestServer } from "../testing/test-server.ts";

const rbac = "/apis/rbac.authorization.k8s.io/v1";
const policies = "/apis/cilium.io/v2/namespaces/shop/ciliumnetworkpolicies";
const asJane = { "Impersonate-User": "jane" };
const applyType = { "Content-Type": "application/apply-patch+yaml" };
const policy = (name: string) => ({
  apiVersion: "cilium.io/v2",
  kind: "CiliumNetworkPolicy",
  metadata: { name },
  spec: { endpointSelector: {}, ingress: [{}] },
});
const role = (name: string, ...rules: object[]) => ({ metadata: { name }, rules });
const binding = (name: string, kind: string, roleName: string, ...subjects: object[]) => ({
  metadata: { name },
  roleRef: { kind, name: roleName },
  subjects,
});
const user = (name: string) => ({ kind: "User", name });
const policyRule = (...verbs: string[]) => ({ apiGroups: ["cilium.io"], resources: ["ciliumnetworkpolicies"], verbs });

interface Answer {
  readonly code: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function openCluster() {
  const server = await startTestServer();
  const client = createTestClient(server.url);
  for (const name of ["shop", "other"]) await client.post("/api/v1/namespaces", { metadata: { name } });
  const call = async (method: string, path: string, body: unknown, headers: Record<string, string | string[]>): Promise<Answer> => {
    const asked = request(server.url + path, { method, headers: { "Content-Type": "application/json", ...headers } });
    asked.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    return { code: response.statusCode ?? 0, body: JSON.parse(await text(response)) as Answer["body"] };
  };
  return { server, client, call };
}

test("who has no right is refused, in Kubernetes' words", async () => {
  const { server, call } = await openCluster();
  await using _server = server;
  const rows: readonly [string, string, string][] = [
    [
      "GET",
      "/api/v1/namespaces/shop/pods",
      'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "shop"',
    ],
    ["GET", "/api/v1/pods?watch=true", 'pods is forbidden: User "jane" cannot watch resource "pods" in API group "" at the cluster scope'],
    [
      "PUT",
      `${policies}/web/status`,
      'ciliumnetworkpolicies.cilium.io "web" is forbidden: User "jane" cannot update resource "ciliumnetworkpolicies/status" in API group "cilium.io" in the namespace "shop"',
    ],
    [
      "DELETE",
      policies,
      'ciliumnetworkpolicies.cilium.io is forbidden: User "jane" cannot deletecollection resource "ciliumnetworkpolicies" in API group "cilium.io" in the namespace "shop"',
    ],
    ["GET", "/api/v1/nodes/n1", 'nodes "n1" is forbidden: User "jane" cannot get resource "nodes" in API group "" at the cluster scope'],
    [
      "GET",
      "/api/v1/namespaces/shop",
      'namespaces "shop" is forbidden: User "jane" cannot get resource "namespaces" in API group "" in the namespace "shop"',
    ],
    ["GET", "/metrics", 'forbidden: User "jane" cannot get path "/metrics"'],
  ];
  for (const [method, path, message] of rows) {
    const answer = await call(method, path, undefined, asJane);
    assert.deepEqual([answer.code, answer.body.reason, answer.body.message], [403, "Forbidden", message]);
  }
  assert.equal((await call("GET", "/apis/cilium.io/v2", undefined, asJane)).code, 200, "discovery is for everybody");
});

test("roles allow in their namespace, by name, and to groups and service accounts; a change counts at once", async () => {
  const { server, client, call } = await openCluster();
  await using _server = server;
  const inShop = `${rbac}/namespaces/shop`;
  await client.post(`${inShop}/roles`, role("writer", policyRule("get", "patch", "create")));
  await client.post(`${inShop}/roles`, role("named", { ...policyRule("get", "list"), resourceNames: ["web"] }));
  await client.post(`${inShop}/rolebindings`, binding("jane", "Role", "writer", user("jane"), { kind: "Group", name: "devs" }));
  await client.post(`${inShop}/rolebindings`, binding("ann", "Role", "named", user("ann"), { kind: "ServiceAccount", name: "bot" }));
  const apply = (headers: Record<string, string>, name = "web") =>
    call("PATCH", `${policies}/${name}?fieldManager=t`, policy(name), { ...headers, ...applyType });
  assert.equal((await apply(asJane)).code, 201);
  assert.equal((await apply({ "Impersonate-User": "x", "Impersonate-Group": "devs" })).code, 200);
  assert.equal((await call("GET", policies.replace("shop", "other"), undefined, asJane)).code, 403);
  for (const name of ["ann", "system:serviceaccount:shop:bot"]) {
    const as = { "Impersonate-User": name };
    assert.equal((await call("GET", `${policies}/web`, undefined, as)).code, 200, name);
    assert.equal((await call("GET", `${policies}?fieldSelector=metadata.name%3Dweb`, undefined, as)).code, 200, name);
    assert.equal((await call("GET", policies, undefined, as)).code, 403, name);
    assert.equal((await call("GET", `${policies}/db`, undefined, as)).code, 403, name);
  }
  await client.put(`${inShop}/roles/writer`, role("writer", policyRule("patch")));
  const refused = await apply(asJane, "db");
  assert.match(
    String(refused.body.message),
    /cannot create resource "ciliumnetworkpolicies"/,
    "to apply what is not there is to create it",
  );
  await client.delete(`${inShop}/roles/writer`);
  const dangling = await apply(asJane);
  assert.match(String(dangling.body.message), /in the namespace "shop": RBAC: role\.rbac\.authorization\.k8s\.io "writer" not found$/);
});

test("nobody stands for others without the right to, not even for a group", async () => {
  const { server, client } = await openCluster();
  await using _server = server;
  // The test's own connection may do everything; a token's owner may not.
  const impersonator = role("impersonator", { apiGroups: [""], resources: ["users"], resourceNames: ["jane"], verbs: ["impersonate"] });
  await client.post(`${rbac}/clusterroles`, impersonator);
  const sar = await client.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", {
    spec: { user: "jane", resourceAttributes: { verb: "impersonate", resource: "users", name: "root" } },
  });
  assert.deepEqual(sar.body.status, { allowed: false });
  const alone = await client.get("/api/v1/namespaces", { "Impersonate-Group": "system:masters" });
  assert.deepEqual([alone.code, alone.body.reason], [500, "InternalError"]);
});

test("a user is told who the server takes them for, what they may do, and all of it", async () => {
  const { server, client, call } = await openCluster();
  await using _server = server;
  await client.post(`${rbac}/clusterrolebindings`, binding("viewers", "ClusterRole", "view", user("jane")));
  const as = { ...asJane, "Impersonate-Group": ["devs", "ops"], "Impersonate-Extra-Acme.com%2Fteam": "net" };
  const who = await call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, as);
  assert.deepEqual(who.body.status, {
    userInfo: { username: "jane", groups: ["devs", "ops", "system:authenticated"], extra: { "acme.com/team": ["net"] } },
  });
  const may = async (resourceAttributes: object) =>
    (
      (await call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", { spec: { resourceAttributes } }, asJane)).body
        .status as { allowed: boolean }
    ).allowed;
  assert.equal(await may({ verb: "list", resource: "pods", namespace: "shop" }), true, "the role gathers others by their label");
  assert.equal(await may({ verb: "list", resource: "secrets", namespace: "shop" }), false);
  await client.post(`${rbac}/clusterroles`, {
    metadata: { name: "policies", labels: { "rbac.authorization.k8s.io/aggregate-to-view": "true" } },
    rules: [policyRule("list")],
  });
  assert.equal(await may({ verb: "list", group: "cilium.io", resource: "ciliumnetworkpolicies", namespace: "shop" }), true);
  const rules = await call("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", { spec: { namespace: "shop" } }, asJane);
  const { resourceRules } = rules.body.status as { resourceRules: object[] };
  assert.ok(
    resourceRules.some((rule) => JSON.stringify(rule) === JSON.stringify({ ...ordered(policyRule("list")) })),
    JSON.stringify(resourceRules),
  );
  const wrong = await call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", { spec: {} }, asJane);
  assert.deepEqual([wrong.code, wrong.body.reason], [422, "Invalid"]);
});

function ordered({ verbs, apiGroups, resources }: ReturnType<typeof policyRule>) {
  return { verbs, apiGroups, resources };
}

test("nobody grants what they do not have", async () => {
  const { server, client, call } = await openCluster();
  await using _server = server;
  const inShop = `${rbac}/namespaces/shop`;
  await client.post(`${rbac}/namespaces/shop/rolebindings`, binding("jane", "ClusterRole", "admin", user("jane")));
  const rules = [{ apiGroups: [""], resources: ["pods", "nodes"], verbs: ["get"] }];
  const refused = await call("POST", `${inShop}/roles`, role("more", ...rules), asJane);
  assert.equal(refused.code, 403);
  assert.equal(
    refused.body.message,
    'roles.rbac.authorization.k8s.io "more" is forbidden: user "jane" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}',
  );
  assert.equal((await call("POST", `${inShop}/roles`, role("less", policyRuleOfPods), asJane)).code, 201);
  const root = await call("POST", `${inShop}/rolebindings`, binding("root", "ClusterRole", "cluster-admin", user("jane")), asJane);
  assert.match(
    String(root.body.message),
    /attempting to grant RBAC permissions not currently held:\n\{APIGroups:\["\*"\], Resources:\["\*"\], Verbs:\["\*"\]\}/,
  );
  assert.equal((await call("POST", `${inShop}/rolebindings`, binding("fine", "Role", "less", user("ann")), asJane)).code, 201);
  const patched = await call(
    "PATCH",
    `${inShop}/roles/less?fieldManager=t&force=true`,
    { apiVersion: "rbac.authorization.k8s.io/v1", kind: "Role", ...role("less", ...rules) },
    { ...asJane, ...applyType },
  );
  assert.match(String(patched.body.message), /attempting to grant RBAC permissions not currently held/);
});

const policyRuleOfPods = { apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] };
