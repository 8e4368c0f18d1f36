import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { dropReason } from "../../adapters/datapath/src/gen/index.ts";
import { extension, fragment, icmp, ipv4, ipv6, type Layer, payload, quote, tcp, udp } from "./layers.ts";
import type { Pod, PodPrograms } from "./pod-programs.ts";
import { allowAll, at, client, type Family, families, ip, openTwoPods, outside, placeTwoPods, received, sent, server } from "./two-pods.ts";

const skip = requireKernel();
let programs: PodPrograms;
before(async () => {
  if (skip === false) programs = await openTwoPods();
});
after(() => programs?.[Symbol.dispose]());

interface Piece {
  readonly id: number;
  readonly offset: number;
  readonly more: boolean;
  /** Of the datagram's transport, where the piece does not hold its header. */
  readonly protocol?: number;
}

/** The layers around a piece of a datagram. */
function around(family: Family, from: { ipv4: string; ipv6: string }, to: { ipv4: string; ipv6: string }, piece: Piece): Layer[] {
  const { id, offset, more, protocol } = piece;
  const named = protocol === undefined ? {} : { protocol };
  if (family === 4) return [ipv4(from.ipv4, to.ipv4, { id, offset, moreFragments: more, ...named })];
  return [ipv6(from.ipv6, to.ipv6), fragment({ id, offset, more, ...(protocol === undefined ? {} : { next: protocol }) })];
}

const rest = payload(new Uint8Array(24));
const first = { id: 7, offset: 0, more: true };
const udpNumber = 17;
const serverUdp53 = { set: server.policySet, direction: "ingress", protocol: udpNumber, port: 53 } as const;
const clientMayAll = { set: client.policySet, direction: "egress" } as const;

describe("fragments", { skip }, () => {
  for (const family of families) {
    const send = (piece: Piece, ...layers: readonly Layer[]) =>
      programs.fromPod(client, sent(client, ...around(family, client, server, piece), ...layers));

    test(`IPv${family}: the first leaves its ports to the others, which belong to its connection`, () => {
      placeTwoPods(programs, [clientMayAll, serverUdp53]);
      assert.equal(send(first, udp(4000, 53), rest).action, "redirect");
      assert.equal(send({ id: 7, offset: 32, more: true, protocol: udpNumber }, rest).action, "redirect");
      assert.equal(send({ id: 7, offset: 56, more: false, protocol: udpNumber }, rest).action, "redirect");
      assert.equal(programs.connections(family).length, 1);
    });

    test(`IPv${family}: they are judged by those ports`, () => {
      placeTwoPods(programs, [clientMayAll, serverUdp53]);
      assert.equal(send(first, udp(4000, 54), rest).dropReason, dropReason.policyDenied);
      assert.equal(send({ id: 7, offset: 32, more: false, protocol: udpNumber }, rest).dropReason, dropReason.policyDenied);
    });

    for (const [name, piece] of [
      ["of another datagram", { id: 8, offset: 32, more: false, protocol: udpNumber }],
      ["of another protocol", { id: 7, offset: 32, more: false, protocol: 6 }],
    ] as const) {
      test(`IPv${family}: one ${name} has no ports`, () => {
        placeTwoPods(programs, allowAll(client, server));
        send(first, udp(4000, 53), rest);
        assert.equal(send(piece, rest).dropReason, dropReason.firstLogicalDatagramFragmentNotFound);
      });
    }

    test(`IPv${family}: one from somebody else has no ports`, () => {
      placeTwoPods(programs, allowAll(client, server));
      send(first, udp(4000, 53), rest);
      const stranger: Pod = { ...client, ipv4: "10.1.0.9", ipv6: "fd00::9" };
      programs.setRow(stranger);
      const packet = sent(client, ...around(family, stranger, server, { id: 7, offset: 32, more: false, protocol: udpNumber }), rest);
      assert.equal(programs.fromPod(client, packet).dropReason, dropReason.firstLogicalDatagramFragmentNotFound);
    });

    test(`IPv${family}: those of a large ping are the ping's`, () => {
      placeTwoPods(programs, [
        clientMayAll,
        { set: server.policySet, direction: "ingress", protocol: family === 4 ? 1 : 58, port: family === 4 ? 8 : 128 },
      ]);
      assert.equal(send(first, icmp(family, family === 4 ? 8 : 128, { id: 3 }), rest).action, "redirect");
      assert.equal(send({ id: 7, offset: 32, more: false, protocol: family === 4 ? 1 : 58 }, rest).action, "redirect");
      assert.equal(programs.connections(family).length, 1);
    });

    test(`IPv${family}: the later ones of an ICMP error are judged alone, for they quote nothing`, () => {
      placeTwoPods(programs, [clientMayAll, serverUdp53]);
      const question = [ip(family, at(client, family), at(server, family)), udp(4000, 53)];
      programs.fromPod(client, sent(client, ...question));
      const error = icmp(family, family === 4 ? 3 : 1);
      const back = (piece: Piece, ...layers: readonly Layer[]) =>
        programs.fromPod(server, sent(server, ...around(family, server, client, piece), ...layers));
      assert.equal(back(first, error, quote(72, ...question)).action, "redirect");
      const later = back({ id: 7, offset: 80, more: false, protocol: family === 4 ? 1 : 58 }, rest);
      assert.equal(later.dropReason, dropReason.policyDenied);
    });

    test(`IPv${family}: they work from outside too`, () => {
      placeTwoPods(programs, [serverUdp53]);
      const into = (piece: Piece, ...layers: readonly Layer[]) =>
        programs.toPod(server, received(server, ...around(family, outside, server, piece), ...layers));
      assert.equal(
        into({ id: 9, offset: 32, more: false, protocol: udpNumber }, rest).dropReason,
        dropReason.firstLogicalDatagramFragmentNotFound,
      );
      assert.equal(into({ ...first, id: 9 }, udp(4000, 53), rest).action, "pass");
      assert.equal(into({ id: 9, offset: 32, more: false, protocol: udpNumber }, rest).action, "pass");
    });

    test(`IPv${family}: a first one without the whole TCP header is refused`, () => {
      placeTwoPods(programs, allowAll(client, server));
      assert.equal(send({ ...first, protocol: 6 }, payload(new Uint8Array(16))).dropReason, dropReason.ctTruncatedOrInvalidHeader);
    });
  }

  test("IPv6: extension headers behind the fragment header are in the first one only", () => {
    placeTwoPods(programs, allowAll(client, server));
    const layers = (piece: Piece & { next?: number }) => [ipv6(client.ipv6, server.ipv6), fragment(piece)];
    assert.equal(
      programs.fromPod(client, sent(client, ...layers(first), extension("destination"), udp(4000, 53), rest)).action,
      "redirect",
    );
    assert.equal(programs.fromPod(client, sent(client, ...layers({ id: 7, offset: 40, more: false, next: 60 }), rest)).action, "redirect");
    assert.equal(programs.connections(6).length, 1);
  });

  test("IPv6: a whole datagram in one fragment is no fragment", () => {
    placeTwoPods(programs, allowAll(client, server));
    const packet = sent(client, ipv6(client.ipv6, server.ipv6), fragment({ id: 1 }), tcp(4000, 80, "S"));
    assert.equal(programs.fromPod(client, packet).action, "redirect");
    assert.equal(programs.map("fragments").dump().count, 0);
  });

  for (const kind of ["hop-by-hop", "routing", "authentication", "destination"] as const) {
    test(`IPv6: the ports behind a ${kind} header are found`, () => {
      placeTwoPods(programs, [clientMayAll, serverUdp53]);
      assert.equal(
        programs.fromPod(client, sent(client, ipv6(client.ipv6, server.ipv6), extension(kind), udp(4000, 53))).action,
        "redirect",
      );
      assert.equal(
        programs.fromPod(client, sent(client, ipv6(client.ipv6, server.ipv6), extension(kind), udp(4000, 54))).dropReason,
        dropReason.policyDenied,
      );
    });
  }

  test("IPv6: six extension headers are still read", () => {
    placeTwoPods(programs, [clientMayAll, serverUdp53]);
    const chain = Array.from({ length: 6 }, () => extension("destination"));
    assert.equal(programs.fromPod(client, sent(client, ipv6(client.ipv6, server.ipv6), ...chain, udp(4000, 53))).action, "redirect");
  });

  test("IPv4: the ports behind options are found", () => {
    placeTwoPods(programs, [clientMayAll, serverUdp53]);
    const to = ipv4(client.ipv4, server.ipv4, { optionBytes: 40 });
    assert.equal(programs.fromPod(client, sent(client, to, udp(4000, 53))).action, "redirect");
    assert.equal(programs.fromPod(client, sent(client, to, udp(4000, 54))).dropReason, dropReason.policyDenied);
  });
});
