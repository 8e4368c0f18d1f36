import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { dropReason, tracePoint } from "../../adapters/datapath/src/gen/index.ts";
import { Cluster, type ClusterNode, nodes, type Place } from "./cluster.ts";
import type { NodeEvent, NodePolicy, NodeRedirect, Routing } from "./cluster-node.ts";
import { type Family, families } from "./two-pods.ts";

const skip = requireKernel();
const { a, b } = nodes;
const remoteNode = 6;
const open: NodePolicy = { ingress: [0], egress: [0] };
const egressPort = 10_001;
const ingressPort = 10_002;
const redirect = (direction: "ingress" | "egress", protocol = 6): NodeRedirect => {
  return { direction, protocol, port: 8080, proxyPort: direction === "egress" ? egressPort : ingressPort };
};

const of = (party: { ipv4: string; ipv6: string }, family: Family): string => (family === 4 ? party.ipv4 : party.ipv6);
const points = (events: readonly NodeEvent[]): number[] => [
  ...new Set(events.filter(({ kind }) => kind === "trace").map(({ subtype }) => subtype)),
];
const drops = (events: readonly NodeEvent[]): number[] => events.filter(({ kind }) => kind === "drop").map(({ subtype }) => subtype);

/** Says by which proxies the question came, and who asked. */
const server = `require("node:http").createServer((question, answer) => answer.end(question.socket.remoteAddress)).listen(8080, "::")`;

/** Status, proxies and body of an answer, or "nothing". */
function ask(cluster: Cluster, place: Place, address: string, path = "/", deadlineMs = 5_000): Promise<string> {
  const url = `http://${address.includes(":") ? `[${address}]` : address}:8080${path}`;
  return cluster.script(
    place,
    `fetch(${JSON.stringify(url)}, { signal: AbortSignal.timeout(${deadlineMs}) })
      .then(async (r) => console.log(r.status + " by [" + (r.headers.get("x-proxy") ?? "") + "]"), () => console.log("nothing")).finally(() => process.exit())`,
  );
}

/** One connection that asks whenever it is told to, and says what it was answered: "gone" when it has ended. */
const asker = (address: string): string => `
  const agent = new (require("node:http").Agent)({ keepAlive: true, maxSockets: 1 });
  let first;
  require("node:readline").createInterface({ input: process.stdin }).on("line", () => {
    const question = require("node:http").get({ agent, host: ${JSON.stringify(address)}, port: 8080, timeout: 500 }, (answer) => {
      answer.resume().on("end", () => console.log(question.reusedSocket ? "same" : "other", answer.statusCode, "by [" + (answer.headers["x-proxy"] ?? "") + "]"));
    });
    question.on("timeout", () => question.destroy());
    question.on("error", () => console.log("gone"));
  });`;

/** A question by UDP, answered by whoever is there. */
const datagram = (address: string): string => `
  const socket = require("node:dgram").createSocket(${address.includes(":") ? '"udp6"' : '"udp4"'});
  socket.on("message", (text, from) => { console.log(String(text) + " from " + from.port); process.exit(); });
  socket.send("question", 8080, ${JSON.stringify(address)});
  setTimeout(() => { console.log("nothing"); process.exit(); }, 500);`;

/** A listener with nothing that makes it a proxy. */
const stranger = (port: number): string =>
  `require("node:http").createServer((_, answer) => answer.end()).listen(${port}, "::", () => console.log("ready"))`;

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill();
  await ended;
}

function openCluster(routing: Routing, hostFirewall = false): Promise<Cluster> {
  const ipcache = (node: ClusterNode) => {
    const via = routing === "tunnel" ? { tunnelEndpoint: node.ipv4 } : {};
    return [
      { prefix: `${node.pod.ipv4}/32`, identity: node.pod.identity, ...via },
      { prefix: `${node.pod.ipv6}/128`, identity: node.pod.identity, ...via },
      { prefix: `${node.router.ipv4}/32`, identity: remoteNode, ...via },
      { prefix: `${node.router.ipv6}/128`, identity: remoteNode, ...via },
      { prefix: `${node.ipv4}/32`, identity: remoteNode },
      { prefix: `${node.ipv6}/128`, identity: remoteNode },
    ];
  };
  return Cluster.open({ routing, hostFirewall, podMtu: routing === "tunnel" ? 1450 : 1500, ipcache });
}

for (const routing of ["tunnel", "stack", "direct"] as const satisfies readonly Routing[]) {
  describe(`connections that policy leads to a proxy, two nodes, ${routing}`, { skip }, () => {
    let cluster: Cluster;
    const proxies = new Map<string, ChildProcess>();
    const startProxy = async (direction: "egress" | "ingress"): Promise<void> => {
      proxies.set(direction, await cluster.proxy(direction === "egress" ? "a" : "b", { direction, port: redirect(direction).proxyPort }));
    };
    before(async () => {
      cluster = await openCluster(routing);
      for (const place of ["pod-b", "b", "near-a"] as const) cluster.start(place, process.execPath, "-e", server);
      await eventually(async () => assert.equal(await ask(cluster, "b", b.pod.ipv4, "/", 500), "200 by []"));
      await eventually(async () => assert.equal(await ask(cluster, "b", b.router.ipv4, "/", 500), "200 by []"));
      for (const direction of ["egress", "ingress"] as const) await startProxy(direction);
    });
    after(() => cluster?.[Symbol.asyncDispose]());

    for (const family of families) {
      test(`IPv${family}: a pod's egress goes by the proxy of its node`, async () => {
        await cluster.tell("a", { kind: "policy", policy: { ...open, redirects: [redirect("egress")] } });
        await cluster.events("a");
        assert.equal(await ask(cluster, "pod-a", of(b.pod, family)), "200 by [egress]");
        assert.equal(await ask(cluster, "pod-a", of(b.pod, family), "/refused"), "403 by [egress]");
        const events = await cluster.events("a");
        assert.deepEqual(drops(events), []);
        assert.ok(points(events).includes(tracePoint.toProxy), String(points(events)));
        assert.ok(events.some(({ kind, subtype }) => kind === "verdict" && subtype === egressPort));
        await cluster.tell("a", { kind: "policy", policy: open });
      });

      test(`IPv${family}: a pod's ingress goes by the proxy of its node`, async () => {
        await cluster.tell("b", { kind: "policy", policy: { ...open, redirects: [redirect("ingress")] } });
        await cluster.events("b");
        for (const from of ["pod-a", "a", "b"] as const) {
          assert.equal(await ask(cluster, from, of(b.pod, family)), "200 by [ingress]", from);
          assert.equal(await ask(cluster, from, of(b.pod, family), "/refused"), "403 by [ingress]", from);
        }
        const events = await cluster.events("b");
        assert.deepEqual(drops(events), []);
        assert.ok(events.some(({ kind, subtype }) => kind === "verdict" && subtype === ingressPort));
        await cluster.tell("b", { kind: "policy", policy: open });
      });

      test(`IPv${family}: pods of one node, and the node itself, have the same proxies between them`, async () => {
        await cluster.tell("b", { kind: "policy", policy: { ...open, redirects: [redirect("ingress")] } });
        assert.equal(await ask(cluster, "near-b", of(b.pod, family)), "200 by [ingress]");
        assert.equal(await ask(cluster, "near-b", of(b.pod, family), "/refused"), "403 by [ingress]");
        await cluster.tell("a", { kind: "policy", policy: { ...open, redirects: [redirect("egress")] } });
        assert.equal(await ask(cluster, "pod-a", of(a.near, family)), "200 by [egress]");
        await cluster.events("a");
        assert.equal(await ask(cluster, "pod-a", of(a.near, family)), "200 by [egress]");
        const arrived = (await cluster.events("a")).filter(({ kind, subtype }) => kind === "trace" && subtype === tracePoint.toEndpoint);
        assert.ok(arrived.some(({ source, destination }) => source === a.pod.identity && destination === a.near.identity));
        await cluster.tell("b", { kind: "policy", policy: { ...open, redirects: [{ ...redirect("egress"), proxyPort: ingressPort }] } });
        assert.equal(await ask(cluster, "pod-b", of(b.router, family)), "200 by [ingress]", "to a process of the node");
        for (const node of ["a", "b"] as const) await cluster.tell(node, { kind: "policy", policy: open });
      });

      test(`IPv${family}: who goes by a proxy is judged by the receiver as ${routing === "tunnel" ? "who it is" : "its node"}`, async () => {
        const seen = routing === "tunnel" ? a.pod.identity : remoteNode;
        await cluster.tell("a", { kind: "policy", policy: { ...open, redirects: [redirect("egress")] } });
        await cluster.tell("b", { kind: "policy", policy: { ingress: [seen], egress: [0] } });
        assert.equal(await ask(cluster, "pod-a", of(b.pod, family)), "200 by [egress]");
        await cluster.tell("b", { kind: "policy", policy: { ingress: [4711], egress: [0] } });
        await cluster.events("b");
        assert.equal(await ask(cluster, "pod-a", of(b.pod, family), "/", 300), "nothing");
        assert.ok((await cluster.events("b")).some(({ kind, source }) => kind === "drop" && source === seen));
        await cluster.tell("b", { kind: "policy", policy: { ...open, redirects: [redirect("ingress")] } });
        assert.equal(await ask(cluster, "pod-a", of(b.pod, family)), "200 by [egress ingress]", "both ends may have one");
        for (const node of ["a", "b"] as const) await cluster.tell(node, { kind: "policy", policy: open });
      });

      test(`IPv${family}: a connection goes to the proxy when policy begins to want that, and stays there when it ends`, async () => {
        const child = cluster.start("pod-a", process.execPath, "-e", asker(of(b.pod, family)));
        assert.ok(child.stdout !== null);
        const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
        const answer = async (): Promise<string> => {
          child.stdin?.write("\n");
          return (await lines.next()).value ?? "ended";
        };
        assert.equal(await answer(), "other 200 by []");
        assert.equal(await answer(), "same 200 by []");
        await cluster.tell("a", { kind: "policy", policy: { ...open, redirects: [redirect("egress")] } });
        assert.equal(await answer(), "gone");
        assert.equal(await answer(), "other 200 by [egress]");
        await cluster.tell("a", { kind: "policy", policy: open });
        assert.equal(await answer(), "same 200 by [egress]");
        await cluster.tell("a", { kind: "policy", policy: { ingress: [0], egress: [] } });
        await cluster.events("a");
        assert.equal(await answer(), "gone");
        assert.ok(drops(await cluster.events("a")).includes(dropReason.policyDenied));
        await cluster.tell("a", { kind: "policy", policy: open });
        await stop(child);
      });

      for (const direction of ["egress", "ingress"] as const) {
        const node = direction === "egress" ? "a" : "b";
        test(`IPv${family}: without its ${direction} proxy nothing passes, whoever has the port; the next one there goes on`, async () => {
          await cluster.tell(node, { kind: "policy", policy: { ...open, redirects: [redirect(direction)] } });
          const proxy = proxies.get(direction);
          assert.ok(proxy !== undefined);
          await stop(proxy);
          await cluster.events(node);
          assert.equal(await ask(cluster, "pod-a", of(b.pod, family), "/", 300), "nothing");
          assert.deepEqual([...new Set(drops(await cluster.events(node)))], [dropReason.socketLookupFailed]);
          const other = cluster.start(node, process.execPath, "-e", stranger(redirect(direction).proxyPort));
          assert.ok(other.stdout !== null);
          assert.equal((await createInterface({ input: other.stdout })[Symbol.asyncIterator]().next()).value, "ready");
          assert.equal(await ask(cluster, "pod-a", of(b.pod, family), "/", 300), "nothing");
          assert.deepEqual([...new Set(drops(await cluster.events(node)))], [dropReason.socketLookupFailed]);
          await stop(other);
          await startProxy(direction);
          assert.equal(await ask(cluster, "pod-a", of(b.pod, family)), `200 by [${direction}]`);
          await cluster.tell(node, { kind: "policy", policy: open });
        });

        test(`IPv${family}: datagrams go to the ${direction} proxy, and its answers come from whom the pod has asked`, async () => {
          const asked = { address: of(b.pod, family), port: 8080 };
          const proxy = await cluster.proxy(node, { direction, port: 10_500, asked });
          await cluster.tell(node, { kind: "policy", policy: { ...open, redirects: [{ ...redirect(direction, 17), proxyPort: 10_500 }] } });
          assert.equal(await cluster.script("pod-a", datagram(asked.address)), `${direction} question from 8080`);
          await stop(proxy);
          assert.equal(await cluster.script("pod-a", datagram(asked.address)), "nothing");
          await cluster.tell(node, { kind: "policy", policy: open });
        });
      }
    }
  });
}

for (const routing of ["tunnel", "direct"] as const satisfies readonly Routing[]) {
  describe(`connections of a node itself that policy leads to a proxy, ${routing}`, { skip }, () => {
    let cluster: Cluster;
    before(async () => {
      cluster = await openCluster(routing, true);
      for (const place of ["pod-b", "b"] as const) cluster.start(place, process.execPath, "-e", server);
      await eventually(async () => assert.equal(await ask(cluster, "a", b.pod.ipv4, "/", 500), "200 by []"));
      await eventually(async () => assert.equal(await ask(cluster, "a", b.ipv4, "/", 500), "200 by []"));
      await cluster.proxy("a", { direction: "egress", port: egressPort });
    });
    after(() => cluster?.[Symbol.asyncDispose]());

    for (const family of families) {
      test(`IPv${family}: the node asks other nodes and their pods by its proxy`, async () => {
        await cluster.tell("a", { kind: "host-policy", policy: { ...open, redirects: [redirect("egress")] } });
        await cluster.events("a");
        for (const to of [b.pod, b]) {
          assert.equal(await ask(cluster, "a", of(to, family)), "200 by [egress]");
          assert.equal(await ask(cluster, "a", of(to, family), "/refused"), "403 by [egress]");
        }
        const events = await cluster.events("a");
        assert.deepEqual(drops(events), []);
        assert.ok(points(events).includes(tracePoint.toProxy), String(points(events)));
        await cluster.tell("a", { kind: "host-policy", policy: open });
        assert.equal(await ask(cluster, "a", of(b.pod, family)), "200 by []");
      });
    }
  });
}
