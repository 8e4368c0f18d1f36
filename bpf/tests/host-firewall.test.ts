import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import {
  dropReason,
  encodeNativeDevice,
  endpointFlags,
  endpointId,
  sourceFile,
  tracePoint,
  verdictFlags,
} from "../../adapters/datapath/src/gen/index.ts";
import {
  addressBytes,
  ethernet,
  extension,
  fragment,
  frame,
  icmp,
  ipv4,
  type Layer,
  neighbourSolicitation,
  quote,
  tcp,
  udp,
} from "./layers.ts";
import { type Outcome, PodPrograms, type Rule, testIfindex, u32 } from "./pod-programs.ts";
import { allowAll, at, client, type Family, families, host, ip, outside, placeTwoPods, received, sent, server } from "./two-pods.ts";

const skip = requireKernel();
const set = 50;
const { ingressEnforced, egressEnforced, audit } = endpointFlags;
const bothEnforced = ingressEnforced | egressEnforced;
/** The test's device, whose own MAC is zero. */
const link = ethernet("02:00:00:00:09:09", "00:00:00:00:00:00");
const toEverybody = ethernet("02:00:00:00:09:09", "ff:ff:ff:ff:ff:ff");
const ssh: Rule = { set, direction: "ingress", protocol: 6, port: 22, cookie: 7 };
const closed = { ingress: { set, direction: "ingress" }, egress: { set, direction: "egress" } } as const;

/** `pass`, or why it was dropped and whose drop it is. */
function fate({ action, dropReason: reason, events }: Outcome): string {
  if (action === "pass") return "pass";
  const drop = events.find((event) => event.kind === "drop");
  const by = drop?.kind === "drop" ? drop.notify.header.source : "nobody";
  return `${reason} by ${by === endpointId.host ? "host" : by}`;
}

const denied = `${dropReason.policyDenied} by host`;

describe("the node itself at its native devices", { skip }, () => {
  let programs: PodPrograms;
  before(async () => {
    if (skip === false)
      programs = await PodPrograms.open(
        { hostFirewallEnabled: 1, masqueradeEnabled: 1, proxyIfindex: testIfindex },
        { snat: 4096 },
        "network",
      );
  });
  after(() => programs?.[Symbol.dispose]());

  const place = (flags: number, ...rules: Rule[]): void => {
    placeTwoPods(programs, [...allowAll(client, server), ...rules]);
    programs.setHost(set, flags);
  };
  const inward = (family: Family, layer: Layer, source = at(outside, family), frameLink = link): Outcome =>
    programs.onNetwork("from_network", frame(frameLink, ip(family, source, at(host, family)), layer, "data"));
  const outward = (family: Family, layer: Layer, destination = at(outside, family)): Outcome =>
    programs.onNetwork("to_network", frame(link, ip(family, at(host, family), destination), layer, "data"));

  for (const family of families) {
    const echo = (id: number): Layer => icmp(family, family === 4 ? 8 : 128, { id });

    test(`IPv${family}: before its policy is realised nothing is judged, and no connection kept`, () => {
      placeTwoPods(programs);
      assert.deepEqual([fate(inward(family, tcp(4000, 22, "S"))), fate(outward(family, udp(4000, 53)))], ["pass", "pass"]);
      assert.equal(programs.connections(family).length, 0);
    });

    test(`IPv${family}: only what a rule allows is received, and the drop is the node's`, () => {
      place(ingressEnforced, ssh, { ...closed.egress });
      assert.equal(fate(inward(family, tcp(4000, 22, "S"))), "pass");
      const dropped = inward(family, tcp(4000, 80, "S"));
      assert.equal(fate(dropped), denied);
      const [verdict, drop] = dropped.events.map((event) => event.notify);
      assert.ok(verdict !== undefined && "verdict" in verdict && drop !== undefined && "line" in drop);
      assert.deepEqual(
        [verdict.header.source, verdict.remoteIdentity, verdict.verdict, verdict.flags & verdictFlags.ingress],
        [endpointId.host, outside.identity, -dropReason.policyDenied, verdictFlags.ingress],
      );
      assert.deepEqual(
        [drop.sourceIdentity, drop.destinationIdentity, drop.destinationId, drop.file],
        [outside.identity, host.identity, endpointId.host, sourceFile.filePolicy],
      );
      assert.equal(fate(outward(family, udp(4000, 53))), "pass");
    });

    test(`IPv${family}: only what a rule allows is sent`, () => {
      place(egressEnforced, { set, direction: "egress", protocol: 17, port: 53 }, { ...closed.ingress });
      assert.deepEqual(
        [fate(outward(family, udp(4000, 53))), fate(outward(family, udp(4000, 54))), fate(inward(family, tcp(1, 2, "S")))],
        ["pass", denied, "pass"],
      );
    });

    test(`IPv${family}: what a rule leads to a proxy goes there, and to nobody else when there is none`, () => {
      const asked: Rule = { set, direction: "egress", protocol: 17, port: 53, proxyPort: 10_000, precedence: 1 };
      place(bothEnforced, asked, { ...ssh, proxyPort: 10_000 });
      const redirected = outward(family, udp(4000, 53));
      assert.equal(redirected.action, "redirect");
      assert.ok(redirected.events.some(({ kind, notify }) => kind === "trace" && notify.header.subtype === tracePoint.toProxy));
      assert.equal(fate(inward(family, tcp(4000, 22, "S"))), `${dropReason.socketLookupFailed} by host`);
      place(bothEnforced, { ...asked, proxyPort: 0 });
      assert.equal(fate(outward(family, udp(4001, 53))), `${dropReason.proxyRedirectionNotSupportedForProtocol} by host`);
    });

    test(`IPv${family}: a denial is one, and what is only audited passes and is told`, () => {
      place(bothEnforced, { ...closed.ingress, protocol: 6, port: 80, deny: true, precedence: 2 ** 31 });
      assert.equal(fate(inward(family, tcp(4000, 80, "S"))), `${dropReason.policyDeny} by host`);
      place(bothEnforced | audit);
      const audited = inward(family, tcp(4000, 80, "S"));
      assert.equal(fate(audited), "pass");
      assert.ok(audited.events.some(({ kind, notify }) => kind === "verdict" && "flags" in notify && notify.flags & verdictFlags.audited));
    });

    test(`IPv${family}: answers to what the node was allowed to ask come back, and its own answers leave`, () => {
      place(bothEnforced, ssh, { set, direction: "egress", protocol: 17, port: 53 });
      assert.equal(fate(inward(family, udp(53, 4000))), denied);
      assert.equal(fate(outward(family, udp(4000, 53))), "pass");
      assert.equal(fate(inward(family, udp(53, 4000))), "pass");
      assert.equal(fate(outward(family, tcp(22, 4000))), denied);
      assert.equal(fate(inward(family, tcp(4000, 22, "S"))), "pass");
      assert.equal(fate(outward(family, tcp(22, 4000, "SA"))), "pass");
    });

    test(`IPv${family}: another policy judges connections that are under way`, () => {
      place(bothEnforced, ssh);
      assert.equal(fate(inward(family, tcp(4000, 22, "S"))), "pass");
      programs.setHost(set + 1, bothEnforced);
      assert.equal(fate(inward(family, tcp(4000, 22))), denied);
      programs.setHost(set, bothEnforced);
      assert.equal(fate(inward(family, tcp(4000, 22))), "pass");
    });

    test(`IPv${family}: an echo and errors about what the node sent follow their connections`, () => {
      place(bothEnforced, { ...closed.egress });
      const sentOut = [ip(family, at(host, family), at(outside, family)), udp(4000, 53), "x"] as const;
      const error = (): Outcome =>
        programs.onNetwork(
          "from_network",
          frame(
            link,
            ip(family, at(outside, family), at(host, family)),
            icmp(family, family === 4 ? 3 : 1, { code: family === 4 ? 3 : 4 }),
            quote(80, ...sentOut),
          ),
        );
      assert.equal(fate(error()), denied);
      outward(family, udp(4000, 53));
      assert.equal(fate(error()), "pass");
      assert.equal(fate(inward(family, echo(3))), denied);
      outward(family, echo(3));
      assert.equal(fate(inward(family, icmp(family, family === 4 ? 0 : 129, { id: 3 }))), "pass");
    });

    test(`IPv${family}: what is for many is nobody's, but a frame to everybody does not hide a datagram to the node`, () => {
      place(bothEnforced);
      const many = family === 4 ? ["224.0.0.18", "255.255.255.255"] : ["ff02::12"];
      for (const address of many) assert.equal(fate(outward(family, udp(68, 67), address)), "pass", address);
      const group = frame(toEverybody, ip(family, at(outside, family), many[0] ?? ""), udp(1, 2), "data");
      assert.equal(fate(programs.onNetwork("from_network", group)), "pass");
      assert.equal(fate(inward(family, udp(1, 2), at(outside, family), toEverybody)), denied);
    });

    test(`IPv${family}: protocols without ports are judged by the other end, and pass where no rule is about the node`, () => {
      const esp = { number: 50, build: (inside: Uint8Array) => inside };
      place(ingressEnforced, { ...closed.egress });
      assert.deepEqual([fate(inward(family, esp)), fate(outward(family, esp))], [denied, "pass"]);
      place(ingressEnforced, { ...closed.ingress, identity: outside.identity });
      assert.equal(fate(inward(family, esp)), "pass");
      assert.equal(programs.connections(family).length, 0);
    });

    test(`IPv${family}: a fragment that nothing is known of passes only where no rule is about the node`, () => {
      const later =
        family === 4
          ? [ipv4(at(outside, 4), at(host, 4), { id: 7, offset: 64, protocol: 17 })]
          : [ip(6, at(outside, 6), at(host, 6)), fragment({ id: 7, offset: 64, next: 17 })];
      const packet = frame(link, ...later, "x".repeat(64));
      place(ingressEnforced, { ...closed.ingress, protocol: 17, port: 53 });
      assert.equal(fate(programs.onNetwork("from_network", packet)), `${dropReason.firstLogicalDatagramFragmentNotFound} by host`);
      place(egressEnforced);
      assert.equal(fate(programs.onNetwork("from_network", packet)), "pass");
    });

    test(`IPv${family}: nobody outside speaks for the node`, () => {
      place(ingressEnforced, { ...closed.ingress });
      assert.equal(fate(inward(family, tcp(1, 2, "S"), at(host, family))), `${dropReason.invalidSourceIp} by host`);
    });

    test(`IPv${family}: pods are none of the node's business: theirs come and go, masked or not`, () => {
      place(bothEnforced);
      const device = encodeNativeDevice({ ipv4: addressBytes(host.ipv4), ipv6: addressBytes(host.ipv6) });
      programs.map("native_devices").update(u32(testIfindex), device);
      const masked = programs.onNetwork("to_network", frame(link, ip(family, at(client, family), at(outside, family)), udp(4000, 53), "x"));
      assert.equal(fate(masked), "pass");
      const portOffset = family === 4 ? 34 : 54;
      const port = new DataView(masked.packet.buffer, masked.packet.byteOffset).getUint16(portOffset);
      const back = inward(family, udp(53, port));
      assert.equal(fate(back), "pass");
      assert.deepEqual(back.packet, frame(link, ip(family, at(outside, family), at(client, family)), udp(53, 4000), "data"));
      const toPod = frame(link, ip(family, at(outside, family), at(client, family)), tcp(1, 2, "S"));
      assert.equal(fate(programs.onNetwork("from_network", toPod)), "pass");
    });

    test(`IPv${family}: what passes is traced`, () => {
      place(0, { ...closed.ingress }, { ...closed.egress });
      const points = (outcome: Outcome) => outcome.events.map(({ kind, notify }) => [kind, notify.header.subtype]);
      assert.deepEqual(points(inward(family, tcp(4000, 22, "S"))), [["trace", tracePoint.toHost]]);
      assert.deepEqual(points(outward(family, tcp(4000, 22, "S"))), [["trace", tracePoint.toNetwork]]);
    });
  }

  test("neighbour discovery and ARP are never judged, addresses of the link are", () => {
    place(bothEnforced);
    const solicit = frame(link, ip(6, "fe80::9", at(host, 6), { ttl: 255 }), neighbourSolicitation(at(host, 6), "02:00:00:00:09:09"));
    assert.equal(fate(programs.onNetwork("from_network", solicit)), "pass");
    const answer = frame(link, ip(6, "fe80::1", "fe80::9", { ttl: 255 }), neighbourSolicitation("fe80::9", "02:00:00:00:09:09"));
    assert.equal(fate(programs.onNetwork("to_network", answer)), "pass");
    const sshToLink = frame(link, ip(6, "fe80::9", "fe80::1"), tcp(4000, 22, "S"));
    assert.equal(fate(programs.onNetwork("from_network", sshToLink)), denied);
    const fromLink = frame(link, ip(6, "fe80::1", "fe80::9"), tcp(4000, 179, "S"));
    assert.equal(fate(programs.onNetwork("to_network", fromLink)), denied);
  });

  test("more extension headers than are looked at hide nothing", () => {
    const many = Array.from({ length: 8 }, () => extension("destination"));
    const packet = frame(link, ip(6, at(outside, 6), at(host, 6)), ...many, tcp(4000, 22, "S"));
    place(bothEnforced, ssh);
    assert.equal(fate(programs.onNetwork("from_network", packet)), `${dropReason.invalidIpv6ExtensionHeader} by host`);
    place(egressEnforced);
    assert.equal(fate(programs.onNetwork("from_network", packet)), "pass");
  });
});

describe("the node itself and its pods", { skip }, () => {
  let programs: PodPrograms;
  before(async () => {
    if (skip === false) programs = await PodPrograms.open({ hostFirewallEnabled: 1 });
  });
  after(() => programs?.[Symbol.dispose]());

  const place = (...rules: Rule[]): void => {
    placeTwoPods(programs, [...allowAll(client, server), ...rules]);
    programs.setHost(set, bothEnforced);
  };

  for (const family of families) {
    const toHost = (layer: Layer): Outcome =>
      programs.fromPod(client, sent(client, ip(family, at(client, family), at(host, family)), layer));
    const fromHost = (layer: Layer): Outcome =>
      programs.toPod(client, received(client, ip(family, at(host, family), at(client, family)), layer));

    test(`IPv${family}: what a pod sends to its node is received by the node's policy`, () => {
      place({ ...closed.ingress, identity: client.identity, protocol: 6, port: 22 });
      assert.deepEqual([fate(toHost(tcp(4000, 22, "S"))), fate(fromHost(tcp(22, 4000, "SA")))], ["pass", "pass"]);
      const dropped = toHost(tcp(4000, 80, "S"));
      assert.equal(fate(dropped), denied);
      const drop = dropped.events.find((event) => event.kind === "drop");
      assert.ok(drop?.kind === "drop");
      assert.deepEqual(
        [drop.notify.sourceIdentity, drop.notify.destinationIdentity, drop.notify.destinationId],
        [client.identity, host.identity, endpointId.host],
      );
    });

    test(`IPv${family}: what the node sends to a pod is sent by the node's policy, and received by the pod's`, () => {
      place({ ...closed.egress, identity: client.identity, protocol: 6, port: 8080 });
      assert.deepEqual([fate(fromHost(tcp(4000, 8080, "S"))), fate(toHost(tcp(8080, 4000, "SA")))], ["pass", "pass"]);
      assert.equal(fate(fromHost(tcp(4000, 80, "S"))), denied);
      programs.setRow({ ...client, policySet: 99 });
      assert.equal(fate(fromHost(tcp(4001, 8080, "S"))), `${dropReason.policyDenied} by ${client.id}`);
    });

    test(`IPv${family}: others' packets to a pod are none of the node's`, () => {
      place();
      const packet = received(client, ip(family, at(outside, family), at(client, family)), tcp(4000, 80, "S"));
      assert.equal(fate(programs.toPod(client, packet)), "pass");
      assert.equal(
        programs.fromPod(client, sent(client, ip(family, at(client, family), at(server, family)), udp(1, 2))).action,
        "redirect",
      );
    });

    test(`IPv${family}: a connection from before the node had a policy is judged by it`, () => {
      place(...[closed.ingress]);
      programs.setHost(0);
      assert.equal(fate(toHost(tcp(4000, 22, "S"))), "pass");
      programs.setHost(set + 1, bothEnforced);
      assert.equal(fate(toHost(tcp(4000, 22))), denied);
    });
  }
});
