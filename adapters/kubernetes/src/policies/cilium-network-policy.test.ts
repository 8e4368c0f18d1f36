import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Labels } from "@cilium-ts/labels";
import { selects } from "@cilium-ts/policy";
import { parse as parseYaml } from "yaml";
import { parseCiliumClusterwideNetworkPolicy, parseCiliumNetworkPolicy } from "./cilium-network-policy.ts";

/** A policy of namespace `shop` around the fields of a spec. */
function policy(spec: unknown): unknown {
  return {
    apiVersion: "cilium.io/v2",
    kind: "CiliumNetworkPolicy",
    metadata: { name: "rule", namespace: "shop", uid: "u-1", labels: {}, managedFields: [] },
    spec,
  };
}

function ingress(...sections: unknown[]): unknown {
  return policy({ endpointSelector: {}, ingress: sections });
}

function parseOne(object: unknown, clusterName?: string) {
  const { rules, problems } = parseCiliumNetworkPolicy(object, clusterName === undefined ? {} : { clusterName });
  assert.deepEqual(problems, []);
  const [rule] = rules;
  assert.ok(rule !== undefined);
  return rule;
}

const rows: readonly [name: string, object: unknown, path: string, message: RegExp][] = [
  ["an unknown field of a rule", policy({ endpointSelector: {}, ingres: [] }), "spec.ingres", /^unknown field; known here: .*ingress/],
  ["an unknown field of the object", { ...(ingress({}) as object), Spec: {} }, "Spec", /^unknown field/],
  ["an unknown field of a section", ingress({ fromEndpoint: [{}] }), "spec.ingress[0].fromEndpoint", /^unknown field/],
  ["an egress field in ingress", ingress({ toEndpoints: [{}] }), "spec.ingress[0].toEndpoints", /^unknown field/],
  ["a bad CIDR", ingress({ fromCIDR: ["10.0.0.0/33"] }), "spec.ingress[0].fromCIDR[0]", /"10\.0\.0\.0\/33" is no CIDR/],
  ["a CIDR set of an address alone", ingress({ fromCIDRSet: [{ cidr: "10.0.0.1" }] }), "spec.ingress[0].fromCIDRSet[0].cidr", /is no CIDR/],
  ["a CIDR set without a CIDR", ingress({ fromCIDRSet: [{}] }), "spec.ingress[0].fromCIDRSet[0].cidr", /nothing is no CIDR/],
  [
    "an except outside its CIDR",
    ingress({ fromCIDRSet: [{ cidr: "10.0.0.0/8", except: ["11.0.0.0/16"] }] }),
    "spec.ingress[0].fromCIDRSet[0].except[0]",
    /11\.0\.0\.0\/16 does not lie in 10\.0\.0\.0\/8/,
  ],
  [
    "an except of the other family",
    ingress({ fromCIDRSet: [{ cidr: "0.0.0.0/0", except: ["fd00::/8"] }] }),
    "spec.ingress[0].fromCIDRSet[0].except[0]",
    /does not lie in/,
  ],
  ["port 70000", ports({ port: "70000" }), "spec.ingress[0].toPorts[0].ports[0].port", /"70000" is no port/],
  ["a port that is no string", ports({ port: 80 }), "spec.ingress[0].toPorts[0].ports[0].port", /write "80" in quotes/],
  ["a port with a leading zero", ports({ port: "080" }), "spec.ingress[0].toPorts[0].ports[0].port", /is no port/],
  ["no port", ports({ protocol: "TCP" }), "spec.ingress[0].toPorts[0].ports[0].port", /is required/],
  ["a range that ends before it begins", ports({ port: "80", endPort: 79 }), "spec.ingress[0].toPorts[0].ports[0].endPort", /lies before/],
  ["a range from a name", ports({ port: "http", endPort: 90 }), "spec.ingress[0].toPorts[0].ports[0].endPort", /needs a numeric port/],
  ["a range from every port", ports({ port: "0", endPort: 90 }), "spec.ingress[0].toPorts[0].ports[0].endPort", /cannot begin/],
  ["a range beyond the last port", ports({ port: "1", endPort: 65536 }), "spec.ingress[0].toPorts[0].ports[0].endPort", /from 0 to 65535/],
  ["an unknown protocol", ports({ port: "1", protocol: "tcp" }), "spec.ingress[0].toPorts[0].ports[0].protocol", /"tcp" is no protocol/],
  ["ICMP as a protocol of ports", ports({ port: "8", protocol: "ICMP" }), "spec.ingress[0].toPorts[0].ports[0].protocol", /use icmps/],
  ["VRRP", ports({ port: "0", protocol: "VRRP" }), "spec.ingress[0].toPorts[0].ports[0].protocol", /not supported yet/],
  [
    "41 ports in one list",
    ingress({ toPorts: [{ ports: Array.from({ length: 41 }, (_, index) => ({ port: String(index + 1) })) }] }),
    "spec.ingress[0].toPorts[0].ports",
    /has 41 ports, the most is 40/,
  ],
  [
    "two kinds of peers in one rule",
    ingress({ fromEndpoints: [{}], fromCIDR: ["10.0.0.0/8"] }),
    "spec.ingress[0].fromCIDR",
    /cannot stand beside fromEndpoints/,
  ],
  ["an unknown entity", ingress({ fromEntities: ["planet"] }), "spec.ingress[0].fromEntities[0]", /"planet" is no entity/],
  [
    "an unknown selector operator",
    policy({ endpointSelector: { matchExpressions: [{ key: "app", operator: "Is", values: ["a"] }] }, ingress: [{}] }),
    "spec.endpointSelector.matchExpressions[0].operator",
    /must be one of In, NotIn, Exists, DoesNotExist/,
  ],
  [
    "In without values",
    ingress({ fromEndpoints: [{ matchExpressions: [{ key: "app", operator: "In" }] }] }),
    "spec.ingress[0].fromEndpoints[0].matchExpressions[0].values",
    /needs at least one value/,
  ],
  [
    "Exists with values",
    ingress({ fromEndpoints: [{ matchExpressions: [{ key: "app", operator: "Exists", values: ["a"] }] }] }),
    "spec.ingress[0].fromEndpoints[0].matchExpressions[0].values",
    /takes no values/,
  ],
  [
    "a label key with a space",
    ingress({ fromEndpoints: [{ matchLabels: { "a b": "c" } }] }),
    'spec.ingress[0].fromEndpoints[0].matchLabels["a b"]',
    /no label key/,
  ],
  ["a selector that is a string", ingress({ fromEndpoints: ["app=web"] }), "spec.ingress[0].fromEndpoints[0]", /must be an object/],
  ["peers that are no list", ingress({ fromEndpoints: {} }), "spec.ingress[0].fromEndpoints", /must be a list, not an object/],
  ["no endpoint selector", policy({ ingress: [{}] }), "spec.endpointSelector", /is required/],
  ["a node selector", policy({ nodeSelector: {}, endpointSelector: {}, ingress: [{}] }), "spec.nodeSelector", /not supported/],
  ["a rule that says nothing", policy({ endpointSelector: {} }), "spec", /says nothing/],
  ["no spec", policy(undefined), "spec", /is required/],
  ["no name", { ...(ingress({}) as object), metadata: {} }, "metadata.name", /is required/],
  ["another kind", { ...(ingress({}) as object), kind: "Pod" }, "kind", /must be CiliumNetworkPolicy/],
  ["text instead of an object", "kind: CiliumNetworkPolicy", "", /must be an object, not the string/],
  [
    "toPorts beside icmps",
    ingress({ toPorts: [{ ports: [{ port: "1" }] }], icmps: [{ fields: [{ type: 8 }] }] }),
    "spec.ingress[0].icmps",
    /cannot stand beside/,
  ],
  [
    "an ICMP type of the other family",
    ingress({ icmps: [{ fields: [{ type: "PacketTooBig" }] }] }),
    "spec.ingress[0].icmps[0].fields[0].type",
    /no IPv4 ICMP type/,
  ],
  ["ICMP type 256", ingress({ icmps: [{ fields: [{ type: 256 }] }] }), "spec.ingress[0].icmps[0].fields[0].type", /from 0 to 255/],
  ["two kinds of rules of layer 7", web({ http: [], kafka: [] }), "spec.ingress[0].toPorts[0].rules.kafka", /^cannot stand beside http/],
  [
    "rules of layer 7 for every port",
    web({ http: [{}] }, { port: "0" }),
    "spec.ingress[0].toPorts[0].ports[0].port",
    /cannot be about every port/,
  ],
  [
    "rules of layer 7 without ports",
    ingress({ toPorts: [{ rules: { http: [{}] } }] }),
    "spec.ingress[0].toPorts[0].ports",
    /must name the ports/,
  ],
  ["HTTP over UDP", web({ http: [{}] }, { protocol: "UDP" }), "spec.ingress[0].toPorts[0].ports[0].protocol", /must be TCP/],
  ["HTTP over anything", web({ http: [{}] }, { protocol: "ANY" }), "spec.ingress[0].toPorts[0].ports[0].protocol", /must be TCP/],
  ["an expression that is none", web({ http: [{ path: "/(" }] }), "spec.ingress[0].toPorts[0].rules.http[0].path", /no regular expression/],
  ["an expression that looks ahead", web({ http: [{ host: "(?=a)" }] }), "spec.ingress[0].toPorts[0].rules.http[0].host", /RE2/],
  ["a header that is none", web({ http: [{ headers: [" : x"] }] }), "spec.ingress[0].toPorts[0].rules.http[0].headers[0]", /is no header/],
  [
    "a header from a secret",
    web({ http: [{ headerMatches: [{ name: "a", secret: { name: "s" } }] }] }),
    "spec.ingress[0].toPorts[0].rules.http[0].headerMatches[0].secret",
    /not supported yet/,
  ],
  [
    "an unknown mismatch",
    web({ http: [{ headerMatches: [{ name: "a", mismatch: "DROP" }] }] }),
    "spec.ingress[0].toPorts[0].rules.http[0].headerMatches[0].mismatch",
    /must be one of LOG/,
  ],
  [
    "a Kafka role beside a key",
    web({ kafka: [{ role: "produce", apiKey: "fetch" }] }),
    "spec.ingress[0].toPorts[0].rules.kafka[0].apiKey",
    /role/,
  ],
  ["a Kafka topic that is none", web({ kafka: [{ topic: "a b" }] }), "spec.ingress[0].toPorts[0].rules.kafka[0].topic", /no topic/],
  ["generic rules without a parser", web({ l7: [{ a: "b" }] }), "spec.ingress[0].toPorts[0].rules.l7proto", /must name the parser/],
  ["a parser beside HTTP rules", web({ l7proto: "x", http: [{}] }), "spec.ingress[0].toPorts[0].rules.http", /cannot stand beside l7proto/],
  ["DNS rules in ingress", web({ dns: [{ matchPattern: "*" }] }), "spec.ingress[0].toPorts[0].rules.dns", /stands in egress alone/],
  ["DNS rules for a range", names({ matchPattern: "*" }, { endPort: 54 }), "spec.egress[0].toPorts[0].ports[0].endPort", /single ports/],
  ["a DNS rule of two kinds", names({ matchPattern: "*", matchName: "a" }), "spec.egress[0].toPorts[0].rules.dns[0]", /one of them/],
  ["a DNS rule of no kind", names({}), "spec.egress[0].toPorts[0].rules.dns[0]", /one of them/],
  ["a name with an asterisk", names({ matchName: "*.a" }), "spec.egress[0].toPorts[0].rules.dns[0].matchName", /no name of DNS/],
  ["a pattern with a space", names({ matchPattern: "* a" }), "spec.egress[0].toPorts[0].rules.dns[0].matchPattern", /no pattern of DNS/],
  [
    "rules in a deny",
    policy({ endpointSelector: {}, ingressDeny: [{ toPorts: [{ rules: {} }] }] }),
    "spec.ingressDeny[0].toPorts[0].rules",
    /unknown field/,
  ],
  [
    "a name to deny",
    policy({ endpointSelector: {}, egressDeny: [{ toFQDNs: [{ matchName: "a.b" }] }] }),
    "spec.egressDeny[0].toFQDNs",
    /^unknown field/,
  ],
  ["a name in ingress", ingress({ fromFQDNs: [{ matchName: "a.b" }] }), "spec.ingress[0].fromFQDNs", /^unknown field/],
  [
    "names beside CIDRs",
    policy({ endpointSelector: {}, egress: [{ toFQDNs: [{ matchName: "a.b" }], toCIDR: ["10.0.0.0/8"] }] }),
    "spec.egress[0].toFQDNs",
    /cannot stand beside toCIDR/,
  ],
  [
    "a name of two kinds",
    policy({ endpointSelector: {}, egress: [{ toFQDNs: [{ matchName: "a", matchPattern: "*" }] }] }),
    "spec.egress[0].toFQDNs[0]",
    /one of them/,
  ],
  [
    "a service that is named and chosen",
    policy({ endpointSelector: {}, egress: [{ toServices: [{ k8sService: {}, k8sServiceSelector: {} }] }] }),
    "spec.egress[0].toServices[0]",
    /one of them/,
  ],
  [
    "a service without a name",
    policy({ endpointSelector: {}, egress: [{ toServices: [{ k8sService: { namespace: "a" } }] }] }),
    "spec.egress[0].toServices[0].k8sService.serviceName",
    /is required/,
  ],
  ["nodes without the option", ingress({ fromNodes: [{}] }), "spec.ingress[0].fromNodes[0]", /enable-node-selector-labels/],
  [
    "a bad requirement",
    ingress({ fromRequires: [{ matchLabels: { "a b": "c" } }] }),
    'spec.ingress[0].fromRequires[0].matchLabels["a b"]',
    /no label key/,
  ],
  ["authentication", ingress({ authentication: { mode: "required" } }), "spec.ingress[0].authentication", /not supported yet/],
  [
    "a group of CIDRs beside a CIDR",
    ingress({ fromCIDRSet: [{ cidr: "10.0.0.0/8", cidrGroupRef: "g" }] }),
    "spec.ingress[0].fromCIDRSet[0].cidrGroupRef",
    /cannot stand beside cidr/,
  ],
  [
    "a group of CIDRs whose name is none",
    ingress({ fromCIDRSet: [{ cidrGroupRef: "G" }] }),
    "spec.ingress[0].fromCIDRSet[0].cidrGroupRef",
    /no name of an object/,
  ],
  [
    "a default deny that is text",
    policy({ endpointSelector: {}, ingress: [{}], enableDefaultDeny: { ingress: "no" } }),
    "spec.enableDefaultDeny.ingress",
    /true or false/,
  ],
  ["a long log value", policy({ endpointSelector: {}, ingress: [{}], log: { value: "x".repeat(33) } }), "spec.log.value", /more than 32/],
];

function web(rules: object, port: object = {}): unknown {
  return ingress({ toPorts: [{ ports: [{ port: "80", protocol: "TCP", ...port }], rules }] });
}

function names(rule: object, port: object = {}): unknown {
  const toPorts = [{ ports: [{ port: "53", protocol: "ANY", ...port }], rules: { dns: [rule] } }];
  return policy({ endpointSelector: {}, egress: [{ toPorts }] });
}

function ports(port: unknown): unknown {
  return ingress({ toPorts: [{ ports: [port] }] });
}

for (const [name, object, path, message] of rows) {
  test(`${name} makes the whole policy invalid`, () => {
    const { rules, problems } = parseCiliumNetworkPolicy(object);
    assert.deepEqual(rules, []);
    const found = problems.find((problem) => problem.path === path);
    assert.ok(found !== undefined, JSON.stringify(problems));
    assert.match(found.message, message);
  });
}

test("one bad rule of several takes the good ones with it", () => {
  const good = { endpointSelector: {}, ingress: [{}] };
  const { rules, problems } = parseCiliumNetworkPolicy({
    metadata: { name: "two" },
    specs: [good, { ...good, ingress: [{ fromCIDR: ["x"] }] }],
  });
  assert.deepEqual(rules, []);
  assert.deepEqual(
    problems.map(({ path }) => path),
    ["specs[1].ingress[0].fromCIDR[0]"],
  );
});

test("spec and specs are all rules of the policy, and verdicts can tell them apart", () => {
  const spec = {
    endpointSelector: {},
    ingress: [{ fromEndpoints: [{}], toPorts: [{ ports: [{ port: "1" }] }, { ports: [{ port: "2" }] }] }],
  };
  const { rules } = parseCiliumNetworkPolicy({ metadata: { name: "both" }, spec, specs: [spec] });
  assert.deepEqual(
    rules.flatMap((rule) => rule.ingress.flatMap((section) => (section.ports ?? []).map((group) => group.path))),
    ["ingress[0].toPorts[0]", "ingress[0].toPorts[1]", "specs[0].ingress[0].toPorts[0]", "specs[0].ingress[0].toPorts[1]"],
  );
});

const shopWeb = Labels.parse(["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop", "k8s:io.cilium.k8s.policy.cluster=one"]);
const prodWeb = Labels.parse([
  "k8s:app=web",
  "k8s:io.kubernetes.pod.namespace=prod",
  "k8s:io.cilium.k8s.policy.cluster=one",
  "k8s:io.cilium.k8s.namespace.labels.stage=live",
]);
const otherClusterWeb = Labels.parse(["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop", "k8s:io.cilium.k8s.policy.cluster=two"]);
const host = Labels.parse(["reserved:host"]);

for (const [name, selector, expected] of [
  ["{} is the policy's namespace", {}, { shopWeb: true, prodWeb: false, host: false }],
  ["labels alone stay in the namespace", { matchLabels: { app: "web" } }, { shopWeb: true, prodWeb: false, host: false }],
  [
    "another namespace can be named",
    { matchLabels: { "k8s:io.kubernetes.pod.namespace": "prod" } },
    { shopWeb: false, prodWeb: true, host: false },
  ],
  ["without a source too", { matchLabels: { "io.kubernetes.pod.namespace": "prod" } }, { shopWeb: false, prodWeb: true, host: false }],
  [
    "every namespace, by an expression",
    { matchExpressions: [{ key: "k8s:io.kubernetes.pod.namespace", operator: "Exists" }] },
    { shopWeb: true, prodWeb: true, host: false },
  ],
  [
    "namespaces by their labels",
    { matchLabels: { "k8s:io.cilium.k8s.namespace.labels.stage": "live" } },
    { shopWeb: false, prodWeb: true, host: false },
  ],
  ["reserved labels have no namespace", { matchLabels: { "reserved:host": "" } }, { shopWeb: false, prodWeb: false, host: true }],
  ["any: is every source", { matchLabels: { "any:app": "web" } }, { shopWeb: true, prodWeb: false, host: false }],
  ["k8s: is that source", { matchLabels: { "container:app": "web" } }, { shopWeb: false, prodWeb: false, host: false }],
] as const) {
  test(`peers: ${name}`, () => {
    const [section] = parseOne(ingress({ fromEndpoints: [selector] })).ingress;
    const [peer] = section?.peers ?? [];
    assert.ok(peer?.kind === "endpoints");
    const { selector: parsed } = peer;
    assert.deepEqual({ shopWeb: parsed.matches(shopWeb), prodWeb: parsed.matches(prodWeb), host: parsed.matches(host) }, expected);
  });
}

test("peers are of the own cluster, unless the selector names one", () => {
  const peersOf = (selector: unknown) => {
    const [peer] = parseOne(ingress({ fromEndpoints: [selector] }), "one").ingress[0]?.peers ?? [];
    assert.ok(peer?.kind === "endpoints");
    return [peer.selector.matches(shopWeb), peer.selector.matches(otherClusterWeb)];
  };
  assert.deepEqual(peersOf({}), [true, false]);
  assert.deepEqual(peersOf({ matchLabels: { "k8s:io.cilium.k8s.policy.cluster": "two" } }), [false, true]);
});

test("a policy is about endpoints of its own namespace, whatever its selector says", () => {
  const { endpointSelector } = parseOne(
    policy({ endpointSelector: { matchLabels: { "k8s:io.kubernetes.pod.namespace": "prod" } }, ingress: [{}] }),
  );
  assert.deepEqual([endpointSelector.matches(shopWeb), endpointSelector.matches(prodWeb)], [true, false]);
});

for (const [name, section, expected] of [
  ["an empty rule chooses nobody", {}, { peers: [] }],
  ["an empty list of peers chooses nobody", { fromEndpoints: [] }, { peers: [] }],
  ["an empty list of CIDRs chooses nobody, on any port", { fromCIDR: [], toPorts: [{ ports: [{ port: "1" }] }] }, { peers: [] }],
  ["null is absent", { fromEndpoints: null, fromEntities: ["all"] }, { peers: [{ kind: "entity", entity: "all" }] }],
  ["an address is a CIDR", { fromCIDR: ["10.1.2.3"] }, { peers: [{ kind: "cidr", cidr: "10.1.2.3/32", except: [] }] }],
  [
    "host bits are cleared",
    { fromCIDRSet: [{ cidr: "10.1.2.3/8", except: ["10.9.9.9/16"] }] },
    { peers: [{ kind: "cidr", cidr: "10.0.0.0/8", except: ["10.9.0.0/16"] }] },
  ],
  ["no ports are every port", { fromEntities: ["all"], toPorts: [] }, { ports: undefined }],
  ["a list of no ports is no port", { toPorts: [{}] }, { ports: [[]] }],
  ["no protocol is any", { toPorts: [{ ports: [{ port: "80" }] }] }, { ports: [[{ kind: "number", protocol: 0, first: 80, last: 80 }]] }],
  [
    "port 0 is every port",
    { toPorts: [{ ports: [{ port: "0", protocol: "UDP" }] }] },
    { ports: [[{ kind: "number", protocol: 17, first: 0, last: 65535 }]] },
  ],
  [
    "a range has both ends",
    { toPorts: [{ ports: [{ port: "80", endPort: 90, protocol: "TCP" }] }] },
    { ports: [[{ kind: "number", protocol: 6, first: 80, last: 90 }]] },
  ],
  [
    "names are in lower case",
    { toPorts: [{ ports: [{ port: "HTTP-alt" }] }] },
    { ports: [[{ kind: "name", protocol: 0, name: "http-alt" }]] },
  ],
  [
    "ICMP by number and by name",
    { icmps: [{ fields: [{ type: 8 }, { family: "IPv6", type: "EchoRequest" }, { type: "3" }] }] },
    {
      ports: [
        [
          { kind: "number", protocol: 1, first: 8, last: 8 },
          { kind: "number", protocol: 58, first: 128, last: 128 },
          { kind: "number", protocol: 1, first: 3, last: 3 },
        ],
      ],
    },
  ],
  [
    "empty L7 rules are no L7 rules",
    { toPorts: [{ ports: [{ port: "80" }], rules: {} }] },
    { ports: [[{ kind: "number", protocol: 0, first: 80, last: 80 }]] },
  ],
] as const) {
  test(`sections: ${name}`, () => {
    const [parsed] = parseOne(ingress(section)).ingress;
    if ("peers" in expected) assert.deepEqual(parsed?.peers, expected.peers);
    else
      assert.deepEqual(
        parsed?.ports?.map((group) => group.ports),
        expected.ports,
      );
  });
}

test("a set of CIDRs may be groups, by name or by labels, with holes", () => {
  const section = {
    fromCIDRSet: [{ cidrGroupRef: "office", except: ["10.1.2.3/16"] }, { cidrGroupSelector: { matchLabels: { kind: "vpn" } } }],
  };
  const [named, chosen] = parseOne(ingress(section)).ingress[0]?.peers ?? [];
  assert.deepEqual(named, { kind: "cidrGroups", name: "office", except: ["10.1.0.0/16"] });
  assert.ok(chosen?.kind === "cidrGroups" && "selector" in chosen);
  assert.ok(chosen.selector.matches(Labels.parse(["k8s:kind=vpn"])));
});

test("services are of the policy's namespace unless they name one", () => {
  const toServices = [
    { k8sService: { serviceName: "db" } },
    { k8sService: { serviceName: "db", namespace: "prod" } },
    { k8sServiceSelector: { selector: { matchLabels: { tier: "db" } }, namespace: "prod" } },
  ];
  const [first, second, third] = parseOne(policy({ endpointSelector: {}, egress: [{ toServices }] })).egress[0]?.peers ?? [];
  assert.deepEqual(
    [first, second],
    [
      { kind: "services", namespace: "shop", name: "db" },
      { kind: "services", namespace: "prod", name: "db" },
    ],
  );
  assert.ok(third?.kind === "services" && third.namespace === "prod" && "selector" in third);
});

test("nodes are chosen by their labels where nodes have some", () => {
  const { rules, problems } = parseCiliumNetworkPolicy(ingress({ fromNodes: [{ matchLabels: { zone: "a" } }] }), {
    nodeSelectorLabels: true,
  });
  assert.deepEqual(problems, []);
  const [peer] = rules[0]?.ingress[0]?.peers ?? [];
  assert.ok(peer?.kind === "nodes");
  assert.deepEqual(
    [["node:zone=a"], ["k8s:zone=a"]].map((labels) => peer.selector.matches(Labels.parse(labels))),
    [true, false],
  );
});

test("requirements let nobody in, and are of the namespace as peers are", () => {
  const alone = parseOne(ingress({ fromRequires: [{ matchLabels: { team: "a" } }], toPorts: [{ ports: [{ port: "1" }] }] })).ingress[0];
  assert.deepEqual(alone?.peers, []);
  assert.deepEqual(
    alone?.requires?.map((selector) => selector.matches(Labels.parse(["k8s:team=a", "k8s:io.kubernetes.pod.namespace=shop"]))),
    [true],
  );
});

function clusterwide(spec: unknown): unknown {
  return { apiVersion: "cilium.io/v2", kind: "CiliumClusterwideNetworkPolicy", metadata: { name: "wide" }, spec };
}

test("a cluster-wide policy is about every endpoint, and its peers are pods of any namespace", () => {
  const { rules, problems } = parseCiliumClusterwideNetworkPolicy(
    clusterwide({ endpointSelector: {}, ingress: [{ fromEndpoints: [{}] }] }),
  );
  assert.deepEqual(problems, []);
  const [rule] = rules;
  const [peer] = rule?.ingress[0]?.peers ?? [];
  assert.ok(rule !== undefined && peer?.kind === "endpoints");
  assert.ok(rule.endpointSelector.matchesEverything);
  assert.deepEqual([peer.selector.matches(shopWeb), peer.selector.matches(prodWeb), peer.selector.matches(host)], [true, true, false]);
  assert.deepEqual([rule.policy.kind, rule.policy.namespace], ["CiliumClusterwideNetworkPolicy", ""]);
  assert.deepEqual(Labels.of(rule.policy.labels).get("k8s", "io.cilium.k8s.policy.namespace"), undefined);
});

test("peers of a policy about endpoints without labels need none", () => {
  const spec = { endpointSelector: { matchLabels: { "reserved:init": "" } }, ingress: [{ fromEndpoints: [{}] }] };
  const [peer] = parseCiliumClusterwideNetworkPolicy(clusterwide(spec)).rules[0]?.ingress[0]?.peers ?? [];
  assert.ok(peer?.kind === "endpoints" && peer.selector.matchesEverything);
});

for (const [name, spec, path, message] of [
  [
    "about nodes has no rules of layer 7 but those of names",
    { nodeSelector: {}, egress: [{ toPorts: [{ ports: [{ port: "80", protocol: "TCP" }], rules: { http: [{ path: "/" }] } }] }] },
    "spec.egress[0].toPorts[0].rules",
    /cannot have rules of http in a policy of nodes/,
  ],
  [
    "about both is two",
    { nodeSelector: {}, endpointSelector: {}, ingress: [{}] },
    "spec.nodeSelector",
    /cannot stand beside endpointSelector/,
  ],
  ["about nobody says nothing", { ingress: [{}] }, "spec.endpointSelector", /every endpoint of the cluster/],
] as const) {
  test(`a cluster-wide policy ${name}`, () => {
    const { rules, problems } = parseCiliumClusterwideNetworkPolicy(clusterwide(spec));
    assert.deepEqual(rules, []);
    assert.deepEqual(
      problems.map((problem) => problem.path),
      [path],
    );
    assert.match(problems[0]?.message ?? "", message);
  });
}

test("a cluster-wide policy with a node selector is about nodes by the labels of their objects, and about no endpoint", () => {
  const dns = { toPorts: [{ ports: [{ port: "53", protocol: "UDP" }], rules: { dns: [{ matchPattern: "*" }] } }] };
  const spec = { nodeSelector: { matchLabels: { zone: "a" } }, ingress: [{ fromEntities: ["cluster"] }], egress: [dns] };
  const { rules, problems } = parseCiliumClusterwideNetworkPolicy(clusterwide(spec));
  assert.deepEqual(problems, []);
  const [rule] = rules;
  assert.ok(rule !== undefined);
  const of = (...labels: string[]): boolean => selects(rule, Labels.parse(labels));
  assert.deepEqual(
    [of("reserved:host", "k8s:zone=a"), of("reserved:host", "k8s:zone=b"), of("k8s:zone=a"), of("reserved:health", "k8s:zone=a")],
    [true, false, false, false],
  );
  assert.deepEqual([rule.enableDefaultDeny.ingress, rule.egress[0]?.ports?.[0]?.layer7?.parser], [true, "dns"]);
});

test("default deny follows the sections that are there, unless it is said", () => {
  const of = (spec: object) => parseOne(policy({ endpointSelector: {}, ...spec })).enableDefaultDeny;
  assert.deepEqual(of({ ingress: [{}] }), { ingress: true, egress: false });
  assert.deepEqual(of({ egressDeny: [{}] }), { ingress: false, egress: true });
  assert.deepEqual(of({ ingress: [] }), { ingress: false, egress: false });
  assert.deepEqual(of({ ingress: [{}], enableDefaultDeny: { ingress: false } }), { ingress: false, egress: false });
  assert.deepEqual(of({ enableDefaultDeny: { egress: true } }), { ingress: false, egress: true });
});

test("the policy's labels are the user's and those of its place", () => {
  const rule = parseOne(policy({ endpointSelector: {}, ingress: [{}], labels: [{ key: "team", value: "a" }], log: { value: "mine" } }));
  assert.deepEqual(Labels.of(rule.policy.labels).format(), [
    "k8s:io.cilium.k8s.policy.derived-from=CiliumNetworkPolicy",
    "k8s:io.cilium.k8s.policy.name=rule",
    "k8s:io.cilium.k8s.policy.namespace=shop",
    "k8s:io.cilium.k8s.policy.uid=u-1",
    "unspec:team=a",
  ]);
  assert.equal(rule.log, "mine");
});

test("rules of layer 7 stand with their ports, names without their case", () => {
  const of = (object: unknown) => {
    const { ingress: into, egress: out } = parseOne(object);
    return [...into, ...out][0]?.ports?.[0]?.layer7;
  };
  const http = { path: "/a.*", method: "GET", host: "a", headers: ["X-A: b"], headerMatches: [{ name: "X", value: "y", mismatch: "LOG" }] };
  assert.deepEqual(of(web({ http: [http, {}] })), { parser: "http", rules: [http, {}] });
  assert.deepEqual(of(web({ http: [] })), { parser: "http", rules: [] });
  assert.deepEqual(of(web({ kafka: [{ role: "produce", topic: "t" }] })), { parser: "kafka", rules: [{ role: "produce", topic: "t" }] });
  const generic = { parser: "generic", protocol: "memcache", rules: [{ command: "get" }] };
  assert.deepEqual(of(web({ l7proto: "memcache", l7: [{ command: "get" }] })), generic);
  assert.deepEqual(of(names({ matchName: "Www.Example." })), { parser: "dns", rules: [{ matchName: "www.example" }] });
  assert.equal(of(web({})), undefined);
});

test("names and patterns of names are peers, without their case", () => {
  const toFQDNs = [{ matchName: "Www.Example." }, { matchPattern: "*.EXAMPLE" }];
  assert.deepEqual(parseOne(policy({ endpointSelector: {}, egress: [{ toFQDNs }] })).egress[0]?.peers, [
    { kind: "fqdn", pattern: "www.example" },
    { kind: "fqdn", pattern: "*.example" },
  ]);
});

test("an annotation makes a policy one that is only audited", () => {
  const annotated = (value: unknown): unknown => ({
    metadata: { name: "rule", namespace: "shop", annotations: { "policy.cilium.io/audit-mode": value } },
    spec: { endpointSelector: {}, ingress: [{}] },
  });
  assert.equal(parseOne(annotated("enabled")).audit, true);
  assert.equal(parseOne(annotated("disabled")).audit, undefined);
  assert.deepEqual(parseCiliumNetworkPolicy(annotated("yes")), {
    rules: [],
    problems: [
      {
        path: 'metadata.annotations["policy.cilium.io/audit-mode"]',
        message: 'must be enabled or disabled, not the string "yes"',
      },
    ],
  });
});

const folder = new URL("../../testdata/cilium-network-policies/", import.meta.url);
for (const file of readdirSync(folder)) {
  test(`${file} is a policy without problems`, () => {
    const { rules, problems } = parseCiliumNetworkPolicy(parseYaml(readFileSync(new URL(file, folder), "utf8")));
    assert.deepEqual(problems, []);
    assert.ok(rules.length > 0);
  });
}
