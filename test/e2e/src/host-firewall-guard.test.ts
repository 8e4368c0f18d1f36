import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { HostFirewallStatus } from "@cilium-ts/agent-api";
import { runToEnd } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { repositoryRoot } from "@cilium-ts/tools/repository";
import { Cluster, policy, withoutHealthEndpoint } from "./cluster.ts";
import { verdicts } from "./verdicts.ts";
import type { Workload } from "./workload-client.ts";

const signal = new AbortController().signal;
const revertAfterMs = 8_000;
const guarded = ["--enable-host-firewall", "true", "--host-firewall-revert-after", `${revertAfterMs / 1_000}s`];

/** About every node. The API server is not in the range. */
const cutsApiServer = { nodeSelector: {}, egress: [{ toCIDR: ["192.0.2.0/24"] }] };
const cutsSsh = { nodeSelector: {}, ingress: [{ fromEntities: ["all"], toPorts: [{ ports: [{ port: "9999", protocol: "TCP" }] }] }] };

describe("a policy that cuts off its node", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  let host: Workload;
  let world: Workload;

  before(async () => {
    cluster = await Cluster.start({ agentArguments: [...guarded, ...withoutHealthEndpoint] });
    host = await cluster.host();
    await host.listen("tcp", 22);
    world = await cluster.world();
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  async function apply(name: string, spec: object, annotations: object = {}): Promise<void> {
    const object = { apiVersion: "cilium.io/v2", kind: "CiliumClusterwideNetworkPolicy", metadata: { name, annotations }, spec };
    await cluster.lab.kubectl.apply(JSON.stringify(object));
  }

  async function trial(): Promise<HostFirewallStatus["trial"]> {
    return (await cluster.agent.health(signal))["host-firewall"]?.trial;
  }

  async function becomes(state: "tried" | "reverted" | undefined): Promise<NonNullable<HostFirewallStatus["trial"]> | undefined> {
    return await eventually(
      async () => {
        const now = await trial();
        assert.equal(now?.state, state);
        return now;
      },
      { deadlineMs: 4 * revertAfterMs },
    );
  }

  /** The agent hears of something new from the API server. */
  async function hears(): Promise<void> {
    await cluster.apply(policy("heard", "nobody", { ingress: [{}] }));
    await cluster.clear();
  }

  async function remove(...names: string[]): Promise<void> {
    await cluster.lab.kubectl.run(["delete", "ciliumclusterwidenetworkpolicy", ...names]);
    await becomes(undefined);
  }

  test("loses the API server for a while, and then has it again; the node and the policy say why", async () => {
    await apply("cut", cutsApiServer);
    const tried = await becomes("tried");
    assert.ok(
      tried?.state === "tried" && tried.lost.some((what) => /^the API server at 172\.31\.\d+\.1:6443$/.test(what)),
      JSON.stringify(tried),
    );
    const reverted = await becomes("reverted");
    assert.match(reverted?.state === "reverted" ? reverted.reason : "", /the API server at .* would be cut off/);
    await hears();
    await eventually(async () => {
      const told = await cluster.lab.kubectl.run([
        "get",
        "events",
        "--output",
        "jsonpath={range .items[*]}{.reason} {.involvedObject.kind}{'\\n'}{end}",
      ]);
      for (const reason of ["HostFirewallTrial", "HostFirewallReverted"])
        for (const kind of ["Node", "CiliumClusterwideNetworkPolicy"]) assert.ok(told.includes(`${reason} ${kind}`), told);
    });
    await remove("cut");
  });

  test("stays when somebody confirms, and is taken back when it changes for the worse", async () => {
    await apply("ssh", cutsSsh);
    const tried = await becomes("tried");
    assert.deepEqual(tried?.state === "tried" && tried.lost, ["SSH on port 22 for anybody"]);
    const { socketPath } = cluster.lab.node();
    const program = join(repositoryRoot, "apps/cilium-dbg/build/bin/main.js");
    const confirm = ["--host", `unix://${socketPath}`, "host-firewall", "confirm"];
    assert.equal((await runToEnd(process.execPath, [program, ...confirm])).status, 0);
    await becomes(undefined);
    await verdicts({ world, host }, "world tcp/22 host dropped");
    assert.match((await runToEnd(process.execPath, [program, ...confirm])).stderr, /no policy of this node is on trial/);
    await apply("cut", cutsApiServer);
    await becomes("reverted");
    await hears();
    await verdicts({ world, host }, "world tcp/22 host dropped");
    await remove("cut", "ssh");
    await verdicts({ world, host }, "world tcp/22 host answered");
  });

  test("is not tried when it says itself that it is meant", async () => {
    await cluster.changing(1, () => apply("ssh", cutsSsh, { "policy.cilium.io/host-firewall-confirmed": "true" }));
    assert.equal(await trial(), undefined);
    await remove("ssh");
  });

  test("is taken back when it became the node's own by a label, which stays", async () => {
    const inZone = { ...cutsSsh, nodeSelector: { matchLabels: { zone: "b" } } };
    await cluster.changing(1, () => apply("zone", inZone));
    assert.equal(await trial(), undefined);
    await cluster.lab.kubectl.run(["label", "node", "node1", "zone=b"]);
    await becomes("tried");
    await verdicts({ world, host }, "world tcp/22 host dropped");
    await becomes("reverted");
    await verdicts({ world, host }, "world tcp/22 host answered");
    await cluster.lab.kubectl.run(["label", "node", "node1", "zone-"]);
    await becomes(undefined);
    await remove("zone");
  });

  test("is taken back although the agent was killed meanwhile and cannot ask anybody", async () => {
    await apply("cut", cutsApiServer);
    await becomes("tried");
    await cluster.lab.killAgent();
    cluster.lab.startAgent();
    await cluster.lab.waitForAgent();
    const reverted = await becomes("reverted");
    assert.equal(reverted?.state, "reverted");
    await hears();
    await cluster.lab.killAgent();
    cluster.lab.startAgent();
    await cluster.lab.waitForAgent();
    await hears();
    assert.equal((await trial())?.state, "reverted", "the same policy stays taken back");
    await remove("cut");
  });
});
