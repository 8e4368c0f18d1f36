import assert from "node:assert/strict";
import { test } from "node:test";
import { readCiliumDefinitions } from "../cilium-definitions.ts";
import { createObjectChecker } from "./check-object.ts";

const check = createObjectChecker(readCiliumDefinitions());
const paths = (object: unknown): string[] | undefined => check(object)?.map(({ path }) => path);

test("an object is held to its schema without a server, and is not changed by that", () => {
  const metadata = { name: "a", namespace: "shop" };
  const good = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata, spec: { podSelector: {} } };
  const before = structuredClone(good);
  assert.deepEqual(paths(good), []);
  assert.deepEqual(good, before);
  assert.deepEqual(paths({ ...good, metadata: { name: "A_b" }, spec: { podSelector: {}, ingres: [] } }), ["spec.ingres", "metadata.name"]);
  const cilium = { apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", metadata, spec: { endpointSelector: {} } };
  assert.deepEqual(paths(cilium), []);
  assert.deepEqual(paths({ ...cilium, spec: { endpointSelector: {}, ingress: [{ toPorts: [{ ports: [{ port: "80000000" }] }] }] } }), [
    "spec.ingress[0].toPorts[0].ports[0].port",
  ]);
});

test("kinds that are not known are nobody's, and versions that there are not are told", () => {
  assert.equal(paths({ apiVersion: "v1", kind: "Nothing" }), undefined);
  assert.deepEqual(paths({ apiVersion: "cilium.io/v1", kind: "CiliumNetworkPolicy", metadata: {} }), ["apiVersion"]);
  assert.deepEqual(paths("text"), [""]);
});
