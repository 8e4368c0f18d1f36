import assert from "node:assert/strict";
import { test } from "node:test";
import { EndpointResolver } from "../context/endpoint-resolver.ts";
import { EventView } from "../event.ts";
import { buildDrop, buildPacket, buildTrace, buildVerdict, sampleContext } from "../testing.ts";
import { type Traffic, TrafficCounter, TrafficSum } from "./traffic.ts";

const everything = (): boolean => true;
const request = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", tcp: { sourcePort: 40_000, destinationPort: 80, flags: 2 } });
const answer = buildPacket({ source: "10.0.0.2", destination: "10.0.0.1", tcp: { sourcePort: 80, destinationPort: 40_000, flags: 18 } });
const ping = buildPacket({ source: "10.0.0.1", destination: "192.0.2.7", icmp: { type: 8, code: 0 } });
const far = buildPacket({ source: "10.0.0.1", destination: "10.0.9.9", tcp: { sourcePort: 40_000, destinationPort: 80, flags: 2 } });

function count(records: readonly Uint8Array[], counter = new TrafficCounter()): TrafficCounter {
  const context = sampleContext();
  context.setRemotePod(Uint8Array.from([10, 0, 9, 9]), { namespace: "far", podName: "away" }, 0);
  const event = new EventView(new EndpointResolver(context));
  for (const record of records) if (event.loadRecord(record)) counter.add(event);
  return counter;
}

/** `client > server port protocol verdict reason: flows bytes`. */
function lines(counter: TrafficCounter, countMax = 100): string[] {
  const sum = new TrafficSum();
  sum.addTable(JSON.parse(JSON.stringify(counter.table())), everything);
  return sum.take("flows", countMax).map(lineOf);
}

function lineOf({ client, server, port, protocol, verdict, dropReason, flows, bytes }: Traffic): string {
  return `${client.namespace}/${client.name} > ${server.namespace}/${server.name} ${port} ${protocol} ${verdict} ${dropReason}: ${flows} ${bytes}`;
}

const toWeb = { sourceIdentity: 1001, destinationIdentity: 1002, reporter: 11 };

test("answers count with their questions, drops by their reason, and what has no ports without", () => {
  const records = [
    buildTrace({ ...toWeb, packet: request, point: 0, reason: 0 }),
    buildTrace({ sourceIdentity: 1002, destinationIdentity: 1001, reporter: 22, packet: answer, point: 0, reason: 2 }),
    buildDrop({ ...toWeb, packet: request, reason: 133 }),
    buildTrace({ sourceIdentity: 1001, destinationIdentity: 2, reporter: 11, packet: ping, point: 3, reason: 0 }),
  ];
  assert.deepEqual(lines(count(records)), [
    `default/client > shop/web 80 TCP 1 0: 2 ${request.length + answer.length}`,
    `default/client > shop/web 80 TCP 2 133: 1 ${request.length}`,
    `default/client > /world 0 ICMPv4 1 0: 1 ${ping.length}`,
  ]);
});

test("a packet counts once: where it arrives, or where it leaves the pods", () => {
  const at = (point: number, packet = request): Uint8Array => buildTrace({ ...toWeb, packet, point, reason: 0 });
  assert.deepEqual(lines(count([at(5), at(4), at(10), buildVerdict({ ...toWeb, verdict: 0, flags: 1, packet: request })])), []);
  assert.equal(lines(count([at(4, far), at(3, far), at(11, far)])).length, 0, "the node of the other pod counts it");
  assert.equal(lines(count([at(3, ping)])).length, 1);
  assert.match(lines(count([buildVerdict({ ...toWeb, verdict: 0, flags: 0x41, packet: request })]))[0] ?? "", / 4 0: 1 /);
});

test("what is too different to be listed is summed up as others, and nothing is lost", () => {
  const records: Uint8Array[] = [];
  for (let port = 1; port <= 20_000; port += 1) {
    const packet = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", udp: { sourcePort: 9, destinationPort: port } });
    records.push(buildTrace({ ...toWeb, packet, point: 0, reason: 0 }));
  }
  const counter = count(records);
  const { rows } = counter.table();
  assert.ok(rows.length <= 16_385, String(rows.length));
  assert.equal(
    rows.reduce((sum, row) => sum + row[6], 0),
    20_000,
  );
  counter.clear();
  assert.ok(counter.isEmpty);
  assert.deepEqual(lines(count([], counter)), []);
});

test("tables add up, in order, and what does not fit is told", () => {
  const sum = new TrafficSum(2);
  const party = (name: string) => ({ clusterName: "", namespace: "a", name, kind: "Pod" });
  const row = (name: string, flows: number, bytes: number, verdict = 1): Traffic => ({
    ...{ client: party(name), server: party("s"), protocol: "TCP", port: 80, dropReason: 0 },
    ...{ flows, bytes, verdict },
  });
  for (const each of [row("x", 1, 10), row("y", 2, 5), row("x", 3, 30), row("z", 7, 70)]) sum.add(each);
  assert.deepEqual(sum.take("flows", 1).map(lineOf), ["a/x > a/s 80 TCP 1 0: 4 40"]);
  assert.deepEqual(sum.others, { flows: 9, bytes: 75 });
  const drops = new TrafficSum();
  for (const each of [row("x", 9, 1), row("y", 2, 5, 2)]) drops.add(each);
  assert.deepEqual(
    drops.take("drops", 9).map(({ client }) => client.name),
    ["y", "x"],
  );
  assert.deepEqual(
    drops.take("bytes", 9).map(({ client }) => client.name),
    ["y", "x"],
  );
});
