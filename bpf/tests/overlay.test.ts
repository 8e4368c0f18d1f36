import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { dropReason, tracePoint } from "../../adapters/datapath/src/gen/index.ts";
import { answerBytes, Cluster, type ClusterNode, get, nodes, type Place, serverScript } from "./cluster.ts";
import type { NodeEvent } from "./cluster-node.ts";
import { addressBytes, arp, ethernet, frame as frameOf, type Layer, udp } from "./layers.ts";
import { type Family, families, ip } from "./two-pods.ts";

const skip = requireKernel();
const { a, b } = nodes;
const remoteNode = 6;
/** Of frames inside the tunnel: nobody looks at it. */
const link = ethernet("02:00:00:00:00:01", "02:00:00:00:00:02");
/** What the nodes' ipcaches wrongly say of each other's pods: the tunnel knows better. */
const mistaken = 4711;

const drops = (events: readonly NodeEvent[]): number[] => events.filter(({ kind }) => kind === "drop").map(({ subtype }) => subtype);
const traces = (events: readonly NodeEvent[], point: number): string[] =>
  [
    ...new Set(events.filter(({ kind, subtype }) => kind === "trace" && subtype === point).map((e) => `${e.source} to ${e.destination}`)),
  ].sort();

describe("two nodes and a tunnel", { skip }, () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.open({
      routing: "tunnel",
      podMtu: 1450,
      ipcache: (of: ClusterNode, seenBy) => [
        ...of.podCidrs.map((prefix) => ({ prefix, identity: 2, tunnelEndpoint: of.ipv4 })),
        { prefix: `${of.pod.ipv4}/32`, identity: seenBy === "a" ? of.pod.identity : mistaken, tunnelEndpoint: of.ipv4 },
        { prefix: `${of.pod.ipv6}/128`, identity: seenBy === "a" ? of.pod.identity : mistaken, tunnelEndpoint: of.ipv4 },
        ...[of.ipv4, of.router.ipv4].map((address) => ({
          prefix: `${address}/32`,
          identity: remoteNode,
          ...(address === of.ipv4 ? {} : { tunnelEndpoint: of.ipv4 }),
        })),
        ...[of.ipv6, of.router.ipv6].map((address) => ({
          prefix: `${address}/128`,
          identity: remoteNode,
          ...(address === of.ipv6 ? {} : { tunnelEndpoint: of.ipv4 }),
        })),
      ],
    });
    await cluster.tell("a", { kind: "tunnel-source", address: a.ipv4 });
    for (const place of ["pod-b", "b"] as const) cluster.start(place, process.execPath, "-e", serverScript);
    await eventually(async () => assert.equal(await get(cluster, "b", b.pod.ipv4, 500), String(answerBytes)));
    await eventually(async () => assert.equal(await get(cluster, "b", b.router.ipv4, 500), String(answerBytes)));
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  const of = (party: { ipv4: string; ipv6: string }, family: Family): string => (family === 4 ? party.ipv4 : party.ipv6);

  for (const family of families) {
    for (const [name, from, to, sees, identities] of [
      ["a pod of another node", "pod-a", b.pod, tracePoint.toEndpoint, `${a.pod.identity} to ${b.pod.identity}`],
      ["the host of another node", "pod-a", b.router, tracePoint.toHost, `${a.pod.identity} to 1`],
      ["a pod from the host of another node", "a", b.pod, tracePoint.toEndpoint, `${remoteNode} to ${b.pod.identity}`],
    ] as ReadonlyArray<readonly [string, Place, { ipv4: string; ipv6: string }, number, string]>) {
      test(`IPv${family}: ${name} is reached, and the tunnel says by whom`, async () => {
        await cluster.events("a");
        await cluster.events("b");
        assert.equal(await get(cluster, from, of(to, family)), String(answerBytes));
        const [here, there] = [await cluster.events("a"), await cluster.events("b")];
        assert.deepEqual([...drops(here), ...drops(there)], []);
        assert.deepEqual(traces(there, sees), [identities]);
        assert.notDeepEqual(traces(here, tracePoint.toOverlay), []);
        const wrapped = (events: readonly NodeEvent[]): string[] => [...new Set(events.map(({ outer }) => outer))].filter(Boolean);
        assert.deepEqual(wrapped(there.filter(({ kind, subtype }) => kind === "trace" && subtype === sees)), [
          `${a.ipv4} to ${b.ipv4}:8472, ${from === "a" ? remoteNode : a.pod.identity}`,
        ]);
        assert.ok(wrapped(here).includes(`${a.ipv4} to ${b.ipv4}:8472, ${from === "a" ? remoteNode : a.pod.identity}`));
      });
    }
  }

  const outerHeadersBytes = 14 + 20 + 8;
  for (const family of families) {
    for (const [name, from, vni] of [
      ["a pod's packet carries the pod's identity", "pod-a", a.pod.identity],
      ["what the host sends is from a remote node", "a", remoteNode],
    ] as const) {
      test(`IPv${family}: on the wire ${name}, and the outer header is the node's`, async () => {
        const [frame] = await cluster.capture("a", `udp dst port 8472 and src host ${a.ipv4}`, 1, () =>
          get(cluster, from, of(b.pod, family)),
        );
        assert.ok(frame !== undefined);
        const view = new DataView(frame.buffer, frame.byteOffset);
        assert.equal(view.getUint32(outerHeadersBytes), 0x0800_0000, "VXLAN with a network number");
        assert.equal(view.getUint32(outerHeadersBytes + 4) >>> 8, vni);
        assert.equal(frame[22], 64, "hops of the outer header");
        assert.equal(view.getUint16(40), 0, "no checksum of the outer UDP header: the inner one has its own");
        assert.deepEqual(Uint8Array.from(frame.subarray(30, 34)), addressBytes(b.ipv4));
      });
    }

    test(`IPv${family}: the receiver's policy goes by the identity in the tunnel`, async () => {
      await cluster.tell("b", { kind: "policy", policy: { ingress: [mistaken], egress: [0] } });
      await cluster.events("b");
      assert.equal(await get(cluster, "pod-a", of(b.pod, family), 300), "nothing");
      const [dropped] = (await cluster.events("b")).filter(({ kind }) => kind === "drop");
      assert.deepEqual(
        [dropped?.subtype, dropped?.source, dropped?.destination],
        [dropReason.policyDenied, a.pod.identity, b.pod.identity],
      );
      assert.equal(dropped?.outer, `${a.ipv4} to ${b.ipv4}:8472, ${a.pod.identity}`);
      await cluster.tell("b", { kind: "policy", policy: { ingress: [a.pod.identity], egress: [] } });
      assert.equal(await get(cluster, "pod-a", of(b.pod, family)), String(answerBytes));
      assert.equal(await get(cluster, "a", of(b.pod, family), 300), "nothing", "the host of the other node is somebody else");
      await cluster.tell("b", { kind: "policy", policy: { ingress: [0], egress: [0] } });
    });

    test(`IPv${family}: the sender's policy holds back what would go into the tunnel`, async () => {
      await cluster.tell("a", { kind: "policy", policy: { ingress: [0], egress: [remoteNode] } });
      await cluster.events("a");
      await cluster.events("b");
      assert.equal(await get(cluster, "pod-a", of(b.pod, family), 300), "nothing");
      assert.ok(drops(await cluster.events("a")).every((reason) => reason === dropReason.policyDenied));
      assert.deepEqual(await cluster.events("b"), []);
      assert.equal(await get(cluster, "pod-a", of(b.router, family)), String(answerBytes));
      await cluster.tell("a", { kind: "policy", policy: { ingress: [0], egress: [0] } });
    });

    test(`IPv${family}: a datagram in fragments arrives whole`, async () => {
      assert.equal(await sendDatagram(cluster, of(b.pod, family), 4000), "4000");
      assert.deepEqual([...drops(await cluster.events("a")), ...drops(await cluster.events("b"))], []);
    });

    test(`IPv${family}: an ICMP error comes back through the tunnel`, async () => {
      const said = await cluster.script("pod-a", refusedScript(of(b.pod, family)));
      assert.equal(said, "ECONNREFUSED");
    });
  }

  for (const family of families) {
    const toPod = (...inside: readonly Layer[]): Layer[] => [link, ip(family, of(a.pod, family), of(b.pod, family)), ...inside];
    const elsewhere = (address: { ipv4: string; ipv6: string }): Layer[] => [
      link,
      ip(family, of(a.pod, family), of(address, family)),
      udp(1, 2),
    ];
    for (const [name, vni, layers, reason] of [
      ["nobody's identity", 0, toPod(udp(1, 2)), dropReason.invalidIdentity],
      ["the identity of this node's own host", 1, toPod(udp(1, 2)), dropReason.invalidIdentity],
      ["an address of nobody", a.pod.identity, elsewhere({ ipv4: "10.77.2.99", ipv6: "fd00:77:2::99" }), dropReason.staleOrUnroutableIp],
      [
        "a header without a transport",
        a.pod.identity,
        toPod(),
        family === 4 ? dropReason.ctUnknownL4Protocol : dropReason.invalidIpv6ExtensionHeader,
      ],
      [
        "a pod's last hop",
        a.pod.identity,
        [link, ip(family, of(a.pod, family), of(b.pod, family), { ttl: 1 }), udp(1, 2)],
        dropReason.ttlExceeded,
      ],
      [
        "what is no IP",
        a.pod.identity,
        [link, arp({ operation: "request", senderMac: "02:00:00:00:00:01", senderIp: a.pod.ipv4, targetIp: b.pod.ipv4 })],
        dropReason.unsupportedL2Protocol,
      ],
    ] as ReadonlyArray<readonly [string, number, readonly Layer[], number]>) {
      test(`IPv${family}: ${name} from the tunnel is dropped (${reason})`, async () => {
        await cluster.events("b");
        await inject(cluster, vni, frameOf(...layers));
        await eventually(async () => assert.deepEqual(drops(await cluster.events("b")), [reason]));
      });
    }

    for (const [name, vni, source, identity] of [
      ["the world's identity is as exact as this node knows it", 2, { ipv4: "203.0.113.9", ipv6: "2001:db8::9" }, family === 4 ? 9 : 10],
      ["a node's identity is as exact as this node knows it", 6, { ipv4: a.ipv4, ipv6: a.ipv6 }, remoteNode],
      ["a node's word does not make a pod of it", 6, a.pod, 6],
    ] as const) {
      test(`IPv${family}: ${name}`, async () => {
        await cluster.events("b");
        const layers = [link, ip(family, of(source, family), of(b.pod, family)), udp(7, 8)];
        await inject(cluster, vni, frameOf(...layers));
        await eventually(async () =>
          assert.deepEqual(traces(await cluster.events("b"), tracePoint.toEndpoint), [`${identity} to ${b.pod.identity}`]),
        );
      });
    }
  }

  for (const family of families) {
    const toPod = (source: { ipv4: string; ipv6: string }): Layer[] => [link, ip(family, of(source, family), of(b.pod, family)), udp(1, 2)];
    const stranger = "192.168.77.9";
    const somebody = { ipv4: "203.0.113.9", ipv6: "2001:db8::9" };
    for (const [name, vni, source, from, reason] of [
      ["an address of this node's own pod", a.pod.identity, b.pod, a.ipv4, dropReason.invalidSourceIp],
      ["an address of this node itself", remoteNode, b.router, a.ipv4, dropReason.invalidSourceIp],
      ["a pod's address from another than its node", a.pod.identity, a.pod, stranger, dropReason.invalidSourceIp],
      ["a node's address from nobody of the cluster", remoteNode, a, stranger, dropReason.unknownSender],
      ["an address of the world from nobody of the cluster", 2, somebody, stranger, dropReason.unknownSender],
      ["a pod's identity for an address that no pod can have", a.pod.identity, somebody, a.ipv4, dropReason.invalidIdentity],
    ] as const) {
      test(`IPv${family}: ${name} is dropped (${reason})`, async () => {
        await cluster.run("a", "ip", "address", "replace", `${stranger}/24`, "dev", "uplink");
        await cluster.events("b");
        await inject(cluster, vni, frameOf(...toPod(source)), from);
        await eventually(async () => assert.deepEqual(drops(await cluster.events("b")), [reason]));
      });
    }

    test(`IPv${family}: a known connection is not taken over by another node`, async () => {
      const known = [link, ip(family, of(a.pod, family), of(b.pod, family)), udp(11, 12)];
      await inject(cluster, a.pod.identity, frameOf(...known), a.ipv4);
      await eventually(async () => assert.notDeepEqual(traces(await cluster.events("b"), tracePoint.toEndpoint), []));
      await inject(cluster, a.pod.identity, frameOf(...known), stranger);
      await eventually(async () => assert.deepEqual(drops(await cluster.events("b")), [dropReason.invalidSourceIp]));
    });
  }

  test("a node with several addresses sends from the one that others know it by", async () => {
    await cluster.run("a", "ip", "address", "replace", "192.168.77.8/24", "dev", "uplink");
    const sourceOf = async (): Promise<string> => {
      const [frame] = await cluster.capture("a", "udp dst port 8472 and src net 192.168.77.0/24 and dst host 192.168.77.2", 1, () =>
        get(cluster, "pod-a", b.pod.ipv4, 500),
      );
      return (frame ?? new Uint8Array()).subarray(26, 30).join(".");
    };
    await cluster.tell("a", { kind: "tunnel-source", address: "192.168.77.8" });
    await cluster.events("b");
    assert.equal(await sourceOf(), "192.168.77.8");
    assert.ok(drops(await cluster.events("b")).includes(dropReason.invalidSourceIp), "others know it by another");
    await cluster.tell("a", { kind: "tunnel-source", address: a.ipv4 });
    assert.equal(await sourceOf(), a.ipv4);
    assert.equal(await get(cluster, "pod-a", b.pod.ipv4), String(answerBytes));
  });

  test("a pod makes no packets of the tunnel itself, to any node", async () => {
    await cluster.events("a");
    for (const node of [a, b])
      for (const address of [node.ipv4, node.router.ipv4, node.router.ipv6])
        await cluster.script(
          "pod-a",
          `const s = require("node:dgram").createSocket("${address.includes(":") ? "udp6" : "udp4"}"); s.send("x", 8472, "${address}", () => s.close());`,
        );
    const found = drops(await cluster.events("a"));
    assert.deepEqual(found, Array(6).fill(dropReason.encapsulationTrafficIsProhibited));
  });

  describe("between pods that do not know how narrow the tunnel is", () => {
    const podLinks = [
      ["a", "pod"],
      ["pod-a", "eth0"],
      ["b", "pod"],
      ["pod-b", "eth0"],
    ] as const;
    const setMtu = async (mtu: number): Promise<void> => {
      for (const [place, device] of podLinks) await cluster.run(place, "ip", "link", "set", device, "mtu", String(mtu));
    };
    before(() => setMtu(1500));
    after(() => setMtu(1450));

    for (const family of families) {
      const largest = family === 4 ? 1500 - 28 : 1500 - 48;
      const ping = (sizeBytes: number, fragments: "do" | "dont"): Promise<string> =>
        cluster.run("pod-a", "ping", "-n", "-c", "1", "-W", "2", "-M", fragments, "-s", String(sizeBytes), of(b.pod, family));

      test(`IPv${family}: what does not fit is answered with the tunnel's MTU, and nothing is fragmented outside`, async () => {
        await cluster.run("pod-a", "ip", `-${family}`, "route", "flush", "cache");
        await assert.rejects(ping(largest, "do"));
        assert.match(await cluster.run("pod-a", "ip", "route", "get", of(b.pod, family)), /mtu 1450/);
        assert.match(await ping(largest - 50, "do"), / 0% packet loss/, "what just fits arrives");
      });

      test(`IPv${family}: a stream of segments that do not fit goes on with smaller ones`, async () => {
        for (const place of ["pod-a", "pod-b"] as const) await cluster.run(place, "ip", `-${family}`, "route", "flush", "cache");
        assert.equal(await get(cluster, "pod-a", of(b.pod, family)), String(answerBytes));
      });
    }

    test("a packet that may be fragmented is, and arrives", async () => {
      await cluster.run("pod-a", "ip", "route", "flush", "cache");
      const { stdout } = { stdout: await cluster.run("pod-a", "ping", "-n", "-c", "1", "-W", "2", "-M", "dont", "-s", "1472", b.pod.ipv4) };
      assert.match(stdout, / 0% packet loss/);
    });
  });
});

/** Sends a frame to node b as if it came through the tunnel, from an address of node a. */
async function inject(cluster: Cluster, vni: number, inner: Uint8Array, from = a.ipv4): Promise<void> {
  const header = Buffer.alloc(8);
  header[0] = 8;
  header.writeUInt32BE(vni * 256, 4);
  const hex = Buffer.concat([header, inner]).toString("hex");
  await cluster.script(
    "a",
    `const s = require("node:dgram").createSocket("udp4");
     s.bind(0, "${from}", () => s.send(Buffer.from("${hex}", "hex"), 8472, "${b.ipv4}", () => s.close()));`,
  );
}

/** The size of what arrives. */
async function sendDatagram(cluster: Cluster, to: string, sizeBytes: number): Promise<string> {
  const type = to.includes(":") ? "udp6" : "udp4";
  const server = cluster.start(
    "pod-b",
    process.execPath,
    "-e",
    `const s = require("node:dgram").createSocket("${type}");
     s.on("message", (m) => { console.log(m.length); process.exit(); }); s.bind(9000, () => console.log("ready"));`,
  );
  assert.ok(server.stdout !== null);
  const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, "ready");
  const deadline = setTimeout(() => server.kill(), 5_000);
  await cluster.script(
    "pod-a",
    `const s = require("node:dgram").createSocket("${type}"); s.send(Buffer.alloc(${sizeBytes}), 9000, "${to}", () => s.close());`,
  );
  const { value } = await lines.next();
  clearTimeout(deadline);
  return value ?? "nothing";
}

/** Prints the error that a datagram to a port without a listener brings. */
function refusedScript(to: string): string {
  const type = to.includes(":") ? "udp6" : "udp4";
  return `const s = require("node:dgram").createSocket("${type}"); s.on("error", (e) => { console.log(e.code); process.exit(); });
    s.connect(9001, "${to}", () => s.send("x")); setTimeout(() => { console.log("nothing"); process.exit(); }, 5000);`;
}
