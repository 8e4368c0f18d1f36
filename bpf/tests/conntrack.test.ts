import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { type CtEntry, ctFlags, dropReason } from "../../adapters/datapath/src/gen/index.ts";
import { icmp, type Layer, tcp, udp } from "./layers.ts";
import { defaultConfig, type Outcome, type Pod, type PodPrograms } from "./pod-programs.ts";
import {
  allowAll,
  at,
  client,
  type Family,
  families,
  host,
  ip,
  openTwoPods,
  outside,
  placeTwoPods,
  received,
  sent,
  server,
} from "./two-pods.ts";

const skip = requireKernel();
let programs: PodPrograms;
before(async () => {
  if (skip === false) programs = await openTwoPods();
});
after(() => programs?.[Symbol.dispose]());

const { anyTimeoutS, tcpTimeoutS, tcpSynTimeoutS, tcpCloseTimeoutS } = defaultConfig;

/** Flags as TCP letters; `>` from the client, `<` from the server. */
function segment(family: Family, text: string): Outcome {
  const [from, to, ports]: [Pod, Pod, [number, number]] = text.startsWith(">")
    ? [client, server, [4000, 80]]
    : [server, client, [80, 4000]];
  return programs.fromPod(from, sent(from, ip(family, at(from, family), at(to, family)), tcp(...ports, text.slice(1))));
}

function onlyConnection(family: Family): CtEntry {
  const connections = programs.connections(family);
  assert.equal(connections.length, 1);
  const [connection] = connections;
  assert.ok(connection !== undefined);
  return connection;
}

/** The seconds that the connection still has, allowing for a tick between the packet and now. */
function assertTimeout(family: Family, expectedS: number): void {
  const left = onlyConnection(family).expiresS - programs.nowS();
  assert.ok(left === expectedS || left === expectedS - 1, `${left} s left, not ${expectedS}`);
}

describe("a TCP connection", { skip }, () => {
  const { replied, finForward, finReply, reset } = ctFlags;
  const rows = [
    { name: "a SYN", packets: [">S"], flags: 0, timeoutS: tcpSynTimeoutS },
    { name: "a SYN and its repeat", packets: [">S", ">S"], flags: 0, timeoutS: tcpSynTimeoutS },
    { name: "SYN and SYN-ACK", packets: [">S", "<SA"], flags: replied, timeoutS: tcpSynTimeoutS },
    { name: "the whole handshake", packets: [">S", "<SA", ">A"], flags: replied, timeoutS: tcpTimeoutS },
    { name: "picked up in the middle, one side", packets: [">PA"], flags: 0, timeoutS: tcpSynTimeoutS },
    { name: "picked up in the middle, both sides", packets: [">PA", "<A"], flags: replied, timeoutS: tcpTimeoutS },
    { name: "the opener closes its half", packets: [">S", "<SA", ">A", ">FA"], flags: replied | finForward, timeoutS: tcpTimeoutS },
    { name: "the other closes its half", packets: [">S", "<SA", ">A", "<FA"], flags: replied | finReply, timeoutS: tcpTimeoutS },
    { name: "both close", packets: [">S", "<SA", ">A", ">FA", "<FA"], flags: replied | finForward | finReply, timeoutS: tcpCloseTimeoutS },
    {
      name: "the last ACK of a closed one",
      packets: [">S", "<SA", ">FA", "<FA", ">A"],
      flags: replied | finForward | finReply,
      timeoutS: tcpCloseTimeoutS,
    },
    { name: "refused", packets: [">S", "<RA"], flags: replied | reset, timeoutS: tcpCloseTimeoutS },
    { name: "reset by the opener", packets: [">S", "<SA", ">R"], flags: replied | reset, timeoutS: tcpCloseTimeoutS },
    { name: "a SYN after a reset opens it anew", packets: [">S", "<RA", ">S"], flags: 0, timeoutS: tcpSynTimeoutS },
    { name: "a SYN after both closed opens it anew", packets: [">S", "<SA", ">FA", "<FA", ">S"], flags: 0, timeoutS: tcpSynTimeoutS },
    { name: "a SYN-ACK after a reset does not", packets: [">S", "<RA", "<SA"], flags: replied | reset, timeoutS: tcpCloseTimeoutS },
  ];
  for (const family of families) {
    for (const { name, packets, flags, timeoutS } of rows) {
      test(`IPv${family}: ${name} (${packets.join(" ")})`, () => {
        placeTwoPods(programs, allowAll(client, server));
        for (const packet of packets) assert.equal(segment(family, packet).action, "redirect");
        assertTimeout(family, timeoutS);
        assert.equal(onlyConnection(family).flags & ~ctFlags.originHigh, flags);
      });
    }

    test(`IPv${family}: which end opened it does not depend on which address is smaller`, () => {
      placeTwoPods(programs, allowAll(client, server));
      segment(family, ">S");
      assert.equal(onlyConnection(family).flags, ctFlags.originHigh);
      placeTwoPods(programs, allowAll(client, server));
      segment(family, "<S");
      segment(family, ">SA");
      assert.equal(onlyConnection(family).flags, ctFlags.replied);
    });

    test(`IPv${family}: a SYN on a closed connection is judged as a new one, from whichever end`, () => {
      placeTwoPods(programs, [...allowAll(server), { set: client.policySet, direction: "egress" }]);
      for (const packet of [">S", "<RA"]) segment(family, packet);
      assert.equal(segment(family, "<S").dropReason, dropReason.policyDenied);
    });

    test(`IPv${family}: after its time a connection is forgotten, and its place taken by a new one`, () => {
      placeTwoPods(programs, [...allowAll(server), { set: client.policySet, direction: "egress" }]);
      for (const packet of [">S", "<SA", ">A"]) segment(family, packet);
      programs.changeConnections(family, () => ({ expiresS: programs.nowS() - 3 }));
      assert.equal(segment(family, "<A").dropReason, dropReason.policyDenied, "no longer a reply");
      assert.equal(segment(family, ">A").action, "redirect");
      assert.equal(onlyConnection(family).flags, ctFlags.originHigh);
    });
  }
});

describe("other connections", { skip }, () => {
  const rows: ReadonlyArray<{
    name: string;
    forward: (family: Family) => Layer;
    reply: (family: Family) => Layer;
    stranger: (family: Family) => Layer;
  }> = [
    { name: "UDP", forward: () => udp(4000, 53), reply: () => udp(53, 4000), stranger: () => udp(53, 4001) },
    {
      name: "ICMP echo",
      forward: (family) => icmp(family, family === 4 ? 8 : 128, { id: 77 }),
      reply: (family) => icmp(family, family === 4 ? 0 : 129, { id: 77 }),
      stranger: (family) => icmp(family, family === 4 ? 0 : 129, { id: 78 }),
    },
  ];
  for (const family of families) {
    for (const { name, forward, reply, stranger } of rows) {
      test(`IPv${family}: ${name} is answered, and nobody else answers it`, () => {
        placeTwoPods(programs, [...allowAll(server), { set: client.policySet, direction: "egress" }]);
        const answer = (layer: Layer): Outcome =>
          programs.fromPod(server, sent(server, ip(family, at(server, family), at(client, family)), layer));
        assert.equal(answer(reply(family)).dropReason, dropReason.policyDenied, "an answer without a question");
        assert.equal(
          programs.fromPod(client, sent(client, ip(family, at(client, family), at(server, family)), forward(family))).action,
          "redirect",
        );
        assertTimeout(family, anyTimeoutS);
        assert.equal(answer(reply(family)).action, "redirect");
        assert.equal(onlyConnection(family).flags & ctFlags.replied, ctFlags.replied);
        assert.equal(answer(stranger(family)).dropReason, dropReason.policyDenied);
      });
    }

    test(`IPv${family}: an ICMP echo reply opens nothing, even where policy allows it`, () => {
      placeTwoPods(programs, allowAll(client, server));
      const outcome = programs.fromPod(
        client,
        sent(client, ip(family, at(client, family), at(server, family)), icmp(family, family === 4 ? 0 : 129, { id: 9 })),
      );
      assert.equal(outcome.action, "redirect");
      assert.deepEqual(programs.connections(family), []);
    });

    test(`IPv${family}: two pods that ping each other with one identifier have two connections`, () => {
      placeTwoPods(programs, allowAll(client, server));
      const echo = icmp(family, family === 4 ? 8 : 128, { id: 5 });
      programs.fromPod(client, sent(client, ip(family, at(client, family), at(server, family)), echo));
      programs.fromPod(server, sent(server, ip(family, at(server, family), at(client, family)), echo));
      assert.equal(programs.connections(family).length, 2);
    });

    test(`IPv${family}: packets refresh a connection, those of a new second only`, () => {
      placeTwoPods(programs, allowAll(client, server));
      const packet = sent(client, ip(family, at(client, family), at(server, family)), udp(4000, 53));
      programs.fromPod(client, packet);
      programs.changeConnections(family, () => ({ expiresS: programs.nowS() + 2 }));
      programs.fromPod(client, packet);
      assertTimeout(family, anyTimeoutS);
    });

    test(`IPv${family}: between two ports of one address both directions are one connection`, () => {
      placeTwoPods(programs, [
        { set: client.policySet, direction: "egress" },
        { set: client.policySet, direction: "ingress", protocol: 17, port: 53 },
      ]);
      const itself = (source: number, destination: number): Outcome =>
        programs.fromPod(client, sent(client, ip(family, at(client, family), at(client, family)), udp(source, destination)));
      assert.equal(itself(4000, 53).action, "redirect");
      assert.equal(itself(53, 4000).action, "redirect");
      assert.equal(onlyConnection(family).flags, ctFlags.originHigh | ctFlags.replied);
    });

    test(`IPv${family}: the connection holds what admitted it`, () => {
      placeTwoPods(programs, allowAll(client, server));
      programs.setGeneration(6);
      programs.fromPod(client, sent(client, ip(family, at(client, family), at(server, family)), udp(4000, 53)));
      const { sourceIdentity, destinationIdentity, egressSet, ingressSet, generation, endpointId } = onlyConnection(family);
      assert.deepEqual(
        { sourceIdentity, destinationIdentity, egressSet, ingressSet, generation, endpointId },
        {
          sourceIdentity: client.identity,
          destinationIdentity: server.identity,
          egressSet: client.policySet,
          ingressSet: server.policySet,
          generation: 6,
          endpointId: [client.id, server.id],
        },
      );
    });

    test(`IPv${family}: of an end that is not a pod of this node no policy set is noted`, () => {
      placeTwoPods(programs, allowAll(client, server));
      programs.fromPod(client, sent(client, ip(family, at(client, family), at(outside, family)), udp(4000, 53)));
      assert.deepEqual([onlyConnection(family).egressSet, onlyConnection(family).ingressSet], [client.policySet, 0]);
      placeTwoPods(programs, allowAll(client, server));
      programs.toPod(server, received(server, ip(family, at(host, family), at(server, family)), udp(4000, 53)));
      assert.deepEqual([onlyConnection(family).egressSet, onlyConnection(family).ingressSet], [0, server.policySet]);
    });

    test(`IPv${family}: an address that moves to another pod is not reached by the memory of a connection`, () => {
      placeTwoPods(programs, allowAll(client, server));
      const packet = sent(client, ip(family, at(client, family), at(server, family)), udp(4000, 53));
      programs.fromPod(client, packet);
      const successor: Pod = { ...server, id: 3, ifindex: 103, mac: "02:00:00:00:03:02", hostMac: "02:00:00:00:03:01" };
      programs.setRow({ ...server, ipv4: "10.1.0.77", ipv6: "fd00::77" });
      programs.setPod(successor);
      const outcome = programs.fromPod(client, packet);
      assert.equal(outcome.action, "redirect");
      assert.deepEqual(outcome.packet.subarray(0, 6), Uint8Array.of(2, 0, 0, 0, 3, 2));
    });
  }

  test("a full table takes new connections in the place of old ones", () => {
    placeTwoPods(programs, allowAll(client, server));
    for (let port = 1; port <= 2000; port += 1) {
      const packet = sent(client, ip(4, client.ipv4, server.ipv4), udp(port, 53));
      assert.equal(programs.fromPod(client, packet).action, "redirect");
    }
    assert.ok(programs.connections(4).length <= programs.map("ct4").maxEntries);
  });
});
