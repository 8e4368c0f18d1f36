import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { openKernel } from "@cilium-ts/kernel";
import { isRunning, stopDaemon } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { Cluster, policy } from "./cluster.ts";
import { verdicts } from "./verdicts.ts";
import { families, type Workload } from "./workload-client.ts";

const client = { matchLabels: { app: "client" } };

/** More than a second without a byte is a stall, unless the process that measures was itself kept from running. */
const stallMs = 1_000;

describe("an agent that starts again", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  let places: { client: Workload; server: Workload };
  const check = (text: string): Promise<void> => verdicts(places, text);
  const allow = (port: number): ReturnType<typeof policy> =>
    policy("allow", "server", { ingress: [{ fromEndpoints: [client], toPorts: [{ ports: [{ port: String(port), protocol: "TCP" }] }] }] });

  before(async () => {
    cluster = await Cluster.start();
    places = { client: await cluster.pod("client"), server: await cluster.pod("server") };
    await places.server.listen("tcp", 8081, 8082);
    await cluster.apply(allow(8081));
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  /** Runs the work under two streams, and once more when the machine was too busy to tell. */
  async function withoutStall(work: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const names = families.map((family) => `${family} ${performance.now()}`);
      for (const [index, family] of families.entries()) await places.client.stream(names[index] ?? "", places.server, family, 8081);
      await work();
      const states = await Promise.all(names.map((name) => places.client.look(name)));
      const stalled = states.filter(({ outcome, longestGapMs }) => outcome !== "open" || longestGapMs >= stallMs);
      if (stalled.length === 0) return;
      const busy = stalled.every(({ outcome, latestTimerMs }) => outcome === "open" && latestTimerMs >= stallMs / 2);
      if (!busy || attempt === 3) assert.fail(`streams stalled: ${JSON.stringify(stalled)}`);
    }
  }

  /** What the kernel and the API have of the endpoints, by name. */
  async function everything(): Promise<Record<string, unknown>> {
    const root = cluster.lab.node().directory;
    const kernel = openKernel();
    const found: Record<string, unknown> = {};
    using rows = kernel.openPinnedMap(join(root, "bpf/maps/endpoints"));
    for (const endpoint of await cluster.endpoints()) {
      const id = endpoint.id ?? 0;
      const name = endpoint.status?.["external-identifiers"]?.["k8s-pod-name"] ?? "";
      found[`${name}: id and identity`] = [id, endpoint.status?.identity?.id];
      // Holds the identity, the policy set's number, the addresses and the device.
      found[`${name}: row`] = Buffer.from(rows.lookup(new Uint8Array(Uint32Array.of(id).buffer)) ?? []).toString("hex");
      for (const attachment of ["from_pod", "to_pod"]) {
        using link = kernel.openPinnedLink(join(root, `bpf/links/${id}/${attachment}`));
        found[`${name}: ${attachment}`] = { link: link.id, program: link.programId, ifindex: link.ifindex };
      }
    }
    return found;
  }

  test("after kill -9 takes up everything as it was, and no stream stalls", async () => {
    const before = await everything();
    assert.equal(Object.keys(before).length, 8);
    await withoutStall(async () => {
      await cluster.lab.killAgent();
      await delay(300);
      cluster.lab.startAgent();
      await cluster.lab.waitForAgent();
      await delay(500);
    });
    assert.deepEqual(await everything(), before);
    await check(`
      client  tcp/8081  server  answered
      client  tcp/8082  server  dropped
    `);
  });

  test("killed at any moment of its start harms no stream either", async () => {
    const before = await everything();
    await withoutStall(async () => {
      for (const afterMs of [50, 150, 250, 350, 450]) {
        await cluster.lab.killAgent();
        cluster.lab.startAgent();
        await delay(afterMs);
      }
      await cluster.lab.killAgent();
      cluster.lab.startAgent();
      await cluster.lab.waitForAgent();
    });
    assert.deepEqual(await everything(), before);
  });

  test("enforces what policies became while it was down", async () => {
    await places.client.stream("old", places.server, "ipv4", 8081);
    await withoutStall(async () => {
      await cluster.lab.killAgent();
      await cluster.lab.kubectl.apply({
        apiVersion: "cilium.io/v2",
        kind: "CiliumNetworkPolicy",
        metadata: { namespace: "default", name: "allow-more" },
        spec: allow(8082).spec,
      });
      // Nobody carries it out, and nothing is lost meanwhile.
      await check(`
        client  tcp/8081  server  answered
        client  tcp/8082  server  dropped
      `);
      cluster.lab.startAgent();
      await cluster.lab.waitForAgent();
      await check("client tcp/8082 server answered");
    });
    await cluster.lab.killAgent();
    await cluster.lab.kubectl.run(["delete", "ciliumnetworkpolicy", "allow"]);
    cluster.lab.startAgent();
    await cluster.lab.waitForAgent();
    await check(`
      client  tcp/8082  server  answered
      client  tcp/8081  server  dropped
    `);
    await eventually(async () => assert.ok((await places.client.look("old")).presentGapMs > 500));
    await cluster.apply(allow(8081));
    await cluster.deletePolicies("allow-more");
    await check(`
      client  tcp/8081  server  answered
      client  tcp/8082  server  dropped
    `);
  });

  test("notices pods and labels that changed while it was down", async () => {
    await cluster.pod("passing");
    await cluster.lab.killAgent();
    await cluster.lab.kubectl.run(["label", "pod", "client", "app=renamed", "--overwrite"]);
    await cluster.lab.deletePod("default/passing");
    cluster.lab.startAgent();
    await cluster.lab.waitForAgent();
    await eventually(() => check("client tcp/8081 server dropped"));
    await eventually(async () => assert.equal((await cluster.endpoints()).length, 2));
    await cluster.lab.kubectl.run(["label", "pod", "client", "app=client", "--overwrite"]);
    await eventually(() => check("client tcp/8081 server answered"));
  });

  test("without an API server enforces on what was in force, and goes on when the server is back", async () => {
    const before = await everything();
    await withoutStall(async () => {
      await stopDaemon(cluster.lab.daemon("apiserver"), { signal: "SIGKILL" });
      await cluster.lab.killAgent();
      cluster.lab.startAgent();
      await eventually(async () => assert.equal((await cluster.endpoints()).length, 2));
      assert.deepEqual(await everything(), before);
      await check(`
        client  tcp/8081  server  answered
        client  tcp/8082  server  dropped
      `);
      await cluster.lab.startApiserver();
      await cluster.lab.waitForAgent();
    });
    assert.deepEqual(await everything(), before);
    await cluster.apply(allow(8082));
    await check(`
      client  tcp/8082  server  answered
      client  tcp/8081  server  dropped
    `);
    await cluster.apply(allow(8081));
  });

  test("tells the flows from before, as they were told then", async () => {
    const since = new Date().toISOString();
    await check("client tcp/8082 server dropped");
    const drops = async (): Promise<string[]> => {
      const lines = await cluster.hubble("observe", "-o", "jsonpb", "--since", since, "--verdict", "DROPPED", "--to-port", "8082");
      return lines.split("\n").filter((line) => line.includes('"flow"'));
    };
    const before = await eventually(async () => {
      const found = await drops();
      assert.ok(found.length > 0);
      return found;
    });
    await cluster.lab.stopAgent();
    cluster.lab.startAgent();
    await cluster.lab.waitForAgent();
    const after = await drops();
    assert.deepEqual(after.slice(0, before.length), before);
    assert.match(after[0] ?? "", /"pod_name":"client"/);
  });

  test("stopped in peace leaves the traffic alone too", async () => {
    const before = await everything();
    await withoutStall(async () => {
      const agent = cluster.lab.daemon("agent-node1");
      await cluster.lab.stopAgent();
      assert.equal(isRunning(agent), false);
      cluster.lab.startAgent();
      await cluster.lab.waitForAgent();
    });
    assert.deepEqual(await everything(), before);
  });
});
