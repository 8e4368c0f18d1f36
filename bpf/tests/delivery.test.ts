import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { dropReason } from "../../adapters/datapath/src/gen/index.ts";
import { tcp, udp } from "./layers.ts";
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

    test(`IPv${family}: the checksum of the header is right for every value it can have`, () => {
      if (family === 6) return;
      placeTwoPods(programs, allowAll(client, server));
      for (let port = 0; port < 64; port += 1) {
        const source = `10.1.0.${port + 10}`;
        programs.setRow({ ...client, ipv4: source });
        for (const ttl of [2, 128]) {
          const outcome = programs.fromPod(client, sent(client, ip(4, source, server.ipv4, { ttl }), udp(port, 53)));
          assert.deepEqual(outcome.packet, received(server, ip(4, source, server.ipv4, { ttl: ttl - 1 }), udp(port, 53)));
        }
      }
    });
  }
});
