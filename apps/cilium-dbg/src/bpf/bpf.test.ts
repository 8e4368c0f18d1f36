import assert from "node:assert/strict";
import { test } from "node:test";
import type { InspectedConnection, InspectedPolicyEntry } from "@cilium-ts/datapath";
import { connectionLine, fragmentTable, translationLine } from "./bpf-connections.ts";
import { policyTable } from "./bpf-policy.ts";
import { addressTable, ipcacheTable, metricsTable } from "./bpf-tables.ts";

const connection: InspectedConnection = {
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
};

test("a connection is one line", () => {
  const end = "SourceSecurityID=1001 DestinationSecurityID=1002 EgressPolicySet=7 IngressPolicySet=9 ProxyPort=0\n";
  assert.equal(connectionLine(connection, undefined), `TCP 10.0.1.7:40000 -> 10.0.1.5:80 expires=10000 Flags=0x0003 [ Replied ] ${end}`);
  const six = { ...connection, source: "fd00::7", destination: "fd00::5", protocol: 17, flags: [], rawFlags: 0 };
  assert.equal(
    connectionLine(six, 9_940),
    `UDP [fd00::7]:40000 -> [fd00::5]:80 expires=10000 (remaining: 60 sec(s)) Flags=0x0000 [ ] ${end}`,
  );
});

test("a translation is one line, either way", () => {
  const row = {
    protocol: 6,
    source: "10.0.1.5",
    sourcePort: 40000,
    destination: "192.0.2.1",
    destinationPort: 443,
    address: "172.31.1.11",
    port: 32768,
  };
  assert.equal(translationLine({ ...row, direction: "out" }), "TCP OUT 10.0.1.5:40000 -> 192.0.2.1:443 XLATE_SRC 172.31.1.11:32768\n");
  assert.equal(translationLine({ ...row, direction: "in" }), "TCP IN 10.0.1.5:40000 -> 192.0.2.1:443 XLATE_DST 172.31.1.11:32768\n");
});

test("fragments", () => {
  const fragment = { source: "10.0.1.5", destination: "10.0.1.7", id: 42, protocol: 17, sourcePort: 40000, destinationPort: 53 };
  assert.equal(
    fragmentTable([fragment]),
    `SOURCE     DESTINATION   ID   PROTOCOL   SOURCE PORT   DESTINATION PORT
10.0.1.5   10.0.1.7      42   UDP        40000         53
`,
  );
});

const entry: InspectedPolicyEntry = {
  set: 7,
  direction: "ingress",
  identity: 1001,
  protocol: 6,
  port: 80,
  portPrefixLength: 16,
  deny: false,
  unallowed: false,
  audit: false,
  redirect: false,
  proxyPort: 0,
  authType: 0,
  precedence: 24,
  cookie: 5,
};

test("policy entries say whom and what they are about", () => {
  const entries: InspectedPolicyEntry[] = [
    entry,
    { ...entry, port: 8080, portPrefixLength: 12, deny: true, proxyPort: 10_001 },
    { ...entry, identity: 2, protocol: 17, port: 0, portPrefixLength: 0 },
    { ...entry, direction: "egress", identity: 0, protocol: 0, port: 0, portPrefixLength: 0 },
  ];
  assert.equal(
    policyTable(entries, new Map([[1001, ["k8s:app=client", "k8s:tier=front"]]])),
    `POLICY   DIRECTION   LABELS (source:key[=value])   PORT/PROTO      PROXY PORT   AUTH TYPE   PREFIX   COOKIE
Allow    Ingress     k8s:app=client                80/TCP          NONE         disabled    24       5
                     k8s:tier=front
Deny     Ingress     k8s:app=client                8080-8095/TCP   10001        disabled    20       5
                     k8s:tier=front
Allow    Ingress     2                             ANY/UDP         NONE         disabled    8        5
Allow    Egress      ANY                           ANY             NONE         disabled    0        5
`,
  );
});

test("the ipcache", () => {
  const rows = [
    { prefix: "10.0.1.5/32", identity: 1002 },
    { prefix: "10.0.2.0/24", identity: 6, tunnelEndpoint: "172.31.0.12" },
  ];
  assert.equal(
    ipcacheTable(rows),
    `IP PREFIX/ADDRESS   IDENTITY
10.0.1.5/32         identity=1002 encryptkey=0 tunnelendpoint=0.0.0.0 flags=<none>
10.0.2.0/24         identity=6 encryptkey=0 tunnelendpoint=172.31.0.12 flags=<none>
`,
  );
});

test("addresses are those of endpoints and of the node", () => {
  const mac = { mac: "02:00:00:00:00:0a", hostMac: "02:00:00:00:00:0b", ipv4: "10.0.1.5", ipv6: undefined };
  const enforced = { ingressEnforced: true, egressEnforced: false, audit: false, rawFlags: 1 };
  const endpoint = { id: 11, ifindex: 12, identity: 1002, policySet: 7, ...mac, ...enforced };
  const addresses = [
    { address: "10.0.1.1", endpointId: 0, host: true },
    { address: "10.0.1.5", endpointId: 11, host: false },
    { address: "10.0.1.6", endpointId: 12, host: false },
  ];
  assert.equal(
    addressTable(addresses, [endpoint]),
    `IP ADDRESS   LOCAL ENDPOINT INFO
10.0.1.1     (localhost)
10.0.1.5     id=11 sec_id=1002 flags=0x0001 ifindex=12 mac=02:00:00:00:00:0A nodemac=02:00:00:00:00:0B policy_set=7
10.0.1.6     id=12 (has no row)
`,
  );
});

test("metrics name the reason and the place", () => {
  const rows = [
    { reason: 0, direction: 2, line: 0, file: 0, packets: 9_007_199_254_740_993n, bytes: 60n },
    { reason: 133, direction: 1, line: 132, file: 9, packets: 3n, bytes: 180n },
  ];
  assert.equal(
    metricsTable(rows),
    `REASON          DIRECTION   PACKETS            BYTES   LINE   FILE
Success         EGRESS      9007199254740993   60
Policy denied   INGRESS     3                  180     132    admit.h
`,
  );
});
