import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { ctFlags, dropReason, endpointFlags, traceReason, verdictFlags } from "../../adapters/datapath/src/gen/index.ts";
import { icmp, type Layer, sctp, tcp, udp } from "./layers.ts";
import type { Outcome, Pod, PodPrograms, Rule } from "./pod-programs.ts";
import { allowAll, at, client, families, host, ip, openTwoPods, outside, placeTwoPods, received, sent, server } from "./two-pods.ts";

const skip = requireKernel();
let programs: PodPrograms;
before(async () => {
  if (skip === false) programs = await openTwoPods();
});
after(() => programs?.[Symbol.dispose]());

const tcpNumber = 6;
const clientEgress = { set: client.policySet, direction: "egress" } as const;
const serverIngress = { set: server.policySet, direction: "ingress" } as const;
const clientMayAll: Rule = { ...clientEgress, cookie: 7 };

/** `none`, or how the rule matched. */
const matchTypes = ["none", "l3-only", "l3-l4", "l4-only", "all", "l3-proto", "proto-only"];

interface Verdict {
  readonly source: number;
  readonly remote: number;
  readonly direction: string;
  readonly verdict: number;
  readonly match: string | undefined;
  readonly cookie: number;
  readonly audited: boolean;
}

function verdictsOf(outcome: Outcome): Verdict[] {
  return outcome.events.flatMap((event) => {
    if (event.kind !== "verdict") return [];
    const { header, remoteIdentity, verdict, flags, cookie } = event.notify;
    return [
      {
        source: header.source,
        remote: remoteIdentity,
        direction: (flags & verdictFlags.ingress) !== 0 ? "ingress" : "egress",
        verdict,
        match: matchTypes[(flags >> verdictFlags.matchShift) & 7],
        cookie,
        audited: (flags & verdictFlags.audited) !== 0,
      },
    ];
  });
}

describe("a new connection between two pods", { skip }, () => {
  const rows: ReadonlyArray<{
    name: string;
    rules: readonly Rule[];
    /** TCP to port 80 unless said. */
    layer?: Layer;
    reason?: number;
    match?: string;
    cookie?: number;
  }> = [
    { name: "nothing allows it", rules: [], reason: dropReason.policyDenied, match: "none" },
    { name: "anybody, anything", rules: [{ ...serverIngress, cookie: 3 }], match: "all", cookie: 3 },
    { name: "anybody, the protocol", rules: [{ ...serverIngress, protocol: tcpNumber }], match: "proto-only" },
    { name: "anybody, the port", rules: [{ ...serverIngress, protocol: tcpNumber, port: 80 }], match: "l4-only" },
    { name: "the identity, anything", rules: [{ ...serverIngress, identity: client.identity }], match: "l3-only" },
    {
      name: "the identity, the protocol",
      rules: [{ ...serverIngress, identity: client.identity, protocol: tcpNumber }],
      match: "l3-proto",
    },
    {
      name: "the identity, the port",
      rules: [{ ...serverIngress, identity: client.identity, protocol: tcpNumber, port: 80 }],
      match: "l3-l4",
    },
    {
      name: "a range of ports that holds the port",
      rules: [{ ...serverIngress, protocol: tcpNumber, port: 80, portBits: 12 }],
      match: "l4-only",
    },
    {
      name: "a range of ports beside it",
      rules: [{ ...serverIngress, protocol: tcpNumber, port: 96, portBits: 12 }],
      reason: dropReason.policyDenied,
      match: "none",
    },
    { name: "another port", rules: [{ ...serverIngress, protocol: tcpNumber, port: 81 }], reason: dropReason.policyDenied, match: "none" },
    { name: "another protocol", rules: [{ ...serverIngress, protocol: 17, port: 80 }], reason: dropReason.policyDenied, match: "none" },
    { name: "another identity", rules: [{ ...serverIngress, identity: 5555 }], reason: dropReason.policyDenied, match: "none" },
    {
      name: "the same in the other direction",
      rules: [{ set: server.policySet, direction: "egress" }],
      reason: dropReason.policyDenied,
      match: "none",
    },
    { name: "the same in another policy set", rules: [{ set: 99, direction: "ingress" }], reason: dropReason.policyDenied, match: "none" },
    { name: "a deny rule", rules: [{ ...serverIngress, deny: true, cookie: 9 }], reason: dropReason.policyDeny, match: "all", cookie: 9 },
    {
      name: "an allow of greater precedence for anybody beats a deny for the identity",
      rules: [
        { ...serverIngress, precedence: 2, cookie: 1 },
        { ...serverIngress, identity: client.identity, deny: true, precedence: 1, cookie: 2 },
      ],
      match: "all",
      cookie: 1,
    },
    {
      name: "a deny of greater precedence for anybody beats an allow for the identity",
      rules: [
        { ...serverIngress, deny: true, precedence: 2, cookie: 1 },
        { ...serverIngress, identity: client.identity, precedence: 1, cookie: 2 },
      ],
      reason: dropReason.policyDeny,
      match: "all",
      cookie: 1,
    },
    {
      name: "at equal precedence the identity's entry wins",
      rules: [
        { ...serverIngress, deny: true, cookie: 1 },
        { ...serverIngress, identity: client.identity, cookie: 2 },
      ],
      match: "l3-only",
      cookie: 2,
    },
    {
      name: "the longer of an identity's entries wins",
      rules: [
        { ...serverIngress, identity: client.identity, cookie: 1 },
        { ...serverIngress, identity: client.identity, protocol: tcpNumber, port: 80, deny: true, cookie: 2 },
      ],
      reason: dropReason.policyDeny,
      match: "l3-l4",
      cookie: 2,
    },
    {
      name: "authentication that nobody can give yet",
      rules: [{ ...serverIngress, authType: 1 }],
      reason: dropReason.authRequired,
      match: "all",
    },
    {
      name: "a proxy that is not there yet",
      rules: [{ ...serverIngress, proxyPort: 0 }],
      reason: dropReason.proxyRedirectionNotSupportedForProtocol,
      match: "all",
    },
    { name: "UDP by port", rules: [{ ...serverIngress, protocol: 17, port: 53 }], layer: udp(4000, 53), match: "l4-only" },
    { name: "SCTP by port", rules: [{ ...serverIngress, protocol: 132, port: 99 }], layer: sctp(4000, 99), match: "l4-only" },
  ];
  for (const family of families) {
    for (const { name, rules, layer, reason, match, cookie = 0 } of rows) {
      test(`IPv${family}: ${name}`, () => {
        placeTwoPods(programs, [clientMayAll, ...rules]);
        const outcome = programs.fromPod(
          client,
          sent(client, ip(family, at(client, family), at(server, family)), layer ?? tcp(4000, 80, "S")),
        );
        assert.equal(outcome.dropReason, reason);
        assert.equal(outcome.action, reason === undefined ? "redirect" : "drop");
        assert.deepEqual(verdictsOf(outcome), [
          { source: client.id, remote: server.identity, direction: "egress", verdict: 0, match: "all", cookie: 7, audited: false },
          {
            source: server.id,
            remote: client.identity,
            direction: "ingress",
            verdict: reason === undefined ? 0 : -reason,
            match,
            cookie,
            audited: false,
          },
        ]);
        assert.equal(programs.connections(family).length, reason === undefined ? 1 : 0);
      });
    }

    for (const [type, allowed, expected] of [
      [8, 8, "redirect"],
      [8, 13, "drop"],
      [13, 13, "redirect"],
    ] as const) {
      test(`IPv${family}: an ICMP message of type ${type} where policy allows type ${allowed}`, () => {
        const number = family === 4 ? 1 : 58;
        const shift = family === 4 ? 0 : 120;
        placeTwoPods(programs, [clientMayAll, { ...serverIngress, protocol: number, port: allowed + shift }]);
        const outcome = programs.fromPod(
          client,
          sent(client, ip(family, at(client, family), at(server, family)), icmp(family, type + shift, { id: 5 })),
        );
        assert.equal(outcome.action, expected);
      });
    }

    test(`IPv${family}: the sender's own policy is asked first`, () => {
      placeTwoPods(programs, allowAll(server));
      const outcome = programs.fromPod(client, sent(client, ip(family, at(client, family), at(server, family)), tcp(4000, 80, "S")));
      assert.equal(outcome.dropReason, dropReason.policyDenied);
      assert.deepEqual(
        verdictsOf(outcome).map(({ direction, verdict }) => [direction, verdict]),
        [["egress", -dropReason.policyDenied]],
      );
    });

    test(`IPv${family}: no verdict events for a direction that no rule enforces`, () => {
      placeTwoPods(programs, allowAll(client, server));
      programs.setRow({ ...client, flags: endpointFlags.ingressEnforced });
      const outcome = programs.fromPod(client, sent(client, ip(family, at(client, family), at(server, family)), tcp(4000, 80, "S")));
      assert.deepEqual(
        verdictsOf(outcome).map(({ direction }) => direction),
        ["ingress"],
      );
    });
  }
});

describe("who the other end is", { skip }, () => {
  const egress = (identity: number): Rule => ({ ...clientEgress, identity });
  for (const family of families) {
    for (const [name, party, identity, action] of [
      ["the host", host, host.identity, "pass"],
      ["a prefix of the ipcache", outside, outside.identity, "pass"],
      ["the world, by the default route's entry", { ipv4: "203.0.113.1", ipv6: "2001:dead::1" }, family === 4 ? 9 : 10, "pass"],
      ["another pod", server, server.identity, "redirect"],
    ] as const) {
      test(`IPv${family}: ${name} is known by its identity, and by no other`, () => {
        const packet = sent(client, ip(family, at(client, family), at(party, family)), udp(4000, 53));
        placeTwoPods(programs, [...allowAll(server), egress(identity)]);
        assert.equal(programs.fromPod(client, packet).action, action);
        placeTwoPods(programs, [...allowAll(server), egress(identity + 1)]);
        assert.equal(programs.fromPod(client, packet).dropReason, dropReason.policyDenied);
      });
      if (party === server) continue;
      test(`IPv${family}: a packet from ${name} is judged by the pod's ingress policy`, () => {
        const packet = received(client, ip(family, at(party, family), at(client, family)), udp(4000, 53));
        const ingress = { set: client.policySet, direction: "ingress" } as const;
        placeTwoPods(programs, [{ ...ingress, identity }]);
        assert.equal(programs.toPod(client, packet).action, "pass");
        placeTwoPods(programs, [{ ...ingress, identity: identity + 1 }]);
        const outcome = programs.toPod(client, packet);
        assert.equal(outcome.dropReason, dropReason.policyDenied);
        assert.deepEqual(
          verdictsOf(outcome).map(({ source, remote, direction }) => [source, remote, direction]),
          [[client.id, identity, "ingress"]],
        );
      });
    }

    test(`IPv${family}: an address that the ipcache knows nothing of is the world`, () => {
      placeTwoPods(programs, [egress(2)]);
      programs.clear("ipcache");
      assert.equal(programs.fromPod(client, sent(client, ip(family, at(client, family), at(outside, family)), udp(1, 2))).action, "pass");
    });
  }
});

describe("an endpoint that only audits", { skip }, () => {
  const auditing: Pod = { ...server, flags: server.flags | endpointFlags.audit };
  for (const family of families) {
    test(`IPv${family}: what would be dropped is reported and forwarded`, () => {
      placeTwoPods(programs, [clientMayAll]);
      programs.setRow(auditing);
      const packet = sent(client, ip(family, at(client, family), at(server, family)), tcp(4000, 80, "S"));
      const outcome = programs.fromPod(client, packet);
      assert.equal(outcome.action, "redirect");
      assert.deepEqual(verdictsOf(outcome)[1], {
        source: server.id,
        remote: client.identity,
        direction: "ingress",
        verdict: 0,
        match: "none",
        cookie: 0,
        audited: true,
      });
      const again = programs.fromPod(client, packet);
      assert.equal(again.action, "redirect");
      assert.deepEqual(verdictsOf(again), [], "told once");
      programs.setRow(server);
      assert.equal(programs.fromPod(client, packet).dropReason, dropReason.policyDenied, "no longer when the audit ends");
    });
  }
});

describe("a rule that only audits", { skip }, () => {
  for (const [what, parts, reason] of [
    ["deny", { deny: true }, dropReason.policyDeny],
    ["leave unallowed", { unallowed: true }, dropReason.policyDenied],
    ["hand to a proxy that is not there", { proxyPort: 0 }, dropReason.proxyRedirectionNotSupportedForProtocol],
  ] as const) {
    for (const family of families) {
      test(`IPv${family}: what it would ${what} is reported and forwarded, and other rules deny as they mean it`, () => {
        const meant = { ...serverIngress, protocol: tcpNumber, port: 81, ...parts, cookie: 4 };
        placeTwoPods(programs, [clientMayAll, { ...serverIngress, ...parts, audit: true, cookie: 3 }, meant]);
        const to = (port: number): Outcome =>
          programs.fromPod(client, sent(client, ip(family, at(client, family), at(server, family)), tcp(4000, port, "S")));
        const audited = to(80);
        assert.equal(audited.action, "redirect");
        const [, verdict] = verdictsOf(audited);
        assert.deepEqual([verdict?.verdict, verdict?.audited, verdict?.cookie], [0, true, 3]);
        const dropped = to(81);
        assert.equal(dropped.dropReason, reason);
        assert.deepEqual([verdictsOf(dropped)[1]?.audited, verdictsOf(dropped)[1]?.cookie], [false, 4]);
      });
    }
  }
});

describe("a connection remembers who admitted it", { skip }, () => {
  for (const family of families) {
    const packet = (): Uint8Array => sent(client, ip(family, at(client, family), at(server, family)), tcp(4000, 80, "A"));
    const reply = (): Uint8Array => sent(server, ip(family, at(server, family), at(client, family)), tcp(80, 4000, "A"));

    test(`IPv${family}: its packets pass without policy while both policy sets are the same`, () => {
      placeTwoPods(programs, allowAll(client, server));
      assert.equal(programs.fromPod(client, packet()).action, "redirect");
      for (const rule of [
        { ...clientEgress, deny: true },
        { ...serverIngress, deny: true },
      ])
        programs.addRule(rule);
      const outcome = programs.fromPod(client, packet());
      assert.equal(outcome.action, "redirect");
      assert.deepEqual(outcome.events, []);
    });

    for (const [name, change] of [
      ["the sender", () => programs.setRow({ ...client, policySet: 31 })],
      ["the receiver", () => programs.setRow({ ...server, policySet: 32 })],
    ] as const) {
      test(`IPv${family}: another policy set of ${name} that still allows it is noted without a word`, () => {
        placeTwoPods(programs, [...allowAll(client, server), { set: 31, direction: "egress" }, { set: 32, direction: "ingress" }]);
        programs.fromPod(client, packet());
        change();
        const outcome = programs.fromPod(client, packet());
        assert.equal(outcome.action, "redirect");
        assert.deepEqual(outcome.events, []);
        const [entry] = programs.connections(family);
        assert.deepEqual([entry?.egressSet, entry?.ingressSet], name === "the sender" ? [31, 12] : [11, 32]);
      });

      test(`IPv${family}: another policy set of ${name} that denies it stops the next packet`, () => {
        placeTwoPods(programs, allowAll(client, server));
        programs.fromPod(client, packet());
        change();
        const first = programs.fromPod(client, packet());
        assert.equal(first.dropReason, dropReason.policyDenied);
        assert.deepEqual(
          verdictsOf(first).map(({ verdict }) => verdict),
          [-dropReason.policyDenied],
          "told, because it is news",
        );
        const second = programs.fromPod(client, packet());
        assert.equal(second.dropReason, dropReason.policyDenied);
        assert.deepEqual(verdictsOf(second), [], "no news");
        assert.equal((programs.connections(family)[0]?.flags ?? 0) & ctFlags.denied, ctFlags.denied);
      });

      test(`IPv${family}: a connection that ${name} denied goes on when it is allowed again`, () => {
        placeTwoPods(programs, allowAll(client, server));
        programs.fromPod(client, packet());
        change();
        programs.fromPod(client, packet());
        for (const pod of [client, server]) programs.setRow(pod);
        const outcome = programs.fromPod(client, packet());
        assert.equal(outcome.action, "redirect");
        assert.equal(verdictsOf(outcome).length, 1, "told, because it is news");
        assert.equal((programs.connections(family)[0]?.flags ?? 0) & ctFlags.denied, 0);
      });
    }

    test(`IPv${family}: a denied connection is not taken over by its other end`, () => {
      placeTwoPods(programs, allowAll(client, server));
      programs.fromPod(client, packet());
      programs.setRow({ ...client, policySet: 31 });
      programs.fromPod(client, packet());
      const [before] = programs.connections(family);
      assert.equal(programs.fromPod(server, reply()).action, "redirect", "replies need no policy");
      assert.equal(programs.fromPod(client, packet()).dropReason, dropReason.policyDenied);
      assert.equal(programs.connections(family).length, 1);
      assert.equal(before?.flags, ctFlags.denied | ((programs.connections(family)[0]?.flags ?? 0) & ctFlags.originHigh));
    });

    test(`IPv${family}: replies do not keep a denied connection alive`, () => {
      placeTwoPods(programs, allowAll(client, server));
      programs.fromPod(client, packet());
      programs.setRow({ ...client, policySet: 31 });
      programs.fromPod(client, packet());
      const expiresS = programs.nowS() + 3;
      programs.changeConnections(family, () => ({ expiresS }));
      programs.fromPod(server, reply());
      assert.equal(programs.connections(family)[0]?.expiresS, expiresS);
    });

    test(`IPv${family}: a pod that changes its identity is judged again`, () => {
      placeTwoPods(programs, [clientMayAll, { ...serverIngress, identity: client.identity }]);
      assert.equal(programs.fromPod(client, packet()).action, "redirect");
      programs.setRow({ ...client, identity: 2222 });
      assert.equal(programs.fromPod(client, packet()).dropReason, dropReason.policyDenied);
    });

    test(`IPv${family}: an address outside that changes its identity is judged again when the generation moves`, () => {
      placeTwoPods(programs, [{ ...clientEgress, identity: outside.identity }]);
      const out = sent(client, ip(family, at(client, family), at(outside, family)), tcp(4000, 443, "A"));
      assert.equal(programs.fromPod(client, out).action, "pass");
      programs.setIdentity(at(outside, family), family === 4 ? 32 : 128, 5555);
      assert.equal(programs.fromPod(client, out).action, "pass", "not before");
      programs.setGeneration(1);
      assert.equal(programs.fromPod(client, out).dropReason, dropReason.policyDenied);
    });

    test(`IPv${family}: so is one that sends to a pod through the node's stack`, () => {
      placeTwoPods(programs, [{ ...serverIngress, identity: outside.identity }]);
      const into = received(server, ip(family, at(outside, family), at(server, family)), tcp(4000, 80, "A"));
      assert.equal(programs.toPod(server, into).action, "pass");
      programs.setIdentity(at(outside, family), family === 4 ? 32 : 128, 5555);
      assert.equal(programs.toPod(server, into).action, "pass", "not before");
      programs.setGeneration(1);
      assert.equal(programs.toPod(server, into).dropReason, dropReason.policyDenied);
    });

    test(`IPv${family}: replies pass without policy and are called so`, () => {
      placeTwoPods(programs, [clientMayAll, serverIngress]);
      assert.equal(programs.fromPod(server, reply()).dropReason, dropReason.policyDenied, "not before there is a connection");
      programs.fromPod(client, packet());
      const outcome = programs.fromPod(server, reply());
      assert.equal(outcome.action, "redirect");
      const [event] = outcome.events;
      assert.ok(event?.kind === "trace" && outcome.events.length === 1);
      assert.deepEqual(
        [event.notify.reason, event.notify.sourceIdentity, event.notify.destinationIdentity],
        [traceReason.reply, server.identity, client.identity],
      );
    });

    test(`IPv${family}: so do replies from outside that come through the node's stack`, () => {
      placeTwoPods(programs, [clientMayAll]);
      const into = received(client, ip(family, at(outside, family), at(client, family)), udp(53, 4000));
      assert.equal(programs.toPod(client, into).dropReason, dropReason.policyDenied);
      programs.fromPod(client, sent(client, ip(family, at(client, family), at(outside, family)), udp(4000, 53)));
      assert.equal(programs.toPod(client, into).action, "pass");
    });
  }
});
