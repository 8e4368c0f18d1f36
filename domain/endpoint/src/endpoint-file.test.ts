import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { createEndpoint, type EndpointRow, restoreEndpoint } from "./endpoint.ts";
import { encodeEndpointState, parseEndpointState } from "./endpoint-file.ts";

const row: EndpointRow = restoreEndpoint(
  createEndpoint(
    {
      id: 7,
      containerId: "c1",
      containerIfname: "eth0",
      podNamespace: "default",
      podName: "client",
      podUid: "3b1c",
      ifindex: 12,
      hostDeviceName: "lxc12ab",
      mac: "02:00:00:00:00:01",
      hostMac: "02:00:00:00:00:02",
      ipv4: "10.0.0.5",
      netnsPath: "/run/netns/client",
      netnsCookie: "18446744073709551615",
      labels: ["k8s:app=client"],
      identity: 16777217,
      workloads: [{ name: "client", kind: "Deployment" }],
      namedPorts: [{ name: "web", port: 8080, protocol: "TCP" }],
    },
    1000,
  ),
  2000,
);

/** The file with one field put, or taken away. */
function withField(field: string, value: unknown): string {
  const file = JSON.parse(encodeEndpointState(row));
  file.endpoint[field] = value;
  return JSON.stringify(file);
}

test("what was written is what is read", () => {
  assert.deepEqual(parseEndpointState(encodeEndpointState(row)), { kind: "parsed", row });
  assert.deepEqual(parseEndpointState(withField("field of a later version", 1)), parseEndpointState(encodeEndpointState(row)));
});

const bad: { text: string; problem: string }[] = [
  { text: "", problem: " is empty" },
  { text: encodeEndpointState(row).slice(0, 100), problem: " is not JSON: it was only half written, or is something else" },
  { text: "\u0000\u0001garbage", problem: " is not JSON: it was only half written, or is something else" },
  { text: "[]", problem: " is not a JSON object" },
  { text: "null", problem: " is not a JSON object" },
  { text: "{}", problem: " has version none, and this agent reads version 1" },
  { text: '{"version":2,"endpoint":{}}', problem: " has version 2, and this agent reads version 1" },
  { text: '{"version":1}', problem: " has no endpoint" },
  { text: " ".repeat(300_000), problem: " is longer than 262144 bytes" },
  { text: withField("id", 0), problem: "endpoint.id must be a whole number from 1 to 16382" },
  { text: withField("mac", "02:00"), problem: "endpoint.mac must be a MAC address" },
  { text: withField("ipv4", "fd00::1"), problem: "endpoint.ipv4 must be absent, or an IPv4 address" },
  { text: withField("ipv6", 5), problem: "endpoint.ipv6 must be absent, or an IPv6 address" },
  { text: withField("ipv6", "FD00::1"), problem: "endpoint.ipv6 must be absent, or an IPv6 address" },
  { text: withField("netnsCookie", "-1"), problem: "endpoint.netnsCookie must be a decimal number in a string" },
  { text: withField("labels", ["a", 1]), problem: "endpoint.labels must be a list of at most 1024 strings" },
  { text: withField("state", "toString"), problem: "endpoint.state must be a state of an endpoint" },
  {
    text: withField("namedPorts", [{ name: "web", port: 70000, protocol: "TCP" }]),
    problem: "endpoint.namedPorts must be a list of at most 1024 named ports { name, port, protocol }",
  },
  { text: withField("log", [null]), problem: "endpoint.log must be a list of at most 64 status changes { atMs, code, state, message }" },
  { text: withField("podName", undefined), problem: "endpoint.podName must be a string" },
];

for (const { text, problem } of bad) {
  test(`a bad file:${problem.startsWith(" ") ? "" : " "}${problem}`, () => {
    const parsed = parseEndpointState(text);
    assert.equal(parsed.kind === "unreadable" && parsed.problems.map(({ path, message }) => `${path} ${message}`).join("; "), problem);
  });
}

test("all problems of a file are listed at once", () => {
  const parsed = parseEndpointState('{"version":1,"endpoint":{}}');
  assert.ok(parsed.kind === "unreadable" && parsed.problems.length > 15);
});

test("no mutation of a file makes the parser throw, or give a row of another shape", () => {
  const whole = encodeEndpointState(row);
  const shape = Object.keys(row).sort().join();
  for (let seed = 0; seed < 3000; seed += 1) {
    const random = createRandom(seed);
    let text = whole;
    for (let count = 0; count <= random.below(4); count += 1) {
      const at = random.below(text.length);
      const piece = random.pick(["", "0", '"', "{", "]", "null", "-", "\\u0000", "9".repeat(30)]);
      text = text.slice(0, at) + piece + text.slice(at + random.below(6));
    }
    const parsed = parseEndpointState(text);
    if (parsed.kind === "parsed") assert.equal(Object.keys(parsed.row).sort().join(), shape, `seed ${seed}`);
  }
});
