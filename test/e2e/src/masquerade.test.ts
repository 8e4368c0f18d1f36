import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { Cluster, ipIn } from "./cluster.ts";
import { verdicts } from "./verdicts.ts";
import type { Workload } from "./workload-client.ts";

describe("pods that leave the cluster with an address of their node", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  let places: { client: Workload; world: Workload };

  before(async () => {
    cluster = await Cluster.start({ agentArguments: ["--enable-bpf-masquerade", "true"] });
    places = { client: await cluster.pod("client"), world: await cluster.world() };
    await places.world.listen("tcp", 9002);
    await places.world.listen("udp", 9003);
    // A machine outside knows the node, and nothing of its pods.
    await ipIn(places.world.namespacePath, "route del 10.0.1.0/24");
    await ipIn(places.world.namespacePath, "-6 route del fd00:10:0:1::/112");
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  test("are answered by machines that have no route to pods", () =>
    verdicts(
      places,
      `
        client  tcp/9002  world  answered
        client  udp/9003  world  answered
        client  icmp      world  answered
      `,
    ));

  test("go on being answered after the agent was killed and started again", async () => {
    await cluster.lab.killAgent();
    await verdicts(places, "client tcp/9002 world answered");
    cluster.lab.startAgent();
    await cluster.lab.waitForAgent();
    await verdicts(places, "client tcp/9002 world answered");
  });
});
