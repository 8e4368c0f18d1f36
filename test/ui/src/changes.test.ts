import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { startTestServer, type TestServer } from "@cilium-ts/kubernetes-server/testing";
import { eventually, freePort } from "@cilium-ts/testing";
import type { Browser, Page } from "playwright-core";
import { BackendProcess } from "./backend-process.ts";
import { launchChromium, Tab } from "./browser.ts";
import { bigCluster, openReplay } from "./replay/open-replay.ts";
import { ReplayHubble } from "./replay/replay-hubble.ts";

const root = join(import.meta.dirname, "../../..");
const folder = mkdtempSync(join(tmpdir(), "ui-page-changes-"));
const policies = "/apis/cilium.io/v2/namespaces/shop/ciliumnetworkpolicies";

let browser: Browser;
let hubble: ReplayHubble;
let cluster: TestServer;
let backend: BackendProcess;

before(async () => {
  browser = await launchChromium();
  hubble = await ReplayHubble.start(openReplay({ ...bigCluster, services: 10, links: 20, namespaces: 2, flowsPerSecond: 10 }));
  cluster = await startTestServer();
  await call("POST", "/api/v1/namespaces", { metadata: { name: "shop" } });
  await call("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings", {
    metadata: { name: "writers" },
    roleRef: { kind: "ClusterRole", name: "policy-writer" },
    subjects: [{ kind: "User", name: "bob" }],
  });
  await call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {
    metadata: { name: "policy-writer" },
    rules: [{ apiGroups: ["cilium.io"], resources: ["ciliumnetworkpolicies"], verbs: ["create", "patch", "delete"] }],
  });
  const access = join(folder, "access.json");
  writeFileSync(access, JSON.stringify({ users: { ann: ["shop"], bob: ["shop"] } }));
  const kubeconfig = join(folder, "config");
  const context = { name: "c", context: { cluster: "c", user: "c" } };
  const clusters = [{ name: "c", cluster: { server: cluster.url } }];
  writeFileSync(kubeconfig, JSON.stringify({ "current-context": "c", contexts: [context], clusters, users: [{ name: "c", user: {} }] }));
  const port = await freePort();
  const environment = {
    UI_KUBECONFIG: kubeconfig,
    UI_TRUSTED_USER_HEADER: "x-user",
    UI_ACCESS_FILE: access,
    UI_PUBLIC_URL: `http://127.0.0.1:${port}/`,
    UI_CHANGES_AS: "user",
  };
  backend = await BackendProcess.start({ root, hubbleAddress: hubble.address, port, environment });
});
after(async () => {
  await browser?.close();
  await backend?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
  await hubble?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function call(method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
  const type = method === "PATCH" ? "application/apply-patch+yaml" : "application/json";
  const answer = await fetch(cluster.url + path, {
    method,
    headers: { "content-type": type },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

function open(user: string, search = ""): Promise<Tab> {
  return Tab.open(browser, `${backend.url}?tab=policies${search}`, undefined, { "x-user": user });
}

function text(name: string, ingress: string): string {
  return `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: ${name}
  namespace: shop
spec:
  endpointSelector: {}
  ingress: ${ingress}
`;
}

/** Into the editor, once it is there. */
async function write(page: Page, yaml: string): Promise<void> {
  await page.locator(".cm-content").waitFor();
  await page.getByLabel("Policy as YAML").fill(yaml);
}

suite("policies changed from the page, with the rights of who sits before it", () => {
  test("who may, applies by keyboard what was tried first, and sees it in the list", async () => {
    await using tab = await open("bob");
    const { page } = tab;
    await write(page, text("web", "[{ fromEntities: [cluster] }]"));
    const apply = page.getByRole("button", { name: "Apply…" });
    await apply.waitFor();
    await page.getByText("With the rights of bob.").waitFor();
    await apply.focus();
    await page.keyboard.press("Enter");
    await page.getByText("would be created").waitFor();
    assert.equal((await call("GET", `${policies}/web`)).status, 404, "it was only tried");
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("apply");
    await page.keyboard.press("Escape");
    await eventually(async () => assert.equal(await page.locator("dialog[open]").count(), 0));
    await apply.click();
    await page.getByRole("button", { name: "Apply now" }).focus();
    await page.keyboard.press("Enter");
    await page.getByText("CiliumNetworkPolicy/shop/web: applied.").waitFor();
    assert.equal((await call("GET", `${policies}/web`)).status, 200);
    await page.locator("tbody tr", { hasText: "shop/web" }).waitFor();
    assert.deepEqual(await tab.violations(), []);
    assert.deepEqual(tab.errors, []);
  });

  test("who may not is told which right is missing, and how else it can be done; the text stays", async () => {
    await using tab = await open("ann");
    const { page } = tab;
    await write(page, text("ann", "[{}]"));
    await page
      .getByText(/ann lacks the right to patch ciliumnetworkpolicies\.cilium\.io in the namespace shop \(ann\), and to create/)
      .waitFor();
    await page.getByText("kubectl apply --server-side -f policy.yaml").waitFor();
    assert.equal(await page.getByRole("button", { name: "Apply…" }).count(), 0);
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("apply-missing-right");
  });

  test("what others have set is shown, stays, and is replaced only when that is chosen", async () => {
    const applied = { apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", metadata: { name: "db" } };
    const spec = { endpointSelector: {}, ingress: [{}], egress: [{}] };
    await call("PATCH", `${policies}/db?fieldManager=kubectl`, { ...applied, spec });
    await using tab = await open("bob", "&policy=CiliumNetworkPolicy%2Fshop%2Fdb");
    const { page } = tab;
    await page.getByRole("button", { name: "Delete…" }).waitFor();
    await write(page, text("db", "[{ fromEntities: [host] }]"));
    await page.getByRole("button", { name: "Apply…" }).click();
    await page.getByText("kubectl has set it to something else").waitFor();
    assert.equal(await page.getByRole("button", { name: "Apply now" }).count(), 0);
    await tab.picture("apply-conflict");
    await page.getByRole("button", { name: "Replace what others have set…" }).click();
    await page.getByText("would be changed").waitFor();
    await page.getByRole("button", { name: "Apply now" }).click();
    await page.getByText("CiliumNetworkPolicy/shop/db: applied.").waitFor();
    assert.deepEqual((await call("GET", `${policies}/db`)).body.spec, { endpointSelector: {}, ingress: [{ fromEntities: ["host"] }] });
  });

  test("a change that comes between is told, and what was written is not lost, not even by loading the page again", async () => {
    await using tab = await open("bob", "&policy=CiliumNetworkPolicy%2Fshop%2Fweb");
    const { page } = tab;
    await page.getByRole("button", { name: "Delete…" }).waitFor();
    await write(page, text("web", "[]"));
    await page.getByRole("button", { name: "Undo all changes" }).waitFor();
    await call("PATCH", `${policies}/web?fieldManager=other&force=true`, {
      apiVersion: "cilium.io/v2",
      kind: "CiliumNetworkPolicy",
      metadata: { name: "web" },
      spec: { endpointSelector: {}, ingress: [{ fromEntities: ["world"] }] },
    });
    await page.reload();
    await page.getByRole("button", { name: "Apply…" }).click();
    await page.getByText("somebody has changed it meanwhile").first().waitFor();
    await page.getByRole("button", { name: "Back to the text" }).click();
    await page.getByText("ingress: []").waitFor();
  });

  test("deleting is asked for, can be thought better of, and is done", async () => {
    await using tab = await open("bob", "&policy=CiliumNetworkPolicy%2Fshop%2Fdb");
    const { page } = tab;
    await page.getByRole("button", { name: "Delete…" }).click();
    assert.deepEqual(await tab.violations(), []);
    await page.getByRole("button", { name: "Keep it" }).click();
    assert.equal((await call("GET", `${policies}/db`)).status, 200);
    await page.getByRole("button", { name: "Delete…" }).click();
    await page.getByRole("button", { name: "Delete it now" }).click();
    await page.getByText("CiliumNetworkPolicy/shop/db: deleted.").waitFor();
    assert.equal((await call("GET", `${policies}/db`)).status, 404);
  });
});
