import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { metricsDirection, tracePoint, traceReason } from "../../adapters/datapath/src/gen/index.ts";
import { tcp, udp } from "./layers.ts";
import { type Event, type PodPrograms, testIfindex, u32 } from "./pod-programs.ts";
import {
  allowAll,
  at,
  client,
  type Family,
  families,
  host,
  ip,
  openTwoPods,
  outside,
  placeTwoPods,
  received,
  sent,
  server,
} from "./two-pods.ts";

const skip = requireKernel();

const kinds = (events: readonly Event[]): string[] => events.map(({ kind }) => kind);

function traceOf(events: readonly Event[]): Extract<Event, { kind: "trace" }> {
  const event = events.find(({ kind }) => kind === "trace");
  assert.ok(event?.kind === "trace");
  return event;
}

describe("events", { skip }, () => {
  let programs: PodPrograms;
  before(async () => {
    if (skip === false) programs = await openTwoPods();
  });
  after(() => programs?.[Symbol.dispose]());

  const packetOf = (family: Family, flags: string): Uint8Array =>
    sent(client, ip(family, at(client, family), at(server, family)), tcp(4000, 80, flags));
  const replyOf = (family: Family, flags: string): Uint8Array =>
    sent(server, ip(family, at(server, family), at(client, family)), tcp(80, 4000, flags));

  function traceRows(family: Family) {
    return [
      {
        send: () => programs.fromPod(client, packetOf(family, "S")),
        point: tracePoint.toEndpoint,
        source: server.id,
        destination: server.id,
        ifindex: server.ifindex,
        identities: [client.identity, server.identity],
        reason: traceReason.new,
      },
      {
        send: () => programs.fromPod(server, replyOf(family, "SA")),
        point: tracePoint.toEndpoint,
        source: client.id,
        destination: client.id,
        ifindex: client.ifindex,
        identities: [server.identity, client.identity],
        reason: traceReason.reply,
      },
      {
        send: () => programs.fromPod(client, packetOf(family, "F")),
        point: tracePoint.toEndpoint,
        source: server.id,
        destination: server.id,
        ifindex: server.ifindex,
        identities: [client.identity, server.identity],
        reason: traceReason.established,
      },
      {
        send: () => programs.fromPod(client, sent(client, ip(family, at(client, family), at(host, family)), udp(1, 2))),
        point: tracePoint.toHost,
        source: client.id,
        destination: 0,
        ifindex: testIfindex,
        identities: [client.identity, host.identity],
        reason: traceReason.new,
      },
      {
        send: () => programs.fromPod(client, sent(client, ip(family, at(client, family), at(outside, family)), udp(1, 2))),
        point: tracePoint.toStack,
        source: client.id,
        destination: 0,
        ifindex: testIfindex,
        identities: [client.identity, outside.identity],
        reason: traceReason.new,
      },
      {
        send: () => programs.toPod(client, received(client, ip(family, at(outside, family), at(client, family)), udp(2, 1))),
        point: tracePoint.toEndpoint,
        source: client.id,
        destination: client.id,
        ifindex: testIfindex,
        identities: [outside.identity, client.identity],
        reason: traceReason.reply,
      },
      {
        send: () => programs.toPod(client, received(client, ip(family, at(host, family), at(client, family)), udp(7, 8))),
        point: tracePoint.toEndpoint,
        source: client.id,
        destination: client.id,
        ifindex: testIfindex,
        identities: [host.identity, client.identity],
        reason: traceReason.new,
      },
    ];
  }

  for (const family of families) {
    const packet = (flags: string): Uint8Array => packetOf(family, flags);
    const reply = (flags: string): Uint8Array => replyOf(family, flags);

    test(`IPv${family}: a trace tells the ends, the point and the reason`, () => {
      placeTwoPods(programs, allowAll(client, server));
      for (const { send, point, source, destination, ifindex, identities, reason } of traceRows(family)) {
        const outcome = send();
        const { notify, payload } = traceOf(outcome.events);
        assert.deepEqual(
          {
            point: notify.header.subtype,
            source: notify.header.source,
            destination: notify.destinationId,
            ifindex: notify.ifindex,
            identities: [notify.sourceIdentity, notify.destinationIdentity],
            reason: notify.reason,
            flags: notify.flags,
          },
          { point, source, destination, ifindex, identities, reason, flags: family === 6 ? 1 : 0 },
        );
        assert.deepEqual(payload, outcome.packet.subarray(0, 128));
      }
    });

    test(`IPv${family}: a connection is reported by its first packet and each new TCP flag of a direction`, () => {
      placeTwoPods(programs, allowAll(client, server));
      const sequence = [
        [packet("S"), "trace"],
        [packet("S"), ""],
        [reply("SA"), "trace"],
        [reply("SA"), ""],
        [packet("A"), ""],
        [packet("PA"), ""],
        [packet("FA"), "trace"],
        [packet("FA"), ""],
        [reply("FA"), "trace"],
        [packet("RA"), "trace"],
        [packet("RA"), ""],
      ] as const;
      sequence.forEach(([bytes, expected], index) => {
        const from = bytes[11] === 2 && bytes[10] === 1 ? client : server;
        const { events } = programs.fromPod(from, bytes);
        assert.deepEqual(
          kinds(events)
            .filter((kind) => kind === "trace")
            .join(),
          expected,
          `packet ${index}`,
        );
      });
    });

    test(`IPv${family}: and again, in each direction, after the interval`, () => {
      placeTwoPods(programs, allowAll(client, server));
      programs.fromPod(client, packet("S"));
      programs.fromPod(server, reply("SA"));
      const ago = (seconds: number): number => programs.nowS() - seconds;
      programs.changeConnections(family, () => ({ reportedS: [ago(7), ago(1)] }));
      assert.deepEqual(kinds(programs.fromPod(client, packet("A")).events), ["trace"]);
      assert.deepEqual(kinds(programs.fromPod(client, packet("A")).events), []);
      assert.deepEqual(kinds(programs.fromPod(server, reply("A")).events), []);
      programs.changeConnections(family, () => ({ reportedS: [ago(1), ago(7)] }));
      assert.deepEqual(kinds(programs.fromPod(client, packet("A")).events), []);
      assert.deepEqual(kinds(programs.fromPod(server, reply("A")).events), ["trace"]);
    });

    test(`IPv${family}: what is forwarded is counted by direction`, () => {
      placeTwoPods(programs, allowAll(client, server));
      const counted = (direction: number): bigint[] => programs.perCpuSum(programs.map("forwarded"), u32(direction));
      const one = packet("S");
      programs.fromPod(client, one);
      const sizeBytes = BigInt(one.length);
      assert.deepEqual(counted(metricsDirection.egress), [1n, sizeBytes]);
      assert.deepEqual(counted(metricsDirection.ingress), [1n, sizeBytes], "delivered on this node: both");
      programs.fromPod(client, sent(client, ip(family, at(client, family), at(host, family)), udp(1, 2)));
      programs.toPod(client, received(client, ip(family, at(host, family), at(client, family)), udp(7, 8)));
      assert.equal(counted(metricsDirection.egress)[0], 2n);
      assert.equal(counted(metricsDirection.ingress)[0], 2n);
      assert.equal(programs.map("metrics").dump().count, 0);
    });
  }

  test("every event has the layout of the monitor, from byte 8", () => {
    placeTwoPods(programs, [{ set: client.policySet, direction: "egress", cookie: 0x01020304 }]);
    const packet = sent(client, ip(4, client.ipv4, server.ipv4), udp(0x1234, 0x35), "hello");
    const { events } = programs.fromPod(client, packet);
    assert.deepEqual(kinds(events), ["verdict", "verdict", "drop"]);
    const view = (index: number): DataView => {
      const bytes = events[index]?.bytes ?? new Uint8Array();
      return new DataView(bytes.buffer, bytes.byteOffset + 8, bytes.byteLength - 8);
    };
    const header = (at: DataView): number[] => [
      at.getUint8(0),
      at.getUint8(1),
      at.getUint16(2, true),
      at.getUint32(8, true),
      at.getUint16(12, true),
      at.getUint8(14),
      at.getUint8(15),
    ];
    const length = packet.length;

    const verdict = view(0);
    assert.deepEqual(header(verdict), [5, 0, client.id, length, length, 1, 0]);
    assert.equal(verdict.getUint32(16, true), server.identity);
    assert.equal(verdict.getInt32(20, true), 0);
    assert.equal(verdict.getUint16(24), 0x35);
    assert.equal(verdict.getUint8(26), 17);
    assert.equal(verdict.getUint8(27), 2 | (4 << 3));
    assert.equal(verdict.getUint8(28), 0);
    assert.equal(verdict.getUint32(32, true), 0x01020304);
    assert.deepEqual(new Uint8Array(verdict.buffer, verdict.byteOffset + 40, length), packet);

    const denied = view(1);
    assert.equal(denied.getInt32(20, true), -133);
    assert.equal(denied.getUint8(27), 1);

    const drop = view(2);
    assert.deepEqual(header(drop), [1, 133, server.id, length, length, 3, 0]);
    assert.equal(drop.getUint32(16, true), client.identity);
    assert.equal(drop.getUint32(20, true), server.identity);
    assert.equal(drop.getUint32(24, true), server.id);
    assert.ok(drop.getUint16(28, true) > 0);
    assert.equal(drop.getUint8(30), 8);
    assert.equal(drop.getInt8(31), 0);
    assert.equal(drop.getUint32(32, true), testIfindex);
    assert.equal(drop.getUint32(36, true), 0);
    assert.equal(drop.getBigUint64(40, true), 0n);
    assert.deepEqual(new Uint8Array(drop.buffer, drop.byteOffset + 48, length), packet);
    const times = events.map((event) => event.notify.header.timeNs);
    assert.ok(times.every((time, index) => index === 0 || time >= (times[index - 1] ?? 0n)));
  });

  test("a trace has the layout of the monitor too", () => {
    placeTwoPods(programs, allowAll(client, server));
    const { bytes } = traceOf(programs.fromPod(client, sent(client, ip(6, client.ipv6, outside.ipv6), udp(1, 2))).events);
    const view = new DataView(bytes.buffer, bytes.byteOffset + 8);
    assert.deepEqual([view.getUint8(0), view.getUint8(1), view.getUint16(2, true), view.getUint8(14)], [4, 3, client.id, 2]);
    assert.deepEqual(
      [view.getUint32(16, true), view.getUint32(20, true), view.getUint16(24, true)],
      [client.identity, outside.identity, 0],
    );
    assert.deepEqual([view.getUint8(26), view.getUint8(27), view.getUint32(28, true)], [traceReason.new, 1, testIfindex]);
    assert.equal(view.getBigUint64(48, true), 0n);
    assert.equal(view.getUint8(56), 2, "the frame begins after 56 bytes");
  });

  test("at most the first bytes of a packet are carried, and its length told", () => {
    placeTwoPods(programs, allowAll(client, server));
    const packet = sent(client, ip(4, client.ipv4, server.ipv4), udp(1, 2), "x".repeat(1000));
    const { notify, payload } = traceOf(programs.fromPod(client, packet).events);
    assert.deepEqual([notify.header.originalLength, notify.header.capturedLength, payload.length], [packet.length, 128, 128]);
  });

  test("events that find the ring full are counted, and packets go on", () => {
    placeTwoPods(programs, allowAll(client, server));
    programs.map("endpoint_devices").update(u32(testIfindex), u32(client.id));
    const program = programs.program("from_pod");
    for (let port = 1; port <= 400; port += 1) {
      const packet = sent(client, ip(4, client.ipv4, outside.ipv4), udp(port, 53));
      assert.equal(program.testRun({ packet }).returnValue, 0);
    }
    const [lost = 0n] = programs.perCpuSum(programs.map("events_lost"), u32(0));
    assert.equal(lost + BigInt(programs.drain().length), 800n);
    assert.ok(lost > 0n);
  });
});

for (const [name, config, expected] of [
  ["an interval of 0 reports every packet", { traceIntervalS: 0 }, [["verdict", "verdict", "trace"], ["trace"]]],
  ["without traces there are verdicts and drops", { traceEnabled: 0 }, [["verdict", "verdict"], []]],
  ["without verdicts there are traces and drops", { verdictEventsEnabled: 0 }, [["trace"], []]],
] as const) {
  test(name, { skip }, async () => {
    using programs = await openTwoPods(config);
    placeTwoPods(programs, allowAll(client, server));
    const packet = sent(client, ip(4, client.ipv4, server.ipv4), udp(1, 2));
    assert.deepEqual([kinds(programs.fromPod(client, packet).events), kinds(programs.fromPod(client, packet).events)], expected);
    assert.equal(programs.fromPod(client, sent(client, ip(4, "10.9.9.9", server.ipv4), udp(1, 2))).events[0]?.kind, "drop");
  });
}

test("without payload an event still tells the packet's length", { skip }, async () => {
  using programs = await openTwoPods({ tracePayloadSize: 0 });
  placeTwoPods(programs, allowAll(client, server));
  const packet = sent(client, ip(4, client.ipv4, server.ipv4), udp(1, 2));
  const { notify, bytes } = traceOf(programs.fromPod(client, packet).events);
  assert.deepEqual([notify.header.originalLength, notify.header.capturedLength, bytes.length], [packet.length, 0, 64]);
});
