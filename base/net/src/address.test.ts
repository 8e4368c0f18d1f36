import assert from "node:assert/strict";
import { test } from "node:test";
import { addressFromBigInt, addressToBigInt, formatAddress, formatMac, parseAddress, parseMac } from "./address.ts";
import { formatPrefix, parsePrefix, prefixContains, prefixContainsAddress } from "./prefix.ts";

function present<T>(value: T | undefined): T {
  assert.ok(value !== undefined);
  return value;
}

for (const [text, expected] of [
  ["10.0.0.1", "10.0.0.1"],
  ["::", "::"],
  ["::1", "::1"],
  ["FD00:0:0:0:0:0:0:A", "fd00::a"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
  ["::ffff:1.2.3.4", "::ffff:1.2.3.4"],
  ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
] as const) {
  test(`${text} is written ${expected}`, () => {
    const bytes = present(parseAddress(text));
    assert.equal(formatAddress(bytes), expected);
    assert.deepEqual(addressFromBigInt(addressToBigInt(bytes), bytes.length === 4 ? 4 : 6), bytes);
  });
}

for (const text of ["", "10.0.0", "10.0.0.256", "01.2.3.4", "fe80::1%eth0", "1::2::3", "10.0.0.1/8"]) {
  test(`${JSON.stringify(text)} is no address`, () => assert.equal(parseAddress(text), undefined));
}

for (const [text, expected] of [
  ["10.1.2.3/8", "10.0.0.0/8"],
  ["10.1.2.3", "10.1.2.3/32"],
  ["0.0.0.0/0", "0.0.0.0/0"],
  ["fd00:1234::5/17", "fd00::/17"],
  ["::/0", "::/0"],
] as const) {
  test(`prefix ${text} is ${expected}`, () => assert.equal(formatPrefix(present(parsePrefix(text))), expected));
}

for (const text of ["10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/08", "::/129", "x/8", "10.0.0.0/"]) {
  test(`${JSON.stringify(text)} is no prefix`, () => assert.equal(parsePrefix(text), undefined));
}

test("a prefix holds what shares its bits, of its own family only", () => {
  const outer = present(parsePrefix("10.128.0.0/9"));
  assert.ok(prefixContainsAddress(outer, present(parseAddress("10.200.1.1"))));
  assert.ok(!prefixContainsAddress(outer, present(parseAddress("10.127.1.1"))));
  assert.ok(!prefixContainsAddress(present(parsePrefix("0.0.0.0/0")), present(parseAddress("::1"))));
  assert.ok(prefixContains(outer, present(parsePrefix("10.129.0.0/16"))));
  assert.ok(!prefixContains(outer, present(parsePrefix("10.0.0.0/8"))));
});

test("a MAC is read and written", () => {
  assert.equal(formatMac(present(parseMac("AA:bb:0c:00:01:ff"))), "aa:bb:0c:00:01:ff");
  assert.equal(parseMac("aa:bb:cc:dd:ee"), undefined);
});
