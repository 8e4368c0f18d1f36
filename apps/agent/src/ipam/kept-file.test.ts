import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parsePrefix } from "@cilium-ts/net";
import { KeptFile } from "./kept-file.ts";
import { readKeptPools, writeKeptPools } from "./kept-pools.ts";

const directory = mkdtempSync(join(tmpdir(), "cilium-ts-kept-"));
after(() => rmSync(directory, { recursive: true, force: true }));

test("what was kept is read as long as one of its two files is whole", () => {
  const file = new KeptFile(join(directory, "state"), "numbers", (text): number[] => JSON.parse(text));
  assert.equal(file.read(), undefined);
  file.write("[1,2]");
  const names = readdirSync(join(directory, "state"));
  assert.deepEqual(names.toSorted(), ["numbers.copy.json", "numbers.json"]);
  for (const damaged of names) {
    file.write("[3]");
    writeFileSync(join(directory, "state", damaged), "[3");
    assert.deepEqual(file.read(), [3]);
  }
  for (const damaged of names) writeFileSync(join(directory, "state", damaged), "");
  assert.equal(file.read(), undefined);
});

test("pools are kept over a restart, and what is no share is not believed", () => {
  const place = join(directory, "pools");
  const [ipv4Range, ipv6Range] = [parsePrefix("10.0.0.0/26"), parsePrefix("fd00::/120")];
  assert.ok(ipv4Range !== undefined && ipv6Range !== undefined);
  const kept = { ranges: { ipv4Range, ipv6Range }, shares: [{ pool: "default", cidrs: ["10.0.0.0/26", "fd00::/120"] }] };
  writeKeptPools(place, kept);
  assert.deepEqual(readKeptPools(place), kept);
  for (const text of ['{"ipv4Range":"fd00::/120"}', '{"ipv4Range":"10.0.0.0/26","ipv6Range":"fd00::/120","shares":[{"pool":1}]}', "{}"]) {
    for (const name of ["pod-pools.json", "pod-pools.copy.json"]) writeFileSync(join(place, name), text);
    assert.equal(readKeptPools(place), undefined);
  }
});
