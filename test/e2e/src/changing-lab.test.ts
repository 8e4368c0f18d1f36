import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Lab, type LabPod, runToEnd } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { repositoryRoot } from "@cilium-ts/tools/repository";
import { labName, labSubnet } from "./cluster.ts";

const patience = { deadlineMs: 30_000, intervalMs: 200 };

/** What `./dev node`, `./dev restart` and `./dev kubectl run` do. */
describe("a lab that changes while it runs", { skip: requireKernel() }, () => {
  let lab: Lab;
  let client: LabPod;

  /** Of a pod that the API server alone was told of. */
  const start = async (name: string, nodeName: string): Promise<void> => {
    const script = `require("node:net").createServer((socket) => socket.end("${name}")).listen(8080, "::")`;
    const containers = [{ name: "main", image: "example.org/any", command: ["node", "-e", script] }];
    await lab.kubectl.apply({ apiVersion: "v1", kind: "Pod", metadata: { namespace: "default", name }, spec: { nodeName, containers } });
  };
  const addressOf = async (name: string): Promise<string> => {
    let address = "";
    await eventually(async () => {
      address = (await lab.kubectl.run(["get", "pod", name, "-o", "jsonpath={.status.podIP}"])).trim();
      assert.notEqual(address, "");
    }, patience);
    return address;
  };
  const ask = async (address: string): Promise<string> => {
    const script = `const s = require("node:net").connect(8080, "${address}"); s.pipe(process.stdout); s.on("error", () => {}); setTimeout(() => process.exit(), 1000).unref()`;
    return (await runToEnd("nsenter", [`--net=${client.namespacePath}`, process.execPath, "-e", script])).stdout;
  };

  before(async () => {
    lab = await Lab.start({ root: repositoryRoot, name: labName, subnet: labSubnet, ipam: "cluster-pool", relay: true, kubelet: true });
    client = await lab.createPod({ name: "client" });
  });
  after(() => lab?.[Symbol.asyncDispose]());

  test("a node that joins runs pods, and they are reached", async () => {
    await lab.addNode("late");
    await start("far", "late");
    const address = await addressOf("far");
    await eventually(async () => assert.equal(await ask(address), "far"), patience);
  });

  test("a node that is cut off is not reached, and is when it is back", async () => {
    const address = await addressOf("far");
    await lab.cutNode("late");
    assert.equal(await ask(address), "");
    await lab.joinNode("late");
    await eventually(async () => assert.equal(await ask(address), "far"), patience);
  });

  test("another process can change it too", async () => {
    const other = await Lab.attach(lab.name);
    assert.deepEqual(other?.nodes, lab.nodes);
    await assert.rejects(lab.addNode("late"), /the lab has a node late already/);
  });

  for (const name of ["agent-late", "operator", "relay", "kubelet", "apiserver"]) {
    test(`the program ${name} starts again, as another process`, async () => {
      const before = lab.daemon(name).pid;
      await lab.restart(name);
      assert.notEqual(lab.daemon(name).pid, before);
      await lab.waitForApiserver();
      await lab.waitForAgent("late");
      await eventually(async () => assert.equal(await ask(await addressOf("far")), "far"), patience);
    });
  }

  test("pods are removed with their objects, and the programs of the lab are seen as pods", async () => {
    await start("near", "node1");
    await addressOf("near");
    await lab.kubectl.run(["delete", "pod", "near"]);
    await eventually(async () => assert.equal(existsSync(`/run/netns/ct-${lab.name}-default-near`), false), patience);
    const names = ["get", "pods", "-n", "kube-system", "-o", "jsonpath={.items[*].metadata.name}"];
    await eventually(async () => {
      assert.equal(await lab.kubectl.run(names), "cilium-late cilium-node1 cilium-operator-lab hubble-relay-lab");
    }, patience);
  });

  test("a node that is removed leaves nothing", async () => {
    const { directory, namespacePath } = lab.node("late");
    await lab.removeNode("late");
    assert.deepEqual([directory, namespacePath].filter(existsSync), []);
    await eventually(async () => {
      const names = await lab.kubectl.run(["get", "nodes,ciliumnodes,pods", "-A", "-o", "jsonpath={.items[*].metadata.name}"]);
      assert.doesNotMatch(names, /late|far/);
    }, patience);
    assert.equal(existsSync(`/run/netns/ct-${lab.name}-default-far`), false);
  });
});
