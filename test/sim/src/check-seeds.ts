import assert from "node:assert/strict";
import { test } from "node:test";
import { type SimulationOptions, simulate } from "./simulation.ts";

export const isLong = process.env.CILIUM_TS_LONG === "1";
const seedsOfPart = isLong ? 250 : 8;

/** A failure names the seed, which alone decides what happens. */
export async function checkSeed(options: SimulationOptions): Promise<void> {
  const found = await simulate(options);
  const again = `SIM_SEED=${options.seed} node --test test/sim/src/one-seed.test.ts`;
  assert.deepEqual(found, [], `seed ${options.seed} (again: ${again}):\n  ${found.join("\n  ")}`);
}

/** One of four parts, each a file of its own, so that none takes longer than a file may. */
export function testSeeds(part: 1 | 2 | 3 | 4): void {
  const first = 250 * (part - 1) + 1;
  const last = first + seedsOfPart - 1;
  test(`clusters of the seeds ${first} to ${last} come to be as the oracle says, whatever happened to them`, async () => {
    for (let seed = first; seed <= last; seed += 1) await checkSeed({ seed });
  });
}
