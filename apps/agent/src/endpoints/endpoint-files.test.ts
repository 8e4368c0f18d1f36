import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createEndpoint, type EndpointRow } from "@cilium-ts/endpoint";
import { EndpointFiles } from "./endpoint-files.ts";

const directory = mkdtempSync(join(tmpdir(), "cilium-ts-files-"));
after(() => rmSync(directory, { recursive: true, force: true }));

function row(id: number): EndpointRow {
  const device = { ifindex: id + 10, hostDeviceName: `lxc${id}`, mac: "02:00:00:00:00:01", hostMac: "02:00:00:00:00:02" };
  return createEndpoint({ id, containerId: `c${id}`, containerIfname: "eth0", podNamespace: "shop", podName: "web", ...device }, 1);
}

test("what was written is read, in the order of the numbers, and what was removed is gone", () => {
  const files = new EndpointFiles(join(directory, "state"));
  for (const id of [12, 3, 7]) files.write(row(id));
  files.remove(7);
  files.remove(99);
  const { rows, problems } = new EndpointFiles(join(directory, "state")).read();
  assert.deepEqual([rows.map(({ id }) => id), problems], [[3, 12], []]);
  assert.deepEqual(rows[0], row(3));
  assert.equal(statSync(join(directory, "state/3/endpoint.json")).mode & 0o777, 0o600);
});

test("what a crash left half-written is no endpoint, and what cannot be read is named and left alone", () => {
  const files = new EndpointFiles(join(directory, "broken"));
  const path = (name: string): string => join(directory, "broken", name);
  files.write(row(1));
  writeFileSync(path("1/endpoint.json.new"), "{"); // Died in its second write: the first is whole.
  for (const name of ["2", "3", "4", "notes"]) mkdirSync(path(name));
  writeFileSync(path("2/endpoint.json.new"), '{"id":'); // Died in its first.
  writeFileSync(path("3/endpoint.json"), '{"id": 3, "cont');
  writeFileSync(path("4/endpoint.json"), "x".repeat(2_000_000));
  files.write(row(5));
  mkdirSync(path("6"));
  writeFileSync(path("6/endpoint.json"), JSON.stringify({ ...row(5) }));
  const { rows, problems } = files.read();
  assert.deepEqual(
    rows.map(({ id }) => id),
    [1, 5],
  );
  assert.equal(existsSync(path("2")), false);
  assert.deepEqual(problems.map((problem) => problem.replace(/^.*?broken\//, "").split(":")[0]).sort(), [
    "3/endpoint.json",
    "4/endpoint.json",
    "6/endpoint.json",
  ]);
  assert.ok(existsSync(path("3/endpoint.json")));
});

for (const [damagedName, content] of [
  ["endpoint.json", '{"version":1,"endp'],
  ["endpoint.json", ""],
  ["endpoint.copy.json", "\0\0\0\0"],
] as const) {
  test(`an endpoint whose ${damagedName} holds ${JSON.stringify(content)} is read from the other file, and the damage is told`, () => {
    const place = mkdtempSync(join(directory, "damaged-"));
    const files = new EndpointFiles(place);
    files.write(row(3));
    writeFileSync(join(place, "3", damagedName), content);
    const { rows, problems, damaged } = files.read();
    assert.deepEqual([rows, problems], [[row(3)], []]);
    assert.match(damaged.get(3) ?? "", new RegExp(`3/${damagedName}: `));
    files.write(row(3));
    assert.equal(files.read().damaged.size, 0);
  });
}
