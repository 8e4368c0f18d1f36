import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { PolicyRanks, type Ranked } from "./policy-ranks.ts";

const row = (key: string): Ranked => ({ key, rank: 0 });

test("ranks are in the order of the keys, whatever order they come in", () => {
  const random = createRandom(1);
  const ranks = new PolicyRanks();
  const rows: Ranked[] = [];
  for (let index = 0; index < 500; index += 1) {
    const added = row(String(random.below(1_000_000)).padStart(7, "0"));
    ranks.add(added);
    rows.push(added);
    if (random.chance(0.2)) {
      const [gone] = rows.splice(random.below(rows.length), 1);
      if (gone !== undefined) ranks.remove(gone);
    }
  }
  rows.sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const [index, one] of rows.entries()) {
    const before = rows[index - 1];
    assert.ok(before === undefined || before.key === one.key || before.rank < one.rank, `${before?.rank} ${one.rank}`);
  }
});

test("where no number is left between two, all get new ones in the same order", () => {
  const ranks = new PolicyRanks();
  const first = row("a");
  const last = row("z");
  ranks.add(first);
  ranks.add(last);
  // Each comes right behind the first, and halves what is left.
  let previous = last;
  for (let index = 0; index < 200; index += 1) {
    const added = row(`b${String(1_000 - index).padStart(4, "0")}`);
    ranks.add(added);
    assert.ok(first.rank < added.rank && added.rank < previous.rank, `after ${index}`);
    previous = added;
  }
});
