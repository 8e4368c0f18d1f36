import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { Cluster, type Flow, labSubnet, policy } from "./cluster.ts";
import { verdicts } from "./verdicts.ts";
import { families, type Place, type Workload } from "./workload-client.ts";

const shortTtlS = 2;

/** What the name server is asked for, and answers with. */
interface Records {
  readonly [name: string]: { readonly place: Pick<Place, "ipv4" | "ipv6">; readonly ttlS?: number };
}

function serverCommand(records: Records, many: number): string[] {
  const hosts = Object.entries(records).map(([name, { place, ttlS = 300 }]) => `--host-record=${name},${place.ipv4},${place.ipv6},${ttlS}`);
  const big = Array.from({ length: many }, (_, index) => `--host-record=big.test,198.51.100.${index + 1},2001:db8::${index + 1}`);
  const common = [
    "--keep-in-foreground",
    "--conf-file=/dev/null",
    "--pid-file=",
    "--user=root",
    "--no-resolv",
    "--no-hosts",
    "--bind-interfaces",
  ];
  return ["dnsmasq", ...common, ...hosts, ...big, "--cname=alias.test,www.test"];
}

describe("rules about names", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  let places: { client: Workload; other: Workload; names: Workload; world: Workload; www: Place; short: Place; secret: Place };
  const check = (text: string): Promise<void> => verdicts(places, text);

  before(async () => {
    cluster = await Cluster.start({ nodes: 2 });
    const world = await cluster.world();
    const [www, short, secret] = [3, 4, 5].map((host) => ({ ipv4: `172.31.${labSubnet}.10${host}`, ipv6: `fd31:${labSubnet}::10${host}` }));
    assert.ok(www && short && secret);
    places = {
      world,
      client: await cluster.pod("client"),
      other: await cluster.pod("other"),
      names: await cluster.pod("names"),
      www: await cluster.addAddress(world, www.ipv4, www.ipv6),
      short: await cluster.addAddress(world, short.ipv4, short.ipv6),
      secret: await cluster.addAddress(world, secret.ipv4, secret.ipv6),
    };
    await world.listen("tcp", 9002);
    const records = { "www.test": { place: www }, "short.test": { place: short, ttlS: shortTtlS }, "secret.test": { place: secret } };
    cluster.lab.startInPod("default/names", "names", serverCommand(records, 120));
    await eventually(async () => assert.deepEqual(await places.other.resolve("www.test", places.names, "ipv4"), [www.ipv4]));
    await cluster.apply(
      policy("names", "client", {
        egress: [
          {
            toEndpoints: [{ matchLabels: { app: "names" } }],
            toPorts: [{ ports: [{ port: "53", protocol: "ANY" }], rules: { dns: [{ matchPattern: "*.test" }] } }],
          },
          {
            toFQDNs: [{ matchName: "www.test" }, { matchPattern: "sh*.test" }, { matchName: "alias.test" }],
            toPorts: [{ ports: [{ port: "9002", protocol: "TCP" }] }],
          },
        ],
      }),
    );
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  async function dnsFlows(
    ...args: readonly string[]
  ): Promise<readonly (Flow & { l7?: { type: string; dns: Record<string, unknown> } })[]> {
    return cluster.flows("--protocol", "dns", "--last", "200", ...args);
  }

  for (const family of families) {
    test(`an address is reached from the moment that its name was answered with it, and no other one is: ${family}`, async () => {
      assert.notEqual(await places.client.askInVain(places.www, family, "tcp", 9002), "answered", "nobody has asked yet");
      assert.deepEqual(await places.client.resolve("www.test", places.names, family), [places.www[family]]);
      assert.equal(await places.client.ask(places.www, family, "tcp", 9002), "answered", "at the first try");
      assert.deepEqual(await places.client.resolve("secret.test", places.names, family), [places.secret[family]]);
      assert.notEqual(await places.client.askInVain(places.secret, family, "tcp", 9002), "answered", "no rule means its name");
    });

    test(`a name that no rule lets be asked for is refused: ${family}`, async () => {
      assert.equal(await places.client.resolve("www.elsewhere", places.names, family), "EREFUSED");
    });

    test(`an answer too large for a datagram is had by TCP: ${family}`, async () => {
      assert.equal((await places.client.resolve("big.test", places.names, family)).length, 120);
    });
  }

  test("an alias leads to the addresses of the name that it stands for", async () => {
    assert.deepEqual(await places.client.resolve("alias.test", places.names, "ipv4"), [places.www.ipv4]);
    const [answer] = (await dnsFlows()).filter(({ l7 }) => l7?.type === "RESPONSE" && l7.dns.query === "alias.test.");
    assert.deepEqual([answer?.l7?.dns.cnames, answer?.l7?.dns.ips], [["www.test."], [places.www.ipv4]]);
  });

  test("hubble shows questions, answers and refusals, and addresses by their names", async () => {
    const flows = await dnsFlows();
    const of = (query: string, type: string) => flows.filter(({ l7 }) => l7?.type === type && l7.dns.query === query);
    assert.deepEqual(of("www.test.", "REQUEST").map(({ verdict, source, l7 }) => [verdict, source?.pod_name, l7?.dns.qtypes])[0], [
      "FORWARDED",
      "client",
      ["A"],
    ]);
    const [answer] = of("www.test.", "RESPONSE");
    assert.deepEqual([answer?.l7?.dns.ips, answer?.l7?.dns.ttl, answer?.l7?.dns.rrtypes], [[places.www.ipv4], 300, ["A"]]);
    assert.deepEqual([answer?.source?.pod_name, answer?.destination?.pod_name], ["names", "client"]);
    assert.ok(of("www.elsewhere.", "REQUEST").every(({ verdict }) => verdict === "DROPPED"));
    assert.equal(of("www.elsewhere.", "RESPONSE").length, 0);
    const text = await cluster.hubble("observe", "--protocol", "dns", "--last", "200");
    assert.match(text, /default\/client:\d+ \(ID:\d+\) -> default\/names:53 .*DNS Query www\.test\. A/);
    assert.match(text, /DNS Answer "172\.31\.\d+\.103" TTL: 300 \(Proxy www\.test\. A\)/);
    const named = await cluster.flows("--to-fqdn", "www.test", "--type", "trace", "--last", "50");
    assert.ok(named.length > 0, "addresses have their names");
  });

  test("an address outlives its time as long as a connection uses it", async () => {
    assert.deepEqual(await places.client.resolve("short.test", places.names, "ipv4"), [places.short.ipv4]);
    await places.client.stream("live", places.short, "ipv4", 9002);
    await eventually(
      async () => {
        const names = await cluster.fqdnCache();
        assert.ok(names.some(({ fqdn, source }) => fqdn === "short.test." && source === "connection"));
      },
      { deadlineMs: 30_000, intervalMs: 200 },
    );
    const { receivedBytes } = await places.client.look("live");
    await eventually(async () => assert.ok((await places.client.look("live")).receivedBytes > receivedBytes + 10));
    assert.equal((await places.client.look("live")).outcome, "open");
  });

  test("an address whose time is over and that nobody uses is not reached any more", async () => {
    assert.deepEqual(await places.client.resolve("short.test", places.names, "ipv6"), [places.short.ipv6]);
    await check("client tcp/9002 www answered");
    await eventually(async () => assert.ok(!(await cluster.fqdnCache()).some(({ ips }) => ips?.includes(places.short.ipv6))), {
      deadlineMs: 30_000,
      intervalMs: 200,
    });
    assert.notEqual(await places.client.askInVain(places.short, "ipv6", "tcp", 9002), "answered");
  });

  test("an agent that is killed and started again knows the names, and no connection is cut", async () => {
    await places.client.stream("kept", places.www, "ipv4", 9002);
    await cluster.lab.killAgent();
    await check("client tcp/9002 www answered");
    cluster.lab.startAgent();
    await cluster.lab.waitForAgent();
    await check(`
      client  tcp/9002  www     answered
      client  tcp/9002  secret  dropped
    `);
    const { receivedBytes } = await places.client.look("kept");
    await eventually(async () => assert.ok((await places.client.look("kept")).receivedBytes > receivedBytes + 10));
    assert.equal((await places.client.look("kept")).outcome, "open");
    assert.deepEqual(await places.client.resolve("www.test", places.names, "ipv4"), [places.www.ipv4]);
  });

  test("a name server on another node judges questions as those of the pod that asks", async () => {
    const far = await cluster.pod("far-names", { node: "node2" });
    cluster.lab.startInPod("default/far-names", "far names", serverCommand({ "www.test": { place: places.www } }, 1));
    const dns = [{ ports: [{ port: "53", protocol: "ANY" }], rules: { dns: [{ matchPattern: "*" }] } }];
    await cluster.apply(
      policy("to-far-names", "client", { egress: [{ toEndpoints: [{ matchLabels: { app: "far-names" } }], toPorts: dns }] }),
      policy("far-names", "far-names", { ingress: [{ fromEndpoints: [{ matchLabels: { app: "client" } }] }] }),
    );
    for (const family of families) {
      await eventually(async () => assert.deepEqual(await places.client.resolve("www.test", far, family), [places.www[family]]));
      assert.equal(await places.other.resolve("www.test", far, family), "ETIMEOUT", "its policy lets the client alone ask");
    }
  });

  test("pods of whom no rule speaks ask as they like, and reach what they found", async () => {
    assert.deepEqual(await places.other.resolve("secret.test", places.names, "ipv4"), [places.secret.ipv4]);
    await check("other tcp/9002 secret answered");
  });
});
