import assert from "node:assert/strict";
import { test } from "node:test";
import type { RuleOrigin } from "../rules/rule.ts";
import { CookieTable, formerCookieCountMax } from "./cookie-table.ts";

function origins(name: string): readonly RuleOrigin[] {
  return [{ policy: { kind: "CiliumNetworkPolicy", namespace: "default", name, uid: "", labels: [] }, path: "ingress[0]" }];
}

test("equal lists share a cookie, others do not, none has none", () => {
  const table = new CookieTable();
  assert.equal(table.acquire(origins("a")), table.acquire(origins("a")));
  assert.notEqual(table.acquire(origins("a")), table.acquire(origins("b")));
  assert.equal(table.acquire([]), 0);
  assert.equal(table.originsOf(0), undefined);
});

test("a cookie lives as long as somebody holds it, and is looked up a while longer", () => {
  const table = new CookieTable();
  const cookie = table.acquire(origins("a"));
  table.acquire(origins("a"));
  table.release(cookie);
  assert.equal(table.acquire(origins("a")), cookie);
  table.release(cookie);
  table.release(cookie);
  assert.equal(table.size, 0);
  assert.equal(table.originsOf(cookie)?.[0]?.policy.name, "a");
  assert.equal(table.acquire(origins("a")), cookie, "a new life has the same cookie");
  table.release(cookie);
  table.release(cookie);
  assert.equal(table.size, 0, "releasing too often does no harm");
});

test("only so many former cookies are kept", () => {
  const table = new CookieTable();
  const first = table.acquire(origins("first"));
  table.release(first);
  for (let index = 0; index < formerCookieCountMax; index += 1) table.release(table.acquire(origins(`p${index}`)));
  assert.equal(table.originsOf(first), undefined);
});

test("a full table gives cookie 0", () => {
  const table = new CookieTable({ countMax: 1 });
  const cookie = table.acquire(origins("a"));
  assert.equal(table.acquire(origins("b")), 0);
  assert.equal(table.acquire(origins("a")), cookie);
});

test("a cookie follows from the list, not from what came before it", () => {
  const [one, other] = [new CookieTable(), new CookieTable()];
  const names = ["a", "b", "c"];
  const cookies = names.map((name) => one.acquire(origins(name)));
  const backwards = names.toReversed().map((name) => other.acquire(origins(name)));
  assert.deepEqual(backwards.toReversed(), cookies);
});

test("lists that want the same cookie get different ones, also when one of them was let go", () => {
  const table = new CookieTable({ wish: () => 0xffff_ffff });
  const [a, b] = [table.acquire(origins("a")), table.acquire(origins("b"))];
  assert.deepEqual([a, b], [0xffff_ffff, 1]);
  table.release(a);
  assert.equal(table.acquire(origins("c")), 2);
  assert.equal(table.acquire(origins("a")), a);
  assert.equal(table.originsOf(b)?.[0]?.policy.name, "b");
});
