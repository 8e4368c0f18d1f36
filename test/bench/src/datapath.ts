import { ownPlace } from "@cilium-ts/lab";
import { measureInterleaved } from "./interleaved.ts";
import type { NetperfTest } from "./netperf.ts";
import { openPods } from "./pods.ts";
import { createRow, type Row } from "./report.ts";
import { openBridgeWithNftables, openVethPair } from "./topologies.ts";

/** Cilium with policy and Hubble on, as a ratio to a bare veth pair on a machine of this kind (docs/decisions has the source). */
const plan: ReadonlyArray<{ test: NetperfTest; unit: string; aim: number; incumbentRatio: number }> = [
  { test: "tcp-stream", unit: "Mbit/s", aim: 0.97, incumbentRatio: 0.95 },
  { test: "tcp-rr", unit: "1/s", aim: 0.92, incumbentRatio: 0.85 },
  { test: "tcp-crr", unit: "1/s", aim: 0.82, incumbentRatio: 0.43 },
  { test: "udp-pps", unit: "packets/s", aim: 0.88, incumbentRatio: 0.72 },
];

/** Two pods of one node, beside a bare veth pair and a bridge with a firewall that knows connections. */
export async function benchDatapath(root: string, options: { repeats: number; seconds: number }): Promise<Row[]> {
  await using stack = new AsyncDisposableStack();
  const ours = stack.use(await openPods("cilium-ts", { root, ...ownPlace("b") }));
  const topologies = [ours, stack.use(await openVethPair("ctb")), stack.use(await openBridgeWithNftables("ctb"))];
  const tests = plan.map(({ test }) => test);
  const onRound = (round: number): void => console.error(`dev bench datapath: round ${round} of ${options.repeats}`);
  const values = await measureInterleaved({ root, topologies, tests, ...options, onRound });
  return plan.map(({ test, unit, aim, incumbentRatio }) =>
    createRow({
      name: test,
      unit,
      ours: values(test, ours.name),
      peers: { veth: values(test, "veth"), "bridge-nft": values(test, "bridge-nft") },
      aim: { of: "veth", better: "higher", at: aim },
      incumbent: incumbentRatio,
    }),
  );
}
