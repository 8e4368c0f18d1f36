import assert from "node:assert/strict";
import { test } from "node:test";
import { LocalIdentityAllocator, localIdentityMax, localIdentityMin } from "@cilium-ts/identity";
import { FormerIdentities } from "./former-identities.ts";

test("prefixes keep their numbers over a restart, whatever order they come in, and new ones get none of those", () => {
  const former = new FormerIdentities([
    { prefix: "10.0.1.2/32", identity: 300 }, // A pod's.
    { prefix: "192.0.2.0/24", identity: localIdentityMin },
    { prefix: "198.51.100.0/24", identity: localIdentityMin + 4 },
  ]);
  const allocator = new LocalIdentityAllocator({ families: [4, 6] });
  const numbers = ["203.0.113.0/24", "2001:db8::/32", "198.51.100.0/24", "192.0.2.0/24"].map((prefix) => {
    const result = allocator.acquire(prefix, former.wanted(prefix));
    return result.ok ? result.identity.id - localIdentityMin : undefined;
  });
  assert.deepEqual(numbers, [5, 6, 4, 0]);
});

test("on a fresh node, or at the end of the numbers, any will do", () => {
  assert.equal(new FormerIdentities([]).wanted("192.0.2.0/24"), undefined);
  const full = new FormerIdentities([{ prefix: "192.0.2.0/24", identity: localIdentityMax }]);
  assert.equal(full.wanted("198.51.100.0/24"), undefined);
  assert.equal(full.wanted("192.0.2.0/24"), localIdentityMax);
});
