import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { stopDaemon } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { Cluster, policy } from "./cluster.ts";
import { verdicts } from "./verdicts.ts";
import type { Workload } from "./workload-client.ts";

const client = { matchLabels: { app: "client" } };

// A cluster whose objects are in etcd, and what becomes of its traffic when that or the API server is not there.

describe("a cluster on etcd", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  let places: { client: Workload; server: Workload };
  const check = (text: string): Promise<void> => verdicts(places, text);
  const allow = (port: number): ReturnType<typeof policy> =>
    policy("allow", "server", { ingress: [{ fromEndpoints: [client], toPorts: [{ ports: [{ port: String(port), protocol: "TCP" }] }] }] });
  const identities = (): Promise<string> =>
    cluster.lab.kubectl.run(["get", "ciliumidentities,ciliumnodes,ciliumendpoints", "-A", "-o", names]);
  const names = "jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid}{'\\n'}{end}";

  before(async () => {
    cluster = await Cluster.start({ store: "etcd", nodes: 2, ipam: "cluster-pool" });
    places = { client: await cluster.pod("client"), server: await cluster.pod("server", { node: "node2" }) };
    await places.server.listen("tcp", 8081, 8082);
    await cluster.lab.kubectl.apply(object(8081));
    await eventually(() => check(inForce(8081)));
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  const object = (port: number): object => ({
    apiVersion: "cilium.io/v2",
    kind: "CiliumNetworkPolicy",
    metadata: { namespace: "default", name: "allow" },
    spec: allow(port).spec,
  });
  const inForce = (port: number): string => `
    client  tcp/${port}  server  answered
    client  tcp/${port === 8081 ? 8082 : 8081}  server  dropped
  `;

  test("etcd is killed: verdicts stay, a write is refused, and once it is back all is there and changes are carried out", async () => {
    const before = await identities();
    assert.ok(before.split("\n").length >= 6, before);
    await places.client.stream("through", places.server, "ipv4", 8081);
    await stopDaemon(cluster.lab.daemon("etcd"), { signal: "SIGKILL" });
    const { receivedBytes } = await places.client.look("through");
    await check(inForce(8081));
    await assert.rejects(cluster.lab.kubectl.run(["create", "configmap", "meanwhile"]), /etcd|connection|Timeout|timed out/i);
    await delay(3_000);
    await check(inForce(8081));
    await eventually(async () => assert.ok((await places.client.look("through")).receivedBytes > receivedBytes));
    cluster.lab.startEtcd();
    await eventually(() => cluster.lab.kubectl.run(["create", "configmap", "afterwards"]), { deadlineMs: 30_000 });
    assert.equal(await identities(), before);
    await cluster.lab.kubectl.apply(object(8082));
    await eventually(() => check(inForce(8082)));
    await cluster.lab.kubectl.apply(object(8081));
    await eventually(() => check(inForce(8081)));
  });

  test("the API server is killed and stays away for a while: verdicts stay, and what it had said is there when it is back", async () => {
    const before = await identities();
    await stopDaemon(cluster.lab.daemon("apiserver"), { signal: "SIGKILL" });
    for (let round = 0; round < 5; round += 1) {
      await check(inForce(8081));
      await delay(1_000);
    }
    await cluster.lab.startApiserver();
    assert.equal(await identities(), before);
    await cluster.lab.kubectl.apply(object(8082));
    await eventually(() => check(inForce(8082)), { deadlineMs: 60_000 });
    const late = await cluster.pod("late");
    await eventually(() => verdicts({ ...places, late }, "late tcp/8082 server dropped"));
  });
});
