import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { GuardFile, type GuardRecord } from "./guard-file.ts";

const record: GuardRecord = {
  trial: { kind: "tried", untilMs: 5, lost: ["SSH"] },
  accepted: [{ metadata: { name: "p" }, spec: { nodeSelector: {} } }],
  labels: ["reserved:host"],
  cut: ["ssh 22"],
  triedDigest: "abc",
  former: { policySet: 7, ingressEnforced: true, egressEnforced: false, audit: false },
};

test("what a trial needs after a restart is read as it was written, and a damaged file is as good as none", () => {
  const folder = mkdtempSync(join(tmpdir(), "guard-"));
  try {
    const problems: string[] = [];
    const file = new GuardFile(folder, (message) => problems.push(message));
    assert.equal(file.read(), undefined);
    file.write(record);
    assert.deepEqual(file.read(), record);
    const path = join(folder, "host-firewall-guard.json");
    writeFileSync(path, '{"trial": {"kind": "tried"}}');
    assert.deepEqual(file.read(), record, "the second file is whole");
    writeFileSync(join(folder, "host-firewall-guard.copy.json"), "");
    assert.equal(file.read(), undefined);
    assert.deepEqual(problems, []);
    const huge = { ...record, accepted: [{ metadata: { name: "p" }, spec: "x".repeat(17 << 20) }] };
    file.write(huge);
    assert.deepEqual([file.read()?.accepted, file.read()?.trial, problems.length], [[], record.trial, 1]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
