import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { dropReason } from "../../adapters/datapath/src/gen/index.ts";
import { ipv4, type Layer, tcp, udp } from "./layers.ts";
import type { PodPrograms } from "./pod-programs.ts";
import { allowAll, at, client, families, host, ip, openTwoPods, outside, placeTwoPods, received, sent, server } from "./two-pods.ts";

const skip = requireKernel();
let programs: PodPrograms;
before(async () => {
  if (skip === false) programs = await openTwoPods();
});
after(() => programs?.[Symbol.dispose]());

describe("where a packet goes", { skip }, () => {
  for (const family of families) {
    test(`IPv${family}: to a pod of this node, from its gateway, with one hop less and a right checksum`, () => {
      for (const ttl of [2, 64, 255]) {
        placeTwoPods(programs, allowAll(client, server));
        const outcome = programs.fromPod(
          client,
          sent(client, ip(family, at(client, family), at(server, family), { ttl }), tcp(4000, 80, "S"), "hello"),
        );
        assert.equal(outcome.action, "redirect");
        assert.deepEqual(
          outcome.packet,
          received(server, ip(family, at(client, family), at(server, family), { ttl: ttl - 1 }), tcp(4000, 80, "S"), "hello"),
        );
      }
    });

    for (const ttl of [0, 1]) {
      test(`IPv${family}: not to another pod with ${ttl} hops left`, () => {
        placeTwoPods(programs, allowAll(client, server));
        const outcome = programs.fromPod(client, sent(client, ip(family, at(client, family), at(server, family), { ttl }), udp(4000, 53)));
        assert.equal(outcome.dropReason, dropReason.ttlExceeded);
      });
    }

    for (const [name, party] of [
      ["the host", host],
      ["outside", outside],
    ] as const) {
      test(`IPv${family}: to ${name} through the node's stack, as it is`, () => {
        placeTwoPods(programs, allowAll(client, server));
        const packet = sent(client, ip(family, at(client, family), at(party, family), { ttl: 1 }), udp(4000, 53), "hello");
        const outcome = programs.fromPod(client, packet);
        assert.equal(outcome.action, "pass");
        assert.deepEqual(outcome.packet, packet);
      });

      test(`IPv${family}: from ${name} to a pod, as it is`, () => {
        placeTwoPods(programs, allowAll(client, server));
        const packet = received(server, ip(family, at(party, family), at(server, family), { ttl: 1 }), udp(4000, 53), "hello");
        const outcome = programs.toPod(server, packet);
        assert.equal(outcome.action, "pass");
        assert.deepEqual(outcome.packet, packet);
      });
    }
  }

  for (const before of [0xfeff, 0xfe00, 0xff00, 0x0000, 0x1234]) {
    test(`IPv4: a header checksum of ${before.toString(16)} is right after a hop`, () => {
      placeTwoPods(programs, allowAll(client, server));
      const datagram = (id: number, ttl: number): [Layer, Layer] => [ipv4(client.ipv4, server.ipv4, { id, ttl }), udp(4000, 53)];
      const sumWithoutId = ~headerChecksum(sent(client, ...datagram(0, 64))) & 0xffff;
      const id = ((~before & 0xffff) - sumWithoutId + 0xffff) % 0xffff;
      assert.equal(headerChecksum(sent(client, ...datagram(id, 64))), before);
      assert.deepEqual(programs.fromPod(client, sent(client, ...datagram(id, 64))).packet, received(server, ...datagram(id, 63)));
    });
  }
});

function headerChecksum(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint16(24);
}
