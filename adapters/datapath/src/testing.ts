import type { MapSpec } from "@cilium-ts/kernel";
import type { FakeObjectShape } from "@cilium-ts/kernel/testing";
import { maps, rodata } from "./gen/index.ts";
import type { DatapathObjects } from "./options.ts";

const programs: Readonly<Record<string, FakeObjectShape["programs"]>> = {
  pod: [
    { name: "from_pod", type: "sched_cls" },
    { name: "to_pod", type: "sched_cls" },
  ],
  conntrack: [{ name: "sweep_conntrack", type: "syscall" }],
  overlay: [{ name: "from_overlay", type: "sched_cls" }],
  host: [{ name: "from_host", type: "sched_cls" }],
  network: [
    { name: "from_network", type: "sched_cls" },
    { name: "to_network", type: "sched_cls" },
  ],
  proxy: [{ name: "to_proxy", type: "sched_cls" }],
};

/** The `objects` of `openDatapath` on a fake kernel: all that it looks at are their names. */
export function emptyDatapathObjects(): DatapathObjects {
  return Object.fromEntries(Object.keys(programs).map((name) => [name, new Uint8Array()])) as unknown as DatapathObjects;
}

/** What the compiled objects declare, for the fake kernel, which cannot read them: the `objects` of `openFakeKernel`. */
export function fakeDatapathObjects(): Readonly<Record<string, FakeObjectShape>> {
  const specs = Object.values(maps).map(
    ({ name, type, keySizeBytes, valueSizeBytes, maxEntries, flags }): MapSpec => ({
      name,
      type,
      keySizeBytes,
      valueSizeBytes,
      maxEntries,
      flags,
    }),
  );
  const constants = { [rodata.config.name]: rodata.config.codec.sizeBytes };
  return Object.fromEntries(
    Object.entries(programs).map(([name, shapes = []]) => [`${name}.o`, { maps: specs, programs: shapes, constants }]),
  );
}
