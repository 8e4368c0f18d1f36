import assert from "node:assert/strict";
import { test } from "node:test";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { healthStatus, reachability, sampledHealth } from "./health-report.ts";
import { NodeProber, type ProbedPath } from "./node-prober.ts";
import { probedPaths } from "./probed-paths.ts";

const own = {
  clusterName: "default",
  nodeName: "here",
  underlay: ["fd31::1", "172.31.0.1"],
  health: { ipv4: "10.0.1.9", ipv6: "fd00:1::9" },
};
const there = {
  name: "there",
  labels: {},
  addresses: [
    { type: "InternalIP", ip: "172.31.0.2" },
    { type: "CiliumInternalIP", ip: "10.0.2.1" },
  ],
  podCIDRs: [],
  healthIPv4: "10.0.2.9",
  healthIPv6: "",
  bootId: "",
};

function setUp(paths: () => readonly ProbedPath[] = () => probedPaths(own, [there])) {
  const clock = createSimulatedClock();
  const silent = new Set<string>();
  const probed: string[] = [];
  let underway = 0;
  let most = 0;
  const answer = (protocol: string) => async (address: string) => {
    underway += 1;
    most = Math.max(most, underway);
    probed.push(`${protocol} ${address}`);
    await Promise.resolve();
    underway -= 1;
    if (silent.has(address)) throw new Error("no answer");
    return 0.002;
  };
  const prober = new NodeProber({ clock, paths, probes: { icmp: answer("icmp"), http: answer("http") }, baseIntervalMs: 60_000 });
  return { clock, silent, probed, prober, paths, most: () => most, stop: new AbortController() };
}

test("every address of every node is a path, and IPv4 counts where there are both", () => {
  const texts = probedPaths(own, [there]).map(
    ({ nodeName, type, address, primary }) => `${nodeName} ${type} ${address}${primary ? " !" : ""}`,
  );
  assert.deepEqual(texts, [
    "default/here node 172.31.0.1 !",
    "default/here node fd31::1",
    "default/here endpoint 10.0.1.9 !",
    "default/here endpoint fd00:1::9",
    "default/there node 172.31.0.2 !",
    "default/there endpoint 10.0.2.9 !",
  ]);
});

test("a path that does not answer is told with what is wrong, until it answers again", async () => {
  const { prober, silent, paths, stop } = setUp();
  const statusOf = (): unknown =>
    healthStatus("default/here", paths(), prober).nodes.map(({ name, host }) => [name, host["primary-address"].icmp?.status]);
  assert.deepEqual(statusOf(), [
    ["default/here", undefined],
    ["default/there", undefined],
  ]);
  silent.add("172.31.0.2");
  await prober.probe(stop.signal);
  assert.deepEqual(statusOf(), [
    ["default/here", ""],
    ["default/there", "no answer"],
  ]);
  assert.match(sampledHealth("default", "here", paths(), prober), /^cilium_unreachable_nodes 1$/m);
  silent.clear();
  await prober.probe(stop.signal);
  const [, other] = healthStatus("default/here", paths(), prober).nodes;
  assert.deepEqual(other?.["health-endpoint"], {
    "primary-address": {
      ip: "10.0.2.9",
      icmp: { latency: 2_000_000, status: "", lastProbed: "2023-11-14T22:13:20.000Z" },
      http: { latency: 2_000_000, status: "", lastProbed: "2023-11-14T22:13:20.000Z" },
    },
  });
});

test("whoever asks during a round gets what comes of it", async () => {
  const { prober, probed, stop } = setUp();
  await Promise.all([prober.probe(stop.signal), prober.probe(stop.signal)]);
  assert.equal(probed.length, 12);
});

test("rounds are rarer in larger clusters, and probes of one round are bounded", async () => {
  const nodes = (count: number): ProbedPath[] =>
    Array.from({ length: count }, (_, index) => ({
      nodeName: `n${index}`,
      type: "node",
      address: `10.0.${index >> 8}.${index & 255}`,
      primary: true,
    }));
  let count = 1;
  const { prober, clock, probed, most, stop } = setUp(() => nodes(count));
  assert.equal(Math.round(prober.intervalMs() / 1_000), 42);
  count = 1_000;
  assert.equal(Math.round(prober.intervalMs() / 1_000), 415);
  const running = prober.run(stop.signal);
  await clock.advance(414_000);
  assert.equal(probed.length, 2_000);
  await clock.advance(2_000);
  assert.equal(probed.length, 4_000);
  assert.ok(most() <= 32, String(most()));
  stop.abort();
  await running;
});

test("what is no path any more is forgotten", async () => {
  let others = [there];
  const paths = (): ProbedPath[] => probedPaths(own, others);
  const { prober, stop } = setUp(paths);
  await prober.probe(stop.signal);
  const [gone] = paths().slice(-1);
  assert.ok(gone !== undefined && reachability(prober.outcomesOf(gone)) === "reachable");
  others = [];
  await prober.probe(stop.signal);
  assert.equal(reachability(prober.outcomesOf(gone)), "unknown");
});
