import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "@cilium-ts/kubernetes";
import { parseAddress } from "@cilium-ts/net";
import { EndpointsWorld, TestEndpoints } from "../endpoints/endpoints-world.ts";
import { RemoteEndpoints } from "./remote-endpoints.ts";

function object(name: string, identity: number, ipv4: string): KubernetesObject {
  const networking = { addressing: [{ ipv4 }], node: "192.0.2.2" };
  return { metadata: { namespace: "shop", name }, status: { identity: { id: identity }, networking } } as KubernetesObject;
}

test("an address is the pod's that was heard of last, and goes back when that one is gone", () => {
  using world = new EndpointsWorld();
  const { ipcache } = new TestEndpoints(world);
  const owners: string[] = [];
  const remote = new RemoteEndpoints({
    ipcache,
    tunnelEndpointOf: () => undefined,
    onOwner: (prefix, pod) => owners.push(`${prefix} ${pod?.podName ?? "-"}`),
  });
  const identity = (): number => ipcache.identityOf(parseAddress("10.0.2.7") ?? new Uint8Array(4));
  // The pod that gets the address is known already, with another one: it is told of before the one that had the address.
  remote.upsert(object("new", 301, "10.0.2.6"));
  remote.upsert(object("old", 300, "10.0.2.7"));
  remote.upsert(object("new", 301, "10.0.2.7"));
  assert.equal(identity(), 301);
  remote.refresh(["", "192.0.2.2"]);
  assert.equal(identity(), 301, "a node's change does not bring back who had it before");
  remote.remove({ namespace: "shop", name: "new", uid: "" });
  assert.equal(identity(), 300, "whoever still claims it has it");
  remote.upsert(object("new", 301, "10.0.2.7"));
  remote.remove({ namespace: "shop", name: "old", uid: "" });
  assert.equal(identity(), 301);
  remote.remove({ namespace: "shop", name: "new", uid: "" });
  assert.equal(identity(), 0);
  assert.deepEqual(owners.at(-1), "10.0.2.7/32 -");
});

test("what pods of other nodes call their ports is told, and forgotten with them", () => {
  using world = new EndpointsWorld();
  const { ipcache } = new TestEndpoints(world);
  const told: string[] = [];
  const remote = new RemoteEndpoints({
    ipcache,
    tunnelEndpointOf: () => undefined,
    onNamedPorts: (key, identity, ports) =>
      told.push(`${key} ${identity} ${ports.map(({ name, port, protocol }) => `${name}=${port}/${protocol}`)}`),
  });
  const plain = object("web", 300, "10.0.2.7");
  const ports = [
    { name: "http", port: 80, protocol: "TCP" },
    { name: "", port: 1, protocol: "TCP" },
    { name: "odd", port: "x", protocol: "TCP" },
  ];
  remote.upsert({ ...plain, status: { ...(plain.status as object), "named-ports": ports } });
  remote.remove({ namespace: "shop", name: "web", uid: "" });
  assert.deepEqual(told, ["shop/web 300 http=80/6", "shop/web 300 "]);
});
