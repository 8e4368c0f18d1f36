import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { madeLink, madeService } from "../made-view.ts";
import type { ShownLink } from "../state/view-store.ts";
import type { Theme } from "./draw.ts";
import { layoutInputOf, pairState, visibleMap } from "./pairs.ts";
import { buildScene, cardAt, cardBeside, edgeAt, fit, pointOf } from "./scene.ts";
import { sceneToSvg } from "./scene-to-svg.ts";

function shown(number: number, source: string, destination: string, counts: ShownLink["counts"], port = 80): ShownLink {
  return { ...madeLink(number, source, destination, { port }), counts, rates: [0, 0, 0, 0] };
}

const services = new Map(["1", "2", "3"].map((id) => [id, madeService(id)]));
const links = [shown(1, "1", "2", [5, 0, 0, 0]), shown(2, "1", "2", [0, 3, 0, 0], 443), shown(3, "2", "3", [1, 0, 0, 0])];
const everything = { focus: undefined, hidden: [], policyStates: [] };
const places = new Map([
  ["1", { x: 0, y: 0 }],
  ["2", { x: 400, y: 0 }],
  ["3", { x: 400, y: 300 }],
]);

function sceneOf() {
  return buildScene(visibleMap(services, links, everything), places, [], ["3"]);
}

const colours = { text: "#000", muted: "#111", surface: "#222", card: "#333", island: "#444", border: "#555", accent: "#666" };
const theme: Theme = { ...colours, states: { forwarded: "#0a0", mixed: "#a00", dropped: "#b00", audit: "#aa0", error: "#a0a" } };

suite("what is visible", () => {
  test("has one line for all links of a pair", () => {
    const { pairs } = visibleMap(services, links, everything);
    assert.deepEqual(
      pairs.map((pair) => `${pair.source}→${pair.destination} ${pair.links.length} ${pairState(pair)}`),
      ["1→2 2 mixed", "2→3 1 forwarded"],
    );
  });

  test("leaves out what is hidden, and who is not beside the one in focus", () => {
    assert.deepEqual(
      visibleMap(services, links, { focus: undefined, hidden: ["1"], policyStates: [] }).services.map(({ id }) => id),
      ["2", "3"],
    );
    assert.equal(visibleMap(services, links, { focus: undefined, hidden: ["1", "gone"], policyStates: [] }).hiddenCount, 1);
    assert.deepEqual(
      visibleMap(services, links, { focus: "3", hidden: [], policyStates: [] }).services.map(({ id }) => id),
      ["2", "3"],
    );
  });

  test("can be those that policies leave open in a direction, and whom they talk with", () => {
    const protectedOnes = new Map(services);
    for (const [id, ingress] of [
      ["1", "enforced"],
      ["2", "audit"],
      ["3", "none"],
    ] as const)
      protectedOnes.set(id, madeService(id, { policy: { ingress, egress: "enforced" } }));
    const idsOf = (state: "none" | "enforced" | "partly") =>
      visibleMap(protectedOnes, links, { ...everything, policyStates: [state] }).services.map(({ id }) => id);
    assert.deepEqual([idsOf("none"), idsOf("enforced"), idsOf("partly")], [["2", "3"], ["1", "2", "3"], []]);
  });

  for (const [counts, state] of [
    [[5, 0, 0, 0], "forwarded"],
    [[5, 1, 0, 0], "mixed"],
    [[0, 1, 0, 0], "dropped"],
    [[0, 1, 4, 0], "mixed"],
    [[5, 0, 1, 0], "audit"],
    [[5, 0, 0, 1], "error"],
  ] as const) {
    test(`is ${state} for ${counts} flows forwarded, dropped, in audit and in error`, () =>
      assert.equal(pairState({ source: "1", destination: "2", links: [shown(1, "1", "2", [...counts])] }), state));
  }

  test("has an island for each namespace, for the nodes, and for each side of the outside", () => {
    const all = [
      madeService("1"),
      madeService("h", { kind: "host", namespace: "" }),
      madeService("in", { kind: "world", namespace: "" }),
      madeService("out", { kind: "world", namespace: "" }),
    ];
    const { services: placed } = layoutInputOf({ services: all, pairs: [{ source: "1", destination: "out", links: [] }] });
    assert.deepEqual(
      placed.map(({ island, side }) => `${side}:${island}`),
      ["inside:shop", "left: nodes", "left: callers outside", "right: outside of the cluster"],
    );
  });
});

suite("the scene", () => {
  test("finds the card and the line under the pointer", () => {
    const scene = sceneOf();
    assert.equal(cardAt(scene, { x: 10, y: 10 })?.service.id, "1");
    assert.equal(cardAt(scene, { x: 300, y: 10 }), undefined);
    const [edge] = scene.edges;
    assert.ok(edge);
    assert.equal(edgeAt(scene, pointOf(edge, 0.5), 5), edge);
    assert.equal(edgeAt(scene, { x: 300, y: 900 }, 5), undefined);
  });

  test("goes from card to card by arrow keys", () => {
    const scene = sceneOf();
    const [first] = scene.cards;
    assert.ok(first);
    const second = cardBeside(scene, first, "right");
    assert.equal(second?.service.id, "2");
    assert.equal(second && cardBeside(scene, second, "down")?.service.id, "3");
    assert.equal(cardBeside(scene, first, "left"), undefined);
  });

  test("says on a card at which ports it is called, and marks drops", () => {
    const cards = sceneOf().cards;
    assert.deepEqual(
      cards.map(({ chips, hasDrops, isPinned }) => [chips.join(), hasDrops, isPinned]),
      [
        ["", true, false],
        ["80 TCP,443 TCP", true, false],
        ["80 TCP", false, true],
      ],
    );
  });

  test("says on a card what labels it has, what is asked of it most, and what policies mean for it", () => {
    const asked = (target: string, count: number) => ({ kind: "http", method: "GET", target, count }) as const;
    const link = { ...shown(1, "1", "2", [5, 0, 0, 0]), requests: [asked("/", 1), asked("/orders", 7)] };
    const labels = ["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"];
    const all = new Map([
      ["1", madeService("1")],
      ["2", madeService("2", { labels, policy: { ingress: "enforced", egress: "none" } })],
    ]);
    const scene = buildScene(visibleMap(all, [link], everything), places, [], []);
    assert.deepEqual(
      scene.cards.map((card) => [card.labels, card.requests]),
      [
        ["", ""],
        ["app=web", "GET /orders +1"],
      ],
    );
    assert.match(sceneToSvg(scene, { x: 0, y: 0, width: 600, height: 400 }, theme), /<title>ingress enforced, egress no policy<\/title>/);
  });

  test("fits into any window", () => {
    const viewport = fit({ x: 0, y: 0, width: 4_000, height: 1_000 }, 1_000, 600);
    assert.ok(4_000 * viewport.scale <= 1_000 && 1_000 * viewport.scale <= 600);
    assert.ok(fit({ x: 0, y: 0, width: 0, height: 0 }, 0, 0).scale > 0);
  });

  test("is drawn into SVG, with names that cannot break out of it", () => {
    const odd = new Map([["1", madeService("1", { name: '<script>"&' })]]);
    const svg = sceneToSvg(buildScene(visibleMap(odd, [], everything), places, [], []), { x: 0, y: 0, width: 600, height: 400 }, theme);
    assert.match(svg, /&lt;script&gt;&quot;&amp;/);
    assert.doesNotMatch(svg, /<script/);
    assert.equal(sceneToSvg(sceneOf(), { x: 0, y: 0, width: 600, height: 400 }, theme).match(/stroke-dasharray/g)?.length, 1);
  });
});
