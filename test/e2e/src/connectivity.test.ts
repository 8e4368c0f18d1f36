import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Finished, Lab, runToEnd } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { repositoryRoot } from "@cilium-ts/tools/repository";
import { labName, labSubnet } from "./cluster.ts";

const program = join(repositoryRoot, "apps/cilium/build/bin/main.js");
/** All of them take minutes: a few that differ most, unless more is asked for. */
const chosen = "^(no-policies.*|deny-over-allow|named-port-egress|to-remote-node|to-cidr-except|clusterwide|network-policy)$";
const setups = process.env.CILIUM_TS_LONG === "1" ? (["tunnel", "native"] as const) : (["native"] as const);

for (const routing of setups) {
  describe(`cilium connectivity test, nodes routed by ${routing}`, { skip: requireKernel() }, () => {
    let lab: Lab;

    const environment = (): NodeJS.ProcessEnv => ({
      ...process.env,
      KUBECONFIG: lab.kubeconfigPath,
      CILIUM_EXEC_PROGRAM: join(repositoryRoot, "test/lab/exec-in-pod"),
      CILIUM_LAB: lab.directory,
      CILIUM_LAB_ROOT: repositoryRoot,
      CILIUM_TEST_EXTERNAL_IP: `172.31.${labSubnet}.2`,
      CILIUM_TEST_EXTERNAL_IPV6: `fd31:${labSubnet}::2`,
      CILIUM_TEST_EXTERNAL_PORT: "8080",
    });
    const cilium = (...args: readonly string[]): Promise<Finished> =>
      runToEnd(process.execPath, [program, ...args], { env: environment() });
    const podNamespaces = (): string[] => readdirSync("/run/netns").filter((name) => name.startsWith(`ct-${lab.name}-cilium-test`));

    before(async () => {
      const agentArguments = ["--enable-bpf-masquerade", "true"];
      const options = { ipam: "cluster-pool", nodes: 2, relay: true, kubelet: true, routing, agentArguments } as const;
      lab = await Lab.start({ root: repositoryRoot, name: labName, subnet: labSubnet, ...options });
      await lab.addWorld();
    });
    after(() => lab?.[Symbol.asyncDispose]());

    test("the cluster is waited for", async () => {
      const { status, stdout } = await cilium("status", "--wait", "--wait-duration", "30s");
      assert.equal(status, 0, stdout);
      assert.match(stdout, /^Hubble Relay: +OK$/m);
      assert.match(stdout, /^DaemonSet +cilium +Desired: 2, Ready: 2\/2, Available: 2\/2$/m);
    });

    test("connections and flows are as they should be, and nothing is left behind", async () => {
      const only = process.env.CILIUM_TS_LONG === "1" ? [] : ["--test", chosen];
      const { status, stdout, stderr } = await cilium("connectivity", "test", ...only, "-o", "json");
      assert.equal(status, 0, stderr || stdout);
      const results: ReadonlyArray<{ name: string; outcome: string; attempts: number; flows: number }> = JSON.parse(stdout);
      for (const { name, outcome, attempts, flows } of results) {
        assert.deepEqual([name, outcome, flows], [name, "passed", attempts]);
        assert.ok(attempts > 0, name);
      }
      await eventually(() => assert.deepEqual(podNamespaces(), []), { deadlineMs: 20_000, intervalMs: 100 });
      const { stdout: policies } = await lab.kubectl.try(["get", "cnp,ccnp,netpol,ns", "-A", "-o", "name"]);
      assert.doesNotMatch(policies, /cilium-test/);
    });

    test("a user who has had enough leaves nothing behind either", async () => {
      const child = spawn(process.execPath, [program, "connectivity", "test", "--test", "no-policies"], {
        env: environment(),
        stdio: "ignore",
      });
      await eventually(() => assert.notDeepEqual(podNamespaces(), []), { deadlineMs: 20_000, intervalMs: 50 });
      child.kill("SIGINT");
      assert.deepEqual(await once(child, "exit"), [130, null]);
      await eventually(() => assert.deepEqual(podNamespaces(), []), { deadlineMs: 20_000, intervalMs: 100 });
      assert.equal((await lab.kubectl.run(["get", "namespaces", "-o", "name"])).includes("cilium-test"), false);
    });
  });
}
