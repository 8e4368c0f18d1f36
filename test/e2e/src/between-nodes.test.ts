import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { runToEnd } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { Cluster, ipIn, labSubnet, policy } from "./cluster.ts";
import { verdicts } from "./verdicts.ts";
import { families, type Place, type Workload } from "./workload-client.ts";

const { signal } = new AbortController();

for (const routing of ["tunnel", "native"] as const) {
  describe(`between nodes, ${routing}`, { skip: requireKernel() }, () => {
    let cluster: Cluster;
    let places: { client: Workload; near: Workload; far: Workload; host: Workload; farHost: Workload } & Record<string, Workload | Place>;
    /** Other nodes learn of a pod by its object, and of a change of policy by themselves: give them a moment, then insist. */
    const soon = (text: string): Promise<void> => eventually(() => verdicts(places, text), { deadlineMs: 20_000, intervalMs: 200 });
    const out = (...toEntities: readonly string[]) => policy("out", "client", { egress: [{ toEntities }] });

    before(async () => {
      // The API server of the lab knows the nodes, and nothing of their pods.
      cluster = await Cluster.start({ nodes: 2, routing, agentArguments: ["--enable-bpf-masquerade", "true"] });
      const named = {
        client: await cluster.pod("client"),
        near: await cluster.pod("near", { labels: { app: "server" } }),
        far: await cluster.pod("far", { labels: { app: "server" }, node: "node2" }),
        host: await cluster.host(),
        farHost: await cluster.host("node2"),
      };
      places = { ...named, farUnderlay: underlay("node2", 12), nearHealth: await healthOf("node1"), farHealth: await healthOf("node2") };
      for (const server of [named.near, named.far]) await server.listen("tcp", 8081);
    });
    after(() => cluster?.[Symbol.asyncDispose]());
    afterEach(() => cluster.clear());

    const underlay = (name: string, number: number): Place => {
      const { namespacePath, underlayAddress } = cluster.lab.node(name);
      return { name: `underlay of ${name}`, namespacePath, ipv4: underlayAddress, ipv6: `fd31:${labSubnet}::${number}` };
    };
    const healthOf = (name: string): Promise<Place> =>
      eventually(async () => {
        const { spec } = JSON.parse(await cluster.lab.kubectl.run(["get", "ciliumnode", name, "-o", "json"]));
        if (spec.health?.ipv6 === undefined) throw new Error(`${name} tells no health endpoint yet`);
        return { name: `health of ${name}`, namespacePath: "", ipv4: spec.health.ipv4, ipv6: spec.health.ipv6 };
      });

    test("the host of this node is the host, another's is a remote node, whichever address it is called by", async () => {
      await cluster.apply(out("host"));
      await soon(`
        client  icmp  host         answered
        client  icmp  farHost      dropped
        client  icmp  farUnderlay  dropped
        client  icmp  farHealth    dropped
      `);
      await cluster.apply(out("remote-node"));
      await soon(`
        client  icmp  host         dropped
        client  icmp  farHost      answered
        client  icmp  farUnderlay  answered
        client  icmp  nearHealth   dropped
      `);
    });

    test("a health endpoint is that, and no node, on every node", async () => {
      await cluster.apply(out("health"));
      await soon(`
        client  icmp  nearHealth   answered
        client  icmp  farHealth    answered
        client  icmp  farHost      dropped
        client  icmp  far          dropped
      `);
    });

    test("a receiver tells remote nodes from pods, and from its own host", async () => {
      await cluster.apply(policy("in", "server", { ingress: [{ fromEntities: ["remote-node"] }] }));
      await soon(`
        farHost  tcp/8081  near  answered
        host     tcp/8081  near  answered
        host     tcp/8081  far   answered
        client   tcp/8081  near  dropped
        client   tcp/8081  far   dropped
      `);
      await cluster.apply(policy("in", "server", { ingress: [{ fromEntities: ["host"] }] }));
      await soon(`
        farHost  tcp/8081  near  dropped
        host     tcp/8081  near  answered
        host     tcp/8081  far   dropped
      `);
    });

    test("flows name the host, the remote node and the health endpoint", async () => {
      await verdicts(places, "host tcp/8081 near answered\nfarHost tcp/8081 near answered\nfarHost icmp nearHealth answered");
      const sources = async (ip: string, ...args: readonly string[]): Promise<number[]> =>
        (await cluster.flows("--from-ip", ip, "--last", "20", ...args)).map(({ source }) => source?.identity ?? 0);
      for (const family of families) {
        await eventually(async () => assert.ok((await sources(places.farHost[family], "--to-pod", "default/near")).includes(6)));
        await eventually(async () => assert.ok((await sources(places.host[family], "--to-pod", "default/near")).includes(1)));
        const health = await cluster.flows("--to-ip", places.nearHealth?.[family] ?? "", "--last", "20");
        assert.deepEqual([...new Set(health.map(({ destination }) => destination?.identity))], [4]);
      }
    });

    test("the API server is an entity of its own, wherever it runs", async () => {
      const address = `172.31.${labSubnet}.1`;
      const [entry] = await cluster.agent.addresses(signal, { cidr: `${address}/32` });
      const labels = (await cluster.agent.identity(entry?.identity ?? 0, signal)).labels;
      assert.deepEqual(labels, [`cidr:${address}/32`, "reserved:kube-apiserver", "reserved:world-ipv4"]);
      const asks = async (): Promise<boolean> => {
        const ask = ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "1", `https://${address}:6443/readyz`];
        return (await runToEnd("nsenter", [`--net=${places.client.namespacePath}`, ...ask])).stdout !== "000";
      };
      await cluster.apply(out("kube-apiserver"));
      await eventually(async () => assert.equal(await asks(), true));
      await cluster.apply(out("host"));
      await eventually(async () => assert.equal(await asks(), false));
    });

    test("a packet that does not fit is answered with what does", async () => {
      const { client, far } = places;
      const ping = async (address: string, sizeBytes: number): Promise<string> =>
        (
          await runToEnd("nsenter", [
            `--net=${client.namespacePath}`,
            ..."ping -n -c 1 -W 2 -M do -s".split(" "),
            String(sizeBytes),
            address,
          ])
        ).stdout;
      const gateway = { ipv4: "10.0.1.1", ipv6: "fd00:10:0:1::1" };
      for (const family of families) {
        const headers = family === "ipv4" ? 28 : 48;
        const fits = routing === "tunnel" ? 1450 : 1500;
        await eventually(async () => assert.match(await ping(far[family], fits - headers), / 0% packet loss/));
        if (routing === "native") continue;
        // A pod that knows nothing of tunnels: its route says no more than its device.
        await ipIn(client.namespacePath, family === "ipv6" ? "-6" : "-4", `route replace default via ${gateway[family]} dev eth0`);
        assert.doesNotMatch(await ping(far[family], 1500 - headers), / 0% packet loss/);
        const { stdout } = await runToEnd("nsenter", [`--net=${client.namespacePath}`, "ip", "route", "get", far[family]]);
        assert.match(stdout, /mtu 1450/);
      }
    });

    if (routing === "tunnel")
      test("a stranger on the underlay puts nothing into the tunnel", async () => {
        const stranger = await cluster.world();
        for (const [source, reason] of [
          [places.far.ipv4, "INVALID_SOURCE_IP"],
          ["203.0.113.7", "UNKNOWN_SENDER"],
        ] as const) {
          const frame = vxlanFrame(1000, source, places.near.ipv4).toString("hex");
          const send = `const s = require("node:dgram").createSocket("udp4");
            s.send(Buffer.from("${frame}", "hex"), 8472, "${cluster.lab.node().underlayAddress}", () => s.close());`;
          await runToEnd("nsenter", [`--net=${stranger.namespacePath}`, process.execPath, "-e", send]);
          await eventually(async () => {
            const drops = await cluster.flows("--verdict", "DROPPED", "--from-ip", source, "--last", "5");
            assert.ok(
              drops.some(({ drop_reason_desc }) => drop_reason_desc === reason),
              JSON.stringify(drops),
            );
          });
        }
      });
  });
}

/** VXLAN, Ethernet, IPv4 and an empty UDP datagram. Checksums are zero: nobody looks at them. */
function vxlanFrame(identity: number, source: string, destination: string): Buffer {
  const address = (text: string): number[] => text.split(".").map(Number);
  const vxlan = Buffer.alloc(8);
  vxlan[0] = 8;
  vxlan.writeUInt32BE(identity * 256, 4);
  const ethernet = Buffer.from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
  const ip = Buffer.from([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, ...address(source), ...address(destination)]);
  return Buffer.concat([vxlan, ethernet, ip, Buffer.from([0, 1, 0, 2, 0, 8, 0, 0])]);
}
