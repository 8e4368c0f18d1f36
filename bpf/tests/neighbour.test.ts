import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { dropReason } from "../../adapters/datapath/src/gen/index.ts";
import {
  type ArpFields,
  arp,
  ethernet,
  extension,
  frame,
  icmp,
  ipv6,
  type Layer,
  neighbourAdvertisement,
  neighbourSolicitation,
} from "./layers.ts";
import type { PodPrograms } from "./pod-programs.ts";
import { client, host, openTwoPods, outside, placeTwoPods, received, sent, server } from "./two-pods.ts";

const skip = requireKernel();
let programs: PodPrograms;
before(async () => {
  if (skip === false) programs = await openTwoPods();
});
after(() => programs?.[Symbol.dispose]());

const broadcast = "ff:ff:ff:ff:ff:ff";

describe("ARP", { skip }, () => {
  const request = (fields: Partial<ArpFields>): Uint8Array =>
    frame(
      ethernet(client.mac, broadcast),
      arp({ operation: "request", senderMac: client.mac, senderIp: client.ipv4, targetIp: host.ipv4, ...fields }),
    );

  for (const [name, address] of [
    ["the gateway", host.ipv4],
    ["another pod", server.ipv4],
    ["anybody else", outside.ipv4],
  ] as const) {
    test(`a request for ${name} is answered with the host side of the veth, before there is a policy`, () => {
      placeTwoPods(programs);
      programs.setRow({ ...client, policySet: 0 });
      const outcome = programs.fromPod(client, request({ targetIp: address }));
      assert.equal(outcome.action, "redirect");
      const answer = arp({
        operation: "reply",
        senderMac: client.hostMac,
        senderIp: address,
        targetMac: client.mac,
        targetIp: client.ipv4,
      });
      assert.deepEqual(outcome.packet, frame(ethernet(client.hostMac, client.mac), answer));
      assert.deepEqual(outcome.events, []);
    });
  }

  for (const [name, fields] of [
    ["a request for the pod's own address", { targetIp: client.ipv4 }],
    ["a probe whether an address is free", { senderIp: "0.0.0.0" }],
    ["a reply", { operation: "reply", targetMac: client.hostMac }],
  ] as const) {
    test(`${name} is left to the node's stack`, () => {
      placeTwoPods(programs);
      const packet = request(fields);
      const outcome = programs.fromPod(client, packet);
      assert.equal(outcome.action, "pass");
      assert.deepEqual(outcome.packet, packet);
    });
  }

  test("the node's own requests and replies reach the pod", () => {
    placeTwoPods(programs);
    programs.setRow({ ...client, policySet: 0 });
    for (const operation of ["request", "reply"] as const) {
      const packet = received(client, arp({ operation, senderMac: client.hostMac, senderIp: host.ipv4, targetIp: client.ipv4 }));
      assert.equal(programs.toPod(client, packet).action, "pass");
    }
  });
});

describe("neighbour discovery", { skip }, () => {
  const discovery = (source: string, destination: string, ...layers: readonly Layer[]): Uint8Array =>
    frame(ethernet(client.mac, "33:33:ff:00:00:01"), ipv6(source, destination, { hopLimit: 255 }), ...layers);
  const [solicited, override, router] = [0x40, 0x20, 0x80];

  for (const [name, target, flags] of [
    ["the gateway", host.ipv6, solicited | override | router],
    ["another pod", server.ipv6, solicited | override],
    ["a link-local address", "fe80::1", solicited | override],
    ["anybody else", outside.ipv6, solicited | override],
  ] as const) {
    for (const [how, source, mac] of [
      ["from its address", client.ipv6, client.mac],
      ["from a link-local address", "fe80::5", client.mac],
      ["without a link address", client.ipv6, undefined],
    ] as const) {
      test(`a solicitation for ${name} ${how} is answered with the host side of the veth`, () => {
        placeTwoPods(programs);
        programs.setRow({ ...client, policySet: 0 });
        const outcome = programs.fromPod(client, discovery(source, "ff02::1:ff00:1", neighbourSolicitation(target, mac)));
        assert.equal(outcome.action, "redirect");
        assert.deepEqual(
          outcome.packet,
          frame(
            ethernet(client.hostMac, client.mac),
            ipv6(target, source, { hopLimit: 255 }),
            neighbourAdvertisement(target, client.hostMac, flags),
          ),
        );
        assert.deepEqual(outcome.events, []);
      });
    }
  }

  for (const [name, packet] of [
    ["duplicate address detection", discovery("::", "ff02::1:ff00:5", neighbourSolicitation(client.ipv6))],
    ["duplicate address detection of a link-local address", discovery("::", "ff02::1:ff00:5", neighbourSolicitation("fe80::5"))],
    ["a solicitation for the pod's own address", discovery(client.ipv6, "ff02::1:ff00:5", neighbourSolicitation(client.ipv6, client.mac))],
    [
      "an advertisement, which the node's stack may have asked for",
      discovery(client.ipv6, host.ipv6, neighbourAdvertisement(client.ipv6, client.mac, solicited)),
    ],
    ["a router solicitation", discovery("fe80::5", "ff02::2", icmp(6, 133))],
    [
      "a multicast listener report",
      frame(ethernet(client.mac, "33:33:00:00:00:16"), ipv6("::", "ff02::16", { hopLimit: 1 }), extension("hop-by-hop"), icmp(6, 143)),
    ],
  ] as const) {
    test(`${name} is left to the node's stack`, () => {
      placeTwoPods(programs);
      programs.setRow({ ...client, policySet: 0 });
      const outcome = programs.fromPod(client, packet);
      assert.equal(outcome.action, "pass");
      assert.deepEqual(outcome.packet, packet);
    });
  }

  test("what came over a router is no neighbour discovery, but a message that policy judges", () => {
    placeTwoPods(programs);
    const layers = [neighbourSolicitation(host.ipv6, client.mac)];
    assert.equal(programs.fromPod(client, sent(client, ipv6(client.ipv6, host.ipv6), ...layers)).dropReason, dropReason.policyDenied);
    assert.equal(
      programs.toPod(client, received(client, ipv6(outside.ipv6, client.ipv6, { hopLimit: 254 }), ...layers)).dropReason,
      dropReason.policyDenied,
    );
  });

  test("a source of somebody else is refused", () => {
    placeTwoPods(programs);
    const packet = discovery(server.ipv6, "ff02::1:ff00:1", neighbourSolicitation(host.ipv6, client.mac));
    assert.equal(programs.fromPod(client, packet).dropReason, dropReason.invalidSourceIp);
  });

  test("the node's own messages reach the pod", () => {
    placeTwoPods(programs);
    programs.setRow({ ...client, policySet: 0 });
    for (const layer of [
      neighbourSolicitation(client.ipv6, client.hostMac),
      neighbourAdvertisement(host.ipv6, client.hostMac, solicited),
      icmp(6, 134),
    ]) {
      const outcome = programs.toPod(client, received(client, ipv6("fe80::1", client.ipv6, { hopLimit: 255 }), layer));
      assert.equal(outcome.action, "pass");
      assert.deepEqual(outcome.events, []);
    }
  });
});
