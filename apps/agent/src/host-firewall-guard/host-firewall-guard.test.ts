import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Datapath, datapathDefaults, openDatapath } from "@cilium-ts/datapath";
import { emptyDatapathObjects, fakeDatapathObjects } from "@cilium-ts/datapath/testing";
import { FakeMachine, openFakeKernel } from "@cilium-ts/kernel/testing";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { type FormerRow, GuardFile } from "./guard-file.ts";
import { HostFirewallGuard } from "./host-firewall-guard.ts";

/** A machine with a row of the node in force, and the record of a trial that ends in ten seconds. */
async function onTrial(
  body: (given: {
    readonly datapath: Datapath;
    readonly guard: HostFirewallGuard;
    readonly former: FormerRow;
    pass(ms: number): Promise<void>;
  }) => void | Promise<void>,
): Promise<void> {
  const stateDirectory = mkdtempSync(join(tmpdir(), "guard-"));
  const kernel = openFakeKernel({ machine: new FakeMachine(), objects: fakeDatapathObjects() });
  const routers = { routerIPv4: new Uint8Array(4), routerIPv6: new Uint8Array(16) };
  const objects = emptyDatapathObjects();
  const datapath = openDatapath(kernel, { ...datapathDefaults, objects, bpfRoot: "/bpf", ...routers, hostFirewall: true });
  const entry = { identity: 7, direction: "egress", protocol: 0, port: 0, portPrefixLength: 0, deny: false, precedence: 0 } as const;
  const [before = 0, after = 0] = [1, 2].map((cookie) => datapath.policySets.acquire([{ ...entry, cookie }]));
  const row = (policySet: number): FormerRow => ({ policySet, ingressEnforced: false, egressEnforced: true, audit: false });
  const former = row(before);
  datapath.host.apply(row(after));
  const clock = createSimulatedClock();
  const trial = { kind: "tried", untilMs: clock.nowMs() + 10_000, lost: ["SSH"] } as const;
  const said: string[] = [];
  const say = (message: string): void => void said.push(message);
  new GuardFile(stateDirectory, say).write({ trial, accepted: [], labels: [], cut: [], triedDigest: "", former });
  const guard = new HostFirewallGuard({
    ...{ kernel, clock, stateDirectory, bpfRoot: "/bpf", revertAfterMs: 60_000, nodeName: "n1" },
    log: { error: say, warn: say, info: say, debug() {} },
    client: { create: async (_, object) => object, get: async () => undefined },
    rulesOf: () => [],
  });
  try {
    await body({ datapath, guard, former, pass: (ms) => clock.advance(ms) });
  } finally {
    await guard[Symbol.asyncDispose]();
    rmSync(stateDirectory, { recursive: true });
  }
}

const sources = { facts: () => ({ apiServers: [], sshPorts: [], nodes: [] }), refresh: async () => {} };
const parts = { sources, applyRules() {}, onAgentEvent() {} };

test("a trial ends in time although the start of the agent waits for the API server", () =>
  onTrial(async ({ datapath, guard, former, pass }) => {
    await pass(9_000);
    assert.notDeepEqual(datapath.host.read(), former);
    await pass(2_000);
    assert.deepEqual([datapath.host.read(), guard.trial.kind, guard.revertCount], [former, "reverted", 1]);
  }));

test("what has been pruned does not come back", () =>
  onTrial(async ({ datapath, guard, former, pass }) => {
    datapath.policySets.release(former.policySet);
    guard.attach({ ...parts, datapath });
    await pass(11_000);
    assert.equal(datapath.host.read(), undefined, "a set that is gone closes the node: it is left open instead");
  }));

test("its set is held from the moment that the datapath is open", () =>
  onTrial(async ({ datapath, guard, former, pass }) => {
    guard.attach({ ...parts, datapath });
    datapath.policySets.release(former.policySet);
    datapath.policySets.prune();
    await pass(11_000);
    assert.deepEqual(datapath.host.read(), former);
    assert.equal(datapath.policySets.hold(former.policySet), true);
  }));
