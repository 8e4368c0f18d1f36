import assert from "node:assert/strict";
import { test } from "node:test";
import { type KubernetesClient, KubernetesError, type KubernetesObject } from "@cilium-ts/kubernetes";
import { LocalNode } from "./local-node.ts";

const signal = new AbortController().signal;
const routers = { ipv4: "10.0.0.1", ipv6: "fd00::1" };

/** A server that holds at most one object, and what it was asked. */
function open(podCIDRs?: readonly string[]) {
  const requests: string[] = [];
  let uids = 0;
  const withUid = (object: KubernetesObject): KubernetesObject => ({ ...object, metadata: { ...object.metadata, uid: `u${++uids}` } });
  const server = { object: undefined as KubernetesObject | undefined, onPatch: () => {} };
  const client: Partial<KubernetesClient> = {
    get: async ({ plural }) => (plural === "nodes" ? undefined : server.object),
    async create(_resource, object) {
      requests.push(`create ${JSON.stringify(object.spec)}`);
      if (server.object !== undefined) throw new KubernetesError({ message: "it exists", status: 409, reason: "AlreadyExists" });
      server.object = withUid(object);
      return server.object;
    },
    async patch(_resource, _name, { body }) {
      const { ipam } = (body as unknown as KubernetesObject).spec as { ipam?: object };
      requests.push(`apply ${JSON.stringify(ipam ?? {})}`);
      const { uid } = (body as unknown as KubernetesObject).metadata;
      if (uid !== undefined && uid !== server.object?.metadata.uid)
        throw new KubernetesError({ message: "uid mismatch", status: 409, reason: "Conflict" });
      server.object ??= withUid(body as unknown as KubernetesObject);
      server.onPatch();
      return server.object;
    },
  };
  const node = new LocalNode({ client: client as KubernetesClient, name: "n1", podCIDRs });
  const settle = async (): Promise<void> => {
    for (const row of node.table.rows()) await node.target.apply(row, signal);
  };
  return { node, server, requests, settle };
}

test("the object is written once, and what the operator writes is left out; needs are told when they change", async () => {
  const { node, requests, settle } = open();
  node.publish(["192.0.2.1"], routers);
  await settle();
  await settle();
  node.request([{ pool: "default", ipv4: 8, ipv6: 8 }]);
  await settle();
  const needed = '{"pools":{"requested":[{"pool":"default","needed":{"ipv4-addrs":8,"ipv6-addrs":8}}]}}';
  assert.deepEqual(requests, ["apply {}", `apply ${needed}`]);
});

test("an object that is gone is made anew, and begins with what the node holds", async () => {
  const { node, server, requests, settle } = open();
  node.publish(["192.0.2.1"], routers);
  node.holds(() => ({ podCIDRs: ["10.0.0.0/24"] }));
  await settle();
  server.object = undefined;
  node.gone();
  await settle();
  assert.deepEqual(requests.slice(-2), ['create {"ipam":{"podCIDRs":["10.0.0.0/24"]}}', "apply {}"]);
});

test("an object whose loss was not heard of yet does not come back without what the node holds", async () => {
  const { node, server, requests, settle } = open();
  node.publish(["192.0.2.1"], routers);
  node.holds(() => ({ podCIDRs: ["10.0.0.0/24"] }));
  await settle();
  server.object = undefined;
  node.publish(["192.0.2.2"], routers);
  await assert.rejects(settle(), /uid mismatch/);
  assert.equal(server.object, undefined);
  await settle();
  assert.deepEqual(requests.slice(-2), ['create {"ipam":{"podCIDRs":["10.0.0.0/24"]}}', "apply {}"]);
});

test("an object that is lost while it is being written is written again", async () => {
  const { node, server, requests, settle } = open(["10.0.0.0/24"]);
  node.publish(["192.0.2.1"], routers);
  server.onPatch = () => {
    server.onPatch = () => {};
    server.object = undefined;
    node.gone();
  };
  await settle();
  await settle();
  assert.equal(requests.length, 2);
});
