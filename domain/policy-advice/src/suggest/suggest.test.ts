import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "@cilium-ts/labels";
import type { PacketQuestion, PolicyWorld } from "@cilium-ts/policy";
import { createRandom, type Random } from "@cilium-ts/testing";
import type { ObservedEnd, ObservedFlow } from "../flows/observed-flow.ts";
import { packetEndOf } from "../flows/packet-end.ts";
import { PolicyJudge } from "../flows/policy-judge.ts";
import { PolicySuggestions, type Suggestion } from "./suggest.ts";

const families = [4, 6] as const;

function pod(namespace: string, labels: readonly string[], name: string, workload = ""): ObservedEnd {
  const derived = [
    `k8s:io.kubernetes.pod.namespace=${namespace}`,
    "k8s:io.cilium.k8s.policy.cluster=default",
    `k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=${namespace}`,
  ];
  return {
    address: "10.0.0.9",
    labels: [...labels.map((label) => `k8s:${label}`), ...derived],
    namespace,
    podName: name,
    workload,
    names: [],
  };
}

function other(label: string, address = ""): ObservedEnd {
  return { address, labels: [label], namespace: "", podName: "", workload: "", names: [] };
}

const web = pod("shop", ["app=web"], "web-1", "Deployment/web");
const canary = pod("shop", ["app=web", "track=canary"], "web-canary-1", "Deployment/web-canary");
const db = pod("shop", ["app=db"], "db-0", "StatefulSet/db");
const dns = pod("kube-system", ["k8s-app=kube-dns"], "coredns-1", "Deployment/coredns");
const twin = pod("test", ["app=web"], "web-1", "Deployment/web");
const ends: readonly ObservedEnd[] = [
  ...[web, canary, db, dns, twin],
  ...[other("reserved:host"), other("reserved:remote-node"), other("reserved:kube-apiserver")],
  ...["192.0.2.1", "192.0.2.2", "2001:db8::1"].map((address) => other(`reserved:world-ipv${address.includes(":") ? 6 : 4}`, address)),
];
const protocolPorts = [
  [6, 80],
  [6, 81],
  [6, 82],
  [6, 5432],
  [17, 53],
  [132, 80],
  [1, 8],
  [1, 0],
  [58, 128],
] as const;

function flow(
  from: ObservedEnd,
  to: ObservedEnd,
  protocol: number,
  port: number,
  verdict: ObservedFlow["verdict"] = "forwarded",
): ObservedFlow {
  return { timeMs: 0, from, to, protocol, port, verdict };
}

function suggest(flows: readonly ObservedFlow[], worldAddressesMax = 8): Suggestion {
  const knownPods = [web, canary, db, dns, twin].map(({ labels }) => Labels.parse(labels));
  const suggestions = new PolicySuggestions({ namespace: "shop", worldAddressesMax, knownPods });
  for (const one of flows) suggestions.add({ kind: "flow", flow: one });
  return suggestions.suggestion();
}

function questionOf({ from, to, protocol, port }: ObservedFlow, patterns: readonly string[] = []): PacketQuestion {
  const known = { families, patterns, namedPorts: [] };
  const [source, destination] = [packetEndOf(from, known), packetEndOf(to, known)];
  assert.ok(source !== undefined && destination !== undefined);
  return { from: source, to: destination, protocol, port };
}

function world({ rules }: Suggestion): PolicyWorld {
  return { rules, cidrGroups: [], services: [], mode: "default", allowLocalhost: false, clusterName: "default", families };
}

function isOfShop({ from, to }: ObservedFlow): boolean {
  return from.namespace === "shop" || to.namespace === "shop";
}

/** Each possible flow, whether it was seen or not. */
function everyFlow(): ObservedFlow[] {
  return ends
    .flatMap((from) => ends.flatMap((to) => protocolPorts.map(([protocol, port]) => flow(from, to, protocol, port))))
    .filter(isOfShop);
}

function some(random: Random, flows: readonly ObservedFlow[]): ObservedFlow[] {
  const share = random.pick([0.01, 0.05, 0.2]);
  return flows.filter(() => random.chance(share));
}

test("what was seen is allowed, and nothing else is, on 200 generated recordings", () => {
  const seenVerdicts = { allowed: 0, dropped: 0, denied: 0 };
  for (let seed = 1; seed <= 200; seed += 1) {
    const possible = everyFlow();
    const seen = some(createRandom(seed), possible);
    const subjects = new Set(seen.flatMap(({ from, to }) => [from, to]).filter(({ namespace }) => namespace === "shop"));
    const judge = new PolicyJudge(world(suggest(seen)));
    for (const one of possible) {
      const { verdict } = judge.judge(questionOf(one));
      // A workload that nobody saw has no policy, and is as open as it was.
      const guarded = subjects.has(one.from) || subjects.has(one.to);
      const story = `seed ${seed}: ${one.from.labels[0]} to ${one.to.labels[0]} ${one.protocol}/${one.port}`;
      assert.equal(verdict, seen.includes(one) || !guarded ? "allowed" : "dropped", story);
      seenVerdicts[verdict] += 1;
    }
  }
  assert.ok(seenVerdicts.allowed > 5_000 && seenVerdicts.dropped > 50_000, JSON.stringify(seenVerdicts));
});

test("the same flows give the same rules, in whatever order and however often they came", () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = createRandom(seed);
    const seen = some(random, everyFlow());
    const shuffled = [...seen, ...seen].map((one) => [random.below(1 << 20), one] as const).sort(([a], [b]) => a - b);
    assert.equal(JSON.stringify(suggest(shuffled.map(([, one]) => one)).rules), JSON.stringify(suggest(seen).rules), `seed ${seed}`);
  }
});

test("a rule is written as a person would: workloads by name, ports in ranges, peers with equal ports together", () => {
  const { rules, notes, flows } = suggest([
    ...[80, 81, 82, 443].map((port) => flow(web, db, 6, port)),
    flow(web, dns, 17, 53),
    flow(dns, web, 1, 8),
    ...["192.0.2.1", "192.0.2.2"].map((address) => flow(web, other("reserved:world-ipv4", address), 6, 443)),
  ]);
  assert.deepEqual([rules.map(({ policy }) => policy.name), notes, flows], [["db", "web"], [], 8]);
  const [, rule] = rules;
  const lines = [...(rule?.egress ?? []), ...(rule?.ingress ?? [])].map(({ path, peers = [], ports = [] }) => {
    const portTexts = ports.flatMap((group) =>
      group.ports.map((port) => (port.kind === "number" ? `${port.protocol}/${port.first}-${port.last}` : "")),
    );
    const peerTexts = peers.map((peer) =>
      peer.kind === "cidr"
        ? peer.cidr
        : peer.kind === "endpoints"
          ? (peer.selector.requirements.find(({ key }) => key.includes("app"))?.values[0] ?? "")
          : peer.kind,
    );
    return `${path} ${peerTexts.join(" ")} ${portTexts.join(" ")} ${ports[0]?.path}`;
  });
  assert.deepEqual(lines, [
    "egress[0] 192.0.2.1/32 192.0.2.2/32 6/443-443 egress[0].toPorts[0]",
    "egress[1] kube-dns 17/53-53 egress[1].toPorts[0]",
    "egress[2] db 6/80-82 6/443-443 egress[2].toPorts[0]",
    "ingress[0] kube-dns 1/8-8 ingress[0].icmps[0]",
  ]);
});

test("too many addresses outside become the world, which is said", () => {
  const { rules, notes } = suggest(
    ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map((address, index) => flow(web, other("reserved:world-ipv4", address), 6, 80 + index)),
    2,
  );
  assert.deepEqual(rules[0]?.egress[0]?.peers, [{ kind: "entity", entity: "world" }]);
  assert.deepEqual(notes, ["egress of web: 3 addresses outside the cluster were seen, and all of the world is allowed on their ports"]);
});

test("drops, other namespaces and what nobody can name need nothing, and are counted", () => {
  const { rules, notUsed, flows } = suggest([
    flow(web, db, 6, 80, "dropped"),
    flow(web, db, 6, 80, "audited"),
    flow(dns, twin, 6, 80),
    flow(web, db, 47, 0),
    flow(web, db, 6, 0),
    flow({ ...web, labels: [] }, db, 6, 80),
  ]);
  assert.deepEqual([rules.length, flows], [2, 1]);
  assert.deepEqual(notUsed, [
    { reason: "its protocol or port is none that policies can name", count: 2 },
    { reason: "dropped by policy: what was not allowed is not taken for needed", count: 1 },
    { reason: "not of the namespace shop", count: 1 },
    { reason: "it is not known who the sender was", count: 1 },
  ]);
});

test("by names, what was seen goes through where names are learned, DNS through the proxy, and nothing else", () => {
  const named = (address: string, ...names: string[]): ObservedEnd => ({ ...other("reserved:world-ipv4", address), names });
  const seen = [
    flow(web, dns, 17, 53),
    flow(web, named("192.0.2.1", "B.example.", "a.example"), 6, 443),
    flow(web, named("192.0.2.2"), 6, 443),
  ];
  const suggestions = new PolicySuggestions({ namespace: "shop", worldAddressesMax: 8, byNames: true });
  for (const one of seen) suggestions.add({ kind: "flow", flow: one });
  const suggestion = suggestions.suggestion();
  const judge = new PolicyJudge(world(suggestion));
  const verdictOf = (one: ObservedFlow): string => judge.judge(questionOf(one, ["a.example"])).verdict;
  assert.deepEqual(seen.map(verdictOf), ["redirected", "allowed", "allowed"]);
  const moved = flow(web, named("192.0.2.9", "a.example"), 6, 443);
  const unnamed = flow(web, named("192.0.2.1", "c.example"), 6, 443);
  assert.deepEqual([moved, unnamed, flow(web, dns, 6, 80)].map(verdictOf), ["allowed", "dropped", "dropped"]);
  assert.deepEqual(suggestion.notes, []);
  suggestions.add({ kind: "flow", flow: flow(db, named("192.0.2.1", "a.example"), 6, 443) });
  assert.deepEqual(suggestions.suggestion().notes, ["egress of db: no DNS server was seen, so no proxy learns the names that are allowed"]);
});
