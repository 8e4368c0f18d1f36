import assert from "node:assert/strict";
import { appendFileSync, mkdtempDisposableSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Lookup } from "@cilium-ts/policy";
import { LookupsFile } from "./lookups-file.ts";

function lookup(name: string): Lookup {
  return { endpointId: 7, name, address: "192.0.2.1", lookedUpS: 1.5, ttlS: 30, expiresS: 31.5 };
}

test("what was added is there after a restart, whole or not", () => {
  using temporary = mkdtempDisposableSync(join(tmpdir(), "lookups-"));
  const directory = join(temporary.path, "state");
  const file = new LookupsFile(directory);
  assert.deepEqual(file.read(), [], "the first run");
  file.write([lookup("a.test")]);
  file.append([lookup("b.test"), lookup("c.test")]);
  assert.deepEqual(new LookupsFile(directory).read(), [lookup("a.test"), lookup("b.test"), lookup("c.test")]);
  appendFileSync(join(directory, "dns-lookups.jsonl"), '[7,"d.test","nowhere",1,1,1]\n[7,"e.te');
  assert.equal(new LookupsFile(directory).read().length, 3, "half a line, and one that says nothing, cost themselves alone");
  file.write([lookup("d.test")]);
  assert.equal(readFileSync(join(directory, "dns-lookups.jsonl"), "utf8").split("\n").length, 2);
});

test("a file that only grows says so", () => {
  using temporary = mkdtempDisposableSync(join(tmpdir(), "lookups-"));
  const file = new LookupsFile(temporary.path);
  file.append(new Array<Lookup>(10_001).fill(lookup("a.test")));
  assert.equal(file.isLong, true);
  file.write([]);
  assert.equal(file.isLong, false);
});
