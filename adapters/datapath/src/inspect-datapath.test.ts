import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { BpfMap } from "@cilium-ts/kernel";
import { openFakeKernel } from "@cilium-ts/kernel/testing";
import { maps } from "./gen/index.ts";
import { DatapathInspection, DatapathNotFound } from "./inspect-datapath.ts";

const bpfRoot = "/sys/fs/bpf/cilium";

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ""), "hex"));
}

/** The pinned map of that name with these entries, key and value in hexadecimal; a per-CPU value holds the parts of two CPUs. */
function inspectionOf(
  name:
    | "ct4"
    | "ct6"
    | "fragments"
    | "snat"
    | "masqueradeExempt"
    | "ipcache"
    | "endpoints"
    | "localAddresses"
    | "policy"
    | "metrics"
    | "forwarded",
  entries: ReadonlyArray<readonly [key: string, value: string]>,
): DatapathInspection {
  const kernel = openFakeKernel();
  kernel.mountBpffs(bpfRoot);
  for (const spec of [maps.ct4, maps.ct6, maps.metrics, maps.forwarded, maps[name]]) {
    if (kernel.listPins(join(bpfRoot, "maps")).includes(spec.name)) continue;
    using map: BpfMap = kernel.createMap({ ...spec, maxEntries: 16 });
    map.pin(join(bpfRoot, "maps", spec.name));
    if (spec.name === maps[name].name) for (const [key, value] of entries) map.update(bytes(key), bytes(value));
  }
  return new DatapathInspection(kernel, bpfRoot);
}

test("a connection is told from the end that opened it", () => {
  const low = "0a000105 0a000107";
  const ends = "0050 9c40 06 000000"; // Ports 80 and 40000, TCP.
  const entry = "10270000 03000000 e9030000 ea030000 07000000 09000000 01000000 00000000 0000000000000000 0202 0000 0000 0000";
  assert.deepEqual(inspectionOf("ct4", [[low + ends, entry]]).connections(), [
    {
      protocol: 6,
      source: "10.0.1.7",
      sourcePort: 40000,
      destination: "10.0.1.5",
      destinationPort: 80,
      expiresS: 10_000,
      sourceIdentity: 1001,
      destinationIdentity: 1002,
      egressSet: 7,
      ingressSet: 9,
      proxyPort: 0,
      flags: ["Replied"],
      rawFlags: 3,
    },
  ]);
});

test("IPv6 connections stand beside those of IPv4", () => {
  const ends = "fd000000000000000000000000000005 fd000000000000000000000000000007 9c40 0035 11 000000";
  const entry = "10270000 24000000 e9030000 02000000 00000000 00000000 01000000 00000000 0000000000000000 0000 1f90 0000 0000";
  const [row] = inspectionOf("ct6", [[ends, entry]]).connections();
  assert.deepEqual([row?.source, row?.destination, row?.destinationPort, row?.proxyPort], ["fd00::5", "fd00::7", 53, 8080]);
  assert.deepEqual(row?.flags, ["FinForward", "Denied"]);
});

test("fragments", () => {
  const key = `0a000105${"00".repeat(12)} 0a000107${"00".repeat(12)} 2a000000 11 04 0000`;
  assert.deepEqual(inspectionOf("fragments", [[key, "9c40 0035 0035 11 00"]]).fragments(), [
    { source: "10.0.1.5", destination: "10.0.1.7", id: 42, protocol: 17, sourcePort: 40000, destinationPort: 53 },
  ]);
});

test("translations, in both directions", () => {
  const out = `0a000105${"00".repeat(12)} c0000201${"00".repeat(12)} 9c40 01bb 06 00 04 00`;
  const back = `20010db8${"00".repeat(11)}01 fd31${"00".repeat(13)}0b 01bb 8000 11 01 06 00`;
  const rows = inspectionOf("snat", [
    [out, `ac1f010b${"00".repeat(12)} 8000 0000`],
    [back, `fd00${"00".repeat(13)}05 9c40 0000`],
  ]).translations();
  assert.deepEqual(rows, [
    {
      protocol: 6,
      direction: "out",
      source: "10.0.1.5",
      sourcePort: 40000,
      destination: "192.0.2.1",
      destinationPort: 443,
      address: "172.31.1.11",
      port: 32768,
    },
    {
      protocol: 17,
      direction: "in",
      source: "2001:db8::1",
      sourcePort: 443,
      destination: "fd31::b",
      destinationPort: 32768,
      address: "fd00::5",
      port: 40000,
    },
  ]);
});

test("prefixes that see pods' own addresses", () => {
  const four = `28000000 04 000000 0a000000${"00".repeat(12)}`;
  const six = `60000000 06 000000 fd00${"00".repeat(14)}`;
  const entries = [
    [four, "01000000"],
    [six, "01000000"],
  ] as const;
  assert.deepEqual(inspectionOf("masqueradeExempt", entries).exempt().sort(), ["10.0.0.0/8", "fd00::/64"]);
});

test("the ipcache", () => {
  const key = `38000000 0000 00 04 0a000200${"00".repeat(12)}`;
  assert.deepEqual(inspectionOf("ipcache", [[key, "06000000 ac1f000b 0000 00 00"]]).ipcache(), [
    { prefix: "10.0.2.0/24", identity: 6, tunnelEndpoint: "172.31.0.11" },
  ]);
});

test("free rows of the endpoints map are no endpoints", () => {
  const row = `0c000000 e9030000 07000000 0b00 0300 020000000001 020000000002 0a000105 ${"00".repeat(16)}`;
  assert.deepEqual(inspectionOf("endpoints", [["0b000000", row]]).endpoints(), [
    {
      id: 11,
      ifindex: 12,
      identity: 1001,
      policySet: 7,
      mac: "02:00:00:00:00:01",
      hostMac: "02:00:00:00:00:02",
      ipv4: "10.0.1.5",
      ipv6: undefined,
      ingressEnforced: true,
      egressEnforced: true,
      audit: false,
      rawFlags: 3,
    },
  ]);
});

test("the node itself is an endpoint while it is judged", () => {
  const row = (set: string): string => `00000000 01000000 ${set} ff3f 0100 000000000000 000000000000 00000000 ${"00".repeat(16)}`;
  const ids = (set: string): unknown =>
    inspectionOf("endpoints", [["0a000000", row(set)]])
      .endpoints()
      .map(({ id, identity, policySet, ingressEnforced }) => [id, identity, policySet, ingressEnforced]);
  assert.deepEqual([ids("07000000"), ids("00000000")], [[[16_383, 1, 7, true]], []]);
});

test("local addresses are those of endpoints and of the host", () => {
  const rows = inspectionOf("localAddresses", [
    [`0a000105${"00".repeat(12)} 04 000000`, "0b000000 00000000"],
    ["fd000000000000000000000000000001 06 000000", "00000000 01000000"],
  ]).localAddresses();
  const byFirst = rows.sort((left, right) => (left.address < right.address ? -1 : 1));
  assert.deepEqual(byFirst, [
    { address: "10.0.1.5", endpointId: 11, host: false },
    { address: "fd00::1", endpointId: 0, host: true },
  ]);
});

test("policy entries say how much of the port they compare", () => {
  const rows = inspectionOf("policy", [
    ["60000000 07000000 e9030000 00 06 0050", "18000000 05000000 0000 06 00"], // All 96 bits: port 80 of TCP.
    ["48000000 07000000 00000000 01 00 0000", "00000080 06000000 0000 01 00"], // 72 bits: any protocol.
    ["50000000 07000000 e9030000 00 11 0000", "08000000 05000000 0000 02 00"], // 80 bits: any port of UDP.
  ]).policy();
  const shown = rows.map(({ direction, identity, protocol, port, portPrefixLength, deny, cookie }) =>
    [direction, identity, protocol, port, portPrefixLength, deny, cookie].join(" "),
  );
  assert.deepEqual(shown.sort(), ["egress 0 0 0 0 true 6", "ingress 1001 17 0 0 false 5", "ingress 1001 6 80 16 false 5"]);
});

test("metrics are the sum over the CPUs", () => {
  const drops = [["85 01 8400 09 000000", "0100000000000000 3c00000000000000 0200000000000000 7800000000000000"]] as const;
  assert.deepEqual(inspectionOf("metrics", drops).metrics(), [{ reason: 133, direction: 1, line: 132, file: 9, packets: 3n, bytes: 180n }]);
  const forwarded = [["02000000", "0100000000000000 3c00000000000000 0000000000000000 0000000000000000"]] as const;
  assert.deepEqual(inspectionOf("forwarded", forwarded).metrics(), [
    { reason: 0, direction: 2, line: 0, file: 0, packets: 1n, bytes: 60n },
  ]);
});

test("a map that is not pinned is an error that names it", () => {
  const inspection = new DatapathInspection(openFakeKernel(), bpfRoot);
  assert.throws(
    () => inspection.policy(),
    (error) => error instanceof DatapathNotFound && /map \/sys\/fs\/bpf\/cilium\/maps\/policy: there is no such pin/.test(error.message),
  );
});
