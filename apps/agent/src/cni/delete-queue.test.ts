import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { eventually } from "@cilium-ts/testing";
import { replayDeleteQueue, serveDeleteQueue } from "./delete-queue.ts";

const root = mkdtempSync(join(tmpdir(), "cilium-ts-queue-"));
after(() => rmSync(root, { recursive: true, force: true }));

function queue(name: string, files: Record<string, string>): string {
  const directory = join(root, name);
  mkdirSync(directory);
  for (const [file, content] of Object.entries(files)) writeFileSync(join(directory, file), content);
  return directory;
}

const deletion = (containerId: string): string => JSON.stringify({ command: "DEL", containerId });

test("deletions are served oldest first and taken away; what is no deletion is dropped and named", async () => {
  const directory = queue("all", {
    "002.json": deletion("b"),
    "001.json": deletion("a"),
    "003.json": '{"command":',
    "004.json": JSON.stringify({ command: "ADD", containerId: "c" }),
    "005.json": "x".repeat((1 << 20) + 1),
    lockfile: "",
    "006.json.tmp": deletion("half-written"),
  });
  const served: unknown[] = [];
  const problems: string[] = [];
  const done = await replayDeleteQueue({
    directory,
    handle: async (body) => {
      served.push((body as { containerId: string }).containerId);
      return { status: 200, body: undefined };
    },
    onProblem: (problem) => problems.push(problem),
  });
  assert.deepEqual([done, served, problems.length], [2, ["a", "b"], 3]);
  assert.deepEqual(readdirSync(directory).sort(), ["006.json.tmp", "lockfile"]);
});

test("a deletion that fails stays, one that can never succeed does not", async () => {
  const directory = queue("failing", { "001.json": deletion("a"), "002.json": deletion("b") });
  const problems: string[] = [];
  const status: Record<string, number> = { a: 500, b: 400 };
  await replayDeleteQueue({
    directory,
    handle: async (body) => ({ status: status[(body as { containerId: string }).containerId] ?? 200, body: { msg: "why" } }),
    onProblem: (problem) => problems.push(problem),
  });
  assert.deepEqual(readdirSync(directory), ["001.json"]);
  assert.match(problems[0] ?? "", /001\.json: .*why.*stays for the next attempt/);
  assert.match(problems[1] ?? "", /002\.json can never be served/);
});

test("the queue is looked at again and again, whatever is wrong with it, until aborted", async () => {
  const directory = join(root, "later");
  const clock = createSimulatedClock();
  const stop = new AbortController();
  const served: unknown[] = [];
  const problems: string[] = [];
  const serving = serveDeleteQueue({
    directory,
    clock,
    signal: stop.signal,
    handle: async (body) => {
      served.push(body);
      return { status: 200, body: undefined };
    },
    onProblem: (problem) => problems.push(problem),
  });
  await eventually(() => assert.equal(clock.sleepers, 1));
  writeFileSync(directory, "no directory");
  for (let round = 0; round < 2; round += 1) {
    await clock.advance(10_000);
    await eventually(() => assert.equal(clock.sleepers, 1));
  }
  assert.equal(problems.length, 1, "said once");
  rmSync(directory);
  mkdirSync(directory);
  writeFileSync(join(directory, "001.json"), deletion("a"));
  await clock.advance(10_000);
  await eventually(() => assert.equal(served.length, 1));
  stop.abort();
  await serving;
});
