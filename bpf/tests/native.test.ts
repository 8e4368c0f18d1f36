import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { dropReason, tracePoint } from "../../adapters/datapath/src/gen/index.ts";
import { answerBytes, Cluster, type ClusterNode, get, nodes, serverScript } from "./cluster.ts";
import type { NodeEvent, Routing } from "./cluster-node.ts";
import { type Family, families } from "./two-pods.ts";

const skip = requireKernel();
const { a, b } = nodes;
const remoteNode = 6;

const drops = (events: readonly NodeEvent[]): number[] => events.filter(({ kind }) => kind === "drop").map(({ subtype }) => subtype);
const places = (events: readonly NodeEvent[]): number[] => [
  ...new Set(events.filter(({ kind }) => kind === "trace").map(({ subtype }) => subtype)),
];
const of = (party: { ipv4: string; ipv6: string }, family: Family): string => (family === 4 ? party.ipv4 : party.ipv6);

for (const routing of ["stack", "direct"] as const satisfies readonly Routing[]) {
  describe(`two nodes and routes between them, by way of ${routing === "stack" ? "the stacks" : "the programs alone"}`, { skip }, () => {
    let cluster: Cluster;
    before(async () => {
      const ipcache = (node: ClusterNode) => [
        { prefix: `${node.pod.ipv4}/32`, identity: node.pod.identity },
        { prefix: `${node.pod.ipv6}/128`, identity: node.pod.identity },
        ...[node.ipv4, node.router.ipv4].map((address) => ({ prefix: `${address}/32`, identity: remoteNode })),
        ...[node.ipv6, node.router.ipv6].map((address) => ({ prefix: `${address}/128`, identity: remoteNode })),
      ];
      cluster = await Cluster.open({ routing, podMtu: 1500, ipcache });
      for (const place of ["pod-b", "b"] as const) cluster.start(place, process.execPath, "-e", serverScript);
      await eventually(async () => assert.equal(await get(cluster, "b", b.pod.ipv4, 500), String(answerBytes)));
      await eventually(async () => assert.equal(await get(cluster, "b", b.router.ipv4, 500), String(answerBytes)));
    });
    after(() => cluster?.[Symbol.asyncDispose]());

    for (const family of families) {
      test(`IPv${family}: a pod of the other node answers, and the sender's packets take that way`, async () => {
        await cluster.events("a");
        await cluster.events("b");
        assert.equal(await get(cluster, "pod-a", of(b.pod, family)), String(answerBytes));
        const [here, there] = [await cluster.events("a"), await cluster.events("b")];
        assert.deepEqual([...drops(here), ...drops(there)], []);
        assert.ok(places(here).includes(routing === "direct" ? tracePoint.toNetwork : tracePoint.toStack), String(places(here)));
        assert.ok(there.some(({ source, destination }) => source === a.pod.identity && destination === b.pod.identity));
      });

      test(`IPv${family}: answers ${routing === "direct" ? "pass the receiver's stack by" : "come by the receiver's stack"}`, async () => {
        const rule = family === 4 ? `ip daddr ${a.pod.ipv4}` : `ip6 daddr ${a.pod.ipv6}`;
        await cluster.run("a", "nft", `table inet seen { chain prerouting { type filter hook prerouting priority 0; ${rule} counter; }; }`);
        await get(cluster, "pod-a", of(b.pod, family));
        const packets = Number(/counter packets (\d+)/.exec(await cluster.run("a", "nft", "list", "table", "inet", "seen"))?.[1]);
        await cluster.run("a", "nft", "delete", "table", "inet", "seen");
        assert.ok(routing === "direct" ? packets === 0 : packets > 10, String(packets));
      });

      if (routing === "direct")
        test(`IPv${family}: answers to what the node has translated are translated back`, async () => {
          const [table, own, to] = family === 4 ? ["ip", "ip daddr", `${b.pod.ipv4}:8080`] : ["ip6", "ip6 daddr", `[${b.pod.ipv6}]:8080`];
          const rules = `type nat hook prerouting priority dstnat; ${own} ${of(b, family)} tcp dport 8081 dnat to ${to};`;
          await cluster.run("b", "nft", `table ${table} translated { chain prerouting { ${rules} }; }`);
          assert.equal(await get(cluster, "pod-a", of(b, family), 3_000, 8081), String(answerBytes));
          await cluster.run("b", "nft", "delete", "table", table, "translated");
        });

      test(`IPv${family}: what does not fit on the way is answered with what does`, async () => {
        const way = family === 4 ? b.podCidrs[0] : b.podCidrs[1];
        const via = of(b, family);
        await cluster.run("a", "ip", "route", "replace", way, "via", via, "mtu", "lock", "1400");
        const ping = (size: number): Promise<string> =>
          cluster.run("pod-a", "ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", String(size), of(b.pod, family));
        await assert.rejects(ping(1400));
        assert.match(await cluster.run("pod-a", "ip", "route", "get", of(b.pod, family)), /mtu 1400/);
        assert.match(await ping(1300), / 0% packet loss/);
        await cluster.run("a", "ip", "route", "replace", way, "via", via);
        await cluster.run("pod-a", "ip", `-${family}`, "route", "flush", "cache");
      });

      test(`IPv${family}: the host of the other node answers a pod, and a pod the host`, async () => {
        assert.equal(await get(cluster, "pod-a", of(b, family)), String(answerBytes));
        assert.equal(await get(cluster, "a", of(b.pod, family)), String(answerBytes));
      });

      test(`IPv${family}: the receiver's policy holds`, async () => {
        await cluster.tell("b", { kind: "policy", policy: { ingress: [remoteNode], egress: [] } });
        await cluster.events("b");
        assert.equal(await get(cluster, "pod-a", of(b.pod, family), 300), "nothing");
        const [dropped] = (await cluster.events("b")).filter(({ kind }) => kind === "drop");
        assert.deepEqual([dropped?.subtype, dropped?.source], [dropReason.policyDenied, a.pod.identity]);
        assert.equal(await get(cluster, "a", of(b.pod, family)), String(answerBytes));
        await cluster.tell("b", { kind: "policy", policy: { ingress: [0], egress: [0] } });
      });
    }
  });
}
