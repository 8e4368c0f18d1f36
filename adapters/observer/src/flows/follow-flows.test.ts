import assert from "node:assert/strict";
import { test } from "node:test";
import { EndpointResolver, FlowRing } from "@cilium-ts/flow";
import { frameRecords, sampleContext, sampleEvents } from "@cilium-ts/flow/testing";
import { eventually } from "@cilium-ts/testing";
import { type FlowConsumer, followFlows } from "./follow-flows.ts";

function setUp(consumers: readonly FlowConsumer[], capacity = 15) {
  const ring = new FlowRing({ capacity, instance: new Uint8Array(9) });
  const stop = new AbortController();
  const list = [...consumers];
  const resolver = new EndpointResolver(sampleContext());
  const following = followFlows({ ring, resolver, nowNs: () => 1e9, consumers: () => list }, stop.signal);
  return {
    ring,
    list,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await following;
    },
  };
}

/** Notes what it is shown: seconds of flows, losses as `SOURCE:COUNT`. */
class Notes implements FlowConsumer {
  readonly notes: string[] = [];
  readonly #types: readonly number[];

  constructor(...types: number[]) {
    this.#types = types;
  }

  wants({ type }: { readonly type: number }): boolean {
    return this.#types.length === 0 || this.#types.includes(type);
  }

  consume({ time }: { readonly time: { readonly seconds: number } }): void {
    this.notes.push(String(time.seconds - 1_767_225_600));
  }

  noteLoss(source: number, count: number): void {
    this.notes.push(`${source}:${count}`);
  }
}

test("everybody is shown what they want of what comes, and every loss", async () => {
  const [all, drops] = [new Notes(), new Notes(1)];
  await using node = setUp([all, drops]);
  await eventually(() => assert.equal(node.ring.listenerCount, 1));
  node.ring.append(frameRecords(sampleEvents()));
  node.ring.appendLost(1, 5, 1e9);
  await eventually(() => assert.deepEqual(drops.notes, ["2", "12", "1:5"]));
  assert.deepEqual(all.notes, [...Array.from({ length: 12 }, (_, index) => String(index + 1)), "1:5"]);
});

test("what the ring overwrote is told as lost, exactly", async () => {
  const all = new Notes();
  await using node = setUp([all]);
  await eventually(() => assert.equal(node.ring.listenerCount, 1));
  for (let round = 0; round < 5; round += 1) node.ring.append(frameRecords(sampleEvents().slice(0, 12)));
  await eventually(() => assert.equal(all.notes.length, 16));
  assert.deepEqual(all.notes[0], "3:45");
});

test("who comes later is shown what comes then", async () => {
  await using node = setUp([]);
  await eventually(() => assert.equal(node.ring.listenerCount, 1));
  node.ring.append(frameRecords(sampleEvents().slice(0, 3)));
  await eventually(() => assert.equal(node.ring.listenerCount, 1));
  const late = new Notes();
  node.list.push(late);
  node.ring.append(frameRecords(sampleEvents().slice(3, 5)));
  await eventually(() => assert.deepEqual(late.notes, ["4", "5"]));
});
