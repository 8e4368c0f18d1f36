import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import type { Browser, Page } from "playwright-core";
import { BackendProcess } from "./backend-process.ts";
import { launchChromium, Tab } from "./browser.ts";
import { bigCluster, openReplay } from "./replay/open-replay.ts";
import { ReplayHubble } from "./replay/replay-hubble.ts";

const root = join(import.meta.dirname, "../../..");
const smallCluster = { ...bigCluster, services: 40, links: 120, namespaces: 3, flowsPerSecond: 100 };

let browser: Browser;
let hubble: ReplayHubble;
let backend: BackendProcess;

before(async () => {
  browser = await launchChromium();
  hubble = await ReplayHubble.start(openReplay(smallCluster));
  backend = await BackendProcess.start({ root, hubbleAddress: hubble.address, port: 0 });
});
after(async () => {
  await browser?.close();
  await backend?.[Symbol.asyncDispose]();
  await hubble?.[Symbol.asyncDispose]();
});

async function open(search = "", size?: { width: number; height: number }): Promise<Tab> {
  const tab = await Tab.open(browser, `${backend.url}${search}`, size);
  await tab.page.getByText("Live", { exact: true }).first().waitFor();
  return tab;
}

const firstRow = (page: Page) => page.locator(".row[data-uuid]").first();

suite("Hubble UI in Chromium, over a made cluster", () => {
  test("draws the service map and lists flows, drops among them", async () => {
    await using tab = await open();
    await eventually(async () => assert.deepEqual(await tab.drawn(), { cards: 40, edges: 120 }));
    await tab.page.locator(".row.dropped").first().waitFor();
    await tab.picture("map");
    assert.deepEqual(tab.errors, []);
  });

  for (const theme of ["light", "dark"] as const) {
    for (const tabName of ["map", "services", "flows"] as const) {
      test(`has nothing that axe finds on the ${tabName} tab in ${theme} colours`, async () => {
        await using tab = await open(`?tab=${tabName}`);
        await tab.page.emulateMedia({ colorScheme: theme });
        await eventually(async () =>
          assert.ok((await tab.page.locator(tabName === "services" ? "tbody tr" : ".row[data-uuid]").count()) > 5),
        );
        assert.deepEqual(await tab.violations(), []);
        await tab.picture(`${tabName}-${theme}`);
      });
    }
  }

  test("filters by what is typed, with completion, and the address shows the same to a colleague", async () => {
    await using tab = await open();
    const { page } = tab;
    await page.keyboard.press("/");
    await page.keyboard.type("to:po");
    await page.getByRole("option", { name: "to:port=" }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.keyboard.type("5432");
    await page.keyboard.press("Enter");
    await page.getByText("to:port=5432").waitFor();
    assert.match(page.url(), /flows-filter=to%3Aport%3D5432/);
    await eventually(async () => {
      const texts = await page.locator(".row[data-uuid] > span:nth-child(4)").allTextContents();
      assert.ok(texts.length > 3 && texts.every((text) => text.startsWith("5432 ")), texts.join());
    });
    await using colleague = await Tab.open(browser, page.url());
    await colleague.page.getByText("to:port=5432").waitFor();
    await page.goBack();
    await eventually(async () => assert.equal(await page.locator(".tag").count(), 0));
    assert.deepEqual(tab.errors, []);
  });

  test("says what is wrong with a term, and keeps what was typed", async () => {
    await using tab = await open();
    await tab.page.getByLabel("Filter flows").fill("identity=web");
    await tab.page.keyboard.press("Enter");
    await tab.page.getByText("an identity is a number").waitFor();
    assert.equal(await tab.page.getByLabel("Filter flows").inputValue(), "identity=web");
  });

  test("filters by any value that is clicked, and leaves out by its minus", async () => {
    await using tab = await open("?verdict=dropped");
    const { page } = tab;
    await firstRow(page).click();
    const details = page.getByRole("complementary", { name: "Details" });
    await details
      .getByText(/^k8s:app=/)
      .first()
      .click();
    await eventually(async () => assert.equal(await page.locator(".tag").count(), 1));
    await details.getByRole("button", { name: /^Leave out from:pod=/ }).click();
    await eventually(async () => assert.equal(await page.locator(".tag.negative").count(), 1));
  });

  test("shows one namespace, or several as islands, or those with some verdict", async () => {
    await using tab = await open();
    const { page } = tab;
    await page.getByRole("button", { name: /^Namespaces/ }).click();
    await page.getByRole("searchbox").fill("pay");
    await page.getByRole("checkbox", { name: /^pay/ }).check();
    await eventually(async () => assert.ok((await tab.drawn()).edges < 120));
    assert.match(page.url(), /namespace=pay/);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: /^Verdicts/ }).click();
    await page.getByRole("checkbox", { name: "dropped" }).check();
    await eventually(async () => assert.equal(await page.locator(".row[data-uuid]:not(.dropped)").count(), 0));
  });

  test("pauses and goes on", async () => {
    await using tab = await open();
    const { page } = tab;
    await firstRow(page).waitFor();
    await page.keyboard.press("p");
    const uuid = await firstRow(page).getAttribute("data-uuid");
    await page.getByRole("button", { name: /Resume \(\d+ new\)/ }).waitFor();
    assert.equal(await firstRow(page).getAttribute("data-uuid"), uuid);
    await page.keyboard.press("p");
    await eventually(async () => assert.notEqual(await firstRow(page).getAttribute("data-uuid"), uuid));
  });

  test("shows every field of a flow, and why it was dropped", async () => {
    await using tab = await open("?verdict=dropped");
    const { page } = tab;
    await page.keyboard.press("p");
    await firstRow(page).click();
    await page.getByText("Every field").click();
    await page.getByText('"drop_reason_desc": "POLICY_DENIED"').waitFor();
    await page
      .locator("dd", { hasText: /^denied by .*-ingress$/ })
      .first()
      .waitFor();
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("flow-details");
    await page.keyboard.press("Escape");
    await eventually(async () => assert.equal(await page.locator(".details").count(), 0));
  });

  test("is gone through by keyboard alone: from card to card, details, focus, hide, pin", async () => {
    await using tab = await open();
    const { page } = tab;
    await eventually(async () => assert.equal((await tab.drawn()).cards, 40));
    await page.getByRole("application").focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    const details = page.getByRole("complementary", { name: "Details" });
    await details.getByRole("heading", { name: "Service", exact: true }).waitFor();
    assert.deepEqual(await tab.violations(), []);
    await details.getByRole("button", { name: "Pin" }).press("Enter");
    assert.match(page.url(), /pin=/);
    await details.getByRole("button", { name: "Focus" }).press("Enter");
    await eventually(async () => assert.ok((await tab.drawn()).cards < 30));
    await tab.picture("focus");
    await page.getByRole("button", { name: "Leave focus" }).press("Enter");
    await details.getByRole("button", { name: "Hide" }).press("Enter");
    await eventually(async () => assert.equal((await tab.drawn()).cards, 39));
    await page.getByRole("button", { name: "Show 1 hidden" }).press("Enter");
    await eventually(async () => assert.equal((await tab.drawn()).cards, 40));
    assert.deepEqual(tab.errors, []);
  });

  test("shows a link with its counts, rates, requests and reasons", async () => {
    await using tab = await open("?tab=services");
    const { page } = tab;
    await page.getByRole("button", { name: "Drops" }).click();
    await page.locator("tbody tr th button").first().click();
    await page.locator(".neighbours button").first().click();
    await page.getByRole("heading", { name: "Link", exact: true }).waitFor();
    await page.locator(".counts tbody tr").first().waitFor();
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("link-details");
  });

  test("is zoomed, moved and brought back by pointer and wheel", async () => {
    await using tab = await open("?namespace=pay");
    const { page } = tab;
    await eventually(async () => assert.ok((await tab.drawn()).cards > 10));
    const canvas = page.locator(".map canvas");
    const picture = () => canvas.evaluate((element: HTMLCanvasElement) => element.toDataURL());
    await page.keyboard.press("p");
    const whole = await picture();
    await page.getByRole("button", { name: "Zoom in" }).click();
    await eventually(async () => assert.notEqual(await picture(), whole));
    const box = await canvas.boundingBox();
    assert.ok(box);
    await page.mouse.move(box.x + box.width / 2, box.y + box.height - 60);
    const before = await picture();
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2 + 90, box.y + box.height - 100, { steps: 4 });
    await page.mouse.up();
    await eventually(async () => assert.notEqual(await picture(), before));
    const moved = await picture();
    await page.mouse.wheel(0, 300);
    await eventually(async () => assert.notEqual(await picture(), moved));
    await page.getByRole("button", { name: "Tidy" }).click();
    await page.getByRole("button", { name: "Fit" }).click();
    assert.deepEqual(tab.errors, []);
  });

  for (const [menu, item, file, pattern] of [
    ["Service map", "Map as SVG", "hubble-map.svg", /^<svg .*<\/svg>$/s],
    ["Service map", "Map as PNG", "hubble-map.png", /^.PNG/],
    ["Flows", "These flows as CSV", "flows.csv", /^Time,Source,Destination,Port,Verdict,Reason,Summary\r\n/],
    ["Flows", "These flows as JSON lines", "flows.jsonl", /^\{"uuid":"made-/],
  ] as const) {
    test(`saves ${file}`, async () => {
      await using tab = await open();
      const { page } = tab;
      await firstRow(page).waitFor();
      await eventually(async () => assert.equal((await tab.drawn()).edges, 120));
      await page.getByRole("region", { name: menu }).getByRole("button", { name: "Export" }).click();
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("menuitem", { name: item }).click()]);
      assert.equal(download.suggestedFilename(), file);
      assert.match(readFileSync(await download.path(), "latin1"), pattern);
    });
  }

  test("shows a range of the past, and goes back to now", async () => {
    await using tab = await open();
    const { page } = tab;
    await page.getByRole("button", { name: /^Time/ }).click();
    await page.getByRole("button", { name: "Last 15 minutes" }).click();
    await eventually(async () => assert.ok((await page.locator(".row[data-uuid]").count()) > 5));
    assert.match(page.url(), /since=.*until=/);
    assert.equal(await page.getByRole("button", { name: "Pause" }).count(), 0);
    await page.reload();
    await eventually(async () => assert.ok((await page.locator(".row[data-uuid]").count()) > 5));
    await page.getByRole("button", { name: /^Time/ }).click();
    await page.getByRole("button", { name: "Live", exact: true }).click();
    await page.getByRole("button", { name: "Pause" }).waitFor();
  });

  test("keeps filters under a name", async () => {
    await using tab = await open("?flows-filter=to:port=5432&tab=flows");
    const { page } = tab;
    await page.getByRole("button", { name: /^Saved filters/ }).click();
    await page.getByLabel("Save this as").fill("databases");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Remove the filter to:port=5432" }).click();
    await page.getByRole("button", { name: /^Saved filters/ }).click();
    await page.getByRole("button", { name: "databases", exact: true }).click();
    await page.getByText("to:port=5432").waitFor();
  });

  test("has columns to choose, and the address knows them", async () => {
    await using tab = await open("?tab=flows");
    const { page } = tab;
    await page.getByRole("button", { name: "Columns" }).click();
    await page.getByRole("checkbox", { name: "TCP flags" }).check();
    await page.getByRole("columnheader", { name: "TCP flags" }).waitFor();
    assert.match(page.url(), /columns=.*flags/);
  });

  test("explains its keys, and changes its colours", async () => {
    await using tab = await open();
    const { page } = tab;
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard help" }).waitFor();
    assert.deepEqual(await tab.violations(), []);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: /^Theme: system/ }).click();
    await page.getByRole("button", { name: /^Theme: light/ }).click();
    assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
    await page.reload();
    await eventually(async () => assert.equal(await page.locator("html").getAttribute("data-theme"), "dark"));
    await page.keyboard.press("3");
    await eventually(() => assert.match(page.url(), /tab=flows/));
  });

  test("can be used on a phone", async () => {
    await using tab = await open("", { width: 390, height: 844 });
    const { page } = tab;
    await firstRow(page).click();
    await page.getByRole("complementary", { name: "Details" }).waitFor();
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(overflow, 0);
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("phone");
  });

  for (const width of [1_280, 3_840]) {
    test(`fits a screen of ${width} pixels`, async () => {
      await using tab = await open("", { width, height: Math.round(width * 0.56) });
      await eventually(async () => assert.equal((await tab.drawn()).cards, 40));
      const overflow = await tab.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(overflow, 0);
      await tab.picture(`width-${width}`);
    });
  }
});

suite("when something is wrong, Hubble UI", () => {
  test("opens a damaged link with what could be read, and says what could not", async () => {
    await using tab = await open("?verdict=perhaps&tab=moon&flows-filter=port%3Dx&namespace=pay");
    await tab.page.getByText(/Part of the address could not be read: verdict: there is no "perhaps"/).waitFor();
    await eventually(async () => assert.ok((await tab.drawn()).cards > 5));
    assert.deepEqual(await tab.violations(), []);
    await tab.page.getByRole("button", { name: "Understood" }).click();
    assert.equal(await tab.page.locator(".banner").count(), 0);
  });

  test("says that a namespace is gone, or quiet", async () => {
    await using tab = await open("?namespace=gone");
    await tab.page.getByText(/No flows of gone have been seen/).waitFor();
    await tab.page.getByText("Show everything").click();
    await eventually(async () => assert.equal((await tab.drawn()).cards, 40));
  });

  test("starts without a relay, says so, and shows flows as soon as there is one", async () => {
    await using late = await ReplayHubble.start(openReplay(smallCluster));
    const { address } = late;
    await late[Symbol.asyncDispose]();
    await using alone = await BackendProcess.start({ root, hubbleAddress: address, port: 0 });
    await using tab = await Tab.open(browser, alone.url);
    await tab.page.getByText(/The backend cannot reach Hubble/).waitFor();
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("no-relay");
    await using back = await ReplayHubble.start(openReplay(smallCluster), address);
    await eventually(async () => assert.equal((await tab.drawn()).cards, 40), { deadlineMs: 20_000 });
    await eventually(async () => assert.equal(await tab.page.locator(".banner").count(), 0));
    assert.ok(back.address);
  });

  test("keeps what it knows while the backend is away, loses nothing that was typed, and goes on", async () => {
    const first = await BackendProcess.start({ root, hubbleAddress: hubble.address, port: 0 });
    await using tab = await Tab.open(browser, first.url);
    const { page } = tab;
    await eventually(async () => assert.equal((await tab.drawn()).cards, 40));
    await page.getByLabel("Filter flows").fill("to:pod=half-wr");
    await first[Symbol.asyncDispose]();
    await page.getByText(/The connection to the backend was lost/).waitFor();
    assert.equal((await tab.drawn()).cards, 40);
    assert.equal(await page.getByLabel("Filter flows").inputValue(), "to:pod=half-wr");
    assert.deepEqual(await tab.violations(), []);
    await tab.picture("no-backend");
    await using again = await BackendProcess.start({ root, hubbleAddress: hubble.address, port: Number(new URL(first.url).port) });
    await page.getByText("Live", { exact: true }).first().waitFor({ timeout: 20_000 });
    await eventually(async () => assert.equal(await page.locator(".banner").count(), 0));
    assert.equal(await page.getByLabel("Filter flows").inputValue(), "to:pod=half-wr");
    assert.equal(again.url, first.url);
  });

  test("asks for a reload when the backend is of another version", async () => {
    await using tab = await Tab.open(browser, "about:blank");
    await tab.page.route("**/api/view*", async (route) => {
      const state = {
        connection: "connected",
        reason: "",
        retryInMs: 0,
        connectedNodes: 1,
        unavailableNodes: ["node7"],
        flowsPerSecond: 0,
        lostEvents: 12,
        version: "",
      };
      const map = { services: [], links: [], counts: [], removedServices: [], removedLinks: [] };
      const message = { position: "1", isStart: true, map, flows: [], skippedFlows: 0, state, namespaces: [], notes: [], build: "99.0.0" };
      await route.fulfill({ contentType: "application/x-ndjson", body: `${JSON.stringify(message)}\n` });
    });
    await tab.page.goto(backend.url);
    await tab.page.getByText(/The backend is version 99\.0\.0/).waitFor();
    await tab.page.getByText(/Flows of node7 are missing/).waitFor();
    await tab.page.getByText("12 events lost").waitFor();
  });

  test("lets policies be written in an old tab after an upgrade, whose editor is gone, and loses nothing", async () => {
    await using tab = await Tab.open(browser, "about:blank");
    const { page } = tab;
    await page.route("**/assets/open-editor-*", (route) => route.fulfill({ status: 404, body: "gone" }));
    await page.goto(`${backend.url}?tab=policies`);
    await page.getByText(/Completion could not be loaded/).waitFor();
    await page.getByLabel("Policy as YAML").fill("kind: Half");
    await page.unroute("**/assets/open-editor-*");
    await page.reload();
    await eventually(async () => assert.equal(await tab.editorText(), "kind: Half"));
    assert.deepEqual(await tab.violations(), []);
    await page.setViewportSize({ width: 390, height: 844 });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(overflow, 0);
    await tab.picture("editor-phone");
  });

  test("says to a user without rights what is missing", async () => {
    await using tab = await Tab.open(browser, "about:blank");
    await tab.page.route("**/api/view*", (route) =>
      route.fulfill({ status: 403, json: { problem: "ann may see no namespace: ask who runs this page for access" } }),
    );
    await tab.page.goto(backend.url);
    await tab.page.getByText(/ann may see no namespace/).waitFor();
    await tab.page.getByRole("button", { name: "Try again" }).waitFor();
    assert.deepEqual(await tab.violations(), []);
  });
});
