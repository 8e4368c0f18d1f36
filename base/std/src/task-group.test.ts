import assert from "node:assert/strict";
import { test } from "node:test";
import { errorMessage } from "./errors.ts";
import { TaskGroup } from "./task-group.ts";

const never = new AbortController().signal;

/** Resolves when aborted, after a turn of the event loop: tasks do not stop at once. */
async function untilAborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  signal.addEventListener("abort", () => setImmediate(resolve), { once: true });
  await promise;
}

test("join waits for every task", async () => {
  await using tasks = new TaskGroup(never);
  const ended: string[] = [];
  tasks.run("one", async () => void ended.push("one"));
  tasks.run("two", async () => {
    await new Promise((resolve) => setImmediate(resolve));
    ended.push("two");
  });
  await tasks.join();
  assert.deepEqual(ended, ["one", "two"]);
});

test("join waits for tasks that tasks have started", async () => {
  await using tasks = new TaskGroup(never);
  let ended = false;
  tasks.run("outer", async () => {
    tasks.run("inner", async () => {
      await new Promise((resolve) => setImmediate(resolve));
      ended = true;
    });
  });
  await tasks.join();
  assert.equal(ended, true);
});

test("the first failure stops the others and names the task", async () => {
  await using tasks = new TaskGroup(never);
  let stopped = false;
  tasks.run("patient", async (signal) => {
    await untilAborted(signal);
    stopped = true;
  });
  tasks.run("hasty", async () => {
    throw new Error("no such device");
  });
  await assert.rejects(tasks.join(), (error) => {
    assert.equal(errorMessage(error), 'task "hasty" failed: no such device');
    return true;
  });
  assert.equal(stopped, true);
});

test("closing stops the tasks and waits for them", async () => {
  let stopped = false;
  {
    await using tasks = new TaskGroup(never);
    tasks.run("patient", async (signal) => {
      await untilAborted(signal);
      stopped = true;
    });
  }
  assert.equal(stopped, true);
});

test("closing reports a failure that nobody joined", async () => {
  await assert.rejects(async () => {
    await using tasks = new TaskGroup(never);
    tasks.run("hasty", async () => {
      throw new Error("no such device");
    });
    await new Promise((resolve) => setImmediate(resolve));
  }, /task "hasty" failed/);
});

test("what a task throws after its group was stopped is no failure", async () => {
  const parent = new AbortController();
  await using tasks = new TaskGroup(parent.signal);
  tasks.run("patient", async (signal) => {
    await untilAborted(signal);
    throw signal.reason;
  });
  parent.abort(new Error("enough"));
  await tasks.join();
});

test("a stopped group begins nothing", async () => {
  await using tasks = new TaskGroup(AbortSignal.abort());
  let begun = false;
  tasks.run("late", async () => {
    begun = true;
  });
  await tasks.join();
  assert.equal(begun, false);
});
