import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { tracePoint } from "../../adapters/datapath/src/gen/index.ts";
import { Cluster, type ClusterNode, nodes, type Place } from "./cluster.ts";
import type { NodeEvent, NodePolicy, NodeRedirect, Routing } from "./cluster-node.ts";
import { type Family, families } from "./two-pods.ts";

const skip = requireKernel();
const { b } = nodes;
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

for (const routing of ["tunnel", "stack", "direct"] as const satisfies readonly Routing[]) {
  describe(`connections that policy leads to a proxy, two nodes, ${routing}`, { skip }, () => {
    let cluster: Cluster;
    const proxies: ChildProcess[] = [];
    before(async () => {
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
      cluster = await Cluster.open({ routing, podMtu: routing === "tunnel" ? 1450 : 1500, ipcache });
      for (const place of ["pod-b", "b"] as const) cluster.start(place, process.execPath, "-e", server);
      await eventually(async () => assert.equal(await ask(cluster, "b", b.pod.ipv4, "/", 500), "200 by []"));
      await eventually(async () => assert.equal(await ask(cluster, "b", b.router.ipv4, "/", 500), "200 by []"));
      for (const direction of ["egress", "ingress"] as const)
        proxies.push(await cluster.proxy(direction === "egress" ? "a" : "b", { direction, port: redirect(direction).proxyPort }));
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
    }
  });
}
