import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { dropReason, endpointFlags, tracePoint } from "../../adapters/datapath/src/gen/index.ts";
import { icmp, sctp, tcp, udp } from "./layers.ts";
import type { Outcome, PodPrograms, Rule } from "./pod-programs.ts";
import { allowAll, at, client, families, host, ip, openTwoPods, outside, placeTwoPods, received, sent, server } from "./two-pods.ts";

const skip = requireKernel();
const proxyPort = 10_000;
/** No socket listens here: what a proxy is to have, and is seen on its way in, is dropped for want of one. */
const noSocket = dropReason.socketLookupFailed;
const egress: Rule = { set: client.policySet, direction: "egress", proxyPort, precedence: 1 };
const ingress: Rule = { set: server.policySet, direction: "ingress", proxyPort, precedence: 1 };

const verdicts = (outcome: Outcome): string[] =>
  outcome.events.flatMap((event) => (event.kind === "verdict" ? [`${event.notify.header.source}: ${event.notify.verdict}`] : []));

describe("a verdict entry that leads to a proxy", { skip }, () => {
  let programs: PodPrograms;
  before(async () => {
    programs = await openTwoPods({ proxyIfindex: 1 });
  });
  after(() => programs[Symbol.dispose]());

  for (const family of families) {
    const toServer = (layer = tcp(4000, 80, "S")) => sent(client, ip(family, at(client, family), at(server, family)), layer);

    test(`IPv${family}: the sender's proxy has the packet before the receiver's policy is asked`, () => {
      placeTwoPods(programs, [...allowAll(client), egress]);
      const outcome = programs.fromPod(client, toServer());
      assert.equal(outcome.dropReason, noSocket);
      assert.deepEqual(verdicts(outcome), [`${client.id}: ${proxyPort}`]);
      const [connection] = programs.connections(family);
      assert.deepEqual([connection?.proxyPort, connection?.egressSet], [proxyPort, client.policySet]);
    });

    test(`IPv${family}: the receiver's proxy has what both policies let through`, () => {
      placeTwoPods(programs, [...allowAll(client, server), ingress]);
      const outcome = programs.fromPod(client, toServer());
      assert.equal(outcome.dropReason, noSocket);
      assert.deepEqual(verdicts(outcome), [`${client.id}: 0`, `${server.id}: ${proxyPort}`]);
      assert.equal(programs.fromPod(client, toServer(tcp(4000, 80, "A"))).dropReason, noSocket);
      assert.deepEqual(verdicts(programs.fromPod(client, toServer(tcp(4000, 80, "A")))), []);
    });

    test(`IPv${family}: what the node's stack sends to the pod is turned round, and told`, () => {
      placeTwoPods(programs, [...allowAll(server), ingress]);
      const question = received(server, ip(family, at(outside, family), at(server, family)), tcp(4000, 80, "S"));
      const outcome = programs.toPod(server, question);
      assert.equal(outcome.action, "redirect");
      const [trace] = outcome.events.flatMap((event) => (event.kind === "trace" ? [event.notify] : []));
      assert.equal(trace?.header.subtype, tracePoint.toProxy);
      assert.equal(trace?.destinationId, ((proxyPort & 0xff) << 8) | (proxyPort >> 8), "the proxy's port, in network order");
      assert.deepEqual(verdicts(outcome), [`${server.id}: ${proxyPort}`]);
    });

    test(`IPv${family}: what the proxy answers in the other end's name passes as a reply`, () => {
      placeTwoPods(programs, [egress]);
      programs.fromPod(client, sent(client, ip(family, at(client, family), at(outside, family)), tcp(4000, 80, "S")));
      const answer = received(client, ip(family, at(outside, family), at(client, family)), tcp(80, 4000, "SA"));
      assert.equal(programs.toPod(client, answer).action, "pass");
    });

    test(`IPv${family}: only TCP and UDP have proxies; other protocols and fragments are dropped`, () => {
      placeTwoPods(programs, [egress]);
      const unsupported = dropReason.proxyRedirectionNotSupportedForProtocol;
      const to = (layer: ReturnType<typeof tcp>) => sent(client, ip(family, at(client, family), at(outside, family)), layer);
      assert.equal(programs.fromPod(client, to(sctp(4000, 80))).dropReason, unsupported);
      assert.equal(programs.fromPod(client, to(icmp(family, family === 4 ? 8 : 128))).dropReason, unsupported);
      assert.equal(programs.fromPod(client, to(udp(4000, 53))).dropReason, noSocket);
    });

    test(`IPv${family}: a stream that a proxy has stays there when it needs none any more; a datagram goes direct`, () => {
      const rules = [...allowAll(client, server), { ...allowAll(client)[1], set: 99 } as Rule, egress];
      placeTwoPods(programs, rules);
      programs.fromPod(client, toServer());
      programs.fromPod(client, toServer(udp(4000, 53)));
      programs.setRow({ ...client, policySet: 99 });
      assert.equal(programs.fromPod(client, toServer(tcp(4000, 80, "A"))).dropReason, noSocket);
      assert.equal(programs.fromPod(client, toServer(udp(4000, 53))).action, "redirect");
      assert.equal(programs.fromPod(client, toServer(tcp(4001, 80, "S"))).action, "redirect");
    });

    test(`IPv${family}: a stream that went direct goes to the proxy from the next packet on`, () => {
      placeTwoPods(programs, [...allowAll(client, server), { ...egress, set: 99 }]);
      programs.fromPod(client, toServer());
      programs.setRow({ ...client, policySet: 99 });
      assert.equal(programs.fromPod(client, toServer(tcp(4000, 80, "A"))).dropReason, noSocket);
      assert.equal(programs.connections(family)[0]?.proxyPort, proxyPort);
    });

    test(`IPv${family}: an endpoint that only audits is led to the proxy as well`, () => {
      placeTwoPods(programs, [egress]);
      programs.setRow({ ...client, flags: client.flags | endpointFlags.audit });
      assert.equal(
        programs.fromPod(client, sent(client, ip(family, at(client, family), at(host, family)), tcp(4000, 80, "S"))).dropReason,
        noSocket,
      );
    });
  }
});
