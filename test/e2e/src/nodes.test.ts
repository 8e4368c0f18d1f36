import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { Cluster, policy } from "./cluster.ts";
import { verdicts } from "./verdicts.ts";
import type { Workload } from "./workload-client.ts";

const setups = [
  { name: "with a tunnel and an operator", options: { routing: "tunnel", ipam: "cluster-pool", nodes: 3 } },
  { name: "routed natively, with the pod CIDRs of their Nodes", options: { routing: "native", ipam: "kubernetes", nodes: 2 } },
] as const;

for (const { name, options } of setups) {
  describe(`pods of several nodes, ${name}`, { skip: requireKernel() }, () => {
    let cluster: Cluster;
    let places: { client: Workload; near: Workload; far: Workload; farHost: Workload };
    const last = `node${options.nodes}`;
    const check = (text: string): Promise<void> => verdicts(places, text);
    /** Other nodes learn of a pod by its object, and of a change of policy by themselves: give them a moment, then insist. */
    const soon = (text: string): Promise<void> => eventually(() => check(text), { deadlineMs: 20_000, intervalMs: 200 });

    before(async () => {
      cluster = await Cluster.start(options);
      places = {
        client: await cluster.pod("client"),
        near: await cluster.pod("near", { labels: { app: "server" } }),
        far: await cluster.pod("far", { labels: { app: "server" }, node: last }),
        farHost: await cluster.host(last),
      };
      for (const server of [places.near, places.far]) {
        await server.listen("tcp", 8081, 8082);
        await server.listen("udp", 5353);
      }
    });
    after(() => cluster?.[Symbol.asyncDispose]());
    afterEach(() => cluster.clear());

    test("reach each other and each other's nodes, and the nodes them", async () => {
      await soon(`
        client   tcp/8081  near     answered
        client   tcp/8081  far      answered
        client   udp/5353  far      answered
        client   icmp      far      answered
        far      icmp      client   answered
        client   icmp      farHost  answered
        farHost  icmp      client   answered
        farHost  tcp/8081  near     answered
      `);
    });

    test("are judged by identity wherever they run", async () => {
      const matchLabels = { app: "client" };
      const toPorts = [{ ports: [{ port: "8081", protocol: "TCP" }] }];
      await cluster.apply(policy("from-client", "server", { ingress: [{ fromEndpoints: [{ matchLabels }], toPorts }] }));
      await soon(`
        client   tcp/8081  near     answered
        client   tcp/8081  far      answered
        client   tcp/8082  far      dropped
        client   udp/5353  far      dropped
        near     tcp/8081  far      dropped
        far      tcp/8081  near     dropped
        farHost  tcp/8081  near     dropped
      `);
    });

    test("know other nodes as remote nodes, which are not the host", async () => {
      await cluster.apply(policy("from-nodes", "server", { ingress: [{ fromEntities: ["remote-node"] }] }));
      await soon(`
        farHost  tcp/8081  near     answered
        farHost  tcp/8081  far      answered
        client   tcp/8081  far      dropped
      `);
    });

    test("are shown as the cluster's nodes, endpoints and identities", async () => {
      const names = async (resource: string): Promise<string[]> =>
        (await cluster.lab.kubectl.run(["get", resource, "-A", "-o", "jsonpath={.items[*].metadata.name}"])).split(" ").sort();
      const nodes = Array.from({ length: options.nodes }, (_, index) => `node${index + 1}`);
      assert.deepEqual(await names("ciliumnodes"), nodes);
      assert.deepEqual(await names("ciliumendpoints"), ["client", "far", "near"]);
      assert.equal((await names("ciliumidentities")).length, 2, "replicas on different nodes share an identity");
    });
  });
}
