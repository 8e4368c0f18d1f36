import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom, type Random } from "@cilium-ts/testing";
import { EndpointResolver } from "../context/endpoint-resolver.ts";
import { decodeFlow } from "../decode.ts";
import { EventView } from "../event.ts";
import { compileFilters, type FlowFilter } from "../filter/filter.ts";
import { FlowRing } from "../ring.ts";
import { buildDrop, buildPacket, buildSock, buildTrace, buildVerdict, frameRecords, sampleContext, sampleEndpoint } from "../testing.ts";
import { askEverything } from "./ask-everything.ts";
import { readSummary, SummaryCollector } from "./block-summary.ts";
import { journalText, parseJournal } from "./context-journal.ts";
import { ContextRecorder } from "./context-recorder.ts";
import { EventBlock } from "./event-block.ts";
import { RecordedContext } from "./recorded-context.ts";
import { compileSummaryFilters } from "./summary-filter.ts";

const addresses = ["10.0.0.1", "10.0.0.2", "192.0.2.7", "198.51.100.1", "203.0.113.9"] as const;
const addresses6 = ["fd00::1", "fd00::2", "2001:db8::7"] as const;
const identities = [0, 1, 2, 1001, 1002, 77] as const;
const instance = new Uint8Array(9).fill(7);

function randomRecord(random: Random, timeNs: number): Uint8Array {
  const pool = random.chance(0.3) ? addresses6 : addresses;
  const ports = { sourcePort: 30_000 + random.below(20_000), destinationPort: random.pick([53, 80, 443]) };
  const layer = random.chance(0.6) ? { tcp: { ...ports, flags: 2 } } : random.chance(0.7) ? { udp: ports } : { icmp: { type: 8, code: 0 } };
  const packet = buildPacket({ source: random.pick(pool), destination: random.pick(pool), ...layer });
  const sourceIdentity = random.pick(identities);
  const common = { timeNs, reporter: random.pick([0, 11, 22]), packet, sourceIdentity, destinationIdentity: random.pick(identities) };
  switch (random.below(8)) {
    case 0:
      return buildDrop({ ...common, reason: random.pick([133, 181]), file: 1, line: 5, ifindex: 12 });
    case 1:
      return buildVerdict({
        ...common,
        remoteIdentity: 1001,
        verdict: random.pick([-133, 0, 15_000]),
        flags: random.pick([1, 2, 0x41]),
        cookie: 9,
      });
    case 2:
      return buildSock({ point: 1 + random.below(4), destination: "10.0.0.2", port: 80, protocol: 6, socketCookie: 3n, cgroupId: 4n });
    default:
      return buildTrace({
        ...common,
        point: random.below(5),
        reason: random.below(4),
        ifindex: random.pick([0, 12]),
      });
  }
}

/** Events, most in order, while names change hands underneath. */
function randomHistory(seed: number, count: number) {
  const random = createRandom(seed);
  const ring = new FlowRing({ capacity: 1_023, instance });
  const context = sampleContext();
  for (let index = 0; index < count; index += 1) {
    const nowNs = 1e9 + index * 1e6;
    ring.append(frameRecords([randomRecord(random, nowNs - random.below(3) * 1e5)]));
    if (random.chance(0.05)) context.setEndpoint(sampleEndpoint(22, 1002, "shop", `web-${index}`), [Uint8Array.from([10, 0, 0, 2])], nowNs);
    if (random.chance(0.03)) context.removeEndpoint(22, nowNs);
    if (random.chance(0.03)) context.setIdentity(1002, [`k8s:version=${index}`], nowNs);
    if (random.chance(0.05)) context.setRemotePod(Uint8Array.from([192, 0, 2, 7]), { namespace: "far", podName: `p-${index}` }, nowNs);
    if (random.chance(0.05)) context.setService(Uint8Array.from([10, 0, 0, 2]), 80, { namespace: "shop", name: `s-${index}` }, nowNs);
    if (random.chance(0.05)) context.setNames(11, Uint8Array.from([203, 0, 113, 9]), [`name-${index}.example`], nowNs);
    if (random.chance(0.05)) context.setPrefix({ address: Uint8Array.from([198, 51, 100, 0]), length: 24 }, random.pick([2, 77]), nowNs);
  }
  return { ring, context };
}

function blockOf(ring: FlowRing): EventBlock {
  const block = EventBlock.empty(1_048_576, { uuidPrefix: ring.uuidPrefix, firstSequence: ring.firstSequence });
  assert.equal(block.append(ring, ring.firstSequence, ring.nextSequence), ring.nextSequence);
  return block;
}

test("what was recorded explains events as they were explained then, filtered or decoded", () => {
  for (let seed = 0; seed < 40; seed += 1) {
    const { ring, context } = randomHistory(seed, 200);
    const block = blockOf(ring);
    const recorder = new ContextRecorder(context);
    const event = new EventView(new EndpointResolver(recorder));
    for (let index = 0; index < block.count; index += 1) if (event.load(block, index)) askEverything(event);
    const journal = parseJournal(journalText(recorder.journal()));
    const recorded = new EventView(new EndpointResolver(new RecordedContext(journal, context.wallClockOffsetNs)));
    const read = EventBlock.read(block.bytesFrom(0).slice(), block.origin, block.gaps);
    const live = new EventView(new EndpointResolver(context));
    for (let index = 0; index < block.count; index += 1) {
      live.load(ring, ring.firstSequence + index);
      recorded.load(read, index);
      assert.deepEqual(decodeFlow(recorded), decodeFlow(live), `seed ${seed} event ${index}`);
    }
  }
});

test("the option that held an event's trace id is recorded with it", () => {
  const recorder = new ContextRecorder(sampleContext());
  const event = new EventView(new EndpointResolver(recorder));
  const record = buildTrace({ point: 0, reason: 0, ipTraceId: 7n });
  event.loadRecord(record);
  askEverything(event);
  const recorded = new EventView(new EndpointResolver(new RecordedContext(parseJournal(journalText(recorder.journal())), 0n)));
  recorded.loadRecord(record);
  assert.deepEqual([decodeFlow(recorded)?.ipTraceId, decodeFlow(recorded)?.ipTraceOption], [7n, 136]);
});

test("a journal in pieces is the journal", () => {
  const { ring, context } = randomHistory(1, 100);
  const block = blockOf(ring);
  const recorder = new ContextRecorder(context);
  const event = new EventView(new EndpointResolver(recorder));
  const [values, rows]: [unknown[], unknown[]] = [[], []];
  let told = { values: 0, rows: 0 };
  for (let index = 0; index < block.count; index += 1) {
    if (event.load(block, index)) askEverything(event);
    if (index % 30 !== 0 && index !== block.count - 1) continue;
    const piece = recorder.journal(told);
    values.push(...piece.values);
    rows.push(...piece.rows);
    told = { values: recorder.valueCount, rows: recorder.rowCount };
  }
  assert.deepEqual({ values, rows }, { values: recorder.journal().values, rows: recorder.journal().rows });
});

for (const text of ["{}", "null", '{"nodeName":"n","clusterName":"c","nodeLabels":[],"values":[],"rows":[[0,1,2,0]]}', "[1"]) {
  test(`${text} is no journal`, () => assert.throws(() => parseJournal(text)));
}

const filters: readonly FlowFilter[] = [
  { verdict: [2] },
  { verdict: [4, 7] },
  { dropReasonDesc: [181] },
  { sourceIdentity: [77] },
  { destinationIdentity: [0] },
  { destinationPort: ["443"] },
  { sourcePort: ["31000"] },
  { sourceIp: ["192.0.2.7"] },
  { destinationIp: ["fd00::2"] },
  { destinationIp: ["198.51.100.0/24"] },
  { sourcePod: ["default/"] },
  { destinationPod: ["shop/web-1"] },
  { destinationPod: ["client"] },
  { sourcePod: ["/p-"] },
  { destinationPort: ["53"], verdict: [2] },
  { protocol: ["icmp"] },
];

test("a summary never hides an event that a filter wants, and mostly hides blocks without one", () => {
  let [hidden, empty] = [0, 0];
  for (let seed = 0; seed < 150; seed += 1) {
    const { ring, context } = randomHistory(seed, 1 + (seed % 12));
    const event = new EventView(new EndpointResolver(context));
    const collector = new SummaryCollector();
    const block = blockOf(ring);
    for (let index = 0; index < block.count; index += 1) if (event.load(block, index)) collector.add(event);
    const summary = readSummary(JSON.parse(JSON.stringify(collector.take())));
    for (const filter of filters) {
      const compiled = compileFilters([filter], [], {
        compileRegex: () => ({ test: () => true }),
        compileExpression: () => ({ problem: "" }),
      });
      assert.ok("matches" in compiled);
      let found = 0;
      for (let index = 0; index < block.count; index += 1) if (event.load(block, index) && compiled.matches(event)) found += 1;
      const mayMatch = compileSummaryFilters([filter])(summary);
      assert.ok(mayMatch || found === 0, `seed ${seed}: ${JSON.stringify(filter)} is wanted ${found} times and hidden`);
      empty += found === 0 ? 1 : 0;
      hidden += mayMatch ? 0 : 1;
    }
    assert.ok(compileSummaryFilters([])(summary));
  }
  assert.ok(hidden > empty * 0.6, `${hidden} of ${empty} blocks without a match are passed over`);
});

test("a summary with too many different values hides nothing for them", () => {
  const collector = new SummaryCollector();
  const event = new EventView(new EndpointResolver(sampleContext()));
  for (let port = 1; port <= 600; port += 1) {
    const packet = buildPacket({
      source: "10.0.0.1",
      destination: "10.0.0.2",
      tcp: { sourcePort: port, destinationPort: 9_999, flags: 2 },
    });
    event.loadRecord(buildTrace({ packet, point: 0, reason: 0 }));
    collector.add(event);
  }
  const summary = readSummary(collector.take());
  assert.equal(summary.ports, undefined);
  assert.ok(compileSummaryFilters([{ sourcePort: ["7"] }])(summary));
  assert.ok(!compileSummaryFilters([{ sourcePort: ["7"], verdict: [2] }])(summary));
});

test("a block takes what it has room for, over the ring's end and with gaps, and knows each event's sequence and uuid", () => {
  for (let seed = 0; seed < 100; seed += 1) {
    const random = createRandom(seed);
    const ring = new FlowRing({ capacity: 31, sizeBytes: 4_096, instance });
    const block = EventBlock.empty(6_000, { uuidPrefix: ring.uuidPrefix, firstSequence: 0 });
    const kept: number[] = [];
    let cursor = 0;
    for (let round = 0; round < 20; round += 1) {
      const timeNs = (sequence: number): number => (1 + sequence) * 1_000;
      const start = ring.nextSequence;
      const count = random.below(20);
      ring.append(frameRecords(Array.from({ length: count }, (_, index) => randomRecordOf(random, timeNs(start + index)))));
      if (random.chance(0.5)) continue;
      if (ring.firstSequence > cursor) {
        block.addGap(ring.firstSequence - cursor);
        cursor = ring.firstSequence;
      }
      const next = block.append(ring, cursor, ring.nextSequence);
      for (; cursor < next; cursor += 1) kept.push(cursor);
      if (next < ring.nextSequence) break;
    }
    const read = EventBlock.read(block.bytesFrom(0).slice(), block.origin, block.gaps);
    for (const each of [block, read]) {
      assert.equal(each.count, kept.length);
      kept.forEach((sequence, index) => {
        assert.equal(each.timeNsOf(index), (1 + sequence) * 1_000, `seed ${seed}`);
        assert.equal(each.sequenceOf(index), sequence);
        assert.equal(each.uuidOf(index), ring.uuidOf(sequence));
        assert.equal(each.sequenceOfUuid(ring.uuidOf(sequence)), index);
      });
      for (let sequence = 0; sequence < ring.nextSequence; sequence += 1) {
        if (!kept.includes(sequence)) assert.equal(each.sequenceOfUuid(ring.uuidOf(sequence)), undefined);
      }
      assert.equal(each.missed + each.count, each.sequenceOf(each.count));
    }
  }
});

function randomRecordOf(random: Random, timeNs: number): Uint8Array {
  const packet = buildPacket({
    source: "10.0.0.1",
    destination: "10.0.0.2",
    other: { protocol: 253, bytes: new Uint8Array(random.below(60)) },
  });
  return buildTrace({ timeNs, packet, point: 0, reason: 0 });
}

test("frames that are cut short are no block", () => {
  const frames = frameRecords([buildTrace({ packet: new Uint8Array(40), point: 0, reason: 0 })]);
  const origin = { uuidPrefix: "", firstSequence: 0 };
  for (const end of [3, 8, 40, frames.length - 8]) assert.throws(() => EventBlock.read(frames.slice(0, end), origin, []), RangeError);
  assert.equal(EventBlock.read(frames, origin, []).count, 1);
});
