import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runToEnd } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { repositoryRoot } from "@cilium-ts/tools/repository";
import { Cluster, policy } from "./cluster.ts";
import type { Workload } from "./workload-client.ts";

const program = join(repositoryRoot, "apps/cilium-dbg/build/bin/main.js");
const port = 8081;

let cluster: Cluster;
let client: Workload;
let server: Workload;

function environment(): NodeJS.ProcessEnv {
  const node = cluster.lab.node();
  const sockets = { CILIUM_SOCK: node.socketPath, HUBBLE_SERVER: `unix://${node.hubbleSocketPath}` };
  return { ...process.env, ...sockets, CILIUM_BPF_ROOT: join(node.directory, "bpf") };
}

/** What a command prints when it succeeds; addresses and numbers differ from run to run, and stand there as names. */
async function dbg(line: string): Promise<string> {
  const { status, stdout, stderr } = await runToEnd(process.execPath, [program, ...line.split(" ")], { env: environment() });
  assert.deepEqual([status, stderr], [0, ""], `${line}: ${stderr}`);
  return stdout;
}

async function json<T>(line: string): Promise<T> {
  return JSON.parse(await dbg(`${line} -o json`));
}

async function endpointOf(pod: Workload): Promise<{ id: number; identity: number }> {
  const { id = 0, status } = await cluster.endpoint(pod);
  return { id, identity: status?.identity?.id ?? 0 };
}

describe("cilium-dbg shows what a node knows and does", { skip: requireKernel() }, () => {
  before(async () => {
    cluster = await Cluster.start();
    [client, server] = [await cluster.pod("client"), await cluster.pod("server")];
    await server.listen("tcp", port);
    const fromClient = [
      { fromEndpoints: [{ matchLabels: { app: "client" } }], toPorts: [{ ports: [{ port: String(port), protocol: "TCP" }] }] },
    ];
    await cluster.apply(policy("web", "server", { ingress: fromClient }));
    await client.ask(server, "ipv4", "tcp", port);
    await client.ask(server, "ipv6", "tcp", port);
    await client.askInVain(server, "ipv4", "tcp", port + 1);
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  test("status", async () => {
    assert.match(await dbg("status"), /^Cilium: {18}Ok {9}cilium-ts/m);
    assert.match(await dbg("status --verbose"), new RegExp(`^ {2}${server.ipv4} \\(default/server\\)$`, "m"));
    assert.equal(await dbg("status --brief"), "OK\n");
  });

  test("endpoint", async () => {
    const { id, identity } = await endpointOf(server);
    assert.match(
      await dbg("endpoint list"),
      new RegExp(`^${id} +Enabled +Disabled +${identity} +k8s:app=server +${server.ipv6} +${server.ipv4} +ready$`, "m"),
    );
    const [endpoint] = JSON.parse(await dbg(`endpoint get cep-name:default/server`));
    assert.equal(endpoint.id, id);
    assert.match(await dbg(`endpoint health ${id}`), /^Overall Health: {3}OK$/m);
    assert.match(await dbg(`endpoint log ipv4:${server.ipv4}`), /^\S+Z +OK +ready +policy enforced$/m);
    assert.match(await dbg(`endpoint labels ${id}`), /^k8s:app=server +Enabled$/m);
  });

  test("identity, ip and node", async () => {
    const { identity } = await endpointOf(server);
    assert.match(await dbg("identity list"), new RegExp(`^1 +reserved:host$(.|\n)*^${identity} +k8s:app=server$`, "m"));
    assert.match(await dbg("identity list --endpoints"), new RegExp(`^${identity} +k8s:app=server +1$`, "m"));
    assert.match(await dbg(`identity get ${identity}`), /k8s:app=server/);
    assert.match(await dbg("ip list"), new RegExp(`^${server.ipv4}/32 +k8s:app=server +local$`, "m"));
    assert.match(await dbg(`ip get ${server.ipv4}/32 --numeric`), new RegExp(`^${server.ipv4}/32 +${identity} +local$`, "m"));
    assert.match(await dbg("node list"), /^default\/node1 +172\.31\.[0-9.]+ +10\.0\.1\.0\/24 +.* +local$/m);
  });

  test("map, config and version", async () => {
    assert.match(await dbg("map list"), /^policy +0 +0 +false$/m);
    assert.match(await dbg("map get local_addresses"), /^[0-9a-f]{40} +[0-9a-f]{16} +sync$/m);
    assert.match(await dbg("config"), /^PolicyEnforcement +: default$/m);
    assert.match(await dbg("version"), /^Client: .*\nDaemon: cilium-ts .*\n$/);
    assert.match(await dbg("completion bash"), /^complete -F _cilium_dbg cilium-dbg$/m);
  });

  test("bpf reads the kernel", async () => {
    const [from, to] = [await endpointOf(client), await endpointOf(server)];
    const identities = `SourceSecurityID=${from.identity} DestinationSecurityID=${to.identity}`;
    const connections = await dbg("bpf ct list global");
    assert.match(connections, new RegExp(`^TCP ${client.ipv4}:\\d+ -> ${server.ipv4}:${port} expires=\\d+ Flags=.* ${identities} `, "m"));
    assert.match(connections, new RegExp(`^TCP \\[${client.ipv6}\\]:\\d+ -> \\[${server.ipv6}\\]:${port} `, "m"));
    assert.match(await dbg("bpf ct list --time-diff"), /\(remaining: -?\d+ sec\(s\)\)/);
    assert.match(
      await dbg("bpf ipcache list"),
      new RegExp(`^${server.ipv4}/32 +identity=${to.identity} encryptkey=0 tunnelendpoint=0\\.0\\.0\\.0`, "m"),
    );
    assert.match(
      await dbg(`bpf policy get ${to.id}`),
      new RegExp(`^Allow +Ingress +k8s:app=client +${port}/TCP +NONE +disabled +24 `, "m"),
    );
    assert.match(
      await dbg("bpf policy list --numeric"),
      new RegExp(`^Endpoint ID: ${to.id}$(.|\n)*^Allow +Ingress +${from.identity} +${port}/TCP`, "m"),
    );
    assert.match(
      await dbg("bpf endpoint list"),
      new RegExp(`^${server.ipv4} +id=${to.id} sec_id=${to.identity} flags=0x0001 ifindex=\\d+ mac=`, "m"),
    );
    assert.match(await dbg("bpf endpoint list"), /^10\.0\.1\.1 +\(localhost\)$/m);
    assert.match(await dbg("bpf metrics list"), /^Policy denied +INGRESS +\d+ +\d+ +\d+ +\w+\.h$/m);
    assert.match(await dbg("bpf frag list"), /^SOURCE +DESTINATION +ID/);
  });

  test("policy says what is in force, and why packets may pass or not", async () => {
    assert.match(await dbg("policy get"), /"name": "web"(.|\n)*\nRevision: \d+\n$/);
    assert.match(await dbg("policy selectors"), /^endpoints any:app in \["client"\].* +default\/web +1 +\d+$/m);
    assert.match(
      await dbg(`policy explain default/client default/server ${port}`),
      /^Verdict: allowed \(port 8081\/TCP\)\n(.|\n)*- CiliumNetworkPolicy default\/web at ingress\[0\]/,
    );
    const wrongPort = await dbg(`policy explain default/client app=server ${port + 1}/tcp`);
    assert.match(wrongPort, /^Verdict: dropped \(port 8082\/TCP\)\n(.|\n)*Ingress \(policies of the receiver\): dropped\n/);
    assert.match(wrongPort, /ingress\[0\][^\n]* of CiliumNetworkPolicy default\/web /);
    assert.match(await dbg(`policy explain world default/server ${port}`), /^Verdict: dropped/);
    assert.match(await dbg(`policy explain default/server ${client.ipv4} 53/udp`), /^Verdict: allowed/);
    const { verdict, from } = await json<{ verdict: string; from: { pod: string } }>(
      `policy explain ${client.ipv6} default/server ${port}`,
    );
    assert.deepEqual([verdict, from.pod], ["allowed", "default/client"]);
  });

  test("what explain says is what packets meet", async () => {
    for (const [asked, source, to] of [
      [port, client, server],
      [port + 1, client, server],
      [port, server, client],
    ] as const) {
      const { verdict } = await json<{ verdict: string }>(`policy explain default/${source.name} default/${to.name} ${asked}`);
      const outcome = await source.askInVain(to, "ipv4", "tcp", asked);
      assert.equal(verdict === "allowed", outcome !== "timeout", `${source.name} to ${to.name} on ${asked}: ${verdict}, and ${outcome}`);
    }
  });

  test("the remedy that explain offers lets the packet through, and nothing else", async () => {
    await server.listen("tcp", port + 2);
    assert.equal(await client.askInVain(server, "ipv4", "tcp", port + 2), "timeout");
    const remedy = await dbg(`policy explain default/client default/server ${port + 2} --remedy`);
    await cluster.changing(1, () => cluster.lab.kubectl.apply(remedy));
    await eventually(async () => assert.equal(await client.ask(server, "ipv4", "tcp", port + 2), "answered"));
    assert.equal(await client.askInVain(server, "ipv4", "tcp", port + 1), "timeout");
  });

  test("monitor follows the kernel's events until it is told to stop", async () => {
    const monitor = spawn(process.execPath, [program, "monitor", "--type", "drop"], {
      env: environment(),
      stdio: ["ignore", "pipe", "inherit"],
    });
    let out = "";
    monitor.stdout.on("data", (part) => {
      out += part;
    });
    const ended = once(monitor, "exit");
    await eventually(async () => {
      await client.askInVain(server, "ipv4", "tcp", port + 1);
      assert.match(out, new RegExp(`^xx drop \\(Policy denied\\) .* ${client.ipv4}:\\d+ -> ${server.ipv4}:${port + 1} tcp SYN$`, "m"));
    });
    monitor.kill("SIGINT");
    assert.deepEqual(await ended, [0, null]);
  });

  test("without an agent the kernel can be read, and the rest says so in a sentence", async () => {
    await cluster.lab.stopAgent();
    assert.match(await dbg("bpf policy list"), /^Endpoint ID: /m);
    const { status, stderr } = await runToEnd(process.execPath, [program, "endpoint", "list"], { env: environment() });
    assert.equal(status, 1);
    assert.match(stderr, /^cilium-dbg: the cilium-agent cannot be reached on .*: is it running, and are you root\?\n$/);
  });
});
