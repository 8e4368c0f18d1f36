import assert from "node:assert/strict";
import { chmodSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Finished, runToEnd } from "@cilium-ts/lab";
import { requireKernel } from "@cilium-ts/testing";
import { repositoryRoot } from "@cilium-ts/tools/repository";
import { Cluster, labSubnet } from "./cluster.ts";

describe("a program that cannot start", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  /** Files that the tests make. */
  let scratch = "";

  before(async () => {
    cluster = await Cluster.start();
    scratch = join(cluster.lab.directory, "scratch");
    mkdirSync(scratch);
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  const file = (name: string, text: string): string => {
    writeFileSync(join(scratch, name), text);
    return join(scratch, name);
  };

  /** An agent of its own beside the lab's, in a namespace of its own if one is given. */
  function agent(flags: Readonly<Record<string, string>>, prefix: readonly string[] = []): Promise<Finished> {
    const all = {
      "k8s-kubeconfig-path": cluster.lab.kubeconfigPath,
      "node-name": "node1",
      "state-dir": join(scratch, "state"),
      "socket-path": join(scratch, "agent.sock"),
      "hubble-socket-path": join(scratch, "hubble.sock"),
      "hubble-history-dir": join(scratch, "hubble-history"),
      "bpf-root": join(scratch, "bpf"),
      "delete-queue-dir": join(scratch, "deleteQueue"),
      ...flags,
    };
    const args = Object.entries(all).map(([name, value]) => `--${name}=${value}`);
    const program = join(repositoryRoot, "apps/agent/build/bin/main.js");
    const [command = "", ...rest] = [...prefix, "timeout", "20", process.execPath, program, ...args];
    return runToEnd(command, rest);
  }

  const apiserver = (...flags: readonly string[]): Promise<Finished> =>
    runToEnd("timeout", ["20", process.execPath, join(repositoryRoot, "apps/apiserver/build/bin/main.js"), ...flags]);

  /** One sentence on standard error, from the program of that name, and the status. */
  function refused({ status, stderr, stdout }: Finished, program: string, expected: number, says: RegExp): void {
    assert.match(stderr, says, stdout);
    assert.equal(status, expected, stderr);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
    assert.ok(stderr.startsWith(`${program}: `), stderr);
  }

  test("because another agent serves the node says so, and the other one goes on", async () => {
    const node = cluster.lab.node();
    const flags = { "socket-path": node.socketPath, "state-dir": join(node.directory, "state"), "bpf-root": join(node.directory, "bpf") };
    const answer = await agent(flags, ["nsenter", `--net=${node.namespacePath}`]);
    refused(answer, "cilium-agent", 1, /another cilium-agent is already serving on .*cilium\.sock: stop it first, or choose another path/);
    await cluster.lab.waitForAgent();
    await cluster.pod("after-the-second-agent");
  });

  test("without root says what it needs root for", async () => {
    // A directory that anybody may enter: the checkout may be root's alone.
    const copy = `/tmp/${cluster.lab.name}`;
    try {
      cpSync(join(repositoryRoot, "apps/agent/build"), copy, { recursive: true });
      cpSync(process.execPath, join(copy, "node"));
      chmodSync(copy, 0o755);
      const nobody = ["setpriv", "--reuid=65534", "--clear-groups", join(copy, "node"), join(copy, "bin/main.js")];
      const [command = "", ...args] = nobody;
      refused(await runToEnd(command, args), "cilium-agent", 1, /need root: run this with sudo/);
    } finally {
      await runToEnd("rm", ["-r", copy]);
    }
  });

  test("for a kubeconfig that is not there, or none, names the file", async () => {
    const missing = join(scratch, "missing.kubeconfig");
    refused(await agent({ "k8s-kubeconfig-path": missing }), "cilium-agent", 1, new RegExp(`${missing}`));
    const garbage = file("garbage.kubeconfig", "{{{ no yaml");
    refused(await agent({ "k8s-kubeconfig-path": garbage }), "cilium-agent", 1, new RegExp(`${garbage}`));
    const empty = file("empty.kubeconfig", "apiVersion: v1\nkind: Config\n");
    refused(await agent({ "k8s-kubeconfig-path": empty }), "cilium-agent", 1, new RegExp(`${empty}`));
    await cluster.lab.waitForAgent();
  });

  test("for flags that are wrong names each of them", async () => {
    const answer = await agent({ "ipv4-range": "10.0.0.0/33", mtu: "12", "enable-policy": "perhaps" });
    assert.equal(answer.status, 2);
    assert.match(answer.stderr, /--ipv4-range .*"10\.0\.0\.0\/33"/);
    assert.match(answer.stderr, /--mtu .*12/);
    assert.match(answer.stderr, /--enable-policy is one of default, always, never, not "perhaps"/);
    refused(await agent({ "no-such-flag": "1" }), "cilium-agent", 2, /--no-such-flag.*cilium-agent --help lists the flags/);
  });

  test("as API server names the flag, the address or the folder that is wrong", async () => {
    const state = join(scratch, "apiserver");
    refused(await apiserver("--listen", "nowhere"), "cilium-apiserver", 2, /--listen must be host:port .* not "nowhere"/);
    refused(await apiserver("--no-such-flag"), "cilium-apiserver", 2, /unknown option '--no-such-flag'/);
    const taken = `172.31.${labSubnet}.1:6443`;
    refused(await apiserver("--state-dir", state, "--listen", taken), "cilium-apiserver", 1, new RegExp(`${taken}`));
    const notFolder = file("not-a-folder", "");
    refused(await apiserver("--state-dir", notFolder, "--listen", "127.0.0.1:0"), "cilium-apiserver", 1, new RegExp(notFolder));
    const used = join(cluster.lab.directory, "apiserver");
    refused(await apiserver("--state-dir", used, "--listen", "127.0.0.1:0"), "cilium-apiserver", 1, /another|in use|locked/);
    await cluster.lab.kubectl.run(["get", "nodes"]);
  });
});
