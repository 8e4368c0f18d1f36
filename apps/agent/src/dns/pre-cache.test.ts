import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePreCache } from "./pre-cache.ts";

const entry = { fqdn: "WWW.test.", ips: ["192.0.2.1", "2001:DB8::1"], "expiration-time": "1970-01-01T00:01:00Z", ttl: 60 };
const names = [
  { name: "www.test", address: "192.0.2.1", expiresS: 60 },
  { name: "www.test", address: "2001:db8::1", expiresS: 60 },
];

test("names are read from a list, and from lists by endpoint", () => {
  assert.deepEqual(parsePreCache(JSON.stringify([entry])), { ok: true, names });
  assert.deepEqual(parsePreCache(JSON.stringify({ "7": [entry], "8": [] })), { ok: true, names });
});

for (const [what, text] of [
  ["no JSON", "{"],
  ["no list", "3"],
  ["no name", JSON.stringify([{ ...entry, fqdn: "a b" }])],
  ["no address", JSON.stringify([{ ...entry, ips: ["x"] }])],
  ["no time", JSON.stringify([{ ...entry, "expiration-time": "soon" }])],
  ["a list of nothing", "[null]"],
] as const) {
  test(`of a file with ${what}, nothing is taken`, () => assert.equal(parsePreCache(text).ok, false));
}
