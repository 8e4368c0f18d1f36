import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parse, stringify } from "yaml";
import { Kubectl } from "./kubectl.ts";
import { type RunningServer, startProgram } from "./program.ts";

// Who may do what, as people ask it with a real kubectl: `auth can-i`, `auth whoami`, `--as`, and a token of their own.

const folder = mkdtempSync(join(tmpdir(), "cilium-ts-kubectl-auth-"));
let server: RunningServer;
let admin: Kubectl;
let bob: Kubectl;

before(async () => {
  const tokens = join(folder, "tokens.csv");
  writeFileSync(tokens, 'bob-secret,bob,7,"support"\n');
  server = await startProgram(join(folder, "state"), ["--token-file", tokens]);
  admin = await Kubectl.open(server.kubeconfig, join(folder, "cache"));
  const access = parse(readFileSync(server.kubeconfig, "utf8"));
  const path = join(folder, "bob.kubeconfig");
  writeFileSync(path, stringify({ ...access, users: [{ name: "admin", user: { token: "bob-secret" } }] }));
  bob = await Kubectl.open(path, join(folder, "cache-bob"));
  await admin.succeed("create namespace shop");
});
after(async () => {
  await server.stop("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

test("kubectl auth whoami says who the server takes the user for", async () => {
  assert.match(await admin.succeed("auth whoami"), /Username +admin\nGroups +\[system:masters system:authenticated\]/);
  assert.match(await bob.succeed("auth whoami"), /Username +bob\nGroups +\[support system:authenticated\]/);
  assert.match(await admin.succeed("auth whoami --as=jane --as-group=devs"), /Username +jane\nGroups +\[devs system:authenticated\]/);
});

test("kubectl auth can-i answers from roles, and the server does as it says", async () => {
  assert.equal(await admin.succeed("auth can-i * * --all-namespaces"), "yes\n");
  assert.deepEqual(await may("patch cnp -n shop --as=jane"), "no");
  await admin.succeed("create role policies -n shop --verb=get,list,create,patch --resource=ciliumnetworkpolicies.cilium.io");
  await admin.succeed("create rolebinding jane -n shop --role=policies --user=jane");
  assert.equal(await may("patch cnp -n shop --as=jane"), "yes");
  assert.equal(await may("delete cnp -n shop --as=jane"), "no");
  assert.equal(await may("patch cnp -n default --as=jane"), "no");
  const listed = await admin.succeed("auth can-i --list -n shop --as=jane");
  assert.match(listed, /ciliumnetworkpolicies\.cilium\.io +\[\] +\[\] +\[get list create patch\]/);
  assert.match(listed, /selfsubjectaccessreviews\.authorization\.k8s\.io +\[\] +\[\] +\[create\]/);
  const policy =
    "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: { name: a, namespace: shop }\nspec: { endpointSelector: {}, ingress: [{}] }\n";
  assert.match(await admin.succeed("apply --server-side -f - --as=jane", policy), /serverside-applied/);
  const refused = await admin.run("delete cnp a -n shop --as=jane");
  assert.equal(
    refused.errors,
    'Error from server (Forbidden): ciliumnetworkpolicies.cilium.io "a" is forbidden: User "jane" cannot delete resource "ciliumnetworkpolicies" in API group "cilium.io" in the namespace "shop"\n',
  );
});

async function may(question: string): Promise<string> {
  const { output } = await admin.run(`auth can-i ${question}`);
  return output.trim();
}

test("a user with a token has the rights of roles, and stands for others only where a role says so", async () => {
  const refused = await bob.run("get pods -n shop");
  assert.match(refused.errors, /pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "shop"/);
  await admin.succeed("create clusterrolebinding support --clusterrole=view --group=support");
  assert.match((await bob.run("get pods -n shop")).errors, /No resources found in shop namespace/);
  const asJane = await bob.run("get cnp -n shop --as=jane");
  assert.match(
    asJane.errors,
    /users "jane" is forbidden: User "bob" cannot impersonate resource "users" in API group "" at the cluster scope/,
  );
  await admin.succeed("create clusterrole jane-only --verb=impersonate --resource=users --resource-name=jane");
  await admin.succeed("create clusterrolebinding bob-as-jane --clusterrole=jane-only --user=bob");
  assert.equal(await bob.succeed("get cnp -n shop --as=jane -o name"), "ciliumnetworkpolicy.cilium.io/a\n");
  const asMaster = await bob.run("get nodes --as=jane --as-group=system:masters");
  assert.match(asMaster.errors, /groups "system:masters" is forbidden: User "bob" cannot impersonate resource "groups"/);
});

test("the roles that people bind are there, and are explained", async () => {
  const names = await admin.succeed("get clusterroles -o name");
  for (const name of ["admin", "cluster-admin", "edit", "view", "system:discovery"]) assert.match(names, new RegExp(`/${name}\n`));
  assert.match(await admin.succeed("describe clusterrole cluster-admin"), /\*\.\* +\[\] +\[\] +\[\*\]/);
  assert.match(await admin.succeed("explain selfsubjectaccessreviews.spec.resourceAttributes.verb"), /FIELD: verb <string>/);
  const review = await admin.succeed(
    "create -o yaml -f -",
    "apiVersion: authentication.k8s.io/v1\nkind: TokenReview\nspec: { token: bob-secret }\n",
  );
  assert.deepEqual(parse(review).status, { authenticated: true, user: { username: "bob", groups: ["support", "system:authenticated"] } });
});
