import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { KubernetesClient, KubernetesObject } from "@cilium-ts/kubernetes";
import { formatPrefix } from "@cilium-ts/net";
import { FakeNetworks } from "@cilium-ts/netlink/testing";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { eventually } from "@cilium-ts/testing";
import { LocalNode } from "../cluster/local-node.ts";
import type { AgentOptions } from "../settings.ts";
import { resolvePodRanges } from "./pod-ranges.ts";

const directory = mkdtempSync(join(tmpdir(), "cilium-ts-ranges-"));
after(() => rmSync(directory, { recursive: true, force: true }));

function open(ipam: AgentOptions["ipam"], objects: Record<string, KubernetesObject>) {
  const clock = createSimulatedClock();
  const lines: string[] = [];
  const say = (line: string): void => void lines.push(line);
  const stop = new AbortController();
  const client: Partial<KubernetesClient> = {
    get: async ({ plural }) => objects[plural],
    patch: async (_resource, _name, { body }) => {
      objects.ciliumnodes = body as unknown as KubernetesObject;
      return objects.ciliumnodes;
    },
  };
  const localNode = new LocalNode({ client: client as KubernetesClient, name: "n1", podCIDRs: undefined });
  const options = { ipam, nodeName: "n1", stateDirectory: mkdtempSync(join(directory, "state-")) } as AgentOptions;
  const log = { error: say, warn: say, info: say, debug: say };
  const netlink = new FakeNetworks().open();
  const start = () =>
    resolvePodRanges({ options, client: client as KubernetesClient, localNode, netlink, clock, log, signal: stop.signal });
  return { clock, lines, start, stop };
}

test("a node whose pools are exhausted waits, and says why in the operator's words", async () => {
  const objects: Record<string, KubernetesObject> = {};
  const { clock, lines, start } = open("cluster-pool", objects);
  const running = start();
  await eventually(() => assert.match(lines.join("\n"), /CiliumNode n1 has just been made/));
  objects.ciliumnodes = {
    metadata: { name: "n1" },
    status: { ipam: { "operator-status": { error: "no IPv4 pod CIDR is left in 10.0.0.0/24" } } },
  };
  await eventually(async () => {
    await clock.advance(200);
    assert.match(
      lines.at(-1) ?? "",
      /the node has no pod CIDRs yet: .*\[\].*; the operator says: no IPv4 pod CIDR is left in 10\.0\.0\.0\/24/,
    );
  });
  objects.ciliumnodes = { metadata: { name: "n1" }, spec: { ipam: { podCIDRs: ["10.0.0.0/26", "fd00::/120"] } } };
  await eventually(async () => {
    await clock.advance(200);
    assert.equal(lines.length, 2, "each reason is said once");
  });
  const { ipv4Range, ipv6Range } = await running;
  assert.deepEqual([ipv4Range, ipv6Range].map(formatPrefix), ["10.0.0.0/26", "fd00::/120"]);
  objects.ciliumnodes = { metadata: { name: "n1" } };
  assert.equal(formatPrefix((await start()).ipv4Range), "10.0.0.0/26", "what it once had a restart asks nobody for");
});

test("in the mode kubernetes the ranges are those of the Node, and a Node without any is named with the way out", async () => {
  const objects: Record<string, KubernetesObject> = { nodes: { metadata: { name: "n1" }, spec: {} } };
  const { clock, lines, start } = open("kubernetes", objects);
  const running = start();
  await eventually(() => assert.match(lines.join(), /Node n1 has the pod CIDRs \[\].*--allocate-node-cidrs of kube-controller-manager/));
  objects.nodes = { metadata: { name: "n1" }, spec: { podCIDRs: ["10.244.3.0/24", "fd00:3::/112"] } };
  await eventually(async () => {
    await clock.advance(200);
    assert.equal(lines.length, 1);
  });
  assert.equal(formatPrefix((await running).ipv4Range), "10.244.3.0/24");
});
