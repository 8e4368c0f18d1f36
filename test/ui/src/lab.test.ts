import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { promisify } from "node:util";
import { Lab, type LabPod, ownPlace } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import type { Browser } from "playwright-core";
import { launchChromium, Tab } from "./browser.ts";

const root = join(import.meta.dirname, "../../..");
const run = promisify(execFile);

suite("Hubble UI over relay and agents of a real cluster", { skip: requireKernel() }, () => {
  let browser: Browser;
  let lab: Lab;
  let client: LabPod;
  let server: LabPod;

  before(async () => {
    lab = await Lab.start({ root, ...ownPlace("u"), nodes: 2, relay: true, ui: true });
    client = await lab.createPod({ name: "client", labels: { app: "client" } });
    server = await lab.createPod({
      name: "server",
      labels: { app: "server" },
      node: "node2",
      command: [process.execPath, join(root, "test/lab/src/pod-server.ts"), "8080", "server"],
      ports: [{ name: "http", containerPort: 8080 }],
    });
    browser = await launchChromium();
  });
  after(async () => {
    await browser?.close();
    await lab?.[Symbol.asyncDispose]();
  });

  /** A request from the client, and whether it was answered. */
  async function ask(): Promise<boolean> {
    const args = [`--net=${client.namespacePath}`, "curl", "-sS", "--max-time", "1", "-o", "/dev/null", `http://${server.ipv4}:8080/`];
    return run("nsenter", args).then(
      () => true,
      () => false,
    );
  }

  test("shows who talks with whom", async () => {
    await using tab = await Tab.open(browser, lab.uiUrl);
    await tab.page.getByText("2/2 nodes").waitFor();
    assert.ok(await ask());
    await eventually(async () => assert.ok((await tab.drawn()).edges >= 1));
    await tab.page.keyboard.press("2");
    const row = tab.page.locator("tbody tr", { hasText: "default/server" });
    await row.getByText("8080 TCP").waitFor();
    assert.deepEqual(tab.errors, []);
  });

  test("shows on cards what policies mean for them, at once when one is applied, audited, or deleted", async () => {
    await using tab = await Tab.open(browser, `${lab.uiUrl}`);
    const { page } = tab;
    const shows = (expected: RegExp) =>
      eventually(async () => assert.match((await page.locator(".map canvas").getAttribute("data-policies")) ?? "", expected));
    await shows(/^none \d+$/);
    const path = join(root, "test/lab/manifests/deny-server.yaml");
    await lab.kubectl.run(["apply", "-f", path]);
    await shows(/^enforced 1, none \d+$/);
    await page.keyboard.press("2");
    const row = page.locator("tbody tr", { hasText: "default/server" });
    await row.getByText("enforced").waitFor();
    await row.getByRole("button").click();
    await page.getByText("ingress enforced, egress no policy").waitFor();
    await lab.kubectl.run(["annotate", "-f", path, "policy.cilium.io/audit-mode=enabled"]);
    await row.getByText("audited only").waitFor();
    await page.getByRole("button", { name: /^Policy of services/ }).click();
    await page.getByRole("checkbox", { name: "audited only" }).check();
    assert.match(page.url(), /policy-state=audit/);
    await page.keyboard.press("Escape");
    await page.keyboard.press("1");
    await shows(/^audit 1, none \d+$/);
    await tab.picture("policy-states");
    await lab.kubectl.run(["delete", "-f", path]);
    await shows(/^$/);
    assert.deepEqual(await tab.violations(), []);
    assert.deepEqual(tab.errors, []);
  });

  test("shows a drop in the table, and red on the map, within a second of the packet, and which policy it was", async () => {
    await using tab = await Tab.open(browser, `${lab.uiUrl}?verdict=dropped`);
    await tab.page.getByText("2/2 nodes").waitFor();
    await lab.kubectl.run(["apply", "-f", join(root, "test/lab/manifests/deny-server.yaml")]);
    // In the page, so that no time of the test's own is counted.
    const seenMs = tab.page.evaluate(
      () =>
        new Promise<number>((resolve) => {
          const look = (): void => {
            const isInTable = document.querySelector(".row.dropped[data-uuid]") !== null;
            const isOnMap = document.querySelector<HTMLCanvasElement>(".map canvas")?.dataset.dropped !== "0";
            if (isInTable && isOnMap) resolve(Date.now());
            else setTimeout(look, 5);
          };
          look();
        }),
    );
    let sentMs = 0;
    await eventually(async () => {
      sentMs = Date.now();
      assert.equal(await ask(), false);
    });
    const delayMs = (await seenMs) - sentMs;
    assert.ok(delayMs < 1_000, `the drop was seen ${delayMs} ms after its packet`);
    console.log(`a drop was seen ${delayMs} ms after its packet`);
    await tab.page.locator(".row.dropped").first().click();
    await tab.page.getByText("default/client").first().waitFor();
    await tab.page
      .locator("dd", { hasText: /no policy allows it|denied by/ })
      .first()
      .waitFor();
    await tab.picture("lab-drop");
  });

  test("says which rules decide about a drop, and the smallest policy that would allow it", async () => {
    await using tab = await Tab.open(browser, `${lab.uiUrl}?verdict=dropped&tab=flows`);
    const { page } = tab;
    await page.locator(".row.dropped").first().click();
    await page.getByRole("heading", { name: "The smallest policy that would allow it" }).waitFor();
    const remedy = await page.locator(".why pre").first().textContent();
    assert.match(remedy ?? "", /kind: CiliumNetworkPolicy[\s\S]*app: client/);
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("why");
  });

  test("lists policies with what they choose, tells problems while one is written, and what it would change", async () => {
    await using tab = await Tab.open(browser, `${lab.uiUrl}?tab=policies`);
    const { page } = tab;
    await page.locator("tbody tr", { hasText: "deny-server" }).getByText("default/server").waitFor();
    await page.locator("tbody tr", { hasText: "deny-server" }).getByRole("button").click();
    await eventually(async () => assert.match(await tab.editorText(), /name: deny-server/));
    await page.getByRole("button", { name: "What if it were deleted?" }).click();
    await page.getByText(/flows would get another verdict/).waitFor();
    await tab.picture("what-if");
    const fieldName = page.locator(".cm-line", { hasText: "endpointSelector" }).locator("span").first();
    await fieldName.hover();
    await page.locator(".field-help").getByText("endpointSelector: object").waitFor();
    await tab.picture("field-help");
    await fieldName.dblclick();
    await page.keyboard.type("endpointSelecter");
    await page.keyboard.press("Escape");
    await page
      .getByLabel("Problems")
      .getByText(/endpointSelect/)
      .first()
      .waitFor();
    await page.locator(".cm-lint-marker-error").first().waitFor();
    await page.getByLabel("Problems").getByRole("button").first().click();
    await page.keyboard.press("F8");
    await page
      .locator(".cm-tooltip, .cm-panel")
      .getByText(/endpointSelect/)
      .first()
      .waitFor();
    await tab.picture("policy-problem");
    await page.reload();
    await eventually(async () => assert.match(await tab.editorText(), /endpointSelecter/));
    await page.getByRole("button", { name: "Undo all changes" }).click();
    await eventually(async () => assert.equal(await page.locator(".findings .error").count(), 0));
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("policies");
  });

  test("completes a policy from the schemas by which it will be judged, by keyboard alone", async () => {
    await using tab = await Tab.open(browser, `${lab.uiUrl}?tab=policies`);
    const { page } = tab;
    await page.locator(".cm-content").focus();
    const choose = async (typed: string, choice: string): Promise<void> => {
      await page.keyboard.type(typed);
      await page.locator(".cm-tooltip-autocomplete [aria-selected]", { hasText: choice }).waitFor();
      // What comes at once after the list shows is not taken for a choice.
      await page.waitForTimeout(100);
      await page.keyboard.press("Enter");
    };
    await page.keyboard.press("Control+Space");
    await choose("CiliumNet", "CiliumNetworkPolicy");
    await choose("endp", "endpointSelector");
    await tab.picture("completion");
    await choose("matchL", "matchLabels");
    await page.keyboard.type("app: server");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Shift+Tab");
    await choose("ingress", "ingress");
    await choose("fromEnt", "fromEntities");
    await choose("wor", "world");
    const written = `spec:
  endpointSelector:
    matchLabels:
      app: server
  ingress:
    - fromEntities:
        - world`;
    await eventually(async () => assert.ok((await tab.editorText()).endsWith(written), await tab.editorText()));
    await eventually(async () => assert.deepEqual(await page.locator(".findings .error").allTextContents(), []));
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      assert.deepEqual(await tab.violations(), []);
      await tab.picture(`editor-${colorScheme}`);
    }
    await page.keyboard.press("Escape");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.closest(".cm-editor") === null), true);
    assert.ok((await tab.editorText()).endsWith(written));
    await page.getByRole("button", { name: "Undo all changes" }).click();
    assert.deepEqual(tab.errors, []);
  });

  test("suggests the policies that a namespace's flows need", async () => {
    await lab.kubectl.run(["delete", "-f", join(root, "test/lab/manifests/deny-server.yaml")]);
    await eventually(async () => assert.ok(await ask()));
    await using tab = await Tab.open(browser, `${lab.uiUrl}?tab=policies`);
    const { page } = tab;
    await page.getByRole("button", { name: "Suggest from flows" }).click();
    await eventually(async () => assert.match(await tab.editorText(), /port: "8080"/));
    await page.getByRole("button", { name: "Replay 15 minutes" }).click();
    await page.getByLabel("What would change").waitFor();
    await page.reload();
    await eventually(async () => assert.match(await tab.editorText(), /port: "8080"/));
    await tab.picture("suggest");
    assert.deepEqual(tab.errors, []);
  });

  test("applies a policy to the cluster, and takes it away again", async () => {
    await eventually(async () => assert.ok(await ask()));
    await using tab = await Tab.open(browser, `${lab.uiUrl}?tab=policies`);
    const { page } = tab;
    await page.getByLabel("Policy as YAML").fill(readFileSync(join(root, "test/lab/manifests/deny-server.yaml"), "utf8"));
    await page.getByRole("button", { name: "Apply…" }).click();
    await page.getByText("would be created").waitFor();
    await page.getByRole("button", { name: "Apply now" }).click();
    await page.getByText("CiliumNetworkPolicy/default/deny-server: applied.").waitFor();
    await eventually(async () => assert.equal(await ask(), false));
    await page.getByRole("button", { name: "Delete…" }).click();
    await page.getByRole("button", { name: "Delete it now" }).click();
    await page.getByText("CiliumNetworkPolicy/default/deny-server: deleted.").waitFor();
    await eventually(async () => assert.ok(await ask()));
    assert.deepEqual(tab.errors, []);
  });

  test("says of a policy what it decided, and of a drop which policy that was, with a way to its text", async () => {
    // A rule that denies, which flows name; where nothing allows, no rule has decided.
    const path = join(mkdtempSync(join(tmpdir(), "ui-policy-")), "policy.json");
    const spec = {
      endpointSelector: { matchLabels: { app: "server" } },
      ingressDeny: [{ fromEndpoints: [{ matchLabels: { app: "client" } }] }],
    };
    const metadata = { namespace: "default", name: "deny-client" };
    writeFileSync(path, JSON.stringify({ apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", metadata, spec }));
    await lab.kubectl.run(["apply", "-f", path]);
    await eventually(async () => assert.equal(await ask(), false));
    await using tab = await Tab.open(browser, `${lab.uiUrl}?tab=policies`);
    const { page } = tab;
    const hits = page.locator("tbody tr", { hasText: "deny-client" }).locator("td.dropped");
    await eventually(async () => assert.ok(Number(await hits.textContent()) > 0), { deadlineMs: 15_000 });
    await page.goto(`${lab.uiUrl}?tab=flows&verdict=dropped&flows-filter=policy-name%3Ddeny-client`);
    await page.locator(".row.dropped").first().click();
    await page.locator(".why button.link", { hasText: "deny-client" }).click();
    await eventually(async () => assert.match(await tab.editorText(), /name: deny-client/));
    await lab.kubectl.run(["delete", "-f", path]);
    assert.deepEqual(tab.errors, []);
  });

  test("shows a range of the past from Hubble's history", async () => {
    await using tab = await Tab.open(browser, `${lab.uiUrl}?tab=flows&namespace=default`);
    const { page } = tab;
    await page.getByRole("button", { name: /^Time/ }).click();
    await page.getByRole("button", { name: "Last 15 minutes" }).click();
    await eventually(async () => assert.ok((await page.locator(".row[data-uuid]").count()) > 3));
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("range");
  });

  test("tells of a node that is gone, and goes on with the others", async () => {
    await using tab = await Tab.open(browser, lab.uiUrl);
    await tab.page.getByText("2/2 nodes").waitFor();
    await lab.killAgent("node2");
    await tab.page.getByText(/Flows of .*node2.* are missing/).waitFor({ timeout: 30_000 });
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("node-gone");
    lab.startAgent("node2");
    await lab.waitForAgent("node2");
    await tab.page.getByText("2/2 nodes").waitFor({ timeout: 30_000 });
  });
});
