import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePolicyParty } from "./policy-party.ts";

for (const [text, party] of [
  ["7", { kind: "endpoint", id: { kind: "id", id: 7 } }],
  ["shop/web", { kind: "endpoint", id: { kind: "pod", namespace: "shop", name: "web" } }],
  ["container-id:abc", { kind: "endpoint", id: { kind: "container-id", containerId: "abc" } }],
  ["identity:16777217", { kind: "identity", id: 16_777_217 }],
  ["world", { kind: "name", name: "world" }],
  ["app=web", { kind: "labels", labels: ["app=web"] }],
  ["k8s:app=web, reserved:host", { kind: "labels", labels: ["k8s:app=web", "reserved:host"] }],
  ["10.0.1.5", { kind: "address", address: "10.0.1.5" }],
  ["FD00::5", { kind: "address", address: "fd00::5" }],
] as const) {
  test(`${text} names a party`, () => assert.deepEqual(parsePolicyParty(text), { kind: "parsed", party }));
}

for (const [text, reason] of [
  ["", /neither end may be empty: write an endpoint \(/],
  ["70000", /"70000" names no endpoint/],
  ["identity:4294967296", /an identity is a number up to 4294967295/],
  ["a=b,,c=d", /"a=b,,c=d" is no list of labels/],
  ["a/b/c", /after cep-name: stands <namespace>\/<name>/],
  ["ipv4:fd00::1", /after ipv4: stands an IPv4 address/],
] as const) {
  test(`${JSON.stringify(text)} is refused`, () => {
    const parsed = parsePolicyParty(text);
    assert.equal(parsed.kind, "bad");
    assert.match(parsed.kind === "bad" ? parsed.reason : "", reason);
  });
}
