import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import { Backend } from "./running-backend.ts";
import { hubbleFlow, ScriptedHubble } from "./scripted-hubble.ts";
import { parseSettings } from "./settings.ts";

const now = Date.now();
const kubeconfig = join(mkdtempSync(join(tmpdir(), "ui-cluster-")), "config");
writeFileSync(
  kubeconfig,
  JSON.stringify({
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "c", user: "c" } }],
    clusters: [{ name: "c", cluster: { server: "http://127.0.0.1:1" } }],
    users: [{ name: "c", user: {} }],
  }),
);

suite("the backend of Hubble UI", { concurrency: true }, () => {
  test("pushes services, links and flows, and then only what is new", async () => {
    await using hubble = await ScriptedHubble.start();
    hubble.see(hubbleFlow("one", now));
    await using backend = await Backend.start(hubble.address);
    using browser = backend.view();
    await eventually(() => assert.deepEqual(browser.uuids, ["one"]));
    const first = browser.messages.find(({ flows }) => flows.length > 0);
    assert.deepEqual(
      first?.map.services.map(({ id, name }) => `${id} ${name}`),
      ["1001 client", "1002 server"],
    );
    assert.deepEqual(
      first?.map.links.map(({ id, verdicts }) => `${id} ${verdicts}`),
      ["1001 TCP 1002:8080 dropped"],
    );
    assert.equal(first?.flows[0]?.dropReason, "POLICY_DENIED");
    hubble.see(hubbleFlow("two", now + 1));
    await eventually(() => assert.deepEqual(browser.uuids, ["one", "two"]));
    assert.deepEqual(browser.last.map.services, []);
    assert.deepEqual(browser.last.map.counts, [[1, 0, 2, 0, 0]]);
  });

  test("says how it stands with Hubble, which nodes are missing and what was lost", async () => {
    await using hubble = await ScriptedHubble.start();
    await using backend = await Backend.start(hubble.address);
    using browser = backend.view();
    hubble.say({ responseTypes: { case: "lostEvents", value: { numEventsLost: 41n } } });
    await eventually(() => {
      const { connection, connectedNodes, unavailableNodes, lostEvents, flowsPerSecond } = browser.last.state;
      assert.deepEqual([connection, connectedNodes, unavailableNodes, lostEvents, flowsPerSecond], ["connected", 2, ["node3"], 41, 12.5]);
    });
  });

  test("tells only what a question asks for", async () => {
    await using hubble = await ScriptedHubble.start();
    await using backend = await Backend.start(hubble.address);
    using browser = backend.view("/api/view?namespace=shop&verdict=dropped");
    using filtered = backend.view(`/api/view?flows-filter=${encodeURIComponent("to:port=443")}`);
    hubble.see(hubbleFlow("other", now));
    hubble.see(hubbleFlow("shop", now, { source: { identity: 2_000, namespace: "shop", podName: "web" } }));
    hubble.see(hubbleFlow("443", now, { l4: { protocol: { case: "UDP", value: { sourcePort: 1, destinationPort: 443 } } } }));
    await eventually(() => assert.deepEqual([browser.uuids, filtered.uuids], [["shop"], ["443"]]));
    await eventually(() =>
      assert.deepEqual(
        browser.messages.findLast((message) => message.namespaces)?.namespaces?.map(({ name }) => name),
        ["default", "shop"],
      ),
    );
  });

  test("goes on where a lost connection ended, and begins anew for a position of another process", async () => {
    await using hubble = await ScriptedHubble.start();
    hubble.see(hubbleFlow("one", now));
    await using backend = await Backend.start(hubble.address);
    let position = "";
    {
      using browser = backend.view();
      await eventually(() => assert.deepEqual(browser.uuids, ["one"]));
      position = browser.last.position;
    }
    hubble.see(hubbleFlow("two", now));
    using again = backend.view(`/api/view?position=${position}`);
    await eventually(() => assert.deepEqual(again.uuids, ["two"]));
    assert.equal(again.messages[0]?.isStart, false);
    using stranger = backend.view("/api/view?position=elsewhere.7.7.0.0");
    await eventually(() => assert.deepEqual(stranger.uuids, ["one", "two"]));
    assert.equal(stranger.messages[0]?.isStart, true);
  });

  test("finds Hubble again after it was gone, and neither loses nor repeats a flow", async () => {
    await using hubble = await ScriptedHubble.start();
    hubble.see(hubbleFlow("one", now));
    await using backend = await Backend.start(hubble.address);
    using browser = backend.view();
    await eventually(() => assert.deepEqual(browser.uuids, ["one"]));
    await hubble.stop();
    await eventually(() => assert.equal(browser.last.state.connection, "lost"));
    assert.match(browser.last.state.reason, /shutting down|cannot connect/);
    assert.equal((await backend.ask("/readyz")).status, 503);
    hubble.see(hubbleFlow("two", now));
    await hubble.start();
    await eventually(() => assert.deepEqual([browser.uuids, browser.last.state.connection], [["one", "two"], "connected"]), {
      deadlineMs: 20_000,
    });
    assert.equal((await backend.ask("/readyz")).status, 200);
  });

  test("starts without Hubble and says why nothing comes", async () => {
    await using backend = await Backend.start("127.0.0.1:1");
    using browser = backend.view();
    await eventually(() => assert.match(browser.last.state.reason, /cannot connect to 127\.0\.0\.1:1/));
    assert.equal((await backend.ask("/healthz")).status, 200);
    assert.match((await backend.ask("/readyz")).text, /no flows from Hubble: cannot connect/);
  });

  test("answers for a range of the past, and says when all of it has come", async () => {
    await using hubble = await ScriptedHubble.start();
    for (let hour = 0; hour < 5; hour += 1) hubble.see(hubbleFlow(`hour${hour}`, Date.UTC(2026, 0, 1, hour)));
    await using backend = await Backend.start(hubble.address);
    using browser = backend.view("/api/view?since=2026-01-01T01:00:00Z&until=2026-01-01T03:00:00Z");
    await eventually(() => assert.equal(browser.last.isComplete, true));
    assert.deepEqual(browser.uuids, ["hour1", "hour2", "hour3"]);
  });

  test("gives all that Hubble knows of a flow", async () => {
    await using hubble = await ScriptedHubble.start();
    hubble.see(hubbleFlow("one", now, { ethernet: { source: "02:00:00:00:00:01" } }));
    await using backend = await Backend.start(hubble.address);
    const flow = JSON.parse((await backend.ask(`/api/flow?uuid=one&time=${now}`)).text);
    assert.equal(flow.ethernet.source, "02:00:00:00:00:01");
    assert.equal((await backend.ask(`/api/flow?uuid=two&time=${now}`)).status, 404);
    assert.equal((await backend.ask("/api/flow?uuid=two&time=soon")).status, 400);
  });

  test("refuses a damaged question with a sentence", async () => {
    await using backend = await Backend.start("127.0.0.1:1");
    const { status, text } = await backend.ask("/api/view?verdict=perhaps");
    assert.equal(status, 400);
    assert.match(JSON.parse(text).problem, /there is no "perhaps"/);
    assert.equal((await backend.ask("/api/nothing")).status, 404);
    assert.equal((await fetch(`${backend.origin}/api/view`, { method: "POST" })).status, 405);
  });

  test("says that it knows no cluster when it is asked about policies, and refuses what is no question", async () => {
    await using backend = await Backend.start("127.0.0.1:1");
    const { status, text } = await backend.ask("/api/policies");
    assert.equal(status, 501);
    assert.match(JSON.parse(text).problem, /knows no cluster.*UI_KUBECONFIG/);
    await using other = await Backend.start("127.0.0.1:1", { UI_KUBECONFIG: kubeconfig });
    assert.match((await other.ask("/api/policies/moon")).text, /there is no api\/policies\/moon/);
    assert.equal((await other.ask("/api/policies/check")).status, 405);
    assert.match((await other.ask("/api/policies/suggest")).text, /one that you may see/);
    assert.match((await other.ask("/api/policies/why?uuid=a")).text, /uuid and time/);
    assert.match((await other.ask("/api/policies")).text, /the cluster, or Hubble, could not be asked/);
    const large = await fetch(`${other.origin}/api/policies/check`, { method: "POST", body: "x".repeat(1_600_000) });
    assert.equal(large.status, 413);
  });

  test("keeps nothing for a browser that does not read, and others go on", async () => {
    await using hubble = await ScriptedHubble.start();
    await using backend = await Backend.start(hubble.address);
    const stalled = get(`${backend.origin}/api/view`);
    stalled.on("error", () => {});
    stalled.on("response", (response) => void response.pause());
    using browser = backend.view();
    await eventually(() => assert.equal(browser.last.state.connection, "connected"));
    const padding = "x".repeat(400);
    for (let index = 0; index < 20_000; index += 1) hubble.see(hubbleFlow(`${index}-${padding}`, now + index));
    await eventually(() => assert.equal(browser.last.map.counts.at(-1)?.[2], 20_000), { deadlineMs: 30_000 });
    hubble.see(hubbleFlow("the last", now + 30_000));
    await eventually(() => assert.equal(browser.uuids.at(-1), "the last"));
    stalled.destroy();
  });

  test("tells the number of flows that no table shows, and counts them in the map", async () => {
    await using hubble = await ScriptedHubble.start();
    await using backend = await Backend.start(hubble.address);
    using browser = backend.view();
    for (let index = 0; index < 1_500; index += 1) hubble.see(hubbleFlow(String(index), now, { verdict: 1 }));
    hubble.see(hubbleFlow("a drop", now));
    await eventually(() => assert.equal(browser.last.skippedFlows, 1_400));
    assert.equal(browser.uuids.at(-1), "a drop");
    assert.deepEqual(browser.messages.flatMap(({ map }) => map.counts).at(-1), [1, 1_500, 1, 0, 0]);
  });

  test("tells Prometheus what it does", async () => {
    await using hubble = await ScriptedHubble.start();
    hubble.see(hubbleFlow("one", now));
    await using backend = await Backend.start(hubble.address);
    using browser = backend.view();
    await eventually(() => assert.deepEqual(browser.uuids, ["one"]));
    const { text } = await backend.ask("/metrics");
    for (const line of [
      "hubble_ui_flows_total 1",
      "hubble_ui_browsers 1",
      "hubble_ui_views 1",
      "hubble_ui_services 2",
      "hubble_ui_links 1",
      "hubble_ui_connected 1",
    ])
      assert.ok(text.split("\n").includes(line), `${line} in ${text}`);
  });
});

suite("the page", () => {
  const folder = mkdtempSync(join(tmpdir(), "ui-"));
  mkdirSync(join(folder, "assets"));
  writeFileSync(join(folder, "index.html"), "<!doctype html><title>Hubble</title>");
  writeFileSync(join(folder, "assets/page-ABCDEFG1.js"), `const text = "${"x".repeat(1_000)}";`);
  const started = Backend.start("127.0.0.1:1", { UI_STATIC_DIR: folder, UI_BASE_PATH: "hubble" });
  after(async () => (await started)[Symbol.asyncDispose]());

  test("is served under the path that was asked for, and nowhere else", async () => {
    const backend = await started;
    assert.match((await backend.ask("/hubble/")).text, /<title>Hubble/);
    assert.match((await backend.ask("/hubble/?namespace=shop")).text, /<title>Hubble/);
    assert.equal((await backend.ask("/hubble?namespace=shop")).headers.get("location"), "/hubble/?namespace=shop");
    assert.equal((await backend.ask("/")).status, 404);
    assert.equal((await backend.ask("/hubble/api/who")).status, 200);
  });

  test("keeps what never changes in caches, and never the page itself", async () => {
    const backend = await started;
    const asset = await backend.ask("/hubble/assets/page-ABCDEFG1.js", { "accept-encoding": "br" });
    assert.match(asset.headers.get("cache-control") ?? "", /immutable/);
    assert.equal(asset.headers.get("content-encoding"), "br");
    assert.match(asset.text, /const text/);
    assert.equal((await backend.ask("/hubble/")).headers.get("cache-control"), "no-cache");
    assert.match((await backend.ask("/hubble/")).headers.get("content-security-policy") ?? "", /default-src 'self'/);
  });

  test("of before an upgrade is told that its files are gone", async () => {
    const { status, text } = await (await started).ask("/hubble/assets/page-OLDOLDOL.js");
    assert.equal(status, 404);
    assert.match(text, /load it again/);
  });

  test("gives nothing from outside of its folder", async () => {
    const { text } = await (await started).ask("/hubble/..%2f..%2f..%2fetc%2fpasswd");
    assert.match(text, /<title>Hubble/);
  });
});

suite("with a proxy in front that signs users in", () => {
  const folder = mkdtempSync(join(tmpdir(), "ui-access-"));
  const accessPath = join(folder, "access.json");
  writeFileSync(accessPath, JSON.stringify({ users: { root: ["*"], ann: ["shop"] }, groups: { payments: ["pay"] } }));
  const environment = { UI_TRUSTED_USER_HEADER: "X-Forwarded-User", UI_ACCESS_FILE: accessPath };

  test("a user sees what user and groups allow, and nothing else", async () => {
    await using hubble = await ScriptedHubble.start();
    await using backend = await Backend.start(hubble.address, environment);
    for (const namespace of ["shop", "pay", "secret"]) {
      const end = { identity: 1_003, namespace, podName: "web" };
      hubble.see(hubbleFlow(namespace, now, { source: end, destination: end }));
    }
    using ann = backend.view("/api/view", { "x-forwarded-user": "ann", "x-forwarded-groups": "payments, others" });
    using root = backend.view("/api/view", { "x-forwarded-user": "root" });
    await eventually(() =>
      assert.deepEqual(
        [ann.uuids, root.uuids],
        [
          ["shop", "pay"],
          ["shop", "pay", "secret"],
        ],
      ),
    );
    await eventually(() =>
      assert.deepEqual(
        ann.messages.findLast((message) => message.namespaces)?.namespaces?.map(({ name }) => name),
        ["pay", "shop"],
      ),
    );
    const own = { "x-forwarded-user": "ann" };
    assert.equal((await backend.ask(`/api/flow?uuid=shop&time=${now}`, own)).status, 200);
    assert.equal((await backend.ask(`/api/flow?uuid=secret&time=${now}`, own)).status, 404);
  });

  test("who is nobody, or may see nothing, is told so", async () => {
    await using backend = await Backend.start("127.0.0.1:1", environment);
    assert.equal((await backend.ask("/api/view")).status, 401);
    const { status, text } = await backend.ask("/api/view", { "x-forwarded-user": "constructor" });
    assert.equal(status, 403);
    assert.match(JSON.parse(text).problem, /constructor may see no namespace/);
    assert.equal((await backend.ask("/healthz")).status, 200);
  });

  test("a file that says nonsense ends the start with the reason", async () => {
    for (const [text, reason] of [
      ["{", /not JSON/],
      ['{"users":{"ann":"shop"}}', /users\.ann must be a list/],
      ['{"teams":{}}', /there is no "teams"/],
    ] as const) {
      const path = join(folder, "bad.json");
      writeFileSync(path, text);
      await assert.rejects(Backend.start("127.0.0.1:1", { ...environment, UI_ACCESS_FILE: path }), reason);
    }
  });
});

for (const [environment, problem] of [
  [{ EVENTS_SERVER_PORT: "http" }, /EVENTS_SERVER_PORT is a whole number/],
  [{ FLOWS_API_ADDR: "nowhere" }, /FLOWS_API_ADDR is host:port/],
  [{ TLS_TO_RELAY_ENABLED: "perhaps" }, /TLS_TO_RELAY_ENABLED is true or false/],
  [{ TLS_TO_RELAY_ENABLED: "true", TLS_RELAY_CLIENT_KEY_FILE: "/key" }, /name both, or none/],
  [{ UI_TRUSTED_USER_HEADER: "x-user" }, /needs UI_ACCESS_FILE/],
] as const) {
  test(`${JSON.stringify(environment)} is refused with a sentence`, () => {
    const parsed = parseSettings(environment);
    assert.ok(parsed.kind === "problems" && problem.test(parsed.problems.join()), JSON.stringify(parsed));
  });
}
