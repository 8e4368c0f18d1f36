import assert from "node:assert/strict";
import { test } from "node:test";
import { protocols } from "@cilium-ts/policy";
import { IdentityPorts } from "./identity-ports.ts";

const http = { name: "http", protocol: protocols.tcp, port: 80 };
const dns = { name: "dns", protocol: protocols.udp, port: 53 };

test("an identity has the ports of all its endpoints, and only changes of that are told", () => {
  const ports = new IdentityPorts();
  assert.deepEqual([...ports.set(1, 300, [http])], [300]);
  assert.deepEqual([...ports.set("shop/far", 300, [http])], [], "a second endpoint with the same port");
  assert.deepEqual([...ports.set("shop/far", 300, [http, dns])], [300]);
  assert.deepEqual(ports.of(300), [http, dns]);
  assert.deepEqual([...ports.remove(1)], [], "another still has it");
  assert.deepEqual([...ports.remove("shop/far")], [300]);
  assert.deepEqual(ports.of(300), []);
  assert.deepEqual([...ports.remove("shop/far")], []);
});

test("an endpoint that gets another identity takes its ports along", () => {
  const ports = new IdentityPorts();
  ports.set(1, 300, [http]);
  assert.deepEqual([...ports.set(1, 301, [http])], [300, 301]);
  assert.deepEqual([ports.of(300), ports.of(301)], [[], [http]]);
  assert.deepEqual([ports.has(1, 301, [http]), ports.has(1, 300, [http]), ports.has(2, 300, [])], [true, false, true]);
});
