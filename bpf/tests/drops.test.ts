import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { decodeMetricsKey, dropReason, sourceFile } from "../../adapters/datapath/src/gen/index.ts";
import { arp, ethernet, extension, fragment, frame, icmp, ipv4, ipv6, payload, quote, tcp, udp } from "./layers.ts";
import type { Pod, PodPrograms } from "./pod-programs.ts";
import { allowAll, client, host, openTwoPods, placeTwoPods, received, sent, server } from "./two-pods.ts";

const skip = requireKernel();
let programs: PodPrograms;
before(async () => {
  if (skip === false) programs = await openTwoPods();
});
after(() => programs?.[Symbol.dispose]());

const to4 = ipv4(client.ipv4, server.ipv4);
const to6 = ipv6(client.ipv6, server.ipv6);
/** The first bytes of a frame. */
const cut = (bytes: Uint8Array, sizeBytes: number): Uint8Array => bytes.slice(0, sizeBytes);
const short = (sizeBytes: number) => payload(new Uint8Array(sizeBytes));
const chain = (length: number) => Array.from({ length }, () => extension("destination"));

interface Row {
  readonly name: string;
  readonly reason: keyof typeof dropReason;
  readonly file: keyof typeof sourceFile;
  readonly packet: Uint8Array;
  readonly set?: (pods: PodPrograms) => void;
}

const unready: Pod = { ...client, policySet: 0 };

/* Frames that end within the IP header are not here: a test run of Linux 6.18 does not take them. */
const fromPodRows: readonly Row[] = [
  {
    name: "the pod has no policy yet, IPv4",
    reason: "epNotReady",
    file: "filePod",
    packet: sent(client, to4, udp(1, 2)),
    set: (pods) => pods.setRow(unready),
  },
  {
    name: "the pod has no policy yet, IPv6",
    reason: "epNotReady",
    file: "filePod",
    packet: sent(client, to6, udp(1, 2)),
    set: (pods) => pods.setRow(unready),
  },
  {
    name: "the destination has no policy yet",
    reason: "epNotReady",
    file: "fileDestination",
    packet: sent(client, to4, udp(1, 2)),
    set: (pods) => pods.setRow({ ...server, policySet: 0 }),
  },
  {
    name: "the destination's row is gone",
    reason: "epNotReady",
    file: "fileDestination",
    packet: sent(client, to6, udp(1, 2)),
    set: (pods) => pods.setLocalAddress(server.ipv6, 5, 0),
  },
  {
    name: "a VLAN",
    reason: "vlanFiltered",
    file: "filePod",
    packet: frame(ethernet(client.mac, client.hostMac, { type: 0x8100 }), "0123456789"),
  },
  {
    name: "neither IP nor ARP",
    reason: "unsupportedL2Protocol",
    file: "filePod",
    packet: frame(ethernet(client.mac, client.hostMac, { type: 0x88cc }), "0123456789"),
  },
  {
    name: "IPv4 header of another version",
    reason: "invalidPacketDropped",
    file: "fileParse",
    packet: sent(client, ipv4(client.ipv4, server.ipv4, { version: 5 }), udp(1, 2)),
  },
  {
    name: "IPv4 header of 4 words",
    reason: "invalidPacketDropped",
    file: "fileParse",
    packet: sent(client, ipv4(client.ipv4, server.ipv4, { headerWords: 4 }), udp(1, 2)),
  },
  {
    name: "IPv6 header of another version",
    reason: "invalidPacketDropped",
    file: "fileParse",
    packet: sent(client, ipv6(client.ipv6, server.ipv6, { version: 4 }), udp(1, 2)),
  },
  {
    name: "IPv6 extension header cut off",
    reason: "invalidPacketDropped",
    file: "fileParse",
    packet: sent(client, ipv6(client.ipv6, server.ipv6, { next: 0 }), short(1)),
  },
  {
    name: "IPv6 fragment header cut off",
    reason: "invalidPacketDropped",
    file: "fileParse",
    packet: sent(client, ipv6(client.ipv6, server.ipv6, { next: 44 }), short(5)),
  },
  {
    name: "seven IPv6 extension headers",
    reason: "invalidIpv6ExtensionHeader",
    file: "fileParse",
    packet: sent(client, to6, ...chain(7), udp(1, 2)),
  },
  {
    name: "IPv6 with nothing inside",
    reason: "invalidIpv6ExtensionHeader",
    file: "fileParse",
    packet: sent(client, ipv6(client.ipv6, server.ipv6, { next: 59 })),
  },
  {
    name: "IPv6 with two fragment headers",
    reason: "invalidIpv6ExtensionHeader",
    file: "fileParse",
    packet: sent(client, to6, fragment({ id: 1, more: true }), fragment({ id: 2, more: true }), udp(1, 2)),
  },
  {
    name: "a source that is not the pod's, IPv4",
    reason: "invalidSourceIp",
    file: "filePod",
    packet: sent(client, ipv4("10.1.0.99", server.ipv4), udp(1, 2)),
  },
  {
    name: "no source, IPv4",
    reason: "invalidSourceIp",
    file: "filePod",
    packet: sent(client, ipv4("0.0.0.0", "255.255.255.255"), udp(68, 67)),
  },
  {
    name: "no source, of a pod without IPv4",
    reason: "invalidSourceIp",
    file: "filePod",
    packet: sent(client, ipv4("0.0.0.0", server.ipv4), udp(1, 2)),
    set: (pods) => pods.setRow({ ...client, ipv4: "" }),
  },
  {
    name: "a source that is not the pod's, IPv6",
    reason: "invalidSourceIp",
    file: "filePod",
    packet: sent(client, ipv6("fd00::99", server.ipv6), udp(1, 2)),
  },
  {
    name: "a link-local source for anything but neighbour discovery",
    reason: "invalidSourceIp",
    file: "filePod",
    packet: sent(client, ipv6("fe80::1", server.ipv6), udp(1, 2)),
  },
  {
    name: "no source, of a pod without IPv6",
    reason: "invalidSourceIp",
    file: "filePod",
    packet: sent(client, ipv6("::", server.ipv6), udp(1, 2)),
    set: (pods) => pods.setRow({ ...client, ipv6: "" }),
  },
  {
    name: "TCP header cut off, IPv4",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileL4",
    packet: sent(client, ipv4(client.ipv4, server.ipv4, { protocol: 6 }), short(19)),
  },
  {
    name: "TCP header cut off, IPv6",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileL4",
    packet: sent(client, ipv6(client.ipv6, server.ipv6, { next: 6 }), short(19)),
  },
  {
    name: "UDP header cut off",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileL4",
    packet: sent(client, ipv4(client.ipv4, server.ipv4, { protocol: 17 }), short(7)),
  },
  {
    name: "UDP header cut off behind IPv4 options",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileL4",
    packet: sent(client, ipv4(client.ipv4, server.ipv4, { protocol: 17, optionBytes: 12 }), short(7)),
  },
  {
    name: "SCTP header cut off",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileL4",
    packet: sent(client, ipv4(client.ipv4, server.ipv4, { protocol: 132 }), short(11)),
  },
  {
    name: "ICMP header cut off",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileL4",
    packet: sent(client, ipv4(client.ipv4, server.ipv4, { protocol: 1 }), short(7)),
  },
  {
    name: "ICMPv6 header cut off",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileL4",
    packet: sent(client, ipv6(client.ipv6, server.ipv6, { next: 58 }), short(7)),
  },
  {
    name: "an ICMP error that quotes half a header",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileIcmp",
    packet: sent(client, to4, icmp(4, 3), quote(19, ipv4(server.ipv4, client.ipv4), udp(1, 2))),
  },
  {
    name: "an ICMP error that quotes no ports",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileIcmp",
    packet: sent(client, to4, icmp(4, 3), quote(27, ipv4(server.ipv4, client.ipv4), udp(1, 2))),
  },
  {
    name: "an ICMP error that quotes no IP",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileIcmp",
    packet: sent(client, to4, icmp(4, 3), quote(28, ipv4(server.ipv4, client.ipv4, { version: 6 }), udp(1, 2))),
  },
  {
    name: "an ICMPv6 error that quotes half a header",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileIcmp",
    packet: sent(client, to6, icmp(6, 1), quote(39, ipv6(server.ipv6, client.ipv6), udp(1, 2))),
  },
  {
    name: "GRE",
    reason: "ctUnknownL4Protocol",
    file: "fileL4",
    packet: sent(client, ipv4(client.ipv4, server.ipv4, { protocol: 47 }), short(20)),
  },
  {
    name: "IGMP",
    reason: "ctUnknownL4Protocol",
    file: "fileL4",
    packet: sent(client, ipv4(client.ipv4, "224.0.0.22", { protocol: 2 }), short(20)),
  },
  {
    name: "ICMPv6 within IPv4",
    reason: "ctUnknownL4Protocol",
    file: "fileL4",
    packet: sent(client, ipv4(client.ipv4, server.ipv4, { protocol: 58 }), short(20)),
  },
  {
    name: "ICMP within IPv6",
    reason: "ctUnknownL4Protocol",
    file: "fileL4",
    packet: sent(client, ipv6(client.ipv6, server.ipv6, { next: 1 }), short(20)),
  },
  {
    name: "an unknown protocol within IPv6",
    reason: "ctUnknownL4Protocol",
    file: "fileL4",
    packet: sent(client, ipv6(client.ipv6, server.ipv6, { next: 200 }), short(20)),
  },
  {
    name: "a fragment whose first was never seen, IPv4",
    reason: "firstLogicalDatagramFragmentNotFound",
    file: "fileFragments",
    packet: sent(client, ipv4(client.ipv4, server.ipv4, { protocol: 17, offset: 8 }), short(20)),
  },
  {
    name: "a fragment whose first was never seen, IPv6",
    reason: "firstLogicalDatagramFragmentNotFound",
    file: "fileFragments",
    packet: sent(client, to6, fragment({ id: 1, offset: 8, next: 17 }), short(20)),
  },
  {
    name: "no hops left",
    reason: "ttlExceeded",
    file: "fileDeliver",
    packet: sent(client, ipv4(client.ipv4, server.ipv4, { ttl: 1 }), udp(1, 2)),
  },
  {
    name: "nothing allows it",
    reason: "policyDenied",
    file: "filePolicy",
    packet: sent(client, to4, tcp(1, 2, "S")),
    set: (pods) => pods.setRow({ ...client, policySet: 77 }),
  },
  {
    name: "a rule denies it",
    reason: "policyDeny",
    file: "filePolicy",
    packet: sent(client, to4, tcp(1, 2, "S")),
    set: (pods) => pods.addRule({ set: client.policySet, direction: "egress", deny: true }),
  },
  {
    name: "a router advertisement",
    reason: "forbiddenIcmpv6Message",
    file: "fileNeighbour",
    packet: sent(client, ipv6("fe80::1", "ff02::1", { hopLimit: 255 }), icmp(6, 134)),
  },
  {
    name: "an ICMPv6 redirect",
    reason: "forbiddenIcmpv6Message",
    file: "fileNeighbour",
    packet: sent(client, ipv6("fe80::1", client.ipv6, { hopLimit: 255 }), icmp(6, 137)),
  },
  {
    name: "ARP cut off",
    reason: "invalidPacketDropped",
    file: "fileNeighbour",
    packet: cut(sent(client, arp({ operation: "request", senderMac: client.mac, senderIp: client.ipv4, targetIp: host.ipv4 })), 40),
  },
  {
    name: "ARP of another hardware",
    reason: "invalidPacketDropped",
    file: "fileNeighbour",
    packet: sent(client, arp({ operation: "request", senderMac: client.mac, senderIp: client.ipv4, targetIp: host.ipv4, hardware: 6 })),
  },
  {
    name: "ARP for somebody else",
    reason: "invalidSourceIp",
    file: "fileNeighbour",
    packet: sent(client, arp({ operation: "reply", senderMac: client.mac, senderIp: host.ipv4, targetIp: host.ipv4 })),
  },
  {
    name: "a neighbour solicitation cut off",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileNeighbour",
    packet: sent(client, ipv6(client.ipv6, "ff02::1:ff00:1", { hopLimit: 255 }), icmp(6, 135), short(15)),
  },
];

const toPodRows: readonly Row[] = [
  {
    name: "the pod has no policy yet",
    reason: "epNotReady",
    file: "filePod",
    packet: received(client, ipv4(host.ipv4, client.ipv4), udp(1, 2)),
    set: (pods) => pods.setRow(unready),
  },
  {
    name: "a VLAN",
    reason: "vlanFiltered",
    file: "filePod",
    packet: frame(ethernet(client.hostMac, client.mac, { type: 0x88a8 }), "0123456789"),
  },
  {
    name: "neither IP nor ARP",
    reason: "unsupportedL2Protocol",
    file: "filePod",
    packet: frame(ethernet(client.hostMac, client.mac, { type: 0x88cc }), "0123456789"),
  },
  {
    name: "TCP header cut off",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileL4",
    packet: received(client, ipv6(host.ipv6, client.ipv6, { next: 6 }), short(19)),
  },
  {
    name: "an ICMP error that quotes half a header",
    reason: "ctTruncatedOrInvalidHeader",
    file: "fileIcmp",
    packet: received(client, ipv4(host.ipv4, client.ipv4), icmp(4, 3), short(19)),
  },
  {
    name: "an unknown protocol",
    reason: "ctUnknownL4Protocol",
    file: "fileL4",
    packet: received(client, ipv4(host.ipv4, client.ipv4, { protocol: 47 }), short(20)),
  },
  {
    name: "a fragment whose first was never seen",
    reason: "firstLogicalDatagramFragmentNotFound",
    file: "fileFragments",
    packet: received(client, ipv4(host.ipv4, client.ipv4, { protocol: 17, offset: 8 }), short(20)),
  },
  {
    name: "a rule denies it",
    reason: "policyDeny",
    file: "filePolicy",
    packet: received(client, ipv4(host.ipv4, client.ipv4), udp(1, 2)),
    set: (pods) => pods.addRule({ set: client.policySet, direction: "ingress", deny: true }),
  },
];

/** `enum metrics_direction` */
const directions = { from_pod: 2, to_pod: 1 } as const;

describe("what is dropped is counted once and reported with reason, file and line", { skip }, () => {
  for (const [program, rows] of [
    ["from_pod", fromPodRows],
    ["to_pod", toPodRows],
  ] as const) {
    for (const { name, reason, file, packet, set } of rows) {
      test(`${program}: ${name} (${dropReason[reason]})`, () => {
        placeTwoPods(programs, allowAll(client, server));
        set?.(programs);
        const outcome = program === "from_pod" ? programs.fromPod(client, packet) : programs.toPod(client, packet);
        assert.equal(outcome.action, "drop");
        const events = outcome.events.filter((event) => event.kind === "drop");
        assert.equal(events.length, 1);
        const [event] = events;
        assert.ok(event?.kind === "drop");
        assert.equal(event.notify.header.subtype, dropReason[reason]);
        assert.equal(event.notify.file, sourceFile[file]);
        assert.ok(event.notify.line > 0);
        assert.equal(event.notify.header.source, client.id);
        assert.deepEqual(event.payload.subarray(0, 14), packet.subarray(0, 14));

        const metrics = programs.map("metrics");
        const { keys, count } = metrics.dump();
        assert.equal(count, 1);
        const { reason: counted, direction, line, file: fileCounted } = decodeMetricsKey(keys);
        assert.deepEqual(
          { counted, direction, line, fileCounted },
          { counted: dropReason[reason], direction: directions[program], line: event.notify.line, fileCounted: sourceFile[file] },
        );
        assert.deepEqual(programs.perCpuSum(metrics, keys.subarray(0, metrics.keySizeBytes)), [1n, BigInt(outcome.packet.length)]);
      });
    }

    test(`${program}: a device that is no pod's (${dropReason.epNotReady})`, () => {
      placeTwoPods(programs, allowAll(client, server));
      for (const packet of [
        sent(client, to4, udp(1, 2)),
        sent(client, to6, udp(1, 2)),
        sent(client, arp({ operation: "request", senderMac: client.mac, senderIp: client.ipv4, targetIp: host.ipv4 })),
      ]) {
        const outcome = programs.onStrangeDevice(program, packet);
        assert.equal(outcome.dropReason, dropReason.epNotReady);
        assert.equal(outcome.events[0]?.notify.header.source, 0);
      }
    });
  }

  test("a drop for the destination's policy is the destination's", () => {
    placeTwoPods(programs, [{ set: client.policySet, direction: "egress" }]);
    const [, , event] = programs.fromPod(client, sent(client, to4, tcp(4000, 80, "S"))).events;
    assert.ok(event?.kind === "drop");
    const { header, sourceIdentity, destinationIdentity, destinationId } = event.notify;
    assert.deepEqual(
      [header.source, sourceIdentity, destinationIdentity, destinationId],
      [server.id, client.identity, server.identity, server.id],
    );
    assert.equal(decodeMetricsKey(programs.map("metrics").dump().keys).direction, 1);
  });

  test("the line of a drop differs from place to place", () => {
    placeTwoPods(programs, allowAll(client, server));
    for (const { packet } of fromPodRows.filter(({ reason, set }) => reason === "invalidPacketDropped" && set === undefined))
      programs.fromPod(client, packet);
    const { keys, count } = programs.map("metrics").dump();
    const places = Array.from({ length: count }, (_, index) => decodeMetricsKey(keys, index * 8)).map(
      ({ file, line }) => `${file}:${line}`,
    );
    assert.ok(new Set(places).size >= 4, places.join(" "));
  });
});
