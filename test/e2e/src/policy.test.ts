import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { runToEnd } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { repositoryRoot } from "@cilium-ts/tools/repository";
import { Cluster, type Flow, labSubnet, policy } from "./cluster.ts";
import { verdicts } from "./verdicts.ts";
import { families, type Place, type Workload } from "./workload-client.ts";

const client = { matchLabels: { app: "client" } };
const ports = (...list: readonly object[]): object[] => [{ ports: list }];
const tcp = (port: string, endPort?: number): object => ({ port, protocol: "TCP", ...(endPort === undefined ? {} : { endPort }) });

describe("a policy between pods", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  let places: { client: Workload; other: Workload; server: Workload; stranger: Workload; host: Workload; world: Workload; second: Place };
  const check = (text: string): Promise<void> => verdicts(places, text);

  before(async () => {
    cluster = await Cluster.start();
    await cluster.lab.kubectl.run(["create", "namespace", "elsewhere"]);
    const [host, world] = [await cluster.host(), await cluster.world()];
    const second = await cluster.addAddress(world, `172.31.${labSubnet}.3`, `fd31:${labSubnet}::3`);
    places = {
      client: await cluster.pod("client"),
      other: await cluster.pod("other"),
      server: await cluster.pod("server", { ports: [{ name: "echo", containerPort: 8082 }] }),
      stranger: await cluster.pod("stranger", { namespace: "elsewhere", labels: { app: "client" } }),
      host,
      world,
      second,
    };
    await places.server.listen("tcp", 8081, 8082, 8083);
    await places.server.listen("udp", 5353, 5354);
    await places.client.listen("tcp", 7001);
    await places.host.listen("tcp", 9001);
    await places.world.listen("tcp", 9002);
    const httpServer = [process.execPath, join(repositoryRoot, "test/lab/src/pod-server.ts"), "8080", "server"];
    cluster.lab.startInPod("default/server", "default/server http", httpServer);
  });
  after(() => cluster?.[Symbol.asyncDispose]());
  afterEach(() => cluster.clear());

  test("is not needed for pods, the node and the world to talk", async () => {
    await check(`
      client    tcp/8081  server  answered
      client    udp/5353  server  answered
      client    icmp      server  answered
      server    tcp/7001  client  answered
      stranger  tcp/8081  server  answered
      client    tcp/9001  host    answered
      client    tcp/9002  world   answered
      host      tcp/8081  server  answered
      host      icmp      server  answered
      world     tcp/8081  server  answered
      world     icmp      server  answered
    `);
  });

  test("turns a working curl into a drop that Hubble explains, and an allow rule lets it through again", async () => {
    const curl = async (address: string, maxTimeS: number): Promise<string> => {
      const args = [`--net=${places.client.namespacePath}`, "curl", "-sS", "--max-time", String(maxTimeS), `http://${address}:8080/`];
      const { status, stdout, stderr } = await runToEnd("nsenter", args);
      return status === 0 ? stdout : stderr;
    };
    const urls = [places.server.ipv4, `[${places.server.ipv6}]`];
    const works = (): Promise<unknown> =>
      Promise.all(urls.map((url) => eventually(async () => assert.match(await curl(url, 5), /server answers .*: GET \//))));
    const manifest = (name: string): string => join(repositoryRoot, "test/lab/manifests", name);
    await works();

    await cluster.changing(1, async () => void (await cluster.lab.kubectl.run(["apply", "-f", manifest("deny-server.yaml")])));
    for (const url of urls) assert.match(await curl(url, 1), /timed? ?out/i);
    const drops = await cluster.flows("--verdict", "DROPPED", "--type", "drop", "--pod", "default/client", "--all");
    for (const ipVersion of ["IPv4", "IPv6"]) {
      const drop = drops.find((flow) => flow.IP?.ipVersion === ipVersion);
      assert.equal(drop?.source?.pod_name, "client");
      assert.equal(drop?.destination?.pod_name, "server");
      assert.equal(drop?.l4?.TCP?.destination_port, 8080);
      assert.equal(drop?.drop_reason_desc, "POLICY_DENIED");
      assert.equal(drop?.traffic_direction, "INGRESS");
    }
    const text = await cluster.hubble("observe", "--verdict", "DROPPED", "--all");
    assert.match(text, /default\/client:\d+ \(ID:\d+\) <> default\/server:8080 \(ID:\d+\) Policy denied DROPPED \(TCP Flags: SYN\)/);

    await cluster.changing(1, async () => void (await cluster.lab.kubectl.run(["apply", "-f", manifest("allow-client.yaml")])));
    await works();
    await check("other tcp/8080 server dropped");
    const allowed = await cluster.flows("--verdict", "FORWARDED", "--type", "policy-verdict", "--to-pod", "default/server", "--all");
    assert.ok(allowed.some((flow) => flow.l4?.TCP?.destination_port === 8080 && flow.source?.pod_name === "client"));
    await cluster.deletePolicies("deny-server", "allow-client");
  });

  test("is named by its verdicts, also by those that are asked for when it is another or gone", async () => {
    const from = { fromEndpoints: [client] };
    await cluster.apply(policy("in", "server", { ingress: [{ ...from, toPorts: ports(tcp("8081")) }], log: { value: "wanted" } }));
    await cluster.apply(
      policy("out", "client", { egressDeny: [{ toEndpoints: [{ matchLabels: { app: "other" } }] }], egress: [{ toEntities: ["all"] }] }),
    );
    await check(`
      client  tcp/8081  server  answered
      client  icmp      other   dropped
    `);
    const allowed = async (): Promise<Flow | undefined> =>
      (await cluster.flows("--type", "policy-verdict", "--to-pod", "default/server", "--to-port", "8081", "--last", "20")).findLast(
        (flow) => flow.traffic_direction === "INGRESS" && flow.verdict === "FORWARDED",
      );
    const before = await allowed();
    const [reason] = before?.ingress_allowed_by ?? [];
    const { name, namespace, kind, labels, revision } = reason ?? {};
    assert.deepEqual([name, namespace, kind, before?.policy_log], ["in", "default", "CiliumNetworkPolicy", ["wanted"]]);
    assert.ok(labels?.includes("k8s:io.cilium.k8s.policy.name=in") && Number(revision) > 1, `${labels} ${revision}`);
    const denied = (await cluster.flows("--type", "policy-verdict", "--to-pod", "default/other", "--last", "20")).at(-1);
    assert.deepEqual([denied?.verdict, denied?.egress_denied_by?.map((policy) => policy.name)], ["DROPPED", ["out"]]);

    await cluster.apply(policy("in", "server", { ingress: [{ ...from, toPorts: ports(tcp("8082")) }] }));
    await cluster.clear();
    assert.deepEqual(await allowed(), before, "a verdict of the past stays as it was");
    const text = await cluster.hubble("observe", "--print-policy-names", "--to-pod", "default/server", "--to-port", "8081", "--all");
    assert.match(text, /policy-verdict:L3-L4 INGRESS ALLOWED BY in \(CiliumNetworkPolicy\)/);
  });

  test("that is only audited drops nothing, and Hubble names it where it would have", async () => {
    const meant = policy("meant", "server", { ingress: [{ fromEndpoints: [client], toPorts: ports(tcp("8081")) }] });
    const audited = policy("audited", "server", {
      ingress: [{ fromEndpoints: [{ matchLabels: { app: "other" } }], toPorts: ports(tcp("8082")) }],
      ingressDeny: [{ fromEndpoints: [client], toPorts: ports(tcp("8081")) }],
    });
    await cluster.apply({ ...audited, annotations: { "policy.cilium.io/audit-mode": "enabled" } });
    await check(`
      client  tcp/8081  server  answered
      client  tcp/8083  server  answered
    `);
    await cluster.apply(meant);
    await check(`
      client  tcp/8081  server  answered
      client  tcp/8083  server  dropped
      other   tcp/8082  server  answered
    `);
    const told = await cluster.flows("--verdict", "AUDIT", "--type", "policy-verdict", "--to-pod", "default/server", "--all");
    for (const port of [8081, 8083]) {
      const flow = told.find(({ l4 }) => l4?.TCP?.destination_port === port);
      const names = flow?.ingress_denied_by?.map(({ name }) => name);
      assert.deepEqual(names, ["audited"], `port ${port}`);
    }
  });

  test("that asks for a proxy closes its ports, tells why, and closes nothing else", async () => {
    const toPorts = [{ ports: [tcp("8081")], rules: { http: [{ method: "GET" }] } }];
    await cluster.apply(
      policy("web", "server", {
        ingress: [
          { fromEndpoints: [client], toPorts },
          { fromEndpoints: [client], toPorts: ports(tcp("8082")) },
        ],
      }),
    );
    await check(`
      client  tcp/8081  server  dropped
      client  tcp/8082  server  answered
    `);
    const drops = await cluster.flows(
      "--verdict",
      "DROPPED",
      "--type",
      "drop",
      "--to-pod",
      "default/server",
      "--to-port",
      "8081",
      "--last",
      "5",
    );
    assert.equal(drops.at(-1)?.drop_reason_desc, "PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL");
  });

  test("of the cluster's administrator decides before those of users, or after them", async () => {
    const pods = (app: string): object => ({ pods: { podSelector: { matchLabels: { app } } } });
    const rule = (action: string, port?: number): object => {
      const protocols = port === undefined ? {} : { protocols: [{ tcp: { destinationPort: { number: port } } }] };
      return { action, from: [pods("client")], ...protocols };
    };
    const tier = (name: string, tierName: string, ...ingress: object[]): object => ({
      apiVersion: "policy.networking.k8s.io/v1alpha2",
      kind: "ClusterNetworkPolicy",
      metadata: { name },
      spec: { tier: tierName, priority: 5, subject: pods("server"), ingress },
    });
    const tiers = [
      tier("above", "Admin", rule("Accept", 8081), rule("Pass", 8082), rule("Deny", 8083)),
      tier("below", "Baseline", rule("Deny", 8082)),
    ];
    await cluster.changing(2, () => cluster.lab.kubectl.apply(tiers.map((one) => JSON.stringify(one)).join("\n---\n")));
    const rows = (port8081: string, port8082: string, port8083: string): Promise<void> =>
      check(`
        client  tcp/8081  server  ${port8081}
        client  tcp/8082  server  ${port8082}
        client  tcp/8083  server  ${port8083}
      `);
    await rows("answered", "dropped", "dropped");
    await cluster.apply(policy("users", "server", { ingress: [{ fromEndpoints: [client], toPorts: ports(tcp("8082"), tcp("8083")) }] }));
    await rows("answered", "answered", "dropped");
    await cluster.changing(2, async () => void (await cluster.lab.kubectl.run(["delete", "clusternetworkpolicies", "above", "below"])));
    await rows("dropped", "answered", "answered");
  });

  test("cuts established connections that it no longer allows, and leaves the others alone", async () => {
    const names = families.flatMap((family) => [`kept ${family}`, `cut ${family}`]);
    for (const family of families) {
      await places.client.stream(`kept ${family}`, places.server, family, 8081);
      await places.client.stream(`cut ${family}`, places.server, family, 8082);
    }
    await cluster.apply(policy("allow-8081", "server", { ingress: [{ fromEndpoints: [client], toPorts: ports(tcp("8081")) }] }));
    for (const family of families) {
      await eventually(async () => {
        const { presentGapMs } = await places.client.look(`cut ${family}`);
        assert.ok(presentGapMs > 1_000, `over ${family} a byte came ${presentGapMs} ms ago on a connection that is not allowed`);
      });
    }
    await cluster.apply(policy("more", "server", { ingress: [{ fromEndpoints: [client], toPorts: ports(tcp("8081")) }] }));
    await cluster.deletePolicies("more");
    for (const name of names.filter((candidate) => candidate.startsWith("kept"))) {
      const state = await places.client.look(name);
      assert.equal(state.outcome, "open");
      assert.ok(state.longestGapMs < 1_000 + state.latestTimerMs, `${name}: ${JSON.stringify(state)}`);
    }
    const drops = await cluster.flows("--verdict", "DROPPED", "--type", "drop", "--port", "8082", "--all");
    for (const ipVersion of ["IPv4", "IPv6"])
      assert.ok(
        drops.some((flow) => flow.IP?.ipVersion === ipVersion),
        `no ${ipVersion} drop`,
      );

    await cluster.clear();
    for (const name of names) await eventually(async () => assert.ok((await places.client.look(name)).presentGapMs < 200));
  });

  test("is about UDP as about TCP", async () => {
    await cluster.apply(
      policy("udp", "server", { ingress: [{ fromEndpoints: [client], toPorts: ports({ port: "5353", protocol: "UDP" }) }] }),
    );
    await check(`
      client  udp/5353  server  answered
      client  udp/5354  server  dropped
      client  tcp/8081  server  dropped
      other   udp/5353  server  dropped
    `);
  });

  test("allows ICMP by its types", async () => {
    const fields = [
      { family: "IPv4", type: "EchoRequest" },
      { family: "IPv6", type: 128 },
    ];
    await cluster.apply(policy("echo", "server", { ingress: [{ fromEndpoints: [client], icmps: [{ fields }] }] }));
    await check(`
      client  icmp      server  answered
      other   icmp      server  dropped
      client  tcp/8081  server  dropped
    `);
    await cluster.apply(policy("echo", "server", { ingress: [{ icmps: [{ fields: [{ family: "IPv4", type: 13 }] }] }] }));
    await check("client icmp server dropped");
  });

  test("allows a range of ports, and nothing beside it", async () => {
    await cluster.apply(policy("range", "server", { ingress: [{ toPorts: ports(tcp("8000", 8082)) }] }));
    await check(`
      client  tcp/8081  server  answered
      other   tcp/8082  server  answered
      client  tcp/8083  server  dropped
      client  udp/5353  server  dropped
    `);
  });

  test("allows ports by the names that the pod gives them", async () => {
    await cluster.apply(policy("named", "server", { ingress: [{ toPorts: ports(tcp("echo")) }] }));
    await check(`
      client  tcp/8082  server  answered
      client  tcp/8081  server  dropped
    `);
  });

  test("allows names of ports on the way out, as the other pod has them", async () => {
    await cluster.apply(policy("named", "client", { egress: [{ toEndpoints: [{}], toPorts: ports(tcp("echo")) }] }));
    await check(`
      client  tcp/8082  server  answered
      client  tcp/8081  server  dropped
    `);
  });

  test("opens prefixes of the world but for their exceptions, and never pods or the node", async () => {
    const toCIDRSet = [
      { cidr: "0.0.0.0/0", except: [`172.31.${labSubnet}.3/32`] },
      { cidr: "::/0", except: [`fd31:${labSubnet}::3/128`] },
    ];
    await cluster.apply(policy("prefixes", "client", { egress: [{ toCIDRSet }] }));
    await check(`
      client  tcp/9002  world   answered
      client  tcp/9002  second  dropped
      client  tcp/8081  server  dropped
      client  tcp/9001  host    dropped
      other   tcp/9002  second  answered
    `);
  });

  test("opens a pod to a prefix of the world", async () => {
    const fromCIDR = [`172.31.${labSubnet}.2/32`, `fd31:${labSubnet}::2/128`];
    await cluster.apply(policy("from-prefix", "server", { ingress: [{ fromCIDR, toPorts: ports(tcp("8081")) }] }));
    await check(`
      world   tcp/8081  server  answered
      world   tcp/8082  server  dropped
      client  tcp/8081  server  dropped
    `);
  });

  test("knows the entities host and world", async () => {
    await cluster.apply(policy("to-host", "client", { egress: [{ toEntities: ["host"] }] }));
    await check(`
      client  tcp/9001  host    answered
      client  icmp      host    answered
      client  tcp/9002  world   dropped
      client  tcp/8081  server  dropped
    `);
    await cluster.deletePolicies("to-host");
    await cluster.apply(
      policy("to-world", "client", { egress: [{ toEntities: ["world"] }] }),
      policy("from-world", "server", { ingress: [{ fromEntities: ["world"] }] }),
    );
    await check(`
      client  tcp/9002  world   answered
      client  tcp/9001  host    dropped
      world   tcp/8081  server  answered
      other   tcp/8081  server  dropped
      host    tcp/8081  server  answered
    `);
  });

  test("that denies wins over every one that allows, however narrow", async () => {
    await cluster.apply(
      policy("allow", "server", { ingress: [{ fromEndpoints: [{}] }, { fromEndpoints: [client], toPorts: ports(tcp("8081")) }] }),
      policy("deny", "server", { ingressDeny: [{ fromEndpoints: [client], toPorts: ports(tcp("8000", 8082)) }] }),
    );
    await check(`
      client  tcp/8081  server  dropped
      client  tcp/8083  server  answered
      other   tcp/8081  server  answered
    `);
    const [drop] = await cluster.flows("--verdict", "DROPPED", "--type", "drop", "--port", "8081", "--last", "1");
    assert.equal(drop?.drop_reason_desc, "POLICY_DENY");
  });

  test("that denies leaves the rest open when default deny is off", async () => {
    await cluster.apply(
      policy("deny-one", "server", {
        enableDefaultDeny: { ingress: false },
        ingressDeny: [{ fromEndpoints: [client], toPorts: ports(tcp("8081")) }],
      }),
    );
    await check(`
      client  tcp/8081  server  dropped
      client  tcp/8082  server  answered
      other   tcp/8081  server  answered
    `);
  });

  test("closes the direction that it speaks of, and only that", async () => {
    await cluster.apply(policy("in", "client", { ingress: [{}] }));
    await check(`
      client  tcp/8081  server  answered
      server  tcp/7001  client  dropped
    `);
    await cluster.deletePolicies("in");
    await cluster.apply(policy("out", "client", { egress: [{}] }));
    await check(`
      client  tcp/8081  server  dropped
      client  udp/5353  server  dropped
      client  icmp      server  dropped
      client  tcp/9001  host    dropped
      server  tcp/7001  client  answered
    `);
    const [drop] = await cluster.flows("--verdict", "DROPPED", "--type", "drop", "--port", "8081", "--last", "1");
    assert.equal(drop?.traffic_direction, "EGRESS");
  });

  test("lets the answers of what it allows through, whatever it says of the other direction", async () => {
    await cluster.apply(
      policy("server", "server", { egress: [{}], ingress: [{ fromEndpoints: [client] }] }),
      policy("client", "client", { ingress: [{}], egress: [{ toEndpoints: [{ matchLabels: { app: "server" } }] }] }),
    );
    await check(`
      client  tcp/8081  server  answered
      client  udp/5353  server  answered
      client  icmp      server  answered
      client  udp/9     server  ECONNREFUSED
      server  tcp/7001  client  dropped
      client  tcp/9002  world   dropped
    `);
  });

  test("is about its own namespace unless it names another", async () => {
    await cluster.apply(policy("own", "server", { ingress: [{ fromEndpoints: [client] }] }));
    await check(`
      client    tcp/8081  server  answered
      stranger  tcp/8081  server  dropped
    `);
    const elsewhere = { matchLabels: { app: "client", "k8s:io.kubernetes.pod.namespace": "elsewhere" } };
    await cluster.apply(policy("own", "server", { ingress: [{ fromEndpoints: [elsewhere] }] }));
    await check(`
      client    tcp/8081  server  dropped
      stranger  tcp/8081  server  answered
    `);
  });

  test("follows the labels of namespaces", async () => {
    const peer = { matchLabels: { "io.cilium.k8s.namespace.labels.team": "red" } };
    await cluster.apply(policy("team", "server", { ingress: [{ fromEndpoints: [peer] }] }));
    await check("stranger tcp/8081 server dropped");
    await cluster.lab.kubectl.run(["label", "namespace", "elsewhere", "team=red"]);
    await eventually(() => check("stranger tcp/8081 server answered"));
    await check("client tcp/8081 server dropped");
    await cluster.lab.kubectl.run(["label", "namespace", "elsewhere", "team-"]);
    await eventually(() => check("stranger tcp/8081 server dropped"));
  });

  test("follows the labels of pods", async () => {
    await cluster.apply(policy("friends", "server", { ingress: [{ fromEndpoints: [{ matchLabels: { role: "friend" } }] }] }));
    await check("other tcp/8081 server dropped");
    await cluster.lab.kubectl.run(["label", "pod", "other", "role=friend"]);
    await eventually(() => check("other tcp/8081 server answered"));
    await cluster.lab.kubectl.run(["label", "pod", "other", "role-"]);
    await eventually(() => check("other tcp/8081 server dropped"));
  });
});
