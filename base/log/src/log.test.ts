import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

test("a line of the wanted level is written at once, as JSON with its level and time, to the descriptor that was named", () => {
  const script = `
    import { createLog } from ${JSON.stringify(import.meta.resolve("./log.ts"))};
    createLog({ level: "warn" }).info("too little");
    createLog({ level: "info", descriptor: 2 }).warn("the last word");
    process.kill(process.pid, "SIGKILL");`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" });
  assert.equal(stdout, "");
  const { time, ...rest } = JSON.parse(stderr) as Record<string, string>;
  assert.deepEqual(rest, { level: "warn", msg: "the last word" });
  assert.match(time ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});
