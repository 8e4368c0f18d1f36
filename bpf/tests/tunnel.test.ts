import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { dropReason, notifyFlags, tracePoint, traceReason } from "../../adapters/datapath/src/gen/index.ts";
import { addressBytes, payload, tcp, udp } from "./layers.ts";
import { type PodPrograms, testIfindex } from "./pod-programs.ts";
import { allowAll, at, client, type Family, families, host, ip, openTwoPods, placeTwoPods, received, sent } from "./two-pods.ts";

const skip = requireKernel();

/** A pod of another node, and the addresses of that node and a third. */
const remote = { ipv4: "10.2.0.9", ipv6: "fd00:2::9", identity: 2002 };
const [otherNode, thirdNode] = ["192.168.7.2", "192.168.7.3"];

describe("to pods of other nodes through the tunnel", { skip }, () => {
  let programs: PodPrograms;
  before(async () => {
    // Any device will do: nothing is sent in a test run.
    if (skip === false) programs = await openTwoPods({ tunnelIfindex: testIfindex });
  });
  after(() => programs?.[Symbol.dispose]());

  const hears = (node: string): void => {
    programs.setIdentity(remote.ipv4, 32, remote.identity, node);
    programs.setIdentity(remote.ipv6, 128, remote.identity, node);
  };
  const place = (): void => {
    placeTwoPods(programs, allowAll(client));
    hears(otherNode);
  };
  const request = (family: Family, ttl = 64): Uint8Array =>
    sent(client, ip(family, at(client, family), at(remote, family), { ttl }), tcp(4000, 80, "S"));
  const answer = (family: Family): Uint8Array => received(client, ip(family, at(remote, family), at(client, family)), tcp(80, 4000, "SA"));

  for (const family of families) {
    test(`IPv${family}: one hop less, and the trace names both identities and the tunnel's device`, () => {
      place();
      const outcome = programs.fromPod(client, request(family));
      assert.equal(outcome.action, "redirect");
      assert.deepEqual(outcome.packet, request(family, 63));
      const [trace] = outcome.events.filter(({ kind }) => kind === "trace");
      assert.ok(trace?.kind === "trace");
      assert.equal(trace.notify.header.subtype, tracePoint.toOverlay);
      assert.equal(trace.notify.header.source, client.id);
      assert.deepEqual([trace.notify.sourceIdentity, trace.notify.destinationIdentity], [client.identity, remote.identity]);
      assert.equal(trace.notify.ifindex, testIfindex);
      // What the event carries is the packet before it is wrapped, behind what it will be wrapped in.
      assert.equal(trace.notify.flags, (family === 6 ? notifyFlags.ipv6 : 0) | notifyFlags.vxlan | notifyFlags.l3Device);
      assert.deepEqual(trace.payload.subarray(36), outcome.packet.subarray(0, 128));
      assert.equal(trace.notify.header.originalLength, outcome.packet.length);
    });

    test(`IPv${family}: not with its last hop`, () => {
      place();
      assert.equal(programs.fromPod(client, request(family, 1)).dropReason, dropReason.ttlExceeded);
    });

    test(`IPv${family}: what does not fit is left to the stack, which knows what to answer`, () => {
      place();
      const headers = family === 4 ? 20 : 40;
      const ofSize = (sizeBytes: number): Uint8Array =>
        sent(client, ip(family, at(client, family), at(remote, family)), udp(1, 2), payload(new Uint8Array(sizeBytes - headers - 8)));
      assert.equal(programs.fromPod(client, ofSize(1450)).action, "redirect");
      const outcome = programs.fromPod(client, ofSize(1451));
      assert.equal(outcome.action, "pass");
      assert.deepEqual(outcome.packet, ofSize(1451), "the stack counts the hop");
    });

    test(`IPv${family}: a pod's own packet of the tunnel is for no node, and for others like any`, () => {
      place();
      const toPort = (port: number): Uint8Array => sent(client, ip(family, at(client, family), at(remote, family)), udp(1, port));
      assert.equal(programs.fromPod(client, toPort(8472)).action, "redirect");
      for (const identity of [1, 6, 7, 33_554_433]) {
        programs.setIdentity(at(remote, family), family === 4 ? 32 : 128, identity, otherNode);
        programs.setGeneration(identity);
        assert.equal(programs.fromPod(client, toPort(8472)).dropReason, dropReason.encapsulationTrafficIsProhibited, String(identity));
        assert.equal(programs.fromPod(client, toPort(8473)).action, "redirect");
      }
      assert.equal(
        programs.fromPod(client, sent(client, ip(family, at(client, family), at(host, family)), udp(1, 8472))).dropReason,
        dropReason.encapsulationTrafficIsProhibited,
      );
    });

    test(`IPv${family}: policy of the sender decides first`, () => {
      placeTwoPods(programs, [{ set: client.policySet, direction: "egress", identity: remote.identity, deny: true }]);
      hears(otherNode);
      assert.equal(programs.fromPod(client, request(family)).dropReason, dropReason.policyDeny);
    });

    test(`IPv${family}: the connection remembers the other node until the ipcache changes`, () => {
      place();
      programs.setGeneration(1);
      programs.fromPod(client, request(family));
      assert.deepEqual(programs.connections(family)[0]?.tunnelEndpoint, addressBytes(otherNode));
      hears(thirdNode);
      programs.fromPod(client, request(family));
      assert.deepEqual(programs.connections(family)[0]?.tunnelEndpoint, addressBytes(otherNode), "nobody has said that something changed");
      programs.setGeneration(2);
      assert.equal(programs.fromPod(client, request(family)).action, "redirect");
      assert.deepEqual(programs.connections(family)[0]?.tunnelEndpoint, addressBytes(thirdNode));
    });

    test(`IPv${family}: an answer goes back through the tunnel, however its request came`, () => {
      place();
      programs.setGeneration(1);
      assert.equal(programs.toPod(client, received(client, ip(family, at(remote, family), at(client, family)), udp(7, 8))).action, "pass");
      for (const generation of [1, 2]) {
        programs.setGeneration(generation);
        const outcome = programs.fromPod(client, sent(client, ip(family, at(client, family), at(remote, family)), udp(8, 7)));
        assert.equal(outcome.action, "redirect", `generation ${generation}`);
        const [trace] = outcome.events.filter(({ kind }) => kind === "trace");
        if (generation === 1) assert.ok(trace?.kind === "trace" && trace.notify.reason === traceReason.reply);
      }
    });

    test(`IPv${family}: a pod that came here is found here, whatever the connection remembers`, () => {
      place();
      programs.setGeneration(1);
      programs.fromPod(client, request(family));
      const moved = { ...client, id: 3, ifindex: 103, policySet: 13, identity: remote.identity, ipv4: remote.ipv4, ipv6: remote.ipv6 };
      for (const rule of allowAll(moved)) programs.addRule(rule);
      programs.setPod(moved);
      programs.setIdentity(at(remote, family), family === 4 ? 32 : 128, remote.identity);
      programs.setGeneration(2);
      const outcome = programs.fromPod(client, request(family));
      assert.deepEqual(outcome.packet.slice(0, 6), received(moved, "").slice(0, 6), "the frame is for the pod itself");
    });

    test(`IPv${family}: who has no tunnel is reached through the node's stack`, () => {
      place();
      programs.setIdentity(at(remote, family), family === 4 ? 32 : 128, remote.identity);
      const outcome = programs.fromPod(client, request(family));
      assert.equal(outcome.action, "pass");
      assert.deepEqual(outcome.packet, request(family));
    });

    test(`IPv${family}: an answer from there passes without policy of the receiver`, () => {
      placeTwoPods(programs, [{ set: client.policySet, direction: "egress" }]);
      hears(otherNode);
      programs.fromPod(client, request(family));
      assert.equal(programs.toPod(client, answer(family)).action, "pass");
    });
  }
});
