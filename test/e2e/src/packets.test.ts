import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { runToEnd } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { Cluster, pings, policy } from "./cluster.ts";
import { verdicts } from "./verdicts.ts";
import { families, type Place, type Workload } from "./workload-client.ts";

const client = { matchLabels: { app: "client" } };

describe("packets of all kinds", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  let places: { client: Workload; server: Workload; host: Workload; world: Workload };

  before(async () => {
    cluster = await Cluster.start();
    const [host, world] = [await cluster.host(), await cluster.world()];
    places = { client: await cluster.pod("client"), server: await cluster.pod("server"), host, world };
    await places.server.listen("udp", 5353);
    await places.server.listen("tcp", 8081);
    await places.host.listen("tcp", 9001);
    await places.host.listen("udp", 9001);
    await places.world.listen("udp", 9002);
    // The strictest that lets them pass: what is checked below is let through because it belongs to what is allowed.
    await cluster.apply(
      policy("in", "server", {
        ingress: [
          { fromEndpoints: [client], toPorts: [{ ports: [{ port: "5353", protocol: "UDP" }] }] },
          { fromEndpoints: [client], toPorts: [{ ports: [{ port: "9", protocol: "ANY" }] }] },
          { fromEndpoints: [client], toPorts: [{ ports: [{ port: "8081", protocol: "TCP" }] }] },
          {
            icmps: [
              {
                fields: [
                  { family: "IPv4", type: 8 },
                  { family: "IPv6", type: 128 },
                ],
              },
            ],
          },
        ],
      }),
      policy("out", "client", { egress: [{ toEndpoints: [{}] }, { toEntities: ["host", "world"] }], ingress: [{}] }),
    );
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  test("in fragments arrive, of ICMP and UDP", async () => {
    for (const family of families) {
      assert.ok(await pings(places.client, places.server[family], 4_000), `ping of 4000 bytes over ${family}`);
      assert.ok(await pings(places.client, places.host[family], 4_000), `ping of 4000 bytes to the host over ${family}`);
      assert.ok(await pings(places.host, places.server[family], 4_000), `ping of 4000 bytes from the host over ${family}`);
      assert.equal(await places.client.ask(places.server, family, "udp", 5353, 9_000), "answered", `UDP over ${family}`);
      // Pods may have a smaller MTU than the world, which then loses one answer to learn it.
      await eventually(async () => assert.equal(await places.client.ask(places.world, family, "udp", 9002, 9_000, 1_000), "answered"));
    }
  });

  test("that fill many segments arrive", async () => {
    for (const family of families) assert.equal(await places.client.ask(places.server, family, "tcp", 8081, 3_000_000), "answered");
  });

  test("to a closed port are answered by an error, which is let through", async () => {
    await verdicts(
      places,
      `
        client  udp/9     server  ECONNREFUSED
        client  tcp/9     server  ECONNREFUSED
        client  udp/9003  world   ECONNREFUSED
        client  udp/9     host    ECONNREFUSED
      `,
    );
  });

  test("whose time is over on the way are answered by the node", async () => {
    for (const family of families) {
      const ping = ["ping", "-n", "-c", "1", "-W", "2", "-t", "1", places.world[family]];
      const { stdout } = await runToEnd("nsenter", [`--net=${places.client.namespacePath}`, ...ping]);
      assert.match(
        stdout,
        /From (10\.0\.1\.1|fd00:10:0:1::1|fd31:\S+|172\.31\.\S+) icmp_seq=1 Time (to live )?exceeded/,
        `${family}: ${stdout}`,
      );
    }
  });

  test("go from the node to its pods and from pods to their node", async () => {
    await verdicts(
      places,
      `
        host    tcp/8081  server  answered
        host    udp/5353  server  answered
        host    icmp      server  answered
        client  tcp/9001  host    answered
        client  udp/9001  host    answered
        client  icmp      host    answered
        world   tcp/8081  server  dropped
      `,
    );
  });

  test("to an address that no pod has fail at once", async () => {
    const nobody: Place = { name: "nobody", namespacePath: "", ipv4: "10.0.1.200", ipv6: "fd00:10:0:1::c8" };
    const server = places.server;
    for (const family of families) {
      const outcome = await server.ask(nobody, family, "tcp", 8081);
      assert.ok(["EHOSTUNREACH", "ENETUNREACH"].includes(outcome), `over ${family}: ${outcome}`);
    }
  });

  test("to a pod of before are dropped or refused, never delivered to somebody else", async () => {
    const passing = await cluster.pod("passing");
    await passing.listen("tcp", 8081);
    const former: Place = { name: "former", namespacePath: "", ipv4: passing.ipv4, ipv6: passing.ipv6 };
    await verdicts({ server: places.server, former }, "server tcp/8081 former answered");
    await cluster.lab.deletePod("default/passing");
    for (const family of families) assert.notEqual(await places.server.ask(former, family, "tcp", 8081), "answered");
    assert.equal((await cluster.endpoints()).length, 2);
  });

  test("are counted and shown with their reason when they are dropped", async () => {
    await places.world.askInVain(places.server, "ipv4", "tcp", 8081);
    const [drop] = await cluster.flows("--verdict", "DROPPED", "--type", "drop", "--from-ip", places.world.ipv4, "--last", "1");
    assert.equal(drop?.destination?.pod_name, "server");
    assert.equal(drop?.drop_reason_desc, "POLICY_DENIED");
    assert.equal(drop?.source?.identity, 9);
  });
});
