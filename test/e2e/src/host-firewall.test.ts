import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { Cluster, type Flow, ipIn, labSubnet } from "./cluster.ts";
import { verdicts } from "./verdicts.ts";
import { families, type Place, type Workload } from "./workload-client.ts";

const { signal } = new AbortController();
const tcp = (...ports: number[]) => [{ ports: ports.map((port) => ({ port: String(port), protocol: "TCP" })) }];
const pods = (app: string) => ({ matchLabels: { "k8s:app": app } });

/** What nodes need of each other and of the API server, whatever else is closed. */
const lifelines = {
  ingress: [
    { fromEntities: ["remote-node"], toPorts: [...tcp(4240), { ports: [{ port: "8472", protocol: "UDP" }] }] },
    { fromEntities: ["health"] },
  ],
  egress: [{ toEntities: ["kube-apiserver", "health"] }, { toEntities: ["remote-node"], toPorts: tcp(4240) }],
};

for (const routing of ["tunnel", "native"] as const) {
  describe(`the firewall of a node, ${routing}`, { skip: requireKernel() }, () => {
    let cluster: Cluster;
    let places: { host: Workload; farHost: Workload; world: Workload; client: Workload; other: Workload; far: Workload } & Record<
      string,
      Workload | Place
    >;
    const check = (text: string): Promise<void> => eventually(() => verdicts(places, text), { deadlineMs: 30_000, intervalMs: 200 });
    let applied = new Set<string>();

    before(async () => {
      cluster = await Cluster.start({ nodes: 2, routing, agentArguments: ["--enable-host-firewall", "true"] });
      const named = {
        host: await cluster.host(),
        farHost: await cluster.host("node2"),
        world: await cluster.world(),
        client: await cluster.pod("client"),
        other: await cluster.pod("other"),
        far: await cluster.pod("far", { node: "node2", labels: { app: "client" } }),
      };
      places = { ...named, node: underlay("node1", 11), farNode: underlay("node2", 12) };
      for (const server of [named.host, named.farHost, named.world, named.client]) await server.listen("tcp", 8081, 8082, 8083);
      // The far pod's packets to the node's router come from it, and their answers go back to it.
      await ipIn(named.world.namespacePath, "route add 10.0.2.0/24 via", cluster.lab.node("node2").underlayAddress);
    });
    after(() => cluster?.[Symbol.asyncDispose]());
    afterEach(async () => {
      for (const name of applied) await remove(name);
    });

    const underlay = (name: string, number: number): Place => {
      const { namespacePath, underlayAddress } = cluster.lab.node(name);
      return { name: `underlay of ${name}`, namespacePath, ipv4: underlayAddress, ipv6: `fd31:${labSubnet}::${number}` };
    };

    /** About node1, unless the spec says otherwise. */
    async function apply(name: string, spec: object, annotations: Readonly<Record<string, string>> = {}): Promise<void> {
      const object = {
        apiVersion: "cilium.io/v2",
        kind: "CiliumClusterwideNetworkPolicy",
        metadata: { name, annotations },
        spec: { nodeSelector: { matchLabels: { "kubernetes.io/hostname": "node1" } }, ...spec },
      };
      await cluster.changing(1, async () => void (await cluster.lab.kubectl.apply(JSON.stringify(object))));
      applied.add(name);
    }

    async function remove(name: string): Promise<void> {
      await cluster.changing(1, async () => void (await cluster.lab.kubectl.run(["delete", "ccnp", name])));
      applied = new Set([...applied].filter((one) => one !== name));
    }

    const ingress = {
      ingress: [
        ...lifelines.ingress,
        { fromEntities: ["world"], toPorts: tcp(8081) },
        { fromEntities: ["remote-node"], toPorts: tcp(8082) },
        { fromEndpoints: [pods("client")], toPorts: tcp(8083) },
      ],
    };

    const ingressRows = `
      world    tcp/8081  node     answered
      world    tcp/8082  node     dropped
      farHost  tcp/8082  node     answered
      farHost  tcp/8081  node     dropped
      farHost  tcp/8082  host     answered
      farHost  tcp/8081  host     dropped
      client   tcp/8083  host     answered
      client   tcp/8081  host     dropped
      other    tcp/8083  host     dropped
      far      tcp/8083  host     answered
      far      tcp/8081  host     dropped
      world    icmp      node     dropped
    `;

    test("only what a policy of the node allows is received by it, from outside, nodes and pods", async () => {
      await check("world tcp/8082 node answered\nclient tcp/8081 host answered\nfar tcp/8081 host answered");
      await apply("node-ingress", ingress);
      await check(ingressRows);
      // Others are none of its business: what the node sends, other nodes, and pods.
      await check(`
        host   tcp/8082  farHost  answered
        host   tcp/8082  world    answered
        world  tcp/8082  farNode  answered
        far    tcp/8082  client   answered
        host   tcp/8082  client   answered
      `);
    });

    test("only what a policy of the node allows is sent by it", async () => {
      const egress = [
        ...lifelines.egress,
        { toEndpoints: [pods("client")], toPorts: tcp(8081) },
        { toEntities: ["world"], toPorts: tcp(8082) },
      ];
      await apply("node-egress", { egress });
      await check(`
        host    tcp/8081  client   answered
        host    tcp/8082  client   dropped
        host    tcp/8082  world    answered
        host    tcp/8081  world    dropped
        host    tcp/8081  farNode  dropped
        host    tcp/8081  farHost  dropped
        client  tcp/8081  host     answered
        world   tcp/8081  node     answered
        other   tcp/8082  client   answered
      `);
      // The agent still has its API server: the next change arrives.
      await remove("node-egress");
      await check("host tcp/8081 world answered");
    });

    test("connections that are under way are judged by what is in force now", async () => {
      await apply("node-ingress", ingress);
      for (const family of families) await places.world.stream(`in ${family}`, places.node as Place, family, 8081);
      for (const family of families) await places.host.stream(`out ${family}`, places.world, family, 8082);
      const received = async (from: Workload, name: string): Promise<number> => (await from.look(name)).receivedBytes;
      const grows = async (from: Workload, name: string): Promise<void> => {
        const before = await received(from, name);
        await eventually(async () => assert.ok((await received(from, name)) > before, name));
      };
      await apply("node-ingress", { ingress: [...lifelines.ingress, { fromEntities: ["world"], toPorts: tcp(9999) }] });
      for (const family of families) {
        await grows(places.host, `out ${family}`);
        await eventually(async () => assert.ok((await places.world.look(`in ${family}`)).presentGapMs > 1_000));
      }
      await apply("node-ingress", ingress);
      for (const family of families) await eventually(() => grows(places.world, `in ${family}`));
    });

    test("a drop is told as the node's, with the policy's name, and so is what is only audited", async () => {
      await apply("node-deny", { ingressDeny: [{ fromEntities: ["world"], toPorts: tcp(8081) }], enableDefaultDeny: { ingress: false } });
      await check("world tcp/8081 node dropped\nworld tcp/8082 node answered");
      const told = async (verdict: string): Promise<readonly Flow[]> =>
        cluster.flows("--from-ip", places.world.ipv4, "--verdict", verdict, "--last", "20", "--type", "policy-verdict");
      await eventually(async () => {
        const flow = (await told("DROPPED")).at(-1);
        assert.deepEqual(
          [flow?.drop_reason_desc, flow?.traffic_direction, flow?.destination?.identity, flow?.ingress_denied_by?.map(({ name }) => name)],
          ["POLICY_DENY", "INGRESS", 1, ["node-deny"]],
        );
        assert.ok(flow?.destination?.labels?.includes("reserved:host"), JSON.stringify(flow));
        assert.ok(flow?.destination?.labels?.includes("k8s:kubernetes.io/hostname=node1"), JSON.stringify(flow));
      });
      await apply(
        "node-deny",
        { ingressDeny: [{ fromEntities: ["world"], toPorts: tcp(8081) }], enableDefaultDeny: { ingress: false } },
        { "policy.cilium.io/audit-mode": "enabled" },
      );
      await check("world tcp/8081 node answered");
      await eventually(async () =>
        assert.deepEqual(
          (await told("AUDIT")).at(-1)?.ingress_denied_by?.map(({ name }) => name),
          ["node-deny"],
        ),
      );
    });

    test("the node is an endpoint, and its labels are those of its object", async () => {
      await apply("zone", { nodeSelector: { matchLabels: { zone: "a" } }, ingress: lifelines.ingress });
      await check("world tcp/8081 node answered");
      await cluster.lab.kubectl.run(["label", "node", "node1", "zone=a"]);
      await check("world tcp/8081 node dropped");
      const endpoint = (await cluster.endpoints()).find(({ status }) => status?.identity?.id === 1);
      assert.ok(endpoint?.status?.identity?.labels?.includes("k8s:zone=a"), JSON.stringify(endpoint));
      assert.equal(endpoint?.status?.policy?.realized?.["policy-enabled"], "ingress");
      await cluster.lab.kubectl.run(["label", "node", "node1", "zone-"]);
      await check("world tcp/8081 node answered");
      const status = await cluster.agent.health(signal);
      assert.deepEqual(status["host-firewall"], { mode: "Enabled", devices: ["eth0"] });
    });

    test("it holds while the agent is dead and after it has come again, and ends with the setting", async () => {
      await apply("node-ingress", ingress);
      await check(ingressRows);
      await cluster.lab.killAgent();
      await check(ingressRows);
      cluster.lab.startAgent("node1");
      await cluster.lab.waitForAgent("node1");
      await check(ingressRows);
      await cluster.lab.stopAgent("node1");
      cluster.lab.startAgent("node1", ["--enable-host-firewall", "false"]);
      await cluster.lab.waitForAgent("node1");
      await check("world tcp/8082 node answered\nother tcp/8083 host answered\nfarHost tcp/8081 host answered");
      await cluster.lab.stopAgent("node1");
      cluster.lab.startAgent("node1");
      await cluster.lab.waitForAgent("node1");
      await check(ingressRows);
    });
  });
}
