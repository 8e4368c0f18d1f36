import { ownPlace } from "@cilium-ts/lab";
import { measureInterleaved } from "./interleaved.ts";
import type { NetperfTest } from "./netperf.ts";
import { openKernelVxlan, openPlainRouting } from "./node-topologies.ts";
import { openPods } from "./pods.ts";
import { createRow, type Row } from "./report.ts";

/** Ratios to the kernel's VXLAN under a bridge that the incumbent reached in tunnel mode (docs/decisions/0016). */
const plan: ReadonlyArray<{ test: NetperfTest; unit: string; incumbentRatio: number }> = [
  { test: "tcp-stream", unit: "Mbit/s", incumbentRatio: 0.79 },
  { test: "tcp-rr", unit: "1/s", incumbentRatio: 0.85 },
  { test: "tcp-crr", unit: "1/s", incumbentRatio: 0.86 },
  { test: "udp-pps", unit: "packets/s", incumbentRatio: 0.8 },
];

/** Pods of two nodes, tunnelled and routed natively, with policy and Hubble on, beside what the kernel does alone. */
export async function benchCrossNode(root: string, options: { repeats: number; seconds: number }): Promise<Row[]> {
  await using stack = new AsyncDisposableStack();
  const tunnel = stack.use(await openPods("tunnel", { root, ...ownPlace("bt"), nodes: 2, routing: "tunnel" }));
  const native = stack.use(await openPods("native", { root, ...ownPlace("bn", 1), nodes: 2, routing: "native" }));
  const topologies = [tunnel, native, stack.use(await openKernelVxlan("ctbv")), stack.use(await openPlainRouting("ctbr"))];
  const tests = plan.map(({ test }) => test);
  const onRound = (round: number): void => console.error(`dev bench cross-node: round ${round} of ${options.repeats}`);
  const values = await measureInterleaved({ root, topologies, tests, ...options, onRound });
  return plan.flatMap(({ test, unit, incumbentRatio }) => {
    const peers = { "kernel-vxlan": values(test, "kernel-vxlan"), "plain-routing": values(test, "plain-routing") };
    return [
      createRow({
        name: `tunnel-${test}`,
        unit,
        ours: values(test, "tunnel"),
        peers,
        aim: { of: "kernel-vxlan", better: "higher", at: 1 },
        incumbent: incumbentRatio,
      }),
      createRow({
        name: `native-${test}`,
        unit,
        ours: values(test, "native"),
        peers,
        aim: { of: "plain-routing", better: "higher", at: 0.95 },
      }),
    ];
  });
}
