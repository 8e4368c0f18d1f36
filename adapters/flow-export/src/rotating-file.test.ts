import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { eventually } from "@cilium-ts/testing";
import { RotatingFile, type RotatingFileOptions } from "./rotating-file.ts";

function setUp(options: Partial<RotatingFileOptions> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "flow-export-"));
  const clock = { ms: Date.parse("2026-01-01T00:00:00Z"), nowMs: () => clock.ms, sleep: async () => {} };
  const problems: string[] = [];
  const file = new RotatingFile({
    path: join(folder, "sub", "events.log"),
    sizeBytesMax: 20,
    ageMsMax: 0,
    backupCountMax: 2,
    compress: false,
    clock,
    onProblem: (message) => void problems.push(message),
    ...options,
  });
  return {
    file,
    clock,
    problems,
    folder,
    names: () => readdirSync(join(folder, "sub")).sort(),
    text: (name: string) => readFileSync(join(folder, "sub", name)),
    /** Appends and waits until it is written, a second later each time. */
    async write(line: string) {
      const { written } = file;
      file.append(line);
      await eventually(() => assert.equal(file.written, written + 1));
      clock.ms += 1_000;
    },
    async [Symbol.asyncDispose]() {
      await file[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

test("lines go to the file, and a file that is full makes room for another; the oldest are removed", async () => {
  await using setup = setUp();
  for (const line of ["one-------", "two-------", "three-----", "four------", "five------"]) await setup.write(line);
  assert.deepEqual(setup.names(), ["events-2026-01-01T00-00-03.000.log", "events-2026-01-01T00-00-04.000.log", "events.log"]);
  assert.equal(setup.text("events.log").toString(), "five------\n");
  assert.equal(setup.text("events-2026-01-01T00-00-04.000.log").toString(), "four------\n");
  assert.deepEqual([setup.file.written, setup.file.lost, setup.problems], [5, 0, []]);
});

test("former files are compressed where that is wanted, and files become old", async () => {
  await using setup = setUp({ compress: true, sizeBytesMax: 1_000, ageMsMax: 60_000 });
  await setup.write("young");
  await setup.write("younger");
  setup.clock.ms += 3_600_000;
  await setup.write("old");
  const [former = "", current] = setup.names();
  assert.match(former, /^events-2026-01-01T01-00-02\.000\.log\.gz$/);
  assert.deepEqual([gunzipSync(setup.text(former)).toString(), current], ["young\nyounger\n", "events.log"]);
});

test("a file goes on where a former run left it", async () => {
  await using setup = setUp();
  mkdirSync(join(setup.folder, "sub"));
  writeFileSync(join(setup.folder, "sub", "events.log"), "before\n");
  await setup.write("after");
  assert.equal(setup.text("events.log").toString(), "before\nafter\n");
});

test("a file that cannot be written costs its lines, is said once, and is tried again", async () => {
  await using setup = setUp();
  mkdirSync(join(setup.folder, "sub", "events.log"), { recursive: true }); // Not a file.
  setup.file.append("one");
  await eventually(() => assert.equal(setup.file.lost, 1));
  setup.clock.ms += 2_000;
  setup.file.append("two");
  await eventually(() => assert.equal(setup.file.lost, 2));
  setup.file.append("three"); // Within the second in which it is not tried.
  await eventually(() => assert.equal(setup.file.lost, 3));
  assert.equal(setup.problems.length, 1);
  assert.match(
    setup.problems[0] ?? "",
    /^flows cannot be written to .*events\.log: .*EISDIR.*; they are lost until it can be, and counted$/,
  );
  rmSync(join(setup.folder, "sub"), { recursive: true });
  setup.clock.ms += 2_000;
  await setup.write("four");
  assert.equal(setup.text("events.log").toString(), "four\n");
});

test("a full disk costs lines and nothing else", async () => {
  await using setup = setUp({ path: "/dev/full" });
  setup.file.append("one");
  await eventually(() => assert.equal(setup.file.lost, 1));
  assert.match(setup.problems[0] ?? "", /ENOSPC/);
});

test("lines that come faster than the disk are held up to a limit, then counted as lost", async () => {
  await using setup = setUp({ sizeBytesMax: 1e9 });
  const line = "x".repeat(1_000);
  for (let count = 0; count < 2_000; count += 1) setup.file.append(line);
  await eventually(() => assert.equal(setup.file.written + setup.file.lost, 2_000));
  assert.equal(setup.file.lost, 2_000 - 1_048);
});
