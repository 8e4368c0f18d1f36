import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { eventually, freePort } from "@cilium-ts/testing";
import { RunningProvider } from "@cilium-ts/ui-backend/testing";
import type { Browser } from "playwright-core";
import { BackendProcess } from "./backend-process.ts";
import { launchChromium, Tab } from "./browser.ts";
import { bigCluster, openReplay } from "./replay/open-replay.ts";
import { ReplayHubble } from "./replay/replay-hubble.ts";

const root = join(import.meta.dirname, "../../..");
const folder = mkdtempSync(join(tmpdir(), "ui-page-sign-in-"));

let browser: Browser;
let hubble: ReplayHubble;
let provider: RunningProvider;
let backend: BackendProcess;
let url: string;

before(async () => {
  browser = await launchChromium();
  hubble = await ReplayHubble.start(openReplay({ ...bigCluster, services: 10, links: 20, namespaces: 2, flowsPerSecond: 10 }));
  provider = await RunningProvider.start();
  const port = await freePort();
  url = `http://127.0.0.1:${port}/hubble/`;
  provider.serve(url);
  const access = join(folder, "access.json");
  const secret = join(folder, "secret");
  writeFileSync(access, JSON.stringify({ users: { ann: ["*"] } }));
  writeFileSync(secret, provider.clientSecret);
  const environment = {
    UI_BASE_PATH: "/hubble/",
    UI_PUBLIC_URL: url,
    UI_OIDC_ISSUER: provider.issuer,
    UI_OIDC_CLIENT_SECRET_FILE: secret,
    UI_ACCESS_FILE: access,
  };
  backend = await BackendProcess.start({ root, hubbleAddress: hubble.address, port, environment });
});
after(async () => {
  await browser?.close();
  await backend?.[Symbol.asyncDispose]();
  await provider?.[Symbol.asyncDispose]();
  await hubble?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

suite("signing in to the page, under a sub-path, at a real OpenID provider", () => {
  test("who is not signed in is asked to, and comes back to the view that was asked for", async () => {
    await using tab = await Tab.open(browser, `${url}?tab=services`);
    const { page } = tab;
    const link = page.getByRole("link", { name: "Sign in", exact: true });
    await link.waitFor();
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("signed-out");
    await link.focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(`${url}?tab=services`);
    await page.getByText("Live", { exact: true }).first().waitFor();
    const who = page.getByRole("button", { name: "Signed in as: ann" });
    await who.focus();
    await page.keyboard.press("Enter");
    await page.getByText("You see all namespaces.").waitFor();
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("signed-in");
    await page.getByRole("button", { name: "Sign out" }).waitFor();
    assert.deepEqual(tab.errors, []);
  });

  test("a session that ends while somebody writes is told; signing in beside it loses nothing, and the page goes on", async () => {
    await using tab = await Tab.open(browser, `${url}auth/sign-in?to=${encodeURIComponent("?tab=policies")}`);
    const { page } = tab;
    await page.getByText("Live", { exact: true }).first().waitFor();
    await page.locator(".cm-content").waitFor();
    await page.getByLabel("Policy as YAML").fill("kind: Half of a policy");
    await page.context().clearCookies();
    await page.getByLabel("Policy as YAML").press("End");
    await page.keyboard.type(", and more");
    const link = page.getByRole("link", { name: "Sign in in a new tab" });
    await link.waitFor();
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("session-over");
    const [second] = await Promise.all([page.context().waitForEvent("page"), link.click()]);
    await second.waitForURL(`${url}?tab=policies`);
    await second.close();
    await eventually(async () => assert.equal(await page.getByText("You are not signed in").count(), 0));
    await page.getByText("Live", { exact: true }).first().waitFor();
    assert.match(await tab.editorText(), /Half of a policy, and more/);
    await eventually(async () => assert.equal(await page.getByText("sign in first").count(), 0));
  });

  test("who signs out is signed out, and a provider that is away is a sentence and no blank page", async () => {
    await using tab = await Tab.open(browser, `${url}auth/sign-in`);
    const { page } = tab;
    await page.getByRole("button", { name: "Signed in as: ann" }).click();
    const left = page.waitForURL(/\/session\/end/);
    await page.getByRole("button", { name: "Sign out" }).click();
    await left;
    await page.goto(url);
    await page.getByRole("link", { name: "Sign in", exact: true }).waitFor();
    const { port } = provider;
    await provider.goAway();
    await page.goto(`${url}auth/callback?code=x&state=y`);
    await page.getByText("this sign-in was not begun in this browser").waitFor();
    assert.deepEqual(await tab.violations(), []);
    await provider.listen(port);
    await page.getByRole("link", { name: "Try again" }).click();
    await page.getByText("Live", { exact: true }).first().waitFor();
  });
});
