import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyQueue } from "./key-queue.ts";

test("marks made while a batch is out come in the next one, once each", async () => {
  const queue = new KeyQueue<string>();
  const stop = new AbortController();
  queue.mark("a");
  queue.mark("b");
  queue.mark("a");
  const batches: string[][] = [];
  for await (const keys of queue.batches(stop.signal)) {
    batches.push([...keys]);
    if (batches.length === 1) {
      queue.mark("a");
      queue.mark("a");
    } else stop.abort();
  }
  assert.deepEqual(batches, [["a", "b"], ["a"]]);
});

test("waiting ends when aborted", async () => {
  const queue = new KeyQueue<string>();
  const stop = new AbortController();
  const next = queue.batches(stop.signal).next();
  stop.abort();
  assert.equal((await next).done, true);
});

test("nothing is handed out under a signal already aborted, and nothing is lost", async () => {
  const queue = new KeyQueue<string>();
  queue.mark("a");
  assert.equal((await queue.batches(AbortSignal.abort()).next()).done, true);
  assert.equal(queue.size, 1);
});

test("a million marks of one key are one key", async () => {
  const queue = new KeyQueue<number>();
  for (let count = 0; count < 1_000_000; count += 1) queue.mark(7);
  assert.equal(queue.size, 1);
});
