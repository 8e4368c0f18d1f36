import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { AgentClient, type HealthStatusResponse, healthBasePath, type PathsHealth } from "@cilium-ts/agent-api";
import { runOrThrow } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { repositoryRoot } from "@cilium-ts/tools/repository";
import { Cluster } from "./cluster.ts";

const { signal } = new AbortController();
const metricsPort = 9962;

for (const routing of ["tunnel", "native"] as const) {
  describe(`the health of a cluster of three nodes, ${routing}`, { skip: requireKernel() }, () => {
    let cluster: Cluster;
    let health: AgentClient;

    before(async () => {
      const agentArguments = ["--prometheus-serve-addr", `:${metricsPort}`];
      cluster = await Cluster.start({ nodes: 3, routing, ipam: "cluster-pool", agentArguments });
      health = new AgentClient({ socketPath: join(cluster.lab.node().directory, "health.sock"), basePath: healthBasePath });
    });
    after(async () => {
      health?.[Symbol.dispose]();
      await cluster?.[Symbol.asyncDispose]();
    });

    const probe = async (): Promise<Record<string, string>> => {
      const found = (await health.call("PUT", "/status/probe", signal)) as HealthStatusResponse;
      return Object.fromEntries(found.nodes.map((node) => [node.name, `${summary(node.host)}, ${summary(node["health-endpoint"])}`]));
    };
    const dbg = (...args: readonly string[]): Promise<string> =>
      runOrThrow(process.execPath, [
        join(repositoryRoot, "apps/cilium-dbg/build/bin/main.js"),
        ...["--host", `unix://${cluster.lab.node().socketPath}`, ...args],
      ]);
    const metrics = (): Promise<string> =>
      runOrThrow("nsenter", [`--net=${cluster.lab.node().namespacePath}`, "curl", "-s", `http://127.0.0.1:${metricsPort}/metrics`]);
    const all = { "default/node1": "2 of 2, 2 of 2", "default/node2": "2 of 2, 2 of 2", "default/node3": "2 of 2, 2 of 2" };
    const soon = (expected: Record<string, string>): Promise<void> =>
      eventually(async () => assert.deepEqual(await probe(), expected), { deadlineMs: 40_000, intervalMs: 500 });

    test("every node and every health endpoint answers, over both families", async () => {
      await soon(all);
      assert.match(await dbg("status"), /^Cluster health: +3\/3 reachable/m);
      assert.match(
        await dbg("health", "status", "--verbose"),
        /default\/node1 \(localhost\):(.|\n)*ICMP to stack: +OK, RTT=[0-9]+µs(.|\n)*HTTP to agent: +OK/,
      );
    });

    test("a node that is cut off is told, and that it has come back", async () => {
      await cluster.lab.cutNode("node3");
      await soon({ ...all, "default/node3": "0 of 2, 0 of 2" });
      assert.match(await dbg("status"), /^Cluster health: +2\/3 reachable[^\n]*\n(.|\n)*default\/node3 +172\.31\.[0-9.]+ +0\/2 +0\/2/m);
      assert.match(await metrics(), /^cilium_unreachable_nodes 1$/m);
      assert.match(await metrics(), /^cilium_node_health_connectivity_status\{[^}]*status="unreachable",type="endpoint"\} 1$/m);
      await cluster.lab.joinNode("node3");
      await soon(all);
      assert.match(await metrics(), /^cilium_unreachable_nodes 0$/m);
    });

    test("the health endpoint has the identity health, and an address of the node's pod CIDR in its CiliumNode", async () => {
      const [endpoint] = (await cluster.agent.endpoints(signal)).filter(({ status }) => status?.identity?.id === 4);
      const { ipv4 = "", ipv6 = "" } = endpoint?.status?.networking?.addressing?.[0] ?? {};
      const told = JSON.parse(await cluster.lab.kubectl.run(["get", "ciliumnode", "node1", "-o", "json"]));
      assert.deepEqual(told.spec.health, { ipv4, ipv6 });
      const others = new AgentClient({ socketPath: cluster.lab.node("node2").socketPath });
      const known = await others.addresses(signal);
      others[Symbol.dispose]();
      for (const cidr of [`${ipv4}/32`, `${ipv6}/128`]) assert.equal(known.find((entry) => entry.cidr === cidr)?.identity, 4, cidr);
    });

    test("an agent that was killed leaves nothing of its health endpoint, and makes another one", async () => {
      await cluster.lab.killAgent();
      const devices = (): Promise<string> => runOrThrow("nsenter", [`--net=${cluster.lab.node().namespacePath}`, "ip", "-br", "link"]);
      await eventually(async () => assert.doesNotMatch(await devices(), /lxc_health/));
      cluster.lab.startAgent();
      await cluster.lab.waitForAgent();
      await soon(all);
      assert.match(await devices(), /lxc_health/);
      assert.equal((await cluster.agent.endpoints(signal)).length, 1);
    });
  });
}

function summary(paths: PathsHealth | undefined): string {
  const all = paths === undefined ? [] : [paths["primary-address"], ...(paths["secondary-addresses"] ?? [])];
  return `${all.filter(({ icmp, http }) => icmp?.status === "" && http?.status === "").length} of ${all.length}`;
}
