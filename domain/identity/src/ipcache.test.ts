import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress, parsePrefix, prefixContainsAddress } from "@cilium-ts/net";
import { createRandom } from "@cilium-ts/testing";
import { Ipcache, type IpcacheSource, ipcacheSources } from "./ipcache.ts";

function prefixOf(text: string) {
  const prefix = parsePrefix(text);
  assert.ok(prefix !== undefined);
  return prefix;
}

function lookup(cache: Ipcache, text: string): number | undefined {
  const address = parseAddress(text);
  assert.ok(address !== undefined);
  return cache.lookup(address)?.identity;
}

test("the stronger source wins, and uncovers the weaker when it leaves", () => {
  const cache = new Ipcache();
  const prefix = prefixOf("10.0.0.1/32");
  assert.equal(cache.upsert(prefix, "generated", { identity: 16_777_217 })?.after?.identity, 16_777_217);
  const stronger = cache.upsert(prefix, "local", { identity: 300 });
  assert.deepEqual([stronger?.before?.identity, stronger?.after?.identity], [16_777_217, 300]);
  assert.equal(cache.upsert(prefix, "kubernetes", { identity: 301 }), undefined, "a weaker one changes nothing");
  assert.equal(cache.remove(prefix, "kubernetes"), undefined);
  const uncovered = cache.remove(prefix, "local");
  assert.deepEqual([uncovered?.before?.identity, uncovered?.after?.identity], [300, 16_777_217]);
  assert.equal(cache.remove(prefix, "generated")?.after, undefined);
  assert.equal(cache.remove(prefix, "generated"), undefined);
  assert.equal(cache.size, 0);
});

test("saying the same again is no change; saying more is", () => {
  const cache = new Ipcache();
  const prefix = prefixOf("10.0.1.0/24");
  cache.upsert(prefix, "custom-resource", { identity: 300, tunnelEndpoint: "192.168.0.2" });
  assert.equal(cache.upsert(prefix, "custom-resource", { identity: 300, tunnelEndpoint: "192.168.0.2" }), undefined);
  assert.ok(cache.upsert(prefix, "custom-resource", { identity: 300, tunnelEndpoint: "192.168.0.3" }) !== undefined);
  assert.ok(cache.upsert(prefix, "custom-resource", { identity: 300, tunnelEndpoint: "192.168.0.3", encryptKey: 1 }) !== undefined);
});

test("an address has the identity of the longest prefix around it, of its family", () => {
  const cache = new Ipcache();
  for (const [text, identity] of [
    ["0.0.0.0/0", 9],
    ["10.0.0.0/8", 20],
    ["10.1.0.0/16", 21],
    ["10.1.1.1/32", 22],
    ["::/0", 10],
    ["fd00::/8", 30],
  ] as const) {
    cache.upsert(prefixOf(text), "generated", { identity });
  }
  const expected = { "10.1.1.1": 22, "10.1.1.2": 21, "10.2.0.1": 20, "11.0.0.1": 9, "fd00::1": 30, "2001:db8::1": 10 };
  for (const [address, identity] of Object.entries(expected)) assert.equal(lookup(cache, address), identity, address);
  cache.remove(prefixOf("10.1.0.0/16"), "generated");
  assert.equal(lookup(cache, "10.1.1.2"), 20);
  assert.deepEqual([...cache.rows()].map((row) => row.key).sort(), ["0.0.0.0/0", "10.0.0.0/8", "10.1.1.1/32", "::/0", "fd00::/8"]);
});

test("an address that nobody spoke of has none", () => {
  assert.equal(lookup(new Ipcache(), "10.0.0.1"), undefined);
});

test("whatever is said and taken back, lookups agree with asking every claim", () => {
  const prefixes = ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.1/32", "fd00::/8", "fd00::1/128"];
  const addresses = ["10.1.1.1", "10.1.1.9", "10.1.9.9", "10.9.9.9", "9.9.9.9", "fd00::1", "fd00::2", "::1"];
  for (let seed = 1; seed <= 30; seed += 1) {
    const random = createRandom(seed);
    const cache = new Ipcache();
    const claims = new Map<string, { prefix: string; source: IpcacheSource; identity: number }>();
    for (let step = 0; step < 60; step += 1) {
      const prefix = random.pick(prefixes);
      const source = random.pick(ipcacheSources);
      const identity = 300 + random.below(5);
      if (random.chance(0.6)) {
        cache.upsert(prefixOf(prefix), source, { identity });
        claims.set(`${prefix} ${source}`, { prefix, source, identity });
      } else {
        cache.remove(prefixOf(prefix), source);
        claims.delete(`${prefix} ${source}`);
      }
      const address = random.pick(addresses);
      const bytes = parseAddress(address);
      assert.ok(bytes !== undefined);
      const around = [...claims.values()].filter((claim) => prefixContainsAddress(prefixOf(claim.prefix), bytes));
      around.sort(
        (a, b) =>
          prefixOf(b.prefix).length - prefixOf(a.prefix).length || ipcacheSources.indexOf(a.source) - ipcacheSources.indexOf(b.source),
      );
      assert.equal(lookup(cache, address), around[0]?.identity, `seed ${seed} step ${step} ${address}`);
    }
  }
});
