import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { cardHeight, cardWidth, type Layout, type LayoutInput, LayoutKeeper, type LayoutService, type Point } from "./layout.ts";

function inside(...ids: readonly string[]): LayoutService[] {
  return ids.map((id) => ({ id, island: id.split("/")[0] ?? "", side: "inside" }));
}

function at(layout: Layout, id: string): Point {
  const point = layout.cards.get(id);
  assert.ok(point, `${id} has no place`);
  return point;
}

/** As clusters are: few callers each, circles among them. */
function randomInput(seed: number, services: number, pairs: number): LayoutInput {
  const random = createRandom(seed);
  const ids = Array.from({ length: services }, (_, index) => `n${index % 12}/s${index}`);
  return { services: inside(...ids), pairs: Array.from({ length: pairs }, () => [random.pick(ids), random.pick(ids)] as const) };
}

function checkSound(layout: Layout, { services }: LayoutInput): void {
  assert.equal(layout.cards.size, services.length);
  const cards = services.map(({ id, island }) => ({ id, island, ...at(layout, id) }));
  for (const [index, one] of cards.entries()) {
    const home = layout.islands.find(({ name }) => name === one.island);
    assert.ok(home, one.island);
    assert.ok(
      one.x >= home.x && one.x + cardWidth <= home.x + home.width && one.y >= home.y && one.y + cardHeight <= home.y + home.height,
      `${one.id} is off its island`,
    );
    for (const other of cards.slice(index + 1))
      assert.ok(Math.abs(one.x - other.x) >= cardWidth || Math.abs(one.y - other.y) >= cardHeight, `${one.id} covers ${other.id}`);
  }
  for (const [index, one] of layout.islands.entries())
    for (const other of layout.islands.slice(index + 1))
      assert.ok(
        one.x >= other.x + other.width || other.x >= one.x + one.width || one.y >= other.y + other.height || other.y >= one.y + one.height,
        `${one.name} covers ${other.name}`,
      );
}

suite("the layout", () => {
  test("puts who calls left of who is called", () => {
    const layout = new LayoutKeeper().update({
      services: inside("a/db", "a/web", "a/api"),
      pairs: [
        ["a/web", "a/api"],
        ["a/api", "a/db"],
        ["a/web", "a/db"],
      ],
    });
    assert.ok(at(layout, "a/web").x < at(layout, "a/api").x && at(layout, "a/api").x < at(layout, "a/db").x);
  });

  test("ends for circles too, whatever their shape", () => {
    const layout = new LayoutKeeper().update({
      services: inside("a/1", "a/2", "a/3"),
      pairs: [
        ["a/1", "a/2"],
        ["a/2", "a/3"],
        ["a/3", "a/1"],
        ["a/1", "a/1"],
        ["a/2", "a/1"],
      ],
    });
    assert.equal(layout.cards.size, 3);
  });

  for (const [services, pairs] of [
    [1, 0],
    [30, 60],
    [200, 900],
    [500, 2_000],
  ] as const) {
    test(`of ${services} services and ${pairs} pairs covers nothing by anything`, () => {
      const input = randomInput(services, services, pairs);
      checkSound(new LayoutKeeper().update(input), input);
    });
  }

  test("leaves cards of an island where they are while others come and go, and gives free places away", () => {
    const keeper = new LayoutKeeper();
    const before = keeper.update({ services: inside("a/1", "a/2", "a/3"), pairs: [] });
    const after = keeper.update({ services: inside("a/1", "a/3", "a/4"), pairs: [["a/1", "a/3"]] });
    assert.deepEqual(at(after, "a/1"), at(before, "a/1"));
    assert.deepEqual(at(after, "a/3"), at(before, "a/3"));
    assert.deepEqual(at(after, "a/4"), at(before, "a/2"));
  });

  test("stays sound through any coming and going", () => {
    const random = createRandom(5);
    const keeper = new LayoutKeeper();
    const all = randomInput(9, 60, 120);
    for (let round = 0; round < 60; round += 1) {
      const input = { ...all, services: all.services.filter(() => random.chance(0.7)) };
      checkSound(keeper.update(input), input);
    }
  });

  test("has the outside at both sides of the cluster", () => {
    const layout = new LayoutKeeper().update({
      services: [{ id: "callers", island: " in", side: "left" }, { id: "called", island: " out", side: "right" }, ...inside("a/1")],
      pairs: [],
    });
    assert.ok(at(layout, "callers").x < at(layout, "a/1").x && at(layout, "a/1").x < at(layout, "called").x);
  });
});
