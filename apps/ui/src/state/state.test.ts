import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { emptyViewQuery } from "@cilium-ts/service-map/view";
import { madeFlow, madeLink, madeMessage, madeService } from "../made-view.ts";
import { type Address, emptyAddress, formatAddress, parseAddress } from "./address.ts";
import { type Fetch, readStream } from "./read-stream.ts";
import { ViewStore } from "./view-store.ts";

function madeStore(): ViewStore {
  return new ViewStore((tell) => tell());
}

suite("the store", () => {
  test("knows what it was told, and forgets what was removed", () => {
    const store = madeStore();
    store.take(
      madeMessage({ map: { services: [madeService("1"), madeService("2")], links: [madeLink(1, "1", "2")], counts: [[1, 5, 2, 0, 0]] } }),
      0,
    );
    assert.deepEqual(store.linkByNumber(1)?.counts, [5, 2, 0, 0]);
    store.take(madeMessage({ map: { removedServices: ["2"], removedLinks: [madeLink(1, "1", "2").id] } }), 0);
    assert.deepEqual([...store.services.keys()], ["1"]);
    assert.equal(store.links.size, 0);
    assert.equal(store.linkByNumber(1), undefined);
  });

  test("begins anew when it is told so", () => {
    const store = madeStore();
    store.take(madeMessage({ map: { services: [madeService("1")] }, flows: [madeFlow("a")] }), 0);
    store.take(madeMessage({ isStart: true, map: { services: [madeService("2")] }, flows: [madeFlow("b")] }), 0);
    assert.deepEqual([...store.services.keys()], ["2"]);
    assert.deepEqual(
      store.flows.map(({ uuid }) => uuid),
      ["b"],
    );
  });

  test("keeps the counts of a link that is described anew", () => {
    const store = madeStore();
    store.take(madeMessage({ map: { links: [madeLink(1, "1", "2")], counts: [[1, 5, 0, 0, 0]] } }), 0);
    store.take(madeMessage({ map: { links: [madeLink(1, "1", "2", { verdicts: ["forwarded", "dropped"] })] } }), 0);
    assert.deepEqual(store.linkByNumber(1)?.counts, [5, 0, 0, 0]);
    assert.deepEqual(store.linkByNumber(1)?.verdicts, ["forwarded", "dropped"]);
  });

  test("makes rates of counts, and none of what was there at the start", () => {
    const store = madeStore();
    store.take(madeMessage({ isStart: true, map: { links: [madeLink(1, "1", "2")], counts: [[1, 1_000, 0, 0, 0]] } }), 10_000);
    assert.deepEqual(store.linkByNumber(1)?.rates, [0, 0, 0, 0]);
    for (let second = 2; second <= 60; second += 2)
      store.take(madeMessage({ map: { counts: [[1, 1_000 + second * 50, second * 3, 0, 0]] } }), 10_000 + second * 1_000);
    const [forwarded = 0, dropped = 0] = store.linkByNumber(1)?.rates ?? [];
    assert.ok(Math.abs(forwarded - 50) < 1 && Math.abs(dropped - 3) < 0.1, `${forwarded} ${dropped}`);
  });

  test("keeps a bounded number of flows", () => {
    const store = madeStore();
    for (let round = 0; round < 30; round += 1)
      store.take(madeMessage({ flows: Array.from({ length: 1_000 }, (_, index) => madeFlow(`${round}-${index}`)) }), 0);
    assert.equal(store.flows.length, 20_000);
    assert.equal(store.flows.at(-1)?.uuid, "29-999");
  });

  test("tells of many changes once", () => {
    const tells: (() => void)[] = [];
    const store = new ViewStore((tell) => void tells.push(tell));
    let told = 0;
    store.subscribe(() => {
      told += 1;
    });
    for (let round = 0; round < 5; round += 1) store.take(madeMessage({ flows: [madeFlow(String(round))] }), 0);
    for (const tell of tells) tell();
    assert.equal(told, 1);
  });
});

suite("the stream", () => {
  /** A backend of answers that were written before. */
  function backendOf(answers: readonly (() => Response | Error)[]): { fetchView: Fetch; urls: string[]; stop: AbortController } {
    const urls: string[] = [];
    const stop = new AbortController();
    const fetchView: Fetch = async (url) => {
      urls.push(url);
      const answer = answers[urls.length - 1]?.();
      if (urls.length >= answers.length) stop.abort();
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error("no more answers");
      return answer;
    };
    return { fetchView, urls, stop };
  }

  test("takes lines however they are cut, and goes on from the last position", async () => {
    const text = `${JSON.stringify(madeMessage({ position: "7", map: { services: [madeService("é")] } }))}\n\n`;
    const bytes = new TextEncoder().encode(text);
    const cut = new ReadableStream({
      start(controller) {
        for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
        controller.close();
      },
    });
    const { fetchView, urls, stop } = backendOf([() => new Response(cut), () => new Error("offline")]);
    const store = madeStore();
    await readStream(store, emptyViewQuery, fetchView, stop.signal);
    assert.deepEqual([...store.services.keys()], ["é"]);
    assert.deepEqual(urls, ["api/view?", "api/view?position=7"]);
  });

  test("does not ask again what was refused, and says why", async () => {
    const { fetchView, urls, stop } = backendOf([
      () => Response.json({ problem: "you may see no namespace" }, { status: 403 }),
      () => new Response(""),
    ]);
    const store = madeStore();
    await readStream(store, emptyViewQuery, fetchView, stop.signal);
    assert.deepEqual(store.connection, { kind: "refused", reason: "you may see no namespace" });
    assert.equal(urls.length, 1);
  });

  test("asks again when the backend is away, and says what the proxy's answer means", async () => {
    const { fetchView, stop } = backendOf([() => new Response("<html>Bad gateway</html>", { status: 502 }), () => new Error("offline")]);
    const store = madeStore();
    const reasons: string[] = [];
    store.subscribe(() => {
      if (store.connection.kind === "lost") reasons.push(store.connection.reason);
    });
    await readStream(store, emptyViewQuery, fetchView, stop.signal);
    assert.equal(reasons[0], "the backend cannot be reached");
  });
});

suite("the address", () => {
  const whole: Address = {
    query: { namespaces: ["shop"], verdicts: ["dropped"], terms: [{ isNegative: true, side: "to", kind: "label", query: "k8s:app=a,b" }] },
    tab: "services",
    selection: { kind: "pair", source: "1", destination: "world-receiver" },
    focus: "1",
    hidden: ["2", "a.example.com-sender"],
    pinned: ["3"],
    policyStates: ["none", "audit"],
    policy: "CiliumNetworkPolicy/shop/web",
    columns: ["time", "verdict"],
  };

  test("says everything about what is shown", () => {
    assert.deepEqual(parseAddress(formatAddress(whole)), { address: whole, problems: [] });
    for (const selection of [{ kind: "service", id: "VM/db" }, { kind: "flow", uuid: "a-b", timeMs: 12.5 }, undefined] as const)
      assert.deepEqual(parseAddress(formatAddress({ ...whole, selection })).address.selection, selection);
    assert.equal(formatAddress(emptyAddress), "");
  });

  test("that is damaged opens with what could be read, and says what could not", () => {
    const { address, problems } = parseAddress("?tab=moon&selected=nobody&verdict=maybe&namespace=shop&flows-filter=port%3Dx");
    assert.deepEqual(address.query.namespaces, ["shop"]);
    assert.equal(address.tab, "map");
    assert.equal(problems.length, 4);
  });
});
