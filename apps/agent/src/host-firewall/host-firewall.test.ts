import assert from "node:assert/strict";
import { test } from "node:test";
import { type Datapath, datapathDefaults, endpointId, openDatapath } from "@cilium-ts/datapath";
import { emptyDatapathObjects, fakeDatapathObjects } from "@cilium-ts/datapath/testing";
import { endpointIdMax, hostEndpointId } from "@cilium-ts/endpoint";
import { type FakeKernel, FakeMachine, openFakeKernel } from "@cilium-ts/kernel/testing";
import { Selector } from "@cilium-ts/labels";
import { CookieTable, PolicyEngine, type Rule } from "@cilium-ts/policy";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { RealisedPolicies } from "../policy/realised-policies.ts";
import { noProxies } from "../proxies/proxies.ts";
import { HostEnforcement } from "./host-enforcement.ts";
import { HostFirewall } from "./host-firewall.ts";

/** Nodes of the zone receive nothing. */
function closed(zone: string): Rule {
  return {
    policy: { kind: "CiliumClusterwideNetworkPolicy", namespace: "", name: `closed-${zone}`, uid: "", labels: [] },
    ofNodes: true,
    endpointSelector: Selector.of({ matchLabels: { zone } }),
    ...{ ingress: [{ path: "ingress[0]", peers: [] }], ingressDeny: [], egress: [], egressDeny: [] },
    enableDefaultDeny: { ingress: true, egress: false },
  };
}

/** An agent on a machine that outlives it. */
class Agent {
  readonly kernel: FakeKernel;
  readonly datapath: Datapath;
  readonly engine = new PolicyEngine({ mode: "default", allowLocalhost: "auto", clusterName: "default", families: [4, 6] });
  readonly realised: RealisedPolicies;
  readonly firewall: HostFirewall;
  readonly log: string[] = [];
  readonly rows: string[] = [];

  constructor(machine: FakeMachine, options: { hostFirewall?: boolean; audit?: boolean } = {}) {
    this.kernel = openFakeKernel({ machine, objects: fakeDatapathObjects() });
    const routers = { routerIPv4: new Uint8Array(4), routerIPv6: new Uint8Array(16) };
    const { hostFirewall = true, audit = false } = options;
    const objects = emptyDatapathObjects();
    this.datapath = openDatapath(this.kernel, { ...datapathDefaults, objects, bpfRoot: "/bpf", ...routers, hostFirewall });
    this.realised = new RealisedPolicies(this.datapath.policySets, new CookieTable(), noProxies);
    const line = (message: string): void => void this.log.push(message);
    this.firewall = new HostFirewall({
      engine: this.engine,
      enforcement: new HostEnforcement({ row: this.datapath.host, sets: this.datapath.policySets, realised: this.realised, audit }),
      clock: createSimulatedClock(),
      log: { error: line, warn: line, info: line, debug: line },
      revision: () => 1,
      onChange: ({ state, labels }) => this.rows.push(`${state} ${labels.join(" ")}`),
      onRegenerated() {},
    });
  }

  upsert(rule: Rule): void {
    this.firewall.regenerate(this.engine.upsertPolicy(rule.policy.name, [rule]).affected);
  }

  /** What the kernel enforces of the node's ingress: `closed`, `open`, or that it judges nothing. */
  ingress(): string {
    const row = this.datapath.host.read();
    if (row === undefined) return "not judged";
    return `${row.ingressEnforced ? "closed" : "open"}${row.audit ? ", audited" : ""}`;
  }
}

test("nothing is judged before the policies are known, and then all that concerns this node", () => {
  const agent = new Agent(new FakeMachine());
  agent.firewall.setLabels({ zone: "a" });
  agent.upsert(closed("a"));
  assert.equal(agent.ingress(), "not judged");
  assert.equal(agent.firewall.open(), true);
  assert.equal(agent.ingress(), "closed");
  assert.deepEqual(agent.rows.at(-1), "ready k8s:zone=a reserved:host");
  assert.deepEqual(agent.firewall.row.id, hostEndpointId);
});

test("from its beginning connections are known, and nothing is judged; what an earlier run enforced is not touched", () => {
  const machine = new FakeMachine();
  const first = new Agent(machine);
  first.firewall.begin();
  assert.equal(first.ingress(), "open");
  first.firewall.setLabels({ zone: "a" });
  first.upsert(closed("a"));
  first.firewall.open();
  assert.equal(first.datapath.policySets.count, 1);
  first.kernel.exit();
  const second = new Agent(machine);
  second.firewall.begin();
  assert.equal(second.ingress(), "closed");
});

test("without a policy about it the node is open, but its connections are known when one comes", () => {
  const agent = new Agent(new FakeMachine());
  agent.firewall.open();
  assert.equal(agent.ingress(), "open");
});

test("other labels of the node are another subject, and the one before is forgotten", () => {
  const agent = new Agent(new FakeMachine());
  agent.upsert(closed("b"));
  agent.firewall.setLabels({ zone: "a" });
  agent.firewall.open();
  assert.equal(agent.ingress(), "open");
  agent.firewall.setLabels({ zone: "b" });
  assert.equal(agent.ingress(), "closed");
  assert.equal(agent.engine.upsertPolicy("closed-a", [closed("a")]).affected.size, 0);
  agent.firewall.setLabels({ zone: "c" });
  assert.equal(agent.ingress(), "open");
});

test("what was enforced is enforced over a restart, until the next agent knows better", () => {
  const machine = new FakeMachine();
  const first = new Agent(machine);
  first.firewall.setLabels({ zone: "a" });
  first.upsert(closed("a"));
  first.firewall.open();
  first.kernel.exit();
  const second = new Agent(machine);
  assert.equal(second.ingress(), "closed");
  second.firewall.setLabels({ zone: "a" });
  second.firewall.open();
  assert.equal(second.ingress(), "open");
});

test("an agent without the firewall ends it, and what it leaves closes no node later", () => {
  const machine = new FakeMachine();
  const first = new Agent(machine);
  first.firewall.setLabels({ zone: "a" });
  first.upsert(closed("a"));
  first.firewall.open();
  first.kernel.exit();
  const without = new Agent(machine, { hostFirewall: false });
  assert.equal(without.ingress(), "not judged");
  without.datapath.policySets.prune();
  without.kernel.exit();
  assert.equal(new Agent(machine).ingress(), "not judged");
});

test("a policy that the kernel has no room for leaves the former in force, is told once, and tried again", () => {
  const agent = new Agent(new FakeMachine());
  agent.firewall.setLabels({ zone: "a" });
  agent.firewall.open();
  const acquire = agent.realised.acquire.bind(agent.realised);
  agent.realised.acquire = () => {
    throw new Error("the map is full");
  };
  agent.upsert(closed("a"));
  assert.deepEqual([agent.ingress(), agent.firewall.row.state, agent.firewall.retryFailed()], ["open", "not-ready", false]);
  assert.equal(agent.log.length, 1);
  assert.match(agent.log[0] ?? "", /the node itself \(endpoint 16383\): policy could not be enforced.*the map is full/);
  agent.realised.acquire = acquire;
  assert.deepEqual([agent.firewall.retryFailed(), agent.ingress(), agent.firewall.row.state], [true, "closed", "ready"]);
});

test("in audit mode the node is closed, and what that would drop passes", () => {
  const agent = new Agent(new FakeMachine(), { audit: true });
  agent.firewall.setLabels({ zone: "a" });
  agent.upsert(closed("a"));
  agent.firewall.open();
  assert.equal(agent.ingress(), "closed, audited");
});

test("policies that are no longer in force leave nothing in the kernel", () => {
  const agent = new Agent(new FakeMachine());
  agent.firewall.setLabels({ zone: "a" });
  agent.firewall.open();
  for (let round = 0; round < 3; round += 1) {
    agent.upsert(closed("a"));
    agent.firewall.regenerate(agent.engine.removePolicy("closed-a").affected);
  }
  agent.firewall.sweep();
  assert.equal(agent.datapath.policySets.count, 1);
});

test("the datapath's number of the node is nobody else's", () => {
  assert.equal(endpointId.host, hostEndpointId);
  assert.ok(endpointIdMax < hostEndpointId);
});
