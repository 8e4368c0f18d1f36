import assert from "node:assert/strict";
import { test } from "node:test";
import { NodePeers, type NodePeersOptions, type PeerNode } from "./node-peers.ts";

const there: PeerNode = {
  name: "there.lab",
  addresses: [
    { type: "CiliumInternalIP", ip: "10.0.2.1" },
    { type: "InternalIP", ip: "2001:db8::2" },
    { type: "InternalIP", ip: "192.0.2.2" },
  ],
};

function peers(options: Partial<NodePeersOptions> = {}): NodePeers {
  return new NodePeers({
    clusterName: "default",
    localName: "here",
    listenAddress: ":4244",
    socketPath: "/run/hubble.sock",
    usesTls: true,
    underlay: () => ["192.0.2.1"],
    remoteNodes: () => [there, { name: "unborn", addresses: [{ type: "CiliumInternalIP", ip: "10.0.3.1" }] }],
    ...options,
  });
}

test("peers are the node itself and every other that can be reached, by IPv4 where there is any", () => {
  assert.deepEqual(peers().peers(), [
    { name: "here", address: "192.0.2.1:4244", tlsServerName: "here.default.hubble-grpc.cilium.io" },
    { name: "there.lab", address: "192.0.2.2:4244", tlsServerName: "there-lab.default.hubble-grpc.cilium.io" },
  ]);
});

test("in another cluster than default peers are named with it, and in plain text without a TLS name", () => {
  const list = peers({ clusterName: "west", usesTls: false, underlay: () => ["2001:db8::1"] }).peers();
  assert.deepEqual(list[0], { name: "west/here", address: "[2001:db8::1]:4244" });
  assert.equal(list[1]?.name, "west/there.lab");
});

test("a node that serves on its socket only has no peer but itself", () => {
  assert.deepEqual(peers({ listenAddress: "" }).peers(), [{ name: "here", address: "unix:///run/hubble.sock" }]);
});
