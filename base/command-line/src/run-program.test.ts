import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { Command } from "commander";
import { ExitCode, runProgram, unlessInterrupted } from "./run-program.ts";
import { UsageError } from "./usage-error.ts";

async function run(
  action: (signal: AbortSignal) => Promise<void>,
  signal = new AbortController().signal,
): Promise<{ code: number; error: string }> {
  let error = "";
  const collect = new Writable({
    decodeStrings: false,
    write(part, _encoding, done) {
      error += String(part);
      done();
    },
  });
  const program = new Command("x");
  program.command("go").action(() => action(signal));
  const code = await runProgram(program, { args: ["go"], stdout: collect, stderr: collect, signal });
  return { code, error };
}

const wrong = (cause: unknown) => async (): Promise<void> => {
  throw cause;
};

test("a failure is one sentence, with its causes where its own words do not say it all", async () => {
  assert.deepEqual(await run(wrong(new UsageError("no such pod"))), { code: 1, error: "x: no such pod\n" });
  assert.deepEqual(await run(wrong(new Error("it broke", { cause: new Error("EPERM") }))), { code: 1, error: "x: it broke: EPERM\n" });
});

test("a failure that was told already has its exit code alone", async () => {
  assert.deepEqual(await run(wrong(new ExitCode(3))), { code: 3, error: "" });
});

test("who follows something until he has had enough has not failed, and who cuts work short has", async () => {
  const stopped = AbortSignal.abort();
  assert.deepEqual(await run(wrong(stopped.reason), stopped), { code: 0, error: "" });
  assert.deepEqual(await run((signal) => unlessInterrupted(signal, wrong(stopped.reason)), stopped), { code: 130, error: "" });
  assert.deepEqual(await run((signal) => unlessInterrupted(signal, wrong(new UsageError("no"))), undefined), { code: 1, error: "x: no\n" });
});
