import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { EndpointResolver } from "./context/endpoint-resolver.ts";
import { EventView } from "./event.ts";
import { FlowRing } from "./ring.ts";
import { frameRecords, sampleContext } from "./testing.ts";

const instance = Uint8Array.from({ length: 9 }, (_, index) => index + 0xa0);

/** A record whose every byte after the header is its number, so that a wrong offset cannot go unseen. */
function numbered(number: number, length: number): Uint8Array {
  const record = new Uint8Array(length).fill(number & 0xff);
  new DataView(record.buffer).setBigUint64(0, BigInt(number), true);
  return record;
}

function readAll(ring: FlowRing): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (let sequence = ring.firstSequence; sequence < ring.nextSequence; sequence += 1) {
    records.push(ring.bytes.slice(ring.offsetOf(sequence), ring.offsetOf(sequence) + ring.lengthOf(sequence)));
  }
  return records;
}

test("the ring keeps the newest events, whatever the batches and sizes, and counts every one", () => {
  for (let seed = 0; seed < 200; seed += 1) {
    const random = createRandom(seed);
    const ring = new FlowRing({ capacity: 2 ** (1 + random.below(7)) - 1, sizeBytes: 256 + 8 * random.below(400), instance });
    const all: Uint8Array[] = [];
    for (let round = 0; round < 30; round += 1) {
      const batch = Array.from({ length: random.below(20) }, (_, index) => numbered(all.length + index, 16 + random.below(200)));
      all.push(...batch);
      assert.equal(ring.append(frameRecords(batch)), batch.length);
      const kept = readAll(ring);
      assert.ok(kept.length <= ring.capacity);
      assert.deepEqual(kept, all.slice(all.length - kept.length), `seed ${seed} round ${round}`);
      assert.equal(ring.nextSequence, all.length);
      assert.equal(ring.firstSequence, all.length - kept.length);
      assert.equal(ring.seen, all.length);
      if (batch.length > 0) assert.ok(kept.length > 0);
    }
  }
});

test("capacity events are kept when bytes suffice, and not one more", () => {
  const ring = new FlowRing({ capacity: 7, sizeBytes: 4096, instance });
  for (let index = 0; index < 20; index += 1) ring.append(frameRecords([numbered(index, 24)]));
  assert.equal(ring.size, 7);
  assert.deepEqual(
    readAll(ring).map((record) => record[8]),
    [13, 14, 15, 16, 17, 18, 19],
  );
});

test("as many events are kept as the bytes hold, and no place is given up early", () => {
  const ring = new FlowRing({ capacity: 63, sizeBytes: 8 * 32, instance });
  for (let index = 0; index < 30; index += 1) {
    ring.append(frameRecords([numbered(index, 24)]));
    assert.equal(ring.size, Math.min(index + 1, 8));
  }
});

test("a batch that is cut short gives what is whole and counts the rest once", () => {
  const ring = new FlowRing({ capacity: 7, instance });
  const batch = frameRecords([numbered(1, 24), numbered(2, 32)]);
  assert.equal(ring.append(batch.subarray(0, batch.length - 4)), 1);
  assert.equal(ring.malformed, 1);
});

test("a last frame without its padding is taken", () => {
  const ring = new FlowRing({ capacity: 7, instance });
  const batch = frameRecords([numbered(1, 24), numbered(2, 29)]);
  assert.equal(ring.append(batch.subarray(0, batch.length - 3)), 2);
  assert.deepEqual(readAll(ring), [numbered(1, 24), numbered(2, 29)]);
});

test("records that are too short or larger than the ring are counted and passed over", () => {
  const ring = new FlowRing({ capacity: 7, sizeBytes: 256, instance });
  assert.equal(ring.append(frameRecords([numbered(1, 24), numbered(2, 8), numbered(3, 1000), numbered(4, 24)])), 2);
  assert.equal(ring.malformed, 2);
  assert.deepEqual(readAll(ring), [numbered(1, 24), numbered(4, 24)]);
});

test("what of a drained batch cannot be taken is noted as lost on its way, by number", () => {
  const ring = new FlowRing({ capacity: 7, sizeBytes: 256, instance });
  ring.appendDrained(frameRecords([numbered(1, 24)]), 1, 1e9);
  assert.deepEqual([ring.size, ring.lost], [1, 0]);
  const cut = frameRecords([numbered(2, 24), numbered(3, 8), numbered(4, 24), numbered(5, 24)]);
  ring.appendDrained(cut.subarray(0, cut.length - 8), 4, 2e9);
  const event = new EventView(new EndpointResolver(sampleContext()));
  assert.ok(event.load(ring, ring.nextSequence - 1));
  assert.deepEqual([event.isLost, event.subType, event.lostCount, event.timeNs], [true, 2, 2, 2e9]);
  assert.deepEqual([ring.seen, ring.lost], [3, 2]);
});

test("losses stand in their place among the events and are not seen events", () => {
  const ring = new FlowRing({ capacity: 7, instance });
  ring.append(frameRecords([numbered(1, 24)]));
  ring.appendLost(1, 12, 5_000_000_000);
  ring.append(frameRecords([numbered(2, 24)]));
  assert.equal(ring.seen, 2);
  assert.equal(ring.lost, 12);
  assert.equal(ring.size, 3);
  const event = new EventView(new EndpointResolver(sampleContext()));
  assert.ok(event.load(ring, 1));
  assert.deepEqual([event.isLost, event.subType, event.lostCount, event.timeNs], [true, 1, 12, 5_000_000_000]);
});

test("a uuid names its event for ever, and only in its ring", () => {
  const ring = new FlowRing({ capacity: 7, instance });
  const other = new FlowRing({ capacity: 7, instance: new Uint8Array(9) });
  const uuid = ring.uuidOf(0x123456);
  assert.equal(uuid, "a0a1a2a3-a4a5-8a6a-87a8-000000123456");
  assert.equal(ring.sequenceOfUuid(uuid.toUpperCase()), 0x123456);
  assert.equal(other.sequenceOfUuid(uuid), undefined);
  assert.equal(ring.sequenceOfUuid(`${uuid.slice(0, -1)}g`), undefined);
});

test("the rate is that of the last minute", () => {
  const ring = new FlowRing({ capacity: 127, instance });
  const at = (second: number, count: number): void => {
    ring.append(frameRecords(Array.from({ length: count }, () => numbered(second * 1e9, 24))));
  };
  at(100, 30);
  at(130, 60);
  assert.equal(ring.ratePerSecond(131e9), 1.5);
  assert.equal(ring.ratePerSecond(161e9), 1);
  assert.equal(ring.ratePerSecond(300e9), 0);
});

test("listeners hear of appends until they leave", () => {
  const ring = new FlowRing({ capacity: 7, instance });
  let heard = 0;
  const leave = ring.onAppend(() => {
    heard += 1;
  });
  ring.append(frameRecords([numbered(1, 24), numbered(2, 24)]));
  ring.append(new Uint8Array(0));
  leave();
  ring.append(frameRecords([numbered(3, 24)]));
  assert.equal(heard, 1);
});

for (const capacity of [0, 8, 100, 65_536, 2.5]) {
  test(`a capacity of ${capacity} is refused`, () => assert.throws(() => new FlowRing({ capacity, instance }), /capacity must be/));
}
