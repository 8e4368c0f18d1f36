import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import {
  decodeNatKey,
  dropReason,
  encodeCtEntry,
  encodeCtKey4,
  encodeMasqueradeKey,
  encodeNativeDevice,
  natDirection,
} from "../../adapters/datapath/src/gen/index.ts";
import { addressBytes, ethernet, frame, icmp, type Layer, quote, sctp, tcp, udp } from "./layers.ts";
import { PodPrograms, testIfindex, u32 } from "./pod-programs.ts";
import { at, client, type Family, families, host, ip, placeTwoPods, server } from "./two-pods.ts";

const skip = requireKernel();
const world = { ipv4: "198.51.100.9", ipv6: "2001:db8:9::9" };
/** The test's device, whose own MAC is zero. */
const link = ethernet("00:00:00:00:00:00", "00:00:00:00:00:00");
const portOffset = (family: Family): number => (family === 4 ? 34 : 54);
const portAt = (packet: Uint8Array, offset: number): number => new DataView(packet.buffer, packet.byteOffset).getUint16(offset);

describe("translation at a native device", { skip }, () => {
  let programs: PodPrograms;
  before(async () => {
    if (skip === false) programs = await PodPrograms.open({ masqueradeEnabled: 1 }, { snat: 4096 }, "network");
  });
  after(() => programs?.[Symbol.dispose]());

  const place = (): void => {
    placeTwoPods(programs);
    const device = encodeNativeDevice({ ipv4: addressBytes(host.ipv4), ipv6: addressBytes(host.ipv6) });
    programs.map("native_devices").update(u32(testIfindex), device);
  };
  const out = (packet: Uint8Array): Uint8Array => {
    const outcome = programs.onNetwork("to_network", packet);
    assert.equal(outcome.action, "pass");
    return outcome.packet;
  };
  const back = (packet: Uint8Array): Uint8Array => programs.onNetwork("from_network", packet).packet;

  for (const family of families) {
    const [pod, node, far] = [at(client, family), at(host, family), at(world, family)];
    for (const [name, make, answer] of [
      ["TCP", (port: number) => tcp(port, 80, "S"), (port: number) => tcp(80, port, "SA")],
      ["UDP", (port: number) => udp(port, 53), (port: number) => udp(53, port)],
      [
        "an echo",
        (id: number) => icmp(family, family === 4 ? 8 : 128, { id }),
        (id: number) => icmp(family, family === 4 ? 0 : 129, { id }),
      ],
    ] as ReadonlyArray<readonly [string, (port: number) => Layer, (port: number) => Layer]>) {
      test(`IPv${family}: ${name} leaves from the node with a right checksum, and what answers it comes to the pod`, () => {
        place();
        const sent = out(frame(link, ip(family, pod, far), make(40_000), "hello"));
        const port = portAt(sent, portOffset(family) + (name === "an echo" ? 4 : 0));
        assert.ok(port >= 1024 && port < 30_000, String(port));
        assert.deepEqual(sent, frame(link, ip(family, node, far), make(port), "hello"));
        assert.deepEqual(
          out(frame(link, ip(family, pod, far), make(40_000), "again")),
          frame(link, ip(family, node, far), make(port), "again"),
        );
        assert.deepEqual(
          back(frame(link, ip(family, far, node), answer(port), "yes")),
          frame(link, ip(family, far, pod), answer(40_000), "yes"),
        );
      });
    }

    test(`IPv${family}: a translation that lost its way back is made anew`, () => {
      place();
      out(frame(link, ip(family, pod, far), udp(40_000, 53)));
      const snat = programs.map("snat");
      const { keys, count } = snat.dump();
      for (let index = 0; index < count; index += 1) {
        const key = keys.slice(index * snat.keySizeBytes, (index + 1) * snat.keySizeBytes);
        if (decodeNatKey(key).direction === natDirection.in) snat.delete(key);
      }
      const port = portAt(out(frame(link, ip(family, pod, far), udp(40_000, 53))), portOffset(family));
      assert.deepEqual(back(frame(link, ip(family, far, node), udp(53, port))), frame(link, ip(family, far, pod), udp(53, 40_000)));
    });

    test(`IPv${family}: an ICMP error about it names the pod, inside and outside`, () => {
      place();
      const port = portAt(out(frame(link, ip(family, pod, far), tcp(40_000, 80, "S"))), portOffset(family));
      const message = icmp(family, family === 4 ? 3 : 2, { code: family === 4 ? 4 : 0, sequence: 1300 });
      const quoted = (source: string, sourcePort: number): Layer =>
        quote(family === 4 ? 28 : 48, ip(family, source, far), tcp(sourcePort, 80, "S"));
      assert.deepEqual(
        back(frame(link, ip(family, far, node), message, quoted(node, port))),
        frame(link, ip(family, far, pod), message, quoted(pod, 40_000)),
      );
    });

    for (const [name, packet] of [
      ["what the node itself sends", frame(link, ip(family, node, far), udp(40_000, 53))],
      [
        "what the world sends through the node",
        frame(link, ip(family, far, at({ ipv4: "203.0.113.1", ipv6: "2001:db8:1::1" }, family)), udp(1, 2)),
      ],
      ["what is for an exempt destination", frame(link, ip(family, pod, at(server, family)), udp(40_000, 53))],
      ["an echo's answer", frame(link, ip(family, pod, far), icmp(family, family === 4 ? 0 : 129, { id: 7 }))],
    ] as const) {
      test(`IPv${family}: ${name} stays as it is`, () => {
        place();
        const bits = family === 4 ? 24 : 64;
        const address = new Uint8Array(16);
        address.set(addressBytes(at(server, family)));
        programs.map("masquerade_exempt").update(encodeMasqueradeKey({ prefixLength: 32 + bits, family, address }), u32(1));
        assert.deepEqual(out(packet), packet);
        assert.equal(programs.map("snat").dump().count, 0);
      });
    }

    test(`IPv${family}: what comes to the node and was never asked for stays as it is`, () => {
      place();
      for (const port of [2000, 40_000]) {
        const packet = frame(link, ip(family, far, node), udp(53, port));
        assert.deepEqual(back(packet), packet);
      }
    });
  }

  test("IPv4: a datagram without a checksum still has none", () => {
    place();
    const packet = frame(link, ip(4, client.ipv4, world.ipv4), udp(40_000, 53));
    packet.set([0, 0], 40);
    assert.deepEqual([...out(packet).subarray(40, 42)], [0, 0]);
  });

  test("SCTP keeps its port, which one pod may have until its connection has ended", () => {
    place();
    const first = frame(link, ip(4, client.ipv4, world.ipv4), sctp(5000, 38412));
    const second = frame(link, ip(4, server.ipv4, world.ipv4), sctp(5000, 38412));
    const translated = frame(link, ip(4, host.ipv4, world.ipv4), sctp(5000, 38412));
    const expire = (expiresS: number): void => {
      const ends = { lowAddress: addressBytes(client.ipv4), lowPort: 5000, highAddress: addressBytes(world.ipv4), highPort: 38412 };
      const nothing = { flags: 0, sourceIdentity: 0, destinationIdentity: 0, egressSet: 0, ingressSet: 0, generation: 0, proxyPort: 0 };
      const none: readonly [number, number] = [0, 0];
      const seen = { reportedS: none, reportedFlags: new Uint8Array(2), endpointId: none, tunnelEndpoint: new Uint8Array(4) };
      programs.map("ct4").update(encodeCtKey4({ ...ends, protocol: 132 }), encodeCtEntry({ expiresS, ...nothing, ...seen }));
    };
    expire(programs.nowS() + 60);
    assert.deepEqual(out(first), translated);
    assert.equal(programs.onNetwork("to_network", second).dropReason, dropReason.noMappingForNatMasquerade);
    expire(programs.nowS() - 60);
    assert.deepEqual(out(second), translated);
    const answer = frame(link, ip(4, world.ipv4, host.ipv4), sctp(38412, 5000));
    assert.deepEqual(back(answer), frame(link, ip(4, world.ipv4, server.ipv4), sctp(38412, 5000)));
  });
});
