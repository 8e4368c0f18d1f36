import assert from "node:assert/strict";
import { test } from "node:test";
import { cidrLabels, reservedLabels } from "@cilium-ts/identity";
import { Labels, Selector } from "@cilium-ts/labels";
import { parsePrefix } from "@cilium-ts/net";
import { PolicyEngine, type PolicyEngineOptions } from "./engine.ts";
import { type PolicySubject, subjectKey } from "./entries/subjects.ts";
import { matchTypes, type ResolvedPolicy } from "./entries/verdict.ts";
import { type Entity, type NamedPort, type Peer, type PortMatch, protocols, type Rule, type RuleSection } from "./rules/rule.ts";

const { tcp, udp, sctp, icmp, any } = protocols;
const options: PolicyEngineOptions = { mode: "default", allowLocalhost: "policy", clusterName: "default", families: [4, 6] };

const ids = { host: 1, worldIPv4: 9, worldIPv6: 10, web: 300, db: 301, ten: 16_777_217, tenOne: 16_777_218 } as const;
const web: PolicySubject = { labels: Labels.parse(["k8s:app=web", "k8s:io.cilium.k8s.policy.cluster=default"]) };
const db: PolicySubject = { labels: Labels.parse(["k8s:app=db", "k8s:io.cilium.k8s.policy.cluster=default"]) };

function cidrLabelsOf(text: string): Labels {
  const prefix = parsePrefix(text);
  assert.ok(prefix !== undefined);
  return cidrLabels(prefix, [4, 6]);
}

function createEngine(changes: Partial<PolicyEngineOptions> = {}): PolicyEngine {
  const engine = new PolicyEngine({ ...options, ...changes });
  for (const id of [1, 2, 4, 5, 6, 7, 8, 9, 10]) engine.upsertIdentity(id, reservedLabels(id) ?? Labels.empty);
  engine.upsertIdentity(ids.web, web.labels, [{ name: "http", protocol: tcp, port: 8080 }]);
  engine.upsertIdentity(ids.db, db.labels, [{ name: "http", protocol: tcp, port: 9090 }]);
  engine.upsertIdentity(ids.ten, cidrLabelsOf("10.0.0.0/8"));
  engine.upsertIdentity(ids.tenOne, cidrLabelsOf("10.1.0.0/16"));
  return engine;
}

type Sections = Partial<Record<"ingress" | "ingressDeny" | "egress" | "egressDeny", readonly Omit<RuleSection, "path">[]>>;

/** A rule about everybody, unless it says otherwise. */
function rule(
  name: string,
  parts: Sections & { selector?: Selector; defaultDeny?: Rule["enableDefaultDeny"]; log?: string; audit?: boolean },
): Rule {
  const sections = (kind: keyof Sections): RuleSection[] =>
    (parts[kind] ?? []).map((section, index) => ({ path: `${kind}[${index}]`, ...section }));
  const own = {
    ingress: sections("ingress"),
    ingressDeny: sections("ingressDeny"),
    egress: sections("egress"),
    egressDeny: sections("egressDeny"),
  };
  return {
    policy: { kind: "CiliumNetworkPolicy", namespace: "default", name, uid: "", labels: [] },
    endpointSelector: parts.selector ?? Selector.everything,
    ...own,
    enableDefaultDeny: parts.defaultDeny ?? {
      ingress: own.ingress.length + own.ingressDeny.length > 0,
      egress: own.egress.length + own.egressDeny.length > 0,
    },
    ...(parts.log === undefined ? {} : { log: parts.log }),
    ...(parts.audit === undefined ? {} : { audit: parts.audit }),
  };
}

const app = (name: string): Peer => ({ kind: "endpoints", selector: Selector.of({ matchLabels: { app: name } }) });
const entity = (name: Entity): Peer => ({ kind: "entity", entity: name });
const cidr = (text: string, ...except: string[]): Peer => ({ kind: "cidr", cidr: text, except });
const port = (protocol: PortMatch["protocol"], first: number, last = first): PortMatch => ({ kind: "number", protocol, first, last });
const on = (...ports: PortMatch[]) => [{ path: "toPorts[0]", ports }];

/** `direction peer proto/port-or-range verdict`, the readable form of an entry. */
function describe(policy: ResolvedPolicy): string[] {
  const name = new Map<number, string>([[0, "any"], ...Object.entries(ids).map(([text, id]) => [id, text] as const)]);
  const protocolName = new Map<number, string>([[0, "*"], ...Object.entries(protocols).map(([text, number]) => [number, text] as const)]);
  protocolName.set(0, "*");
  return policy.entries.map((entry) => {
    const ports =
      entry.portPrefixLength === 16 ? `/${entry.port}` : entry.portPrefixLength === 0 ? "" : `/${entry.port}:${entry.portPrefixLength}`;
    const text = `${entry.direction} ${name.get(entry.identity) ?? entry.identity} ${protocolName.get(entry.protocol)}${ports}`;
    return `${text} ${entry.deny ? "deny" : entry.unallowed ? "drop" : "allow"}${entry.audit ? " audited" : ""}`;
  });
}

const open = ["egress any * allow"];
const rows: readonly [name: string, rules: Rule[], expected: string[], changes?: Partial<PolicyEngineOptions>][] = [
  ["nothing selects: everything is allowed", [], ["ingress any * allow", ...open]],
  [
    "a rule about others changes nothing",
    [rule("r", { selector: Selector.of({ matchLabels: { app: "db" } }), ingress: [{ peers: [] }] })],
    ["ingress any * allow", ...open],
  ],
  ["an empty rule closes its direction", [rule("r", { ingress: [{ peers: [] }] })], open],
  ["peers without ports are all protocols", [rule("r", { ingress: [{ peers: [app("db")] }] })], ["ingress db * allow", ...open]],
  ["ports without peers are for anybody", [rule("r", { ingress: [{ ports: on(port(tcp, 80)) }] })], ["ingress any tcp/80 allow", ...open]],
  [
    "a port without a protocol is TCP, UDP and SCTP",
    [rule("r", { ingress: [{ peers: [app("db")], ports: on(port(any, 53)) }] })],
    ["ingress db tcp/53 allow", "ingress db udp/53 allow", "ingress db sctp/53 allow", ...open],
  ],
  [
    "every port of a protocol is the protocol",
    [rule("r", { ingress: [{ ports: on(port(udp, 0, 65535)) }] })],
    ["ingress any udp allow", ...open],
  ],
  [
    "a range is as few blocks as can be",
    [rule("r", { ingress: [{ ports: on(port(sctp, 79, 96)) }] })],
    ["ingress any sctp/80:12 allow", "ingress any sctp/79 allow", "ingress any sctp/96 allow", ...open],
  ],
  [
    "an ICMP type stands where the port does",
    [rule("r", { ingress: [{ ports: on(port(icmp, 8)) }] })],
    ["ingress any icmp/8 allow", ...open],
  ],
  ["all is any peer", [rule("r", { ingress: [{ peers: [entity("all")] }] })], ["ingress any * allow", ...open]],
  ["none is nobody", [rule("r", { ingress: [{ peers: [entity("none")] }] })], open],
  [
    "the world is every address outside, told apart or not",
    [rule("r", { ingress: [{ peers: [entity("world")] }] })],
    [
      "ingress 2 * allow",
      "ingress worldIPv4 * allow",
      "ingress worldIPv6 * allow",
      "ingress ten * allow",
      "ingress tenOne * allow",
      ...open,
    ],
  ],
  [
    "a world of one family is what has that family's addresses",
    [rule("r", { ingress: [{ peers: [entity("world-ipv4")] }] })],
    ["ingress worldIPv4 * allow", "ingress ten * allow", "ingress tenOne * allow", ...open],
  ],
  [
    "0.0.0.0/0 is the IPv4 world",
    [rule("r", { ingress: [{ peers: [cidr("0.0.0.0/0")] }] })],
    ["ingress worldIPv4 * allow", "ingress ten * allow", "ingress tenOne * allow", ...open],
  ],
  [
    "a CIDR covers what lies in it",
    [rule("r", { ingress: [{ peers: [cidr("10.0.0.0/8")] }] })],
    ["ingress ten * allow", "ingress tenOne * allow", ...open],
  ],
  [
    "a narrow CIDR does not cover what lies around it",
    [rule("r", { ingress: [{ peers: [cidr("10.1.0.0/16")] }] })],
    ["ingress tenOne * allow", ...open],
  ],
  ["an except is a hole", [rule("r", { ingress: [{ peers: [cidr("10.0.0.0/8", "10.1.0.0/16")] }] })], ["ingress ten * allow", ...open]],
  [
    "two sets add up: a hole in one is filled by the other",
    [rule("r", { ingress: [{ peers: [cidr("10.0.0.0/8", "10.1.0.0/16"), cidr("10.1.0.0/16")] }] })],
    ["ingress ten * allow", "ingress tenOne * allow", ...open],
  ],
  [
    "the cluster is nodes, pods and what is special in it",
    [rule("r", { ingress: [{ peers: [entity("cluster")] }] })],
    ["host", "4", "5", "6", "7", "8", "web", "db"].map((peer) => `ingress ${peer} * allow`).concat(open),
  ],
  [
    "a broad deny swallows the narrow allow",
    [rule("a", { ingress: [{ peers: [app("db")], ports: on(port(tcp, 80)) }], ingressDeny: [{ peers: [app("db")] }] })],
    ["ingress db * deny", ...open],
  ],
  [
    "a narrow deny stands beside the broad allow",
    [rule("a", { ingress: [{ peers: [app("db")] }], ingressDeny: [{ peers: [app("db")], ports: on(port(tcp, 80)) }] })],
    ["ingress db * allow", "ingress db tcp/80 deny", ...open],
  ],
  [
    "a deny of anybody swallows the allow of one",
    [rule("a", { ingress: [{ peers: [app("db")], ports: on(port(tcp, 80)) }], ingressDeny: [{ ports: on(port(tcp, 0, 65535)) }] })],
    ["ingress any tcp deny", ...open],
  ],
  [
    "a deny of a CIDR covers the allow of a part of it",
    [rule("a", { ingress: [{ peers: [cidr("10.1.0.0/16")] }], ingressDeny: [{ peers: [cidr("10.0.0.0/8")] }] })],
    ["ingress ten * deny", "ingress tenOne * deny", ...open],
  ],
  [
    "the same said twice is one entry",
    [rule("a", { ingress: [{ peers: [app("db")] }] }), rule("b", { ingress: [{ peers: [app("db")] }] })],
    ["ingress db * allow", ...open],
  ],
  [
    "rules without default deny leave the direction open beside their denies",
    [rule("a", { ingressDeny: [{ peers: [app("db")] }], defaultDeny: { ingress: false, egress: false } })],
    ["ingress any * allow", "ingress db * deny", ...open],
  ],
  [
    "one rule with default deny closes it for all",
    [
      rule("a", { ingressDeny: [{ peers: [app("db")] }], defaultDeny: { ingress: false, egress: false } }),
      rule("b", { ingress: [{ peers: [app("web")] }] }),
    ],
    ["ingress web * allow", "ingress db * deny", ...open],
  ],
  ["default deny alone closes", [rule("a", { defaultDeny: { ingress: false, egress: true } })], ["ingress any * allow"]],
  [
    "the node reaches its endpoints",
    [rule("a", { ingress: [{ peers: [] }] })],
    ["ingress host * allow", ...open],
    { allowLocalhost: "auto" },
  ],
  [
    "unless it is denied",
    [rule("a", { ingressDeny: [{ peers: [entity("host")] }] })],
    ["ingress host * deny", ...open],
    { allowLocalhost: "always" },
  ],
  ["mode always closes without rules", [], [], { mode: "always" }],
  ["and lets the node in", [], ["ingress host * allow"], { mode: "always", allowLocalhost: "auto" }],
  ["mode never opens whatever rules say", [rule("a", { ingressDeny: [{}] })], ["ingress any * allow", ...open], { mode: "never" }],
  [
    "a rule that is only audited leaves nothing closed, and what it does not allow is reported",
    [rule("a", { ingress: [{ peers: [app("web")], ports: on(port(tcp, 80)) }], audit: true })],
    ["ingress any * drop audited", "ingress web tcp/80 allow", ...open],
  ],
  [
    "beside a rule that means it, an audited one allows, and its denials are reported",
    [
      rule("a", { ingressDeny: [{ peers: [app("web")], ports: on(port(tcp, 80, 81)) }], ingress: [{ peers: [app("db")] }], audit: true }),
      rule("b", { ingress: [{ peers: [app("web")], ports: on(port(tcp, 80)) }] }),
    ],
    ["ingress web tcp/80 deny audited", "ingress db * allow", ...open],
  ],
  [
    "an audited denial weakens no other",
    [
      rule("a", { ingressDeny: [{ peers: [app("web")] }], defaultDeny: { ingress: false, egress: false }, audit: true }),
      rule("b", { ingressDeny: [{ ports: on(port(tcp, 22)) }], defaultDeny: { ingress: false, egress: false } }),
    ],
    ["ingress any * allow", "ingress any tcp/22 deny", "ingress web * deny audited", "ingress web tcp/22 deny", ...open],
  ],
];

for (const [name, rules, expected, changes] of rows) {
  test(name, () => {
    const engine = createEngine(changes);
    for (const [index, item] of rules.entries()) engine.upsertPolicy(`p${index}`, [item]);
    assert.deepEqual(describe(engine.resolve(web)), expected);
  });
}

const name = (text: string, protocol: PortMatch["protocol"] = tcp): PortMatch => ({ kind: "name", protocol, name: text });

test("a port name in ingress is the endpoint's own", () => {
  const engine = createEngine();
  engine.upsertPolicy("p", [rule("a", { ingress: [{ ports: on(name("http", any)) }] })]);
  const namedPorts: NamedPort[] = [
    { name: "http", protocol: tcp, port: 80 },
    { name: "dns", protocol: udp, port: 53 },
  ];
  assert.deepEqual(describe(engine.resolve({ ...web, namedPorts })), ["ingress any tcp/80 allow", ...open]);
  assert.deepEqual(describe(engine.resolve(web)), open, "an endpoint without the name allows nothing by it");
});

test("a port name in egress is each peer's own", () => {
  const engine = createEngine();
  engine.upsertPolicy("p", [
    rule("a", { egress: [{ ports: on(name("http")) }], egressDeny: [{ peers: [app("db")], ports: on(name("http", udp)) }] }),
  ]);
  assert.deepEqual(describe(engine.resolve(web)), ["ingress any * allow", "egress web tcp/8080 allow", "egress db tcp/9090 allow"]);
  assert.deepEqual([...engine.upsertIdentity(ids.db, db.labels, [{ name: "http", protocol: udp, port: 1 }]).affected], [subjectKey(web)]);
  assert.deepEqual(describe(engine.resolve(web)), ["ingress any * allow", "egress web tcp/8080 allow", "egress db udp/1 deny"]);
});

test("on a node with one family the world is that family's", () => {
  const engine = createEngine({ families: [4] });
  engine.upsertPolicy("p", [rule("a", { ingress: [{ peers: [cidr("0.0.0.0/0", "10.0.0.0/8")] }], egress: [{ peers: [cidr("::/0")] }] })]);
  const { entries } = engine.resolve(web);
  assert.deepEqual(
    entries.filter((entry) => entry.direction === "ingress").map((entry) => entry.identity),
    [2, 9],
  );
  assert.deepEqual(
    entries.filter((entry) => entry.direction === "egress").map((entry) => entry.identity),
    [10],
  );
});

test("a node that has addresses among its labels is meant by CIDRs around any of them", () => {
  const engine = createEngine({ allowLocalhost: "policy" });
  const at = (...addresses: string[]): Labels => Labels.parse(["reserved:host", ...addresses.map((address) => `cidr:${address}/32`)]);
  engine.upsertPolicy("a", [rule("a", { ingress: [{ peers: [cidr("10.0.0.0/8", "10.1.0.0/16")] }] })]);
  const verdict = (labels: Labels): string => {
    engine.upsertIdentity(ids.host, labels);
    return engine.explain(web, ids.host, "ingress", tcp, 80).verdict;
  };
  assert.equal(verdict(at("192.0.2.1", "10.2.0.1")), "allowed");
  assert.equal(verdict(at("192.0.2.1", "10.1.0.1")), "dropped");
  assert.equal(verdict(at()), "dropped");
});

test("initialising endpoints are closed without any rule", () => {
  const init = { labels: Labels.parse(["reserved:init"]) };
  const resolved = createEngine().resolve(init);
  assert.deepEqual([resolved.ingressEnforced, resolved.egressEnforced, resolved.entries.length], [true, true, 0]);
  assert.equal(createEngine({ mode: "never" }).resolve(init).ingressEnforced, false);
});

test("a verdict names the rules behind it", () => {
  const engine = createEngine();
  engine.upsertPolicy("a", [rule("a", { ingress: [{ peers: [app("db")], ports: on(port(tcp, 80)) }], log: "note" })]);
  engine.upsertPolicy("b", [rule("b", { ingress: [{ peers: [app("db")] }, { peers: [app("db")], ports: on(port(tcp, 80)) }] })]);
  engine.upsertPolicy("c", [rule("c", { ingressDeny: [{ peers: [cidr("10.0.0.0/8")] }] })]);
  const explain = (peer: number, protocol: number, to: number) => {
    const { verdict, match, origins } = engine.explain(web, peer, "ingress", protocol, to);
    return { verdict, match, by: origins.map((origin) => `${origin.policy.name} ${origin.path} ${origin.log ?? ""}`) };
  };
  assert.deepEqual(explain(ids.db, 6, 80), { verdict: "allowed", match: matchTypes.l3L4, by: ["a toPorts[0] note", "b toPorts[0] "] });
  assert.deepEqual(explain(ids.db, 6, 81), { verdict: "allowed", match: matchTypes.l3Only, by: ["b ingress[0] "] });
  assert.deepEqual(explain(ids.tenOne, 47, 0), { verdict: "denied", match: matchTypes.l3Only, by: ["c ingressDeny[0] "] });
  assert.deepEqual(explain(ids.worldIPv4, 6, 80), { verdict: "dropped", match: matchTypes.none, by: [] });
});

test("a rule that parts two endpoints leaves what they had in common as it is computed", () => {
  const engine = createEngine();
  engine.upsertPolicy("a", [rule("a", { ingress: [{ peers: [cidr("10.0.0.0/8")] }] })]);
  engine.upsertPolicy("b", [rule("b", { ingressDeny: [{ peers: [app("db")] }] })]);
  const before = engine.resolve(web);
  assert.equal(engine.resolve(db), before);
  engine.upsertPolicy("c", [rule("c", { ingress: [{ peers: [app("web")] }], selector: Selector.of({ matchLabels: { app: "db" } }) })]);
  const [own, others] = [engine.resolve(db), engine.resolve(web)];
  assert.deepEqual(others, before);
  assert.deepEqual(
    describe(own).filter((line) => !describe(before).includes(line)),
    ["ingress web * allow"],
  );
  const common = own.entries.filter(({ identity }) => identity !== ids.web);
  assert.equal(common.length, before.entries.length);
  assert.ok(common.every((entry) => before.entries.includes(entry)));
});

test("endpoints that the same rules select share a result", () => {
  const engine = createEngine();
  engine.upsertPolicy("p", [rule("a", { ingress: [{ peers: [app("db")] }] })]);
  assert.equal(engine.resolve(web), engine.resolve(db));
});

test("prefixes are asked for while a rule names them, excepts too, the world never", () => {
  const engine = createEngine();
  const first = engine.upsertPolicy("a", [rule("a", { ingress: [{ peers: [cidr("10.0.0.0/8", "10.2.0.0/16"), cidr("0.0.0.0/0")] }] })]);
  assert.deepEqual([...first.prefixesAdded].sort(), ["10.0.0.0/8", "10.2.0.0/16"]);
  assert.deepEqual(engine.upsertPolicy("b", [rule("b", { egress: [{ peers: [cidr("10.0.0.0/8")] }] })]).prefixesAdded, []);
  const changed = engine.upsertPolicy("a", [rule("a", { ingress: [{ peers: [cidr("10.2.0.0/16"), cidr("fd00::/8")] }] })]);
  assert.deepEqual([changed.prefixesAdded, changed.prefixesRemoved], [["fd00::/8"], []]);
  assert.deepEqual([...engine.referencedPrefixes()].sort(), ["10.0.0.0/8", "10.2.0.0/16", "fd00::/8"]);
  assert.deepEqual([...engine.removePolicy("a").prefixesRemoved].sort(), ["10.2.0.0/16", "fd00::/8"]);
  assert.deepEqual(engine.removePolicy("b").prefixesRemoved, ["10.0.0.0/8"]);
});

test("a policy that comes again as it was affects nobody", () => {
  const engine = createEngine();
  const rules = () => [rule("a", { ingress: [{ peers: [app("db"), cidr("10.0.0.0/8")] }] })];
  engine.upsertPolicy("p", rules());
  engine.resolve(web);
  assert.equal(engine.upsertPolicy("p", rules()).affected.size, 0);
  assert.equal(engine.upsertPolicy("p", [rule("a", { ingress: [{ peers: [app("db")] }] })]).affected.size, 1);
});

test("what is forgotten is affected no more", () => {
  const engine = createEngine();
  engine.resolve(web);
  engine.resolve(db);
  engine.forget(db);
  assert.deepEqual([...engine.upsertPolicy("p", [rule("a", { ingress: [{}] })]).affected], [subjectKey(web)]);
});

test("identity 0 is no peer", () => {
  assert.throws(() => createEngine().upsertIdentity(0, web.labels), /identity 0 stands for any peer/);
});
