import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { dropReason, traceReason } from "../../adapters/datapath/src/gen/index.ts";
import { extension, icmp, ipv4, type Layer, quote, tcp, udp } from "./layers.ts";
import type { PodPrograms } from "./pod-programs.ts";
import { allowAll, at, client, families, ip, openTwoPods, outside, placeTwoPods, received, sent, server } from "./two-pods.ts";

const skip = requireKernel();
let programs: PodPrograms;
before(async () => {
  if (skip === false) programs = await openTwoPods();
});
after(() => programs?.[Symbol.dispose]());

/** ICMP errors of each family: type and code. */
const errors = {
  4: [
    ["port unreachable", 3, 3],
    ["time exceeded", 11, 0],
    ["parameter problem", 12, 0],
  ],
  6: [
    ["port unreachable", 1, 4],
    ["packet too big", 2, 0],
    ["time exceeded", 3, 0],
    ["parameter problem", 4, 0],
  ],
} as const;

/** Policies under which the client may call the server, and nothing else. */
const oneWay = [
  { set: client.policySet, direction: "egress" },
  { set: server.policySet, direction: "ingress" },
] as const;

describe("an ICMP error", { skip }, () => {
  for (const family of families) {
    const question = (): Layer[] => [ip(family, at(client, family), at(server, family)), udp(4000, 53)];
    const open = (): void => {
      placeTwoPods(programs, oneWay);
      assert.equal(programs.fromPod(client, sent(client, ...question())).action, "redirect");
    };

    for (const [name, type, code] of errors[family]) {
      test(`IPv${family}: ${name} about a connection needs no policy`, () => {
        open();
        const outcome = programs.fromPod(
          server,
          sent(server, ip(family, at(server, family), at(client, family)), icmp(family, type, { code }), quote(60, ...question())),
        );
        assert.equal(outcome.action, "redirect");
        const [event] = outcome.events;
        assert.ok(event?.kind === "trace");
        assert.deepEqual(
          [event.notify.reason, event.notify.sourceIdentity, event.notify.destinationIdentity],
          [traceReason.related, server.identity, client.identity],
        );
      });

      test(`IPv${family}: ${name} from a router on the way reaches the pod`, () => {
        placeTwoPods(programs, oneWay);
        const out = [ip(family, at(client, family), at(outside, family)), tcp(4000, 443, "S")];
        programs.fromPod(client, sent(client, ...out));
        const router = family === 4 ? "203.0.113.1" : "2001:dead::1";
        const error = (about: readonly Layer[]): Uint8Array =>
          received(client, ip(family, router, at(client, family)), icmp(family, type, { code }), quote(80, ...about));
        assert.equal(programs.toPod(client, error(out)).action, "pass");
        const other = [ip(family, at(client, family), at(outside, family)), tcp(4001, 443, "S")];
        assert.equal(programs.toPod(client, error(other)).dropReason, dropReason.policyDenied);
      });
    }

    const [, type, code] = errors[family][0];
    const unreachable = (...about: ReadonlyArray<Layer | string>): Uint8Array =>
      sent(server, ip(family, at(server, family), at(client, family)), icmp(family, type, { code }), quote(80, ...about));

    test(`IPv${family}: about a ping is related to it`, () => {
      placeTwoPods(programs, oneWay);
      const ping = [ip(family, at(client, family), at(server, family)), icmp(family, family === 4 ? 8 : 128, { id: 5 })];
      programs.fromPod(client, sent(client, ...ping));
      assert.equal(programs.fromPod(server, unreachable(...ping)).action, "redirect");
    });

    for (const [name, about] of [
      ["another port", [ip(family, at(client, family), at(server, family)), udp(4001, 53)]],
      ["another protocol", [ip(family, at(client, family), at(server, family)), tcp(4000, 53)]],
      ["a packet that the destination never sent", [ip(family, at(server, family), at(client, family)), udp(53, 4000)]],
      ["an ICMP message that opens nothing", [ip(family, at(client, family), at(server, family)), icmp(family, family === 4 ? 13 : 139)]],
      [
        "a protocol that is not tracked",
        [ip(family, at(client, family), at(server, family)), { number: 47, build: () => new Uint8Array(8) }],
      ],
    ] as const) {
      test(`IPv${family}: about ${name} is judged by policy`, () => {
        open();
        const outcome = programs.fromPod(server, unreachable(...about));
        assert.equal(outcome.dropReason, dropReason.policyDenied);
        placeTwoPods(programs, [
          { set: server.policySet, direction: "egress", protocol: family === 4 ? 1 : 58, port: type },
          { set: client.policySet, direction: "ingress" },
        ]);
        assert.equal(programs.fromPod(server, unreachable(...about)).action, "redirect", "by its type");
        assert.deepEqual(programs.connections(family), [], "and opens no connection");
      });
    }

    test(`IPv${family}: about a connection that has expired is judged by policy`, () => {
      open();
      programs.changeConnections(family, () => ({ expiresS: programs.nowS() - 3 }));
      assert.equal(programs.fromPod(server, unreachable(...question())).dropReason, dropReason.policyDenied);
    });

    test(`IPv${family}: about a connection that policy no longer admits is judged by policy`, () => {
      open();
      programs.setRow({ ...client, policySet: 31 });
      assert.equal(programs.fromPod(client, sent(client, ...question())).dropReason, dropReason.policyDenied);
      assert.equal(programs.fromPod(server, unreachable(...question())).dropReason, dropReason.policyDenied);
    });
  }

  test("IPv6: the connection is found behind extension headers of the quoted packet", () => {
    placeTwoPods(programs, oneWay);
    const question = [ip(6, client.ipv6, server.ipv6), extension("destination"), udp(4000, 53)];
    programs.fromPod(client, sent(client, ...question));
    const outcome = programs.fromPod(
      server,
      sent(server, ip(6, server.ipv6, client.ipv6), icmp(6, 1, { code: 4 }), quote(80, ...question)),
    );
    assert.equal(outcome.action, "redirect");
  });

  test("IPv4: a quoted fragment tells of no connection", () => {
    placeTwoPods(programs, oneWay);
    programs.fromPod(client, sent(client, ip(4, client.ipv4, server.ipv4), udp(4000, 53)));
    const quoted = [ipv4(client.ipv4, server.ipv4, { offset: 8 }), udp(4000, 53)];
    const outcome = programs.fromPod(server, sent(server, ip(4, server.ipv4, client.ipv4), icmp(4, 3), quote(60, ...quoted)));
    assert.equal(outcome.dropReason, dropReason.policyDenied);
  });

  test("IPv4: fragmentation needed always passes, whatever it quotes", () => {
    placeTwoPods(programs);
    const needed = icmp(4, 3, { code: 4 });
    assert.equal(programs.toPod(client, received(client, ip(4, outside.ipv4, client.ipv4), needed)).action, "pass");
    assert.equal(programs.fromPod(client, sent(client, ip(4, client.ipv4, server.ipv4), needed)).action, "redirect");
    assert.equal(programs.fromPod(client, sent(client, ip(4, client.ipv4, outside.ipv4), needed)).action, "pass");
    placeTwoPods(programs, allowAll());
    assert.equal(
      programs.fromPod(
        client,
        sent(client, ip(4, client.ipv4, server.ipv4), icmp(4, 3, { code: 1 }), quote(28, ip(4, server.ipv4, client.ipv4), udp(1, 2))),
      ).dropReason,
      dropReason.policyDenied,
    );
  });
});
