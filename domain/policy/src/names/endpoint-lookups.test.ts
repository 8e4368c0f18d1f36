import assert from "node:assert/strict";
import { test } from "node:test";
import { EndpointLookups, type Lookup } from "./endpoint-lookups.ts";

function lookup(endpointId: number, name: string, address: string, expiresS = 60): Lookup {
  return { endpointId, name, address, lookedUpS: 0, ttlS: expiresS, expiresS };
}

test("an endpoint knows an address by every name that led it there, and no other endpoint does", () => {
  const lookups = new EndpointLookups();
  assert.deepEqual(
    lookups.add([lookup(1, "www.test", "192.0.2.1"), lookup(1, "api.test", "192.0.2.1"), lookup(2, "x.test", "192.0.2.2")]),
    [
      { endpointId: 1, address: "192.0.2.1", names: ["www.test"] },
      { endpointId: 1, address: "192.0.2.1", names: ["api.test", "www.test"] },
      { endpointId: 2, address: "192.0.2.2", names: ["x.test"] },
    ],
  );
  assert.deepEqual(lookups.add([lookup(1, "www.test", "192.0.2.1", 90)]), [], "known already");
  assert.deepEqual(
    [...lookups.all()].map(({ expiresS }) => expiresS),
    [90, 60, 60],
  );
});

test("what has expired is forgotten, unless a connection uses it", () => {
  const lookups = new EndpointLookups();
  lookups.add([lookup(1, "a.test", "192.0.2.1", 10), lookup(1, "b.test", "192.0.2.1", 20), lookup(1, "c.test", "192.0.2.3", 10)]);
  assert.deepEqual(
    lookups.expire(10, (address) => address === "192.0.2.3"),
    [{ endpointId: 1, address: "192.0.2.1", names: ["b.test"] }],
  );
  assert.deepEqual(
    lookups.expire(20, () => false),
    [
      { endpointId: 1, address: "192.0.2.1", names: [] },
      { endpointId: 1, address: "192.0.2.3", names: [] },
    ],
  );
  assert.equal(lookups.size, 0);
});

test("an endpoint that is gone, and names that are to be forgotten, go at once", () => {
  const lookups = new EndpointLookups();
  lookups.add([lookup(1, "a.test", "192.0.2.1"), lookup(2, "a.test", "192.0.2.1"), lookup(2, "b.test", "192.0.2.1")]);
  assert.equal(lookups.forgetEndpoint(1).length, 1);
  assert.deepEqual(
    lookups.forgetNames((name) => name === "a.test"),
    [{ endpointId: 2, address: "192.0.2.1", names: ["b.test"] }],
  );
  assert.equal(lookups.size, 1);
});

test("too many are not kept, and counted", () => {
  const lookups = new EndpointLookups({ all: 1, one: 9 });
  assert.equal(
    lookups.add([lookup(1, "a.test", "192.0.2.1"), lookup(1, "b.test", "192.0.2.2"), lookup(1, "a.test", "192.0.2.1", 70)]).length,
    1,
  );
  assert.deepEqual([lookups.size, lookups.refused], [1, 1]);
  const shared = new EndpointLookups({ all: 9, one: 1 });
  assert.equal(
    shared.add([lookup(1, "a.test", "192.0.2.1"), lookup(1, "b.test", "192.0.2.1"), lookup(2, "a.test", "192.0.2.1")]).length,
    2,
  );
  shared.forgetEndpoint(1);
  assert.equal(shared.add([lookup(1, "b.test", "192.0.2.1")]).length, 1);
});
