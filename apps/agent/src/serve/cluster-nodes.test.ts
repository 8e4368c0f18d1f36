import assert from "node:assert/strict";
import { test } from "node:test";
import type { CiliumNode } from "@cilium-ts/kubernetes";
import { clusterNodesShape } from "./cluster-nodes.ts";

const other: CiliumNode = {
  name: "a-node",
  labels: {},
  addresses: [
    { type: "CiliumInternalIP", ip: "10.0.2.1" },
    { type: "InternalIP", ip: "172.31.0.12" },
  ],
  podCIDRs: ["10.0.2.0/24", "fd00:2::/112"],
  healthIPv4: "",
  healthIPv6: "",
  bootId: "",
};

test("nodes are listed by name, this one among them, with their addresses on the underlay", () => {
  const podRanges = { ipv4: "10.0.1.0/24", ipv6: "fd00:1::/112" };
  const addresses = ["172.31.0.11", "fd31::11"];
  const status = clusterNodesShape({ clusterName: "default", nodeName: "node1", addresses, podRanges, others: [other] });
  assert.equal(status.self, "default/node1");
  assert.deepEqual(status["nodes-added"], [
    {
      name: "default/a-node",
      "primary-address": {
        ipv4: { enabled: true, ip: "172.31.0.12", "alloc-range": "10.0.2.0/24" },
        ipv6: { enabled: true, "alloc-range": "fd00:2::/112" },
      },
      source: "custom-resource",
    },
    {
      name: "default/node1",
      "primary-address": {
        ipv4: { enabled: true, ip: "172.31.0.11", "alloc-range": "10.0.1.0/24" },
        ipv6: { enabled: true, ip: "fd31::11", "alloc-range": "fd00:1::/112" },
      },
      source: "local",
    },
  ]);
});
