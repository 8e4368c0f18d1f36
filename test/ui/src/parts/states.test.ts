import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import { madeMessage } from "@cilium-ts/ui/testing";
import type { Browser } from "playwright-core";
import { launchChromium } from "../browser.ts";
import { shopMessage } from "./made-messages.ts";
import { openTold, type Told } from "./told-page.ts";

const { build, state } = shopMessage();

suite("the page, told by a test what a backend would say,", () => {
  let browser: Browser;
  before(async () => {
    browser = await launchChromium();
  });
  after(() => browser?.close());

  const nobody = { ...madeMessage({ isStart: true, build }), flows: [] };
  const shown: readonly (readonly [what: string, search: string, told: Told, text: RegExp])[] = [
    ["says that it waits, before the first answer", "", {}, /Waiting for the first answer/],
    ["says what to do while nobody talks", "", { view: [nobody] }, /Flows show here as pods talk/],
    ["offers everything when a filter lets nothing through", "?verdict=audit", { view: [nobody] }, /that the filter lets through/],
    [
      "says that it looks through the past",
      "?since=2026-01-01T03:00:00Z&until=2026-01-01T04:00:00Z",
      { view: [nobody] },
      /Looking through/,
    ],
    [
      "says that a range is empty",
      "?since=2026-01-01T03:00:00Z&until=2026-01-01T04:00:00Z",
      { view: [{ ...nobody, isComplete: true }] },
      /Hubble has no flow of this time/,
    ],
    [
      "names the nodes whose flows are missing, and counts those beyond five",
      "",
      { view: [shopMessage({ state: { ...state, unavailableNodes: ["n1", "n2", "n3", "n4", "n5", "n6", "n7"] } })] },
      /Flows of n1, n2, n3, n4, n5 and 2 more nodes are missing/,
    ],
    ["counts events that were lost", "", { view: [shopMessage({ state: { ...state, lostEvents: 1_234 } })] }, /1,234 events lost/],
    [
      "says why the backend has no flows, and what was before",
      "",
      { view: [shopMessage({ state: { ...state, connection: "lost", reason: "relay:4245: connection refused", retryInMs: 500 } })] },
      /cannot reach Hubble: relay:4245: connection refused.*What you see is what was known before/,
    ],
    [
      "passes on what the backend notes of an answer",
      "",
      { view: [shopMessage({ notes: ["The range holds more"] })] },
      /The range holds more/,
    ],
    [
      "says how many flows are in the map alone",
      "",
      { view: [shopMessage({ skippedFlows: 5_000 })] },
      /5,000 more counted in the map only/,
    ],
    [
      "says that a namespace was deleted while somebody looked at it",
      "?namespace=shop",
      { view: [shopMessage({ namespaces: [{ name: "shop", flows: 1, drops: 0, isGone: true }] })] },
      /shop has been deleted\. What was seen before stays/,
    ],
    ["says who may not see anything", "", { refusal: { status: 403, problem: "ann may see no namespace" } }, /ann may see no namespace/],
    ["asks again after a proxy's error", "", { refusal: { status: 502, problem: "bad gateway" } }, /Trying again (in|now)/],
  ];
  for (const [what, search, told, text] of shown) {
    test(`${what}, in both themes, and without barriers`, async () => {
      await using opened = await openTold(browser, search, told);
      const { page } = opened.tab;
      await page.getByText(text).first().waitFor();
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        assert.deepEqual(await opened.tab.violations(), []);
      }
      await opened.tab.picture(`state-${what.replaceAll(/[^a-z]+/g, "-").slice(0, 40)}`);
      assert.deepEqual(opened.tab.errors, []);
    });
  }

  test("goes on by itself when Hubble is back", async () => {
    const lost = { ...state, connection: "lost", reason: "gone", retryInMs: 500 } as const;
    await using opened = await openTold(browser, "", { view: [shopMessage()] });
    const { page } = opened.tab;
    await page.getByText("Live", { exact: true }).first().waitFor();
    await opened.tell({ ...nobody, isStart: false, position: "q", state: lost });
    await page.getByText(/cannot reach Hubble: gone/).waitFor();
    assert.equal((await opened.tab.drawn()).cards, 3);
    await opened.tell({ ...nobody, isStart: false, position: "r" });
    await eventually(async () => assert.equal(await page.locator(".banner").count(), 0));
  });

  test("shows a mistake of its own instead of a blank page, and goes on", async () => {
    await using opened = await openTold(browser, "", { view: [shopMessage()], answers: { "api/policies": { not: "a list" } } });
    const { page } = opened.tab;
    await page.getByText("Live", { exact: true }).first().waitFor();
    await page.keyboard.press("4");
    await page.getByRole("heading", { name: "This page made a mistake" }).waitFor();
    assert.deepEqual(await opened.tab.violations(), []);
    await page.goBack();
    await page.getByRole("button", { name: "Go on" }).click();
    await eventually(async () => assert.equal((await opened.tab.drawn()).cards, 3));
  });
});
