import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyDatapathObjects } from "@cilium-ts/datapath/testing";
import { openFakeKernel } from "@cilium-ts/kernel/testing";
import { openFakeNetlink } from "@cilium-ts/netlink/testing";
import { systemClock } from "@cilium-ts/std";
import { runAgent } from "./agent.ts";
import { requireTcx } from "./require-tcx.ts";
import { parseSettings } from "./settings.ts";
import type { World } from "./world.ts";

const rows: ReadonlyArray<readonly [release: string, enough: boolean]> = [
  ["5.15.0-91-generic", false],
  ["6.1.0-18-amd64", false],
  ["6.5.13", false],
  ["6.6.0", true],
  ["6.12-rc1", true],
  ["7.0.1", true],
];

for (const [release, enough] of rows) {
  test(`Linux ${release} is ${enough ? "new enough" : "refused"}`, () => {
    if (enough) requireTcx({ release });
    else assert.throws(() => requireTcx({ release }), new RegExp(`this kernel \\(${release}\\) has no tcx: it needs Linux 6\\.6 or newer`));
  });
}

test("an agent on a kernel without tcx ends with a sentence and has touched nothing", async () => {
  const kernel = openFakeKernel({ release: "6.1.0" });
  const parsed = parseSettings(["--socket-path", "/nonexistent/cilium.sock", "--state-dir", "/nonexistent/state"], {}, () => undefined);
  assert.ok(parsed.kind === "options");
  const silent = (): void => {};
  const log = { error: silent, warn: silent, info: silent, debug: silent };
  const objects = emptyDatapathObjects();
  const openClient = (): never => assert.fail("the API server was asked");
  const world: World = { kernel, clock: systemClock, log, objects, openNetlink: openFakeNetlink, openClient };
  await assert.rejects(runAgent(world, parsed.options, new AbortController().signal), /this kernel \(6\.1\.0\) has no tcx/);
  assert.deepEqual([kernel.machine.mounts.size, kernel.machine.pins.size, kernel.machine.sysctls.size], [0, 0, 0]);
});
