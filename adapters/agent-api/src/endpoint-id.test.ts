import assert from "node:assert/strict";
import { test } from "node:test";
import { type EndpointId, parseEndpointId } from "./endpoint-id.ts";

const good: [text: string, id: EndpointId][] = [
  ["7", { kind: "id", id: 7 }],
  ["0", { kind: "id", id: 0 }],
  ["cilium-local:16383", { kind: "id", id: 16383 }],
  ["cep-name:default/client", { kind: "pod", namespace: "default", name: "client" }],
  ["pod-name:default/client", { kind: "pod", namespace: "default", name: "client" }],
  ["container-id:abc", { kind: "container-id", containerId: "abc" }],
  ["container-name:web", { kind: "container-name", containerName: "web" }],
  ["cni-attachment-id:abc:eth0", { kind: "cni-attachment-id", containerId: "abc", ifname: "eth0" }],
  ["cni-attachment-id:abc", { kind: "cni-attachment-id", containerId: "abc", ifname: "" }],
  ["ipv4:10.0.0.5", { kind: "address", address: "10.0.0.5" }],
  ["ipv6:FD00:0:0::5", { kind: "address", address: "fd00::5" }],
];

for (const [text, id] of good) {
  test(`${text} names an endpoint`, () => {
    assert.deepEqual(parseEndpointId(text), { kind: "parsed", id });
  });
}

const bad: [text: string, reason: RegExp][] = [
  ["", /write a number, cilium-local:<number>, cep-name:/],
  ["web", /"web" names no endpoint: write a number/],
  ["-1", /write a number/],
  ["70000", /write a number/],
  ["cilium-local:", /write a number/],
  ["cilium-local:x", /after cilium-local: stands a number up to 65535/],
  ["cep-name:client", /after cep-name: stands <namespace>\/<name>/],
  ["pod-name:a/b/c", /after pod-name: stands <namespace>\/<name>/],
  ["cni-attachment-id::eth0", /after cni-attachment-id: stands <container id>:<interface>/],
  ["ipv4:fd00::5", /after ipv4: stands an IPv4 address/],
  ["ipv6:10.0.0.5", /after ipv6: stands an IPv6 address/],
  ["ipv4:10.0.0", /after ipv4: stands an IPv4 address/],
  ["docker-endpoint:x", /docker-endpoint: is not known; write a number/],
  ["constructor:x", /constructor: is not known/],
];

for (const [text, reason] of bad) {
  test(`${JSON.stringify(text)} names none, and the reason is clear`, () => {
    const parsed = parseEndpointId(text);
    assert.match(parsed.kind === "bad" ? parsed.reason : "", reason);
  });
}
