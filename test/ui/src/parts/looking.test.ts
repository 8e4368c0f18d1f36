import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import { madeFlow, madeLink, madeMessage, madeService } from "@cilium-ts/ui/testing";
import type { Browser } from "playwright-core";
import { launchChromium } from "../browser.ts";
import { shopMessage } from "./made-messages.ts";
import { openTold } from "./told-page.ts";

suite("looking at what was told", () => {
  let browser: Browser;
  before(async () => {
    browser = await launchChromium();
  });
  after(() => browser?.close());

  test("a click on any value of a row filters by it", async () => {
    const columns =
      "time,destination,destination-port,verdict,why,direction,source-identity,source-ip,service,protocol,destination-workload,flags,policies,node";
    await using opened = await openTold(browser, `?tab=flows&columns=${columns}`, { view: [shopMessage()] });
    const { page } = opened.tab;
    const filters = page.locator('[data-uuid="dropped"] .by-this');
    await filters.first().waitFor({ state: "attached" });
    const names = await filters.evaluateAll((buttons) => buttons.map((button) => button.getAttribute("aria-label")));
    assert.deepEqual(names, [
      "Filter by to:pod=shop/db",
      "Filter by to:port=80",
      "Only dropped",
      "Filter by drop-reason=POLICY_DENIED",
      "Filter by direction=ingress",
      "Filter by from:identity=1",
      "Filter by from:ip=10.0.0.1",
      "Filter by service-name=shop/db",
      "Filter by protocol=TCP",
      "Filter by to:workload=StatefulSet/db",
      "Filter by tcp-flag=SYN",
      "Filter by policy-name=shop/no-web",
      "Filter by node-name=node7",
    ]);
    await filters.last().evaluate((button) => (button as unknown as { click(): void }).click());
    await page.locator(".tag", { hasText: "node-name=node7" }).waitFor();
    assert.match(page.url(), /flows-filter=node-name%3Dnode7/);
  });

  test("so does a click on any value in the details, which tell all that is known", async () => {
    await using opened = await openTold(browser, "?tab=flows&selected=flow+1000+dropped", { view: [shopMessage()] });
    const { page } = opened.tab;
    const details = page.getByRole("complementary", { name: "Details" });
    const values = details.locator(".filter-value > button.link");
    await values.first().waitFor();
    const titles = await values.evaluateAll((buttons) => buttons.map((button) => button.getAttribute("title")));
    for (const term of ["drop-reason=POLICY_DENIED", "policy-name=shop/no-web", "direction=ingress", "protocol=TCP", "tcp-flag=SYN"])
      assert.ok(titles.includes(`Filter by ${term}`), term);
    for (const term of [
      "node-name=node7",
      "from:pod=shop/web",
      "to:service-name=shop/db",
      "to:namespace=shop",
      "to:workload=StatefulSet/db",
    ])
      assert.ok(titles.includes(`Filter by ${term}`), term);
    await details.getByRole("button", { name: "Leave out policy-name=shop/no-web" }).press("Enter");
    await page.locator(".tag.negative", { hasText: "policy-name=shop/no-web" }).waitFor();
    assert.deepEqual(await opened.tab.violations(), []);
  });

  test("yesterday from 3 to 4 is asked for by two times, and a range that ends before it begins is refused", async () => {
    await using opened = await openTold(browser, "?tab=flows", { view: [shopMessage()] });
    const { page } = opened.tab;
    await page.getByRole("button", { name: /^Time/ }).click();
    await page.getByRole("textbox", { name: "From" }).fill("2026-01-01T04:00:00");
    await page.getByRole("textbox", { name: "to", exact: true }).fill("2026-01-01T03:00:00");
    await page.getByRole("button", { name: "Show this range" }).click();
    await page.getByText("The range ends before it begins.").waitFor();
    await page.getByRole("textbox", { name: "From" }).fill("2026-01-01T03:00:00");
    await page.getByRole("textbox", { name: "to", exact: true }).fill("2026-01-01T04:00:00");
    await page.getByRole("button", { name: "Show this range" }).click();
    await eventually(() => {
      const asked = new URL(page.url()).searchParams;
      assert.equal(Date.parse(asked.get("until") ?? "") - Date.parse(asked.get("since") ?? ""), 3_600_000);
    });
    assert.equal(await page.getByRole("button", { name: "Pause" }).count(), 0);
  });

  test("cards show what is asked of them and how they are protected, lines how often they are used", async () => {
    await using opened = await openTold(browser, "", { view: [shopMessage()] });
    const { page } = opened.tab;
    await eventually(async () =>
      assert.equal(await page.locator(".map canvas").getAttribute("data-policies"), "audit 1, enforced 2, none 2, partly 1"),
    );
    await page.getByRole("application").focus();
    await page.keyboard.press("ArrowRight");
    await page.getByText(/^web, .*with drops, policy: ingress no policy, egress audited only/).waitFor();
    await opened.tell({ ...madeMessage({ map: { counts: [[1, 500, 0, 0, 0]] } }), build: shopMessage().build });
    await page.keyboard.press("2");
    const rows = page.locator("tbody tr");
    await rows.first().waitFor();
    await page.getByRole("button", { name: "Policy", exact: true }).click();
    assert.match((await rows.first().textContent()) ?? "", /shop\/(web|db)/);
    assert.deepEqual(await opened.tab.violations(), []);
    await page.getByRole("button", { name: /^Policy of services/ }).click();
    await page.getByRole("checkbox", { name: "enforced at some pods" }).check();
    await eventually(async () => assert.equal(await rows.count(), 2));
    await opened.tab.picture("policy-filter");
  });

  test("many namespaces are islands, one or several of them are asked for, and a search finds them", async () => {
    const names = Array.from({ length: 60 }, (_, index) => `team-${String(index).padStart(2, "0")}`);
    const services = names.flatMap((namespace) => [
      madeService(`${namespace}-a`, { name: "a", namespace }),
      madeService(`${namespace}-b`, { name: "b", namespace }),
    ]);
    const links = names.map((namespace, index) => madeLink(index + 1, `${namespace}-a`, `${names[(index + 1) % 60]}-b`));
    const counts = links.map(({ number }) => [number, 1, 0, 0, 0] as const);
    const view = {
      ...madeMessage({ isStart: true, build: shopMessage().build, map: { services, links, counts } }),
      flows: [madeFlow("x")],
    };
    const namespaces = names.map((name) => ({ name, flows: 1, drops: 0 }));
    await using opened = await openTold(browser, "", { view: [{ ...view, namespaces }] });
    const { page } = opened.tab;
    await eventually(async () => assert.equal(await page.locator(".map canvas").getAttribute("data-islands"), "60"));
    await opened.tab.picture("overview");
    await page.getByRole("button", { name: /^Namespaces/ }).click();
    await page.getByRole("searchbox").fill("team-4");
    await eventually(async () => assert.equal(await page.getByRole("checkbox").count(), 10));
    await page.getByRole("checkbox", { name: "team-41" }).check();
    await page.getByRole("checkbox", { name: "team-42" }).check();
    assert.equal(new URL(page.url()).searchParams.get("namespace"), "team-41,team-42");
    assert.deepEqual(await opened.tab.violations(), []);
  });
});
