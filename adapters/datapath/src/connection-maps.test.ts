import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openFakeKernel } from "@cilium-ts/kernel/testing";
import { type AddressBytes, parseAddress } from "@cilium-ts/net";
import { addressesInUse } from "./addresses-in-use.ts";
import { ConnectionMaps } from "./connection-maps.ts";
import { type CtEntry, ctFlags, encodeCtEntry, encodeCtKey4, encodeCtKey6, maps } from "./gen/index.ts";
import { proxyMark } from "./proxy-marks.ts";

function address(text: string): AddressBytes {
  const bytes = parseAddress(text);
  assert.ok(bytes !== undefined);
  return bytes;
}

for (const [low, high] of [
  ["10.0.1.5", "10.0.1.7"],
  ["fd00::5", "fd00::7"],
] as const) {
  describe(`a connection between ${low} and ${high}`, () => {
    const kernel = openFakeKernel();
    const ct4 = kernel.createMap({ ...maps.ct4, maxEntries: 8 });
    const ct6 = kernel.createMap({ ...maps.ct6, maxEntries: 8 });
    const connections = new ConnectionMaps({ ct4, ct6 });
    const key = { lowAddress: address(low), highAddress: address(high), lowPort: 80, highPort: 4000, protocol: 6 };
    const put = (flags: number): void => {
      const entry: CtEntry = {
        ...{ expiresS: 9, flags, sourceIdentity: 1001, destinationIdentity: 1002, egressSet: 1, ingressSet: 2, generation: 0 },
        ...{
          tunnelEndpoint: new Uint8Array(4),
          reportedS: [0, 0],
          reportedFlags: new Uint8Array(2),
          proxyPort: 10_000,
          endpointId: [7, 0],
        },
      };
      if (low.includes(":")) ct6.update(encodeCtKey6(key), encodeCtEntry(entry));
      else ct4.update(encodeCtKey4(key), encodeCtEntry(entry));
    };
    const fromHigh = { protocol: 6, source: address(high), sourcePort: 4000, destination: address(low), destinationPort: 80 };
    const fromLow = { protocol: 6, source: address(low), sourcePort: 80, destination: address(high), destinationPort: 4000 };

    test("is found by its opener's packets alone", () => {
      assert.equal(connections.find(fromHigh), undefined);
      put(ctFlags.originHigh);
      const ends = { sourceIdentity: 1001, destinationIdentity: 1002, sourceEndpoint: 7, destinationEndpoint: 0, proxyPort: 10_000 };
      assert.deepEqual(connections.find(fromHigh), ends);
      assert.equal(connections.find(fromLow), undefined);
      put(0);
      assert.deepEqual([connections.find(fromHigh), connections.find(fromLow)], [undefined, ends]);
    });

    test("keeps both of its addresses in use, until it has expired or is denied", () => {
      put(0);
      const used = (nowS: number): string[] => [...addressesInUse({ ct4, ct6 }, new Set([low, high, "192.0.2.9"]), nowS)].sort();
      assert.deepEqual([used(9), used(10)], [[low, high], []]);
      put(ctFlags.denied);
      assert.deepEqual(used(9), []);
    });

    test("is not found once policy denies it", () => {
      put(ctFlags.originHigh | ctFlags.denied);
      assert.equal(connections.find(fromHigh), undefined);
    });
  });
}

test("a mark has the direction and whom the proxy speaks for, scope included", () => {
  assert.equal(proxyMark("egress"), 0x0b00);
  assert.equal(proxyMark("ingress", 0x1234), 0x1234_0a00);
  assert.equal(proxyMark("egress", 0xab_1234), 0x1234_0bab);
  assert.equal(proxyMark("ingress", 0x0100_0007), 0x0007_1a00);
});
