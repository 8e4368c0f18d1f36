import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Daemon, Lab, type LabPod, ownPlace, runOrThrow, runToEnd, startDaemon, stopDaemon } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";

const root = join(import.meta.dirname, "../../..");
const { name, subnet } = ownPlace("e");
const server = `172.31.${subnet}.1:4245`;
const patience = { deadlineMs: 20_000, intervalMs: 300 };

/** Two agents and a relay, as programs, with certificates that nobody had to make. */
describe("flows of two nodes through a relay", { skip: requireKernel() }, () => {
  const tls = mkdtempSync(join(tmpdir(), "cilium-ts-relay-"));
  let lab: Lab;
  let relay: Daemon;
  let near: LabPod;
  let far: LabPod;

  const hubble = async (...args: string[]): Promise<string> => {
    const how = [
      "--server",
      `tls://${server}`,
      "--tls-server-name",
      "any.hubble-relay.cilium.io",
      "--tls-ca-cert-files",
      join(tls, "ca.crt"),
    ];
    const proof = ["--tls-client-cert-file", join(tls, "relay-client.crt"), "--tls-client-key-file", join(tls, "relay-client.key")];
    return runOrThrow(process.execPath, [join(root, "apps/hubble/src/main.ts"), ...args, ...how, ...proof]);
  };
  const knock = (from: LabPod, to: LabPod): Promise<unknown> =>
    runToEnd("nsenter", [`--net=${from.namespacePath}`, "curl", "--silent", "--max-time", "1", `http://${to.ipv4}:8080`]);
  const nodesText = async (): Promise<string> => hubble("list", "nodes", "-o", "wide");

  before(async () => {
    const agentArguments = ["--hubble-listen-address", ":4244", "--hubble-tls-dir", tls];
    lab = await Lab.start({ root, name, subnet, nodes: 2, agentArguments });
    near = await lab.createPod({ name: "near" });
    far = await lab.createPod({ name: "far", node: "node2" });
    const where = ["--listen-address", server, "--health-listen-address", "", "--tls-dir", tls, "--retry-timeout", "1s"];
    const peers = ["--peer-service", `unix://${lab.node().hubbleSocketPath}`];
    const args = [join(root, "apps/relay/src/main.ts"), "serve", ...where, ...peers];
    relay = startDaemon({ name: "relay", command: process.execPath, args, logPath: join(lab.directory, "relay.log") });
    await eventually(async () => assert.match(await nodesText(), /node1 +Connected[\s\S]*node2 +Connected/), patience);
  });
  after(async () => {
    if (relay !== undefined) await stopDaemon(relay);
    await lab?.[Symbol.asyncDispose]();
    rmSync(tls, { recursive: true });
  });

  test("nodes are found by their addresses, and spoken to by TLS", async () => {
    assert.match(await nodesText(), new RegExp(`172\\.31\\.${subnet}\\.\\d+:4244 +Enabled`));
    assert.match(await hubble("status"), /Connected Nodes: 2\/2/);
  });

  test("one packet is seen on both nodes, in order", async () => {
    await eventually(async () => {
      await knock(near, far);
      const lines = await hubble("observe", "--all", "-o", "json", "--from-pod", "default/near", "--to-pod", "default/far");
      const flows = lines
        .trimEnd()
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line).flow);
      assert.deepEqual([...new Set(flows.map(({ node_name: name }) => name))].sort(), ["default/node1", "default/node2"]);
      const times = flows.map(({ time }) => time);
      assert.deepEqual(times, [...times].sort());
      const carried = flows.flatMap(({ tunnel, node_name: node }) => (tunnel === undefined ? [] : [{ node, ...tunnel }]));
      assert.deepEqual([...new Set(carried.map(({ node }) => node))].sort(), ["default/node1", "default/node2"], "both tell the tunnel");
      for (const { protocol, IP: ip, l4 } of carried) {
        assert.deepEqual([protocol, l4.UDP.destination_port], ["VXLAN", 8472]);
        for (const address of [ip.source, ip.destination]) assert.match(address, new RegExp(`^172\\.31\\.${subnet}\\.`));
        assert.notEqual(ip.source, ip.destination);
      }
    }, patience);
  });

  test("an agent that is away is named, and found again", async () => {
    await lab.killAgent("node2");
    await eventually(async () => assert.match(await nodesText(), /node2 +Unavailable/), patience);
    assert.match(await hubble("status"), /Connected Nodes: 1\/2/);
    lab.startAgent("node2");
    await lab.waitForAgent("node2");
    await eventually(async () => assert.match(await nodesText(), /node2 +Connected/), patience);
  });
});
