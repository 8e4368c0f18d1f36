import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels, Selector, type SelectorSpec } from "@cilium-ts/labels";
import { type PacketEnd, type Peer, type PolicyWorld, type PortMatch, protocols, type Rule, type RuleSection } from "@cilium-ts/policy";
import { type GeneratedEnd, generateCluster, generatePacketPort } from "@cilium-ts/policy/testing";
import { createRandom } from "@cilium-ts/testing";
import { PolicyJudge } from "../flows/policy-judge.ts";
import type { Finding, LintCluster } from "./finding.ts";
import { lintPolicies } from "./lint.ts";

const app = (name: string): Peer => ({ kind: "endpoints", selector: Selector.of({ matchLabels: { app: name } }) });
const cidr = (text: string, ...except: string[]): Peer => ({ kind: "cidr", cidr: text, except });
const entity = (name: "all" | "world" | "cluster"): Peer => ({ kind: "entity", entity: name });
const tcp = (first: number, last = first): PortMatch => ({ kind: "number", protocol: protocols.tcp, first, last });

function section(path: string, peers: readonly Peer[] | undefined, ...ports: PortMatch[]): RuleSection {
  const given = peers === undefined ? { path } : { path, peers };
  return ports.length === 0 ? given : { ...given, ports: [{ path: `${path}.toPorts[0]`, ports }] };
}

function rule(
  subject: SelectorSpec,
  parts: Partial<Record<"ingress" | "ingressDeny" | "egress" | "egressDeny", RuleSection[]>>,
  name = "p",
): Rule {
  return {
    policy: { kind: "CiliumNetworkPolicy", namespace: "shop", name, uid: "", labels: [] },
    endpointSelector: Selector.of(subject),
    ...{ ingress: [], ingressDeny: [], egress: [], egressDeny: [] },
    ...parts,
    enableDefaultDeny: { ingress: true, egress: false },
  };
}

const web = { matchLabels: { app: "web" } };
const cluster: LintCluster = {
  pods: ["web", "db"].map((name) => ({
    labels: Labels.parse([`k8s:app=${name}`, "k8s:io.kubernetes.pod.namespace=shop"]),
    namedPorts: name === "db" ? [{ name: "sql", protocol: protocols.tcp, port: 5432 }] : [],
  })),
  namespaces: new Set(["shop"]),
  nodes: [],
  tunnelled: true,
  nodeAddresses: ["172.18.0.2"],
  serviceAddresses: new Map([["10.96.0.10", "kube-system/kube-dns"]]),
  cidrGroups: [],
  services: [],
};

function told(findings: readonly Finding[]): string[] {
  return findings.map(({ check, path }) => `${check} ${path}`);
}

function check(
  rules: readonly Rule[],
  expected: readonly string[],
  where: { cluster?: LintCluster; podCidrs?: string[]; rules?: Rule[] } = {},
): void {
  assert.deepEqual(told(lintPolicies(rules, { rules: [], podCidrs: [], ...where })), expected);
}

test("policies that mean what they say have no findings", () => {
  const good = rule(web, {
    ingress: [section("ingress[0]", [app("db")], tcp(80)), section("ingress[1]", [cidr("10.0.0.0/8", "10.0.1.0/24")], tcp(80))],
    ingressDeny: [section("ingressDeny[0]", [app("db")], tcp(81))],
    egress: [section("egress[0]", [app("db")], { kind: "name", protocol: protocols.tcp, name: "sql" })],
  });
  check([good], []);
  check([good], [], { cluster, podCidrs: ["10.0.1.0/24"] });
});

test("requirements that nobody can fulfil are told, of subjects and of peers", () => {
  const never: SelectorSpec[] = [
    { matchLabels: { "k8s:app": "a" }, matchExpressions: [{ key: "k8s:app", operator: "In", values: ["b", "c"] }] },
    { matchLabels: { "k8s:app": "a" }, matchExpressions: [{ key: "k8s:app", operator: "NotIn", values: ["a"] }] },
    {
      matchExpressions: [
        { key: "x", operator: "Exists" },
        { key: "x", operator: "DoesNotExist" },
      ],
    },
    { matchLabels: { x: "a" }, matchExpressions: [{ key: "x", operator: "DoesNotExist" }] },
  ];
  for (const spec of never) {
    check([rule(spec, {})], ["never-matches spec.endpointSelector"]);
    const peer: Peer = { kind: "endpoints", selector: Selector.of(spec) };
    check([rule(web, { egressDeny: [section("specs[2].egressDeny[0]", [peer])] })], ["never-matches specs[2].egressDeny[0]"]);
  }
  const twoSources = Selector.of({ matchLabels: { x: "a" }, matchExpressions: [{ key: "x", operator: "In", values: ["b"] }] });
  check([rule(web, { ingress: [section("ingress[0]", [{ kind: "endpoints", selector: twoSources }])] })], []);
});

const shadows: ReadonlyArray<readonly [name: string, deny: RuleSection, allow: RuleSection, shadowed: boolean]> = [
  ["the same", section("d", [app("db")], tcp(80)), section("a", [app("db")], tcp(80)), true],
  ["all ports", section("d", [app("db")]), section("a", [app("db")], tcp(80)), true],
  ["a range around it", section("d", [app("db")], tcp(1, 100)), section("a", [app("db")], tcp(80, 90)), true],
  ["a range beside it", section("d", [app("db")], tcp(1, 85)), section("a", [app("db")], tcp(80, 90)), false],
  ["everybody", section("d", undefined, tcp(80)), section("a", [app("db")], tcp(80)), true],
  ["the world around a prefix", section("d", [entity("world")]), section("a", [cidr("192.0.2.0/24")]), true],
  ["the world, which is no pod", section("d", [entity("world")]), section("a", [app("db")]), false],
  ["a wider prefix", section("d", [cidr("192.0.0.0/16")]), section("a", [cidr("192.0.2.0/24")]), true],
  ["a wider prefix with a hole there", section("d", [cidr("192.0.0.0/16", "192.0.2.128/25")]), section("a", [cidr("192.0.2.0/24")]), false],
  [
    "a wider prefix with the same hole",
    section("d", [cidr("192.0.0.0/16", "192.0.2.9/32")]),
    section("a", [cidr("192.0.2.0/24", "192.0.2.0/28")]),
    true,
  ],
  ["one of two peers", section("d", [app("db")]), section("a", [app("db"), app("api")]), false],
  ["fewer labels", section("d", [{ kind: "endpoints", selector: Selector.everything }]), section("a", [app("db")]), true],
  ["every protocol", section("d", [app("db")], { ...tcp(0, 65_535), protocol: protocols.any }), section("a", [app("db")], tcp(80)), true],
  ["another protocol", section("d", [app("db")], { ...tcp(80), protocol: protocols.udp }), section("a", [app("db")], tcp(80)), false],
  ["what nobody is required to be", { ...section("d", [app("db")]), requires: [Selector.of(web)] }, section("a", [app("db")]), false],
];
for (const [name, deny, allow, shadowed] of shadows) {
  test(`an allow rule below a denial of: ${name}`, () => {
    const denying = rule({}, { ingressDeny: [deny] }, "deny");
    check([rule(web, { ingress: [allow] })], shadowed ? ["shadowed-by-deny spec.a"] : [], { rules: [denying] });
    check([rule(web, { ingress: [allow], ingressDeny: [deny] })], shadowed ? ["shadowed-by-deny spec.a"] : []);
    check([rule(web, { ingress: [allow] })], [], { rules: [rule({ matchLabels: { app: "web", tier: "x" } }, { ingressDeny: [deny] })] });
  });
}

test("nodes that are closed without what they need are told of, unless some policy of nodes may allow it", () => {
  const udp = (first: number): PortMatch => ({ kind: "number", protocol: protocols.udp, first, last: first });
  const peer = (name: "remote-node" | "kube-apiserver" | "health"): Peer => ({ kind: "entity", entity: name });
  const ofNodes = (parts: Partial<Record<"ingress" | "egress", RuleSection[]>>, deny = { ingress: false, egress: false }): Rule => ({
    ...rule({ matchLabels: { zone: "a" } }, parts, "nodes"),
    ofNodes: true,
    enableDefaultDeny: deny,
  });
  const closed = ofNodes({ ingress: [section("ingress[0]", [peer("health")])] }, { ingress: true, egress: true });
  const says = (rules: Rule[], where: { cluster?: LintCluster; rules?: Rule[] } = {}): string[] =>
    lintPolicies(rules, { rules: [], podCidrs: [], ...where }).map(({ message }) => / have ([a-z' ]+)/i.exec(message)?.[1] ?? message);
  const all = ["the tunnel of other nodes", "other nodes' health probes", "the API server", "health probes of other nodes"];
  assert.deepEqual(says([closed]), all);
  check(
    [closed],
    Array.from(all, () => "nodes-cut-off spec.nodeSelector"),
  );
  const tunnel = ofNodes({ ingress: [section("ingress[0]", [peer("remote-node")], udp(8472))] });
  assert.deepEqual(says([closed], { rules: [tunnel] }), all.slice(1));
  assert.deepEqual(says([closed], { rules: [rule({}, { ingress: [section("ingress[0]", undefined)] })] }), all);
  const wide = ofNodes({ ingress: [section("ingress[0]", [entity("cluster")])], egress: [section("egress[0]", [cidr("192.0.2.0/24")])] });
  assert.deepEqual(says([closed, wide]), []);
  assert.deepEqual(says([{ ...closed, audit: true }]), []);
  const nodes = [{ labels: Labels.parse(["reserved:host", "k8s:zone=a"]) }];
  assert.deepEqual(says([closed], { cluster: { ...cluster, nodes, tunnelled: false } }), all.slice(1));
  assert.deepEqual(says([ofNodes({ egress: [section("egress[0]", undefined)] })], { cluster }), [
    "chooses no node that is in the cluster now",
  ]);
});

test("what a cluster tells of names, addresses and places", () => {
  const odd = rule(
    { matchLabels: { app: "wep" } },
    {
      ingress: [
        section("ingress[0]", [app("bd")]),
        section("ingress[1]", [cidr("10.0.1.7/32"), cidr("172.18.0.2/32"), cidr("10.96.0.10/32")]),
      ],
      egress: [
        section("egress[0]", [
          { kind: "cidrGroups", name: "office", except: [] },
          { kind: "services", namespace: "shop", name: "db" },
        ]),
        section("egress[1]", [app("db")], { kind: "name", protocol: protocols.tcp, name: "http" }),
      ],
    },
  );
  const all = [
    "selects-nothing spec.endpointSelector",
    "selects-nothing spec.ingress[0]",
    "cidr-of-pods spec.ingress[1]",
    "cidr-of-node spec.ingress[1]",
    "cidr-of-service spec.ingress[1]",
    "no-such-group spec.egress[0]",
    "no-such-service spec.egress[0]",
    "no-such-port spec.egress[1].toPorts[0]",
  ];
  check([odd], all, { cluster, podCidrs: ["10.0.1.0/24"] });
  check([odd], ["cidr-of-pods spec.ingress[1]"], { podCidrs: ["10.0.1.0/24"] });
  check([odd], ["no-such-namespace spec.endpointSelector", ...all.slice(1, 2), ...all.slice(3)], {
    cluster: { ...cluster, namespaces: new Set() },
  });
});

test("a peer in another namespace is found, and the hint says how to name it", () => {
  const other = Selector.of({ matchLabels: { "k8s:app": "db", "k8s:io.kubernetes.pod.namespace": "elsewhere" } });
  const [finding] = lintPolicies([rule(web, { ingress: [section("ingress[0]", [{ kind: "endpoints", selector: other }])] })], {
    rules: [],
    podCidrs: [],
    cluster,
  });
  assert.match(finding?.message ?? "", /there is one in the namespace shop, which must be named with k8s:io\.kubernetes\.pod\.namespace/);
});

test("lists that are empty, holes that leave nothing, and what is said twice", () => {
  check(
    [
      rule(web, {
        ingress: [
          section("ingress[0]", []),
          section("ingress[1]", [cidr("10.0.0.0/8", "10.0.0.0/7")]),
          section("ingress[2]", [app("db")]),
          section("ingress[3]", [app("db")]),
        ],
      }),
    ],
    ["allows-nothing spec.ingress[0]", "allows-nothing spec.ingress[1]", "repeated spec.ingress[3]"],
  );
});

test("names without a DNS rule for the same pods allow nothing", () => {
  const names = section("egress[0]", [{ kind: "fqdn", pattern: "*.example.org" }]);
  const dns: RuleSection = {
    path: "egress[1]",
    ports: [{ path: "egress[1].toPorts[0]", ports: [tcp(53)], layer7: { parser: "dns", rules: [{ matchPattern: "*" }] } }],
  };
  check([rule(web, { egress: [names] })], ["fqdn-without-dns spec.egress[0]"]);
  check([rule(web, { egress: [names, dns] })], []);
  check([rule(web, { egress: [names] })], [], { rules: [rule({}, { egress: [dns] })] });
  check([rule(web, { egress: [names] })], ["fqdn-without-dns spec.egress[0]"], {
    rules: [rule({ matchLabels: { app: "db" } }, { egress: [dns] })],
  });
});

const clusters = process.env.CILIUM_TS_LONG === "1" ? 10_000 : 1_000;

test(`what is said to be without effect has none: on ${clusters} generated clusters it is taken away, and no verdict changes`, () => {
  let takenAway = 0;
  for (let seed = 1; seed <= clusters; seed += 1) {
    const random = createRandom(seed);
    const { ends, policies, cidrGroups, services, families } = generateCluster(random);
    const rules = [...policies.values()].flat();
    const without = new Set<RuleSection>();
    for (const one of rules) {
      for (const { check: kind, path } of lintPolicies([one], { rules: rules.filter((other) => other !== one), podCidrs: [] })) {
        const found = [...one.ingress, ...one.egress, ...(kind === "repeated" ? [...one.ingressDeny, ...one.egressDeny] : [])].find(
          (other) => `spec.${other.path}` === path || other.path === path,
        );
        if (found !== undefined && ["shadowed-by-deny", "repeated"].includes(kind)) without.add(found);
      }
    }
    if (without.size === 0) continue;
    takenAway += without.size;
    const kept = (sections: readonly RuleSection[]): RuleSection[] =>
      sections.filter((one) => !without.has(one) || (one.requires ?? []).length > 0);
    const fewer = rules.map((one) => ({
      ...one,
      ingress: kept(one.ingress),
      ingressDeny: kept(one.ingressDeny),
      egress: kept(one.egress),
      egressDeny: kept(one.egressDeny),
    }));
    const settings = { clusterName: "default", mode: "default", allowLocalhost: true, hostFirewall: true } as const;
    const world: PolicyWorld = { rules, cidrGroups, services, families, ...settings };
    const [before, after] = [new PolicyJudge(world), new PolicyJudge({ ...world, rules: fewer })];
    const endOf = ({ labels, namedPorts, address }: GeneratedEnd): PacketEnd =>
      address === undefined ? { labels, namedPorts } : { labels };
    for (let round = 0; round < 40; round += 1) {
      const question = { from: endOf(random.pick(ends)), to: endOf(random.pick(ends)), ...generatePacketPort(random) };
      assert.equal(
        after.judge(question).verdict,
        before.judge(question).verdict,
        `seed ${seed}: ${question.from.labels} to ${question.to.labels} ${question.protocol}/${question.port}`,
      );
    }
  }
  assert.ok(takenAway > clusters / 20, `${takenAway} taken away`);
});
