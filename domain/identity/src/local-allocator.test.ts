import assert from "node:assert/strict";
import { test } from "node:test";
import { LocalIdentityAllocator } from "./local-allocator.ts";

function acquire(locals: LocalIdentityAllocator, prefix: string, wanted?: number): number {
  const result = locals.acquire(prefix, wanted);
  assert.ok(result.ok, JSON.stringify(result));
  return result.identity.id;
}

test("numbers begin at 16777217 and belong to the prefix, however it is written", () => {
  const locals = new LocalIdentityAllocator({ families: [4, 6] });
  assert.equal(acquire(locals, "10.0.0.0/8"), 16_777_217);
  assert.equal(acquire(locals, "fd00::/8"), 16_777_218);
  assert.equal(acquire(locals, "10.1.2.3/8"), 16_777_217);
  assert.deepEqual(locals.get(16_777_217)?.labels.format(), ["cidr:10.0.0.0/8", "reserved:world-ipv4"]);
  assert.equal(locals.ofPrefix("FD00::/8")?.id, 16_777_218);
  assert.equal(locals.size, 2);
});

test("a number is free when its last user lets go, and waits for its prefix", () => {
  const locals = new LocalIdentityAllocator({ families: [4] });
  acquire(locals, "10.0.0.0/8");
  acquire(locals, "10.0.0.0/8");
  assert.equal(locals.release("10.0.0.0/8"), undefined);
  assert.equal(locals.release("10.0.0.0/8")?.id, 16_777_217);
  assert.equal(locals.release("10.0.0.0/8"), undefined, "once too often does no harm");
  assert.equal(acquire(locals, "11.0.0.0/8"), 16_777_218, "another prefix gets another number");
  assert.equal(acquire(locals, "10.0.0.0/8"), 16_777_217, "the same gets its old one");
});

test("a number of an earlier run is given when it is free", () => {
  const locals = new LocalIdentityAllocator({ families: [4] });
  assert.equal(acquire(locals, "10.0.0.0/8", 16_777_300), 16_777_300);
  assert.equal(acquire(locals, "11.0.0.0/8", 16_777_300), 16_777_217);
  assert.equal(acquire(locals, "12.0.0.0/8", 300), 16_777_218, "a number of another scope is never given");
});

test("when all are in use the error says so, and a release makes room", () => {
  const locals = new LocalIdentityAllocator({ families: [4], countMax: 2 });
  acquire(locals, "10.0.0.0/8");
  acquire(locals, "11.0.0.0/8");
  const full = locals.acquire("12.0.0.0/8");
  assert.ok(!full.ok);
  assert.match(full.problem, /no local identity for 12\.0\.0\.0\/8: all 2 are in use/);
  locals.release("10.0.0.0/8");
  assert.equal(acquire(locals, "12.0.0.0/8"), 16_777_219);
});

test("what is no prefix has no number", () => {
  const result = new LocalIdentityAllocator({ families: [4] }).acquire("10.0.0.0/33");
  assert.ok(!result.ok);
  assert.match(result.problem, /"10\.0\.0\.0\/33" is no prefix/);
});

test("all 65,535 numbers can be used, and come round", () => {
  const locals = new LocalIdentityAllocator({ families: [4] });
  const ids = new Set<number>();
  for (let index = 0; index < 65_535; index += 1) ids.add(acquire(locals, `10.${index >> 8}.${index & 255}.0/24`));
  assert.equal(ids.size, 65_535);
  assert.equal(Math.max(...ids), 16_777_216 + 65_535);
  locals.release("10.1.2.0/24");
  const reused = acquire(locals, "192.168.0.0/16");
  assert.equal(reused, 16_777_217 + 0x102);
  locals.release("10.1.3.0/24");
  assert.equal(acquire(locals, "10.1.2.0/24"), 16_777_217 + 0x103, "its own number went to another");
});
