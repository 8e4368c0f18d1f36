import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openKernel } from "@cilium-ts/kernel";
import { requireKernel } from "@cilium-ts/testing";
import { encodeNodeConfig, maps } from "../../adapters/datapath/src/gen/index.ts";
import { buildPodObject, defaultConfig, PodPrograms } from "./pod-programs.ts";

const skip = requireKernel();

/** What the verifier may look at before it gives up. */
const verifiedInstructionsMax = 1_000_000;
/** The kernel's default limit of memory that an idle node's maps may take here. */
const idleMapBytesMax = 50 * 1024 * 1024;

for (const [name, config] of [
  ["as a node sets it", {}],
  ["with every event off", { traceEnabled: 0, verdictEventsEnabled: 0 }],
  ["with a trace of every packet", { traceIntervalS: 0 }],
  ["without payloads in events", { tracePayloadSize: 0 }],
  ["with a firewall of the node", { hostFirewallEnabled: 1 }],
  ["with a payload size beyond the most, which is cut", { tracePayloadSize: 4000 }],
] as const) {
  test(`the verifier takes both programs ${name}`, { skip }, async (t) => {
    using programs = await PodPrograms.open(config);
    for (const program of ["from_pod", "to_pod"] as const) {
      const lines = readFileSync(`/proc/self/fdinfo/${programs.program(program).fd}`, "utf8");
      const verified = Number(/^verified_insns:\s*(\d+)/m.exec(lines)?.[1]);
      t.diagnostic(`${program}: ${verified} instructions verified`);
      assert.ok(verified > 0 && verified < verifiedInstructionsMax / 4, `${program}: ${verified}`);
    }
  });
}

for (const hostFirewallEnabled of [0, 1]) {
  for (const [name, programNames] of [
    ["overlay", ["from_overlay"]],
    ["host", ["from_host"]],
    ["network", ["from_network", "to_network"]],
    ["proxy", ["to_proxy"]],
  ] as const) {
    test(`the verifier takes the programs of ${name}.o with${hostFirewallEnabled ? "" : "out"} a firewall of the node`, {
      skip,
    }, async (t) => {
      await buildPodObject();
      const bytes = await readFile(join(import.meta.dirname, "../build", `${name}.o`));
      const ways = { tunnelIfindex: 1, directRoutingIfindex: 1, proxyIfindex: 1, masqueradeEnabled: 1 };
      const config = encodeNodeConfig({ ...defaultConfig, ...ways, hostFirewallEnabled });
      using object = openKernel().loadObject({ name: `${name}.o`, bytes, rodata: { config } });
      for (const program of programNames) {
        const lines = readFileSync(`/proc/self/fdinfo/${object.programs.get(program)?.fd}`, "utf8");
        const verified = Number(/^verified_insns:\s*(\d+)/m.exec(lines)?.[1]);
        t.diagnostic(`${program}: ${verified} instructions verified`);
        assert.ok(verified > 0 && verified < verifiedInstructionsMax / 4, `${program}: ${verified}`);
      }
    });
  }
}

test("the maps of an idle node take little memory", { skip }, async (t) => {
  const bytes = await buildPodObject();
  using object = openKernel().loadObject({ name: "pod.o", bytes, rodata: { config: encodeNodeConfig(defaultConfig) } });
  assert.deepEqual(
    [...object.maps.keys()].filter((name) => !name.startsWith(".")).sort(),
    Object.values(maps)
      .filter((map) => map.objects.some((name) => name === "pod"))
      .map((map) => map.name)
      .sort(),
  );
  const total = [...object.maps.values()].reduce((sum, map) => sum + map.memoryBytes(), 0);
  t.diagnostic(`${(total / 1024 / 1024).toFixed(1)} MiB`);
  assert.ok(total < idleMapBytesMax, `${total} bytes`);
});
