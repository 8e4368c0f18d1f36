import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { tracePoint } from "../../adapters/datapath/src/gen/index.ts";
import { answerBytes, Cluster, type ClusterNode, get, nodes, type Place, serverScript, world } from "./cluster.ts";
import type { Routing } from "./cluster-node.ts";
import { addressBytes } from "./layers.ts";
import { type Family, families } from "./two-pods.ts";

const skip = requireKernel();
const { a, b } = nodes;
const of = (party: { ipv4: string; ipv6: string }, family: Family): string => (family === 4 ? party.ipv4 : party.ipv6);

for (const routing of ["direct", "tunnel"] as const satisfies readonly Routing[]) {
  describe(`out of the cluster, which is routed ${routing === "direct" ? "natively" : "through a tunnel"}`, { skip }, () => {
    let cluster: Cluster;
    before(async () => {
      const tunnel = routing === "tunnel";
      const ipcache = (node: ClusterNode) => [
        { prefix: `${node.ipv4}/32`, identity: 6 },
        ...[`${node.pod.ipv4}/32`, `${node.pod.ipv6}/128`].map((prefix) => ({
          prefix,
          identity: node.pod.identity,
          ...(tunnel && { tunnelEndpoint: node.ipv4 }),
        })),
      ];
      const exempt = [...a.podCidrs, ...b.podCidrs, ...(tunnel ? [] : [`${b.ipv4}/32`, `${b.ipv6}/128`])];
      cluster = await Cluster.open({ routing, podMtu: tunnel ? 1450 : 1500, ipcache, exempt });
      for (const place of ["pod-a", "pod-b", "world"] as const) cluster.start(place, process.execPath, "-e", serverScript);
      await eventually(async () => assert.equal(await get(cluster, "a", world.ipv4, 500), String(answerBytes)));
      await eventually(async () => assert.equal(await get(cluster, "a", a.pod.ipv4, 500), String(answerBytes)));
      await eventually(async () => assert.equal(await get(cluster, "b", b.pod.ipv4, 500), String(answerBytes)));
    });
    after(() => cluster?.[Symbol.asyncDispose]());

    for (const family of families) {
      test(`IPv${family}: the world sees the node, and answers reach the pod`, async () => {
        await cluster.events("a");
        assert.equal(await who(cluster, "pod-a", of(world, family)), of(a, family));
        assert.equal(await get(cluster, "pod-a", of(world, family)), String(answerBytes));
        const events = await cluster.events("a");
        assert.deepEqual(
          events.filter(({ kind }) => kind === "drop"),
          [],
        );
        const told = events.filter(({ subtype, original }) => subtype === tracePoint.toNetwork && original !== "");
        assert.ok(
          told.some(({ source, original }) => source === a.pod.identity && original === of(a.pod, family)),
          JSON.stringify(events),
        );
      });

      test(`IPv${family}: the cluster's pods see the pod itself`, async () => {
        assert.equal(await who(cluster, "pod-a", of(b.pod, family)), of(a.pod, family));
      });

      test(`IPv${family}: who calls the pod by its own address is answered by it`, async () => {
        assert.equal(await get(cluster, "world", of(a.pod, family)), String(answerBytes));
      });

      test(`IPv${family}: datagrams are answered, whole ones and fragments`, async () => {
        for (const sizeBytes of [10, 4000])
          assert.equal(await echoDatagram(cluster, of(world, family), sizeBytes), `${sizeBytes} ${of(a, family)}`);
      });

      test(`IPv${family}: an echo is answered, and leaves from the node's address`, async () => {
        const filter = family === 4 ? "icmp[icmptype] == icmp-echo" : "icmp6 and ip6[40] == 128";
        const [frame] = await cluster.capture("a", filter, 1, () =>
          cluster.run("pod-a", "ping", "-c", "2", "-i", "0.2", "-W", "2", of(world, family)),
        );
        const source = family === 4 ? frame?.subarray(26, 30) : frame?.subarray(22, 38);
        assert.equal(Buffer.from(source ?? []).toString("hex"), Buffer.from(addressBytes(of(a, family))).toString("hex"));
      });

      test(`IPv${family}: an ICMP error finds the pod`, async () => {
        assert.equal(await cluster.script("pod-a", refusedScript(of(world, family))), "ECONNREFUSED");
      });

      test(`IPv${family}: "too big" on the way finds the pod, and the rest goes in smaller packets`, async () => {
        // With DF, and more than fits: the first is lost and brings the error, the next goes in fragments.
        assert.equal(await echoDatagram(cluster, of(world, family), 1400), `1400 ${of(a, family)}`);
        const route = await cluster.run("pod-a", "ip", "route", "get", of(world, family));
        assert.match(route, new RegExp(`mtu ${world.mtu}`));
      });

      test(`IPv${family}: many connections at once each get their own answer`, async () => {
        const script = `Promise.all(Array.from({ length: 200 }, () => fetch("${urlOf(of(world, family))}who").then((r) => r.text())))
          .then((all) => console.log([...new Set(all)].join()))`;
        assert.match(await cluster.script("pod-a", script), new RegExp(`^(::ffff:)?${of(a, family)}$`));
      });
    }
  });
}

function urlOf(address: string): string {
  return `http://${address.includes(":") ? `[${address}]` : address}:8080/`;
}

/** The address by which a server knows the place. */
async function who(cluster: Cluster, place: Place, address: string): Promise<string> {
  const seen = await cluster.script(place, `fetch("${urlOf(address)}who").then((r) => r.text()).then(console.log)`);
  return seen.replace("::ffff:", "");
}

/** Size and sender of what the server receives, when its answer has come back. */
async function echoDatagram(cluster: Cluster, to: string, sizeBytes: number): Promise<string> {
  const type = to.includes(":") ? "udp6" : "udp4";
  const server = cluster.start(
    "world",
    process.execPath,
    "-e",
    `const s = require("node:dgram").createSocket("${type}");
     s.on("message", (m, from) => s.send(m.length + " " + from.address + " ".repeat(m.length - 10), from.port, from.address, () => process.exit()));
     s.bind(9000, "${to}", () => console.log("ready"));`,
  );
  assert.ok(server.stdout !== null);
  const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, "ready");
  return cluster.script(
    "pod-a",
    `const s = require("node:dgram").createSocket("${type}"); s.on("message", (m) => { console.log(m.toString().trim()); process.exit(); });
     setInterval(() => s.send(Buffer.alloc(${sizeBytes}), 9000, "${to}"), 100); setTimeout(() => { console.log("nothing"); process.exit(); }, 5000);`,
  );
}

/** Prints the error that a datagram to a port without a listener brings. */
function refusedScript(to: string): string {
  const type = to.includes(":") ? "udp6" : "udp4";
  return `const s = require("node:dgram").createSocket("${type}"); s.on("error", (e) => { console.log(e.code); process.exit(); });
    s.connect(9001, "${to}", () => s.send("x")); setTimeout(() => { console.log("nothing"); process.exit(); }, 5000);`;
}
