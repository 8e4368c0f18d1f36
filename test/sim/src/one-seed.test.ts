import { test } from "node:test";
import { checkSeed, isLong } from "./check-seeds.ts";

const { SIM_SEED } = process.env;

/** Seeds that found something, and would again with what is here now: a new action makes other histories of the old seeds. */
const found: ReadonlyArray<readonly [seed: number, what: string]> = [
  [1_004, "a router's address of former pod CIDRs was taken for one of the node's own"],
  [207, "an identity that went before any watch showed it was never made again"],
  [34, "a pod whose namesake was connected after it, and removed late, was no longer shown"],
];

if (SIM_SEED !== undefined) test(`seed ${SIM_SEED}`, () => checkSeed({ seed: Number(SIM_SEED) }));
else {
  for (const [seed, what] of found) test(`seed ${seed}: ${what}`, () => checkSeed({ seed }));
  test("a cluster in trouble for long", () => checkSeed({ seed: 5_001, nodes: 6, troubleMs: isLong ? 1_200_000 : 120_000 }));
  test("many nodes", () => checkSeed({ seed: 6_001, nodes: isLong ? 50 : 12, troubleMs: 20_000 }));
}
