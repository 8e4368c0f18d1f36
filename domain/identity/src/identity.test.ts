import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "@cilium-ts/labels";
import { formatPrefix, parsePrefix } from "@cilium-ts/net";
import { cidrLabel, cidrLabelContains, cidrLabels, prefixOfCidrLabel, prefixOfLabels } from "./cidr-labels.ts";
import { MemoryClusterIdentities } from "./memory-cluster-allocator.ts";
import { reservedIdentityByName, reservedLabels, reservedName, reservedPeers } from "./reserved.ts";
import { identityScope } from "./scope.ts";

function prefixOf(text: string) {
  const prefix = parsePrefix(text);
  assert.ok(prefix !== undefined);
  return prefix;
}

for (const [id, name, labels] of [
  [0, "unknown", ["reserved:unknown"]],
  [1, "host", ["reserved:host"]],
  [2, "world", ["reserved:world"]],
  [3, "unmanaged", ["reserved:unmanaged"]],
  [4, "health", ["reserved:health"]],
  [5, "init", ["reserved:init"]],
  [6, "remote-node", ["reserved:remote-node"]],
  [7, "kube-apiserver", ["reserved:kube-apiserver", "reserved:remote-node"]],
  [8, "ingress", ["reserved:ingress"]],
  [9, "world-ipv4", ["reserved:world-ipv4"]],
  [10, "world-ipv6", ["reserved:world-ipv6"]],
  [11, "overlay-to-encrypt", ["reserved:overlay-to-encrypt"]],
] as const) {
  test(`identity ${id} is ${name}`, () => {
    assert.equal(reservedName(id), name);
    assert.equal(reservedIdentityByName(name), id);
    assert.deepEqual(reservedLabels(id)?.format(), labels);
  });
}

test("every reserved identity but unknown is a peer", () => {
  assert.deepEqual(
    reservedPeers().map(([id]) => id),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
  );
  assert.equal(reservedLabels(12), undefined);
});

for (const [id, scope] of [
  [11, "reserved"],
  [102, "well-known"],
  [128, "user-reserved"],
  [255, "user-reserved"],
  [256, "cluster"],
  [65_535, "cluster"],
  [(3 << 16) | 256, "cluster"],
  [16_777_217, "local"],
  [0x0200_0001, "remote-node"],
  [0x0300_0000, "invalid"],
  [0xffff_ffff, "invalid"],
  [-1, "invalid"],
  [1.5, "invalid"],
] as const) {
  test(`${id} is ${scope}`, () => assert.equal(identityScope(id), scope));
}

for (const [text, key] of [
  ["10.0.0.0/8", "10.0.0.0/8"],
  ["0.0.0.0/0", "0.0.0.0/0"],
  ["2001:db8::/32", "2001-db8--0/32"],
  ["::/0", "0--0/0"],
  ["::1/128", "0--1/128"],
  ["fd00:1:2:3:4:5:6:7/128", "fd00-1-2-3-4-5-6-7/128"],
] as const) {
  test(`${text} has the label cidr:${key}`, () => {
    const label = cidrLabel(prefixOf(text));
    assert.deepEqual(label, { source: "cidr", key, value: "" });
    const back = prefixOfCidrLabel(label);
    assert.equal(back === undefined ? undefined : formatPrefix(back), text);
  });
}

test("a prefix is a part of the world, split by family where there are two", () => {
  assert.deepEqual(cidrLabels(prefixOf("10.0.0.0/8"), [4, 6]).format(), ["cidr:10.0.0.0/8", "reserved:world-ipv4"]);
  assert.deepEqual(cidrLabels(prefixOf("fd00::/8"), [4, 6]).format(), ["cidr:fd00--0/8", "reserved:world-ipv6"]);
  assert.deepEqual(cidrLabels(prefixOf("10.0.0.0/8"), [4]).format(), ["cidr:10.0.0.0/8", "reserved:world"]);
});

test("containment is read off the labels", () => {
  const of = (text: string) => cidrLabel(prefixOf(text));
  assert.ok(cidrLabelContains(of("10.0.0.0/8"), of("10.1.0.0/16")));
  assert.ok(cidrLabelContains(of("10.0.0.0/8"), of("10.0.0.0/8")));
  assert.ok(!cidrLabelContains(of("10.1.0.0/16"), of("10.0.0.0/8")));
  assert.ok(!cidrLabelContains(of("::/0"), of("10.0.0.0/8")));
  assert.ok(!cidrLabelContains({ source: "k8s", key: "10.0.0.0/8", value: "" }, of("10.1.0.0/16")));
});

test("of several prefixes the narrowest says where the identity is; pods have none", () => {
  const prefix = prefixOfLabels(Labels.parse(["cidr:10.0.0.0/8", "cidr:10.1.0.0/16", "reserved:world"]));
  assert.equal(prefix === undefined ? undefined : formatPrefix(prefix), "10.1.0.0/16");
  assert.equal(prefixOfLabels(Labels.parse(["k8s:app=web"])), undefined);
});

test("equal labels have one cluster identity, counted by use", async () => {
  const { signal } = new AbortController();
  const identities = new MemoryClusterIdentities();
  const first = await identities.acquire(Labels.parse(["k8s:app=web"]), signal);
  const again = await identities.acquire(Labels.parse(["k8s:app=web"]), signal);
  const other = await identities.acquire(Labels.parse(["k8s:app=db"]), signal);
  assert.deepEqual([first.id, again.id, other.id], [256, 256, 257]);
  await identities.release(256, signal);
  assert.equal(identities.references(256), 1);
  assert.equal(identities.get(257)?.labels.get("k8s", "app"), "db");
  await assert.rejects(identities.acquire(Labels.empty, AbortSignal.abort()), { name: "AbortError" });
});
