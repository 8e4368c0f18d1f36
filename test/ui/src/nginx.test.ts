import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { eventually, freePort, requireKernel } from "@cilium-ts/testing";
import { buildUiRoot, uiRoot } from "@cilium-ts/tools/build-ui-image";
import { RunningProvider } from "@cilium-ts/ui-backend/testing";
import type { Browser } from "playwright-core";
import { BackendProcess } from "./backend-process.ts";
import { launchChromium, Tab } from "./browser.ts";
import { NginxProcess } from "./nginx-process.ts";
import { bigCluster, openReplay } from "./replay/open-replay.ts";
import { ReplayHubble } from "./replay/replay-hubble.ts";

const root = join(import.meta.dirname, "../../..");
const smallCluster = { ...bigCluster, services: 40, links: 120, namespaces: 3, flowsPerSecond: 100 };

suite("Hubble UI's image, read-only and without rights, with the backend under a path", { skip: requireKernel() }, () => {
  let browser: Browser;
  let hubble: ReplayHubble;
  let backend: BackendProcess;
  let nginx: NginxProcess;
  let origin: string;

  before(async () => {
    await buildUiRoot(() => {});
    hubble = await ReplayHubble.start(openReplay(smallCluster));
    backend = await BackendProcess.start({ root, hubbleAddress: hubble.address, port: 0, environment: { UI_BASE_PATH: "/hubble/" } });
    nginx = await NginxProcess.start(uiRoot, Number(new URL(backend.url).port));
    origin = `http://127.0.0.1:${nginx.port}`;
    browser = await launchChromium();
  });
  after(async () => {
    await browser?.close();
    await nginx?.[Symbol.asyncDispose]();
    await backend?.[Symbol.asyncDispose]();
    await hubble?.[Symbol.asyncDispose]();
  });

  test("shows the map, and flows as they come, with nothing that the page's own rules forbid", async () => {
    await using tab = await Tab.open(browser, `${origin}/hubble/?namespace=pay`);
    await eventually(async () => assert.ok((await tab.drawn()).cards > 5));
    const newest = tab.page.locator(".row[data-uuid]").first();
    const uuid = await newest.getAttribute("data-uuid");
    await eventually(async () => assert.notEqual(await newest.getAttribute("data-uuid"), uuid));
    await tab.page.keyboard.press("4");
    await tab.page.locator(".cm-content").waitFor();
    assert.deepEqual(tab.errors, []);
    await tab.picture("nginx");
  });

  test("serves what never changes for ever, and the page as the backend itself would", async () => {
    const html = await (await fetch(`${origin}/hubble/`)).text();
    const [, asset] = /src="(assets\/main-[^"]+)"/.exec(html) ?? [];
    const script = await fetch(`${origin}/hubble/${asset}`, { headers: { "accept-encoding": "gzip" } });
    assert.equal(script.headers.get("cache-control"), "public, max-age=31536000, immutable");
    assert.equal(script.headers.get("content-encoding"), "gzip");
    assert.match(script.headers.get("content-type") ?? "", /javascript/);
    const [ours, theirs] = await Promise.all([fetch(`${origin}/hubble/`), fetch(`${new URL(backend.url).origin}/hubble/`)]);
    for (const name of ["content-security-policy", "x-content-type-options", "referrer-policy", "cache-control", "content-type"])
      assert.equal(ours.headers.get(name), theirs.headers.get(name), name);
    assert.equal(ours.headers.get("server"), "nginx");
  });

  for (const [path, status, expected] of [
    ["/healthz", 200, /^ok/],
    ["/hubble", 308, /\/hubble\/$/],
    ["/hubble?namespace=pay", 308, /\/hubble\/\?namespace=pay$/],
    ["/hubble/assets/main-OLDOLDOL.js", 404, /load it again/],
    ["/hubble/api/nothing", 404, /there is no api\/nothing/],
    ["/hubble/api/who", 200, /"user":""/],
    ["/elsewhere/api/who", 404, /the page is at \/hubble\//],
  ] as const) {
    test(`answers ${path} with ${status}`, async () => {
      const response = await fetch(`${origin}${path}`, { redirect: "manual" });
      assert.equal(response.status, status);
      assert.match(status === 308 ? (response.headers.get("location") ?? "") : await response.text(), expected);
    });
  }

  test("lets people sign in, also with as many groups as a session holds", async () => {
    await using opened = new AsyncDisposableStack();
    const provider = opened.use(await RunningProvider.start());
    const groups = Array.from({ length: 150 }, (_, index) => `a-group-with-a-rather-long-name-${index}`);
    provider.person = { sub: "ann", groups };
    const port = await freePort();
    const front = opened.use(await NginxProcess.start(uiRoot, port));
    const url = `http://127.0.0.1:${front.port}/hubble/`;
    provider.serve(url);
    const folder = mkdtempSync(join(tmpdir(), "ui-nginx-sign-in-"));
    opened.defer(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, "access.json"), JSON.stringify({ users: { ann: ["*"] } }));
    writeFileSync(join(folder, "secret"), provider.clientSecret);
    const environment = {
      UI_BASE_PATH: "/hubble/",
      UI_PUBLIC_URL: url,
      UI_OIDC_ISSUER: provider.issuer,
      UI_OIDC_SCOPES: "openid groups",
      UI_OIDC_CLIENT_SECRET_FILE: join(folder, "secret"),
      UI_ACCESS_FILE: join(folder, "access.json"),
    };
    opened.use(await BackendProcess.start({ root, hubbleAddress: hubble.address, port, environment }));
    await using tab = await Tab.open(browser, url);
    await tab.page.getByRole("link", { name: "Sign in", exact: true }).click();
    await tab.page.getByRole("button", { name: "Signed in as: ann" }).waitFor();
    const cookies = await tab.page.context().cookies(url);
    assert.ok(cookies.filter(({ name }) => name.startsWith("hubble-ui-session")).length > 1, "the session has several pieces");
    await tab.page.getByText("Live", { exact: true }).first().waitFor();
  });

  test("runs as nobody, and complains of nothing", () => {
    assert.match(readFileSync(`/proc/${nginx.pid}/status`, "utf8"), /^Uid:\s+65532\s+65532/m);
    assert.equal(nginx.said, "");
  });

  test("keeps serving the page while the backend is away, which then says so and goes on", async () => {
    await using tab = await Tab.open(browser, `${origin}/hubble/`);
    await eventually(async () => assert.equal((await tab.drawn()).cards, 40));
    await backend[Symbol.asyncDispose]();
    await tab.page.getByText(/The connection to the backend was lost/).waitFor();
    await tab.page.reload();
    await tab.page.getByText(/the backend cannot be reached/).waitFor();
    const environment = { UI_BASE_PATH: "/hubble/" };
    backend = await BackendProcess.start({ root, hubbleAddress: hubble.address, port: Number(new URL(backend.url).port), environment });
    await eventually(async () => assert.equal((await tab.drawn()).cards, 40), { deadlineMs: 20_000 });
  });
});
