import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePolicyParty, type WrittenExplanation } from "@cilium-ts/agent-api";
import { createEndpoint, hostEndpointId } from "@cilium-ts/endpoint";
import { reservedLabels, reservedPeers } from "@cilium-ts/identity";
import { Labels, Selector } from "@cilium-ts/labels";
import { PolicyEngine, type PolicyMode, protocols, type Rule, type RuleSection } from "@cilium-ts/policy";
import { type ExplainOptions, explainPolicy } from "./explain-policy.ts";

const identities = new Map<number, Labels>([
  ...reservedPeers(),
  [1001, Labels.parse(["k8s:app=client", "k8s:io.kubernetes.pod.namespace=default"])],
  [1002, Labels.parse(["k8s:app=server", "k8s:io.kubernetes.pod.namespace=default"])],
  [1003, Labels.parse(["k8s:app=other", "k8s:io.kubernetes.pod.namespace=default"])],
]);
const server = Selector.of({ matchLabels: { "k8s:app": "server" } });

function rule(name: string, sections: Partial<Record<"ingress" | "ingressDeny" | "egress" | "egressDeny", RuleSection[]>>): Rule {
  const { ingress = [], ingressDeny = [], egress = [], egressDeny = [] } = sections;
  const enableDefaultDeny = { ingress: ingress.length + ingressDeny.length > 0, egress: egress.length + egressDeny.length > 0 };
  const policy = { kind: "CiliumNetworkPolicy", namespace: "default", name, uid: name, labels: [] };
  return { policy, endpointSelector: server, ingress, ingressDeny, egress, egressDeny, enableDefaultDeny };
}

function from(app: string): RuleSection["peers"] {
  return [{ kind: "endpoints", selector: Selector.of({ matchLabels: { "k8s:app": app } }) }];
}

function tcp(path: string, first: number): NonNullable<RuleSection["ports"]> {
  return [{ path: `${path}.toPorts[0]`, ports: [{ kind: "number", protocol: protocols.tcp, first, last: first }] }];
}

function optionsOf(rules: readonly Rule[], mode: PolicyMode = "default"): ExplainOptions {
  const engine = new PolicyEngine({ mode, allowLocalhost: "auto", clusterName: "default", families: [4, 6] });
  for (const [id, labels] of identities) engine.upsertIdentity(id, labels);
  for (const one of rules) engine.upsertPolicy(one.policy.name, [one]);
  return {
    engine,
    world: { allowLocalhost: true, clusterName: "default" },
    rules: () => rules,
    cidrGroups: () => [],
    services: () => [],
    sources: {
      endpoints: () => [],
      endpointsOf: () => [],
      identityOfRemotePod: (namespace, name) => (namespace === "default" && name === "far-client" ? 1001 : undefined),
      identities: () => [...identities].map(([id, labels]) => ({ id, labels })),
      labelsOf: (id) => identities.get(id) ?? reservedLabels(id),
      identityOf: () => 2,
      namedPortsOf: () => [],
      isAudited: () => false,
    },
  };
}

function ask(options: ExplainOptions, ...[source, destination, port = 80]: [string, string, number?]): ReturnType<typeof explainPolicy> {
  const party = (text: string): Parameters<typeof explainPolicy>[1]["from"] => {
    const parsed = parsePolicyParty(text);
    assert.ok(parsed.kind === "parsed");
    return parsed.party;
  };
  return explainPolicy(options, { from: party(source), to: party(destination), protocol: "TCP", port });
}

function explained(options: ExplainOptions, ...args: [string, string, number?]): WrittenExplanation {
  const answer = ask(options, ...args);
  assert.ok(answer.status === 200, JSON.stringify(answer));
  return answer.body;
}

function ingress(rules: readonly Rule[], ...[source, port]: [string, number?]): WrittenExplanation["ingress"] {
  return explained(optionsOf(rules), source, "app=server", port).ingress;
}

const serverText = "identity 1002 (k8s:app=server,k8s:io.kubernetes.pod.namespace=default)";
const clientText = "identity 1001 (k8s:app=client,k8s:io.kubernetes.pod.namespace=default)";

test("without a policy both directions are open, and what would close them is said", () => {
  const { verdict, egress, ingress } = explained(optionsOf([]), "app=client", "app=server");
  assert.deepEqual([verdict, egress.verdict, egress.enforced, ingress.enforced], ["allowed", "allowed", false, false]);
  assert.equal(ingress.reason, `everything is allowed at ${serverText}: no policy selects it for ingress`);
  assert.deepEqual(ingress.changes, [`a policy with an ingress section that selects ${serverText} drops what it does not allow`]);
});

test("with enforcement off, that is why", () => {
  const { ingress } = explained(optionsOf([rule("web", { ingress: [] })], "never"), "app=client", "app=server");
  assert.match(ingress.reason, /: policy enforcement is off on this node$/);
});

const web = rule("web", { ingress: [{ path: "ingress[0]", peers: from("client") ?? [], ports: tcp("ingress[0]", 80) }] });

test("an allowed connection names the rule that lets it through, and what would forbid it", () => {
  const direction = ingress([web], "app=client");
  assert.deepEqual(direction.rules, [{ kind: "CiliumNetworkPolicy", namespace: "default", name: "web", path: "ingress[0].toPorts[0]" }]);
  assert.deepEqual([direction.verdict, direction.match], ["allowed", "L3-L4"]);
  assert.match(direction.reason, /is allowed at .* by ingress\[0\]\.toPorts\[0\] of CiliumNetworkPolicy default\/web$/);
  assert.deepEqual(direction.changes, [
    `an ingressDeny rule that selects ${clientText} on 80/TCP would deny it: denials win over everything that allows`,
  ]);
});

test("a dropped connection names the rule that misses it by the port", () => {
  const { verdict, rules, policies, changes } = ingress([web], "app=client", 8080);
  assert.deepEqual([verdict, rules, policies], ["dropped", [], [{ kind: "CiliumNetworkPolicy", namespace: "default", name: "web" }]]);
  assert.equal(
    changes[0],
    `ingress[0].toPorts[0] of CiliumNetworkPolicy default/web allows ${clientText}, but only on 80/TCP: add 8080/TCP to its toPorts`,
  );
  assert.equal(changes.at(-1), "without CiliumNetworkPolicy default/web it would be allowed");
});

test("a dropped connection names the rule that misses it by the peer", () => {
  const { changes } = ingress([web], "app=other");
  assert.match(
    changes[0] ?? "",
    /^ingress\[0\]\.toPorts\[0\] of CiliumNetworkPolicy default\/web allows 80\/TCP, but not for identity 1003/,
  );
});

test("a denied connection says what it would be without the denial", () => {
  const deny = rule("deny", { ingressDeny: [{ path: "ingressDeny[0]", peers: from("client") ?? [] }] });
  const direction = ingress([web, deny], "app=client");
  assert.equal(direction.verdict, "denied");
  assert.deepEqual(direction.changes, [
    "without ingressDeny[0] of CiliumNetworkPolicy default/deny it would be allowed; no rule that allows can win over a denial",
  ]);
});

test("a packet must pass both directions", () => {
  const { verdict, egress } = explained(
    optionsOf([rule("out", { egress: [{ path: "egress[0]", peers: [] }] })]),
    "app=server",
    "app=client",
  );
  assert.deepEqual([verdict, egress.verdict], ["dropped", "dropped"]);
});

test("policies of pods are not about the world", () => {
  const { ingress, egress } = explained(optionsOf([web]), "app=server", "192.0.2.1");
  assert.deepEqual([ingress.verdict, ingress.reason], ["allowed", "192.0.2.1 is no workload: policies of pods are not about it"]);
  assert.equal(egress.enforced, false);
});

test("a dropped connection comes with the smallest policy that would let it through", () => {
  const { remedy } = ingress([web], "app=other", 8080);
  assert.deepEqual(remedy?.spec, {
    endpointSelector: { matchLabels: { "k8s:app": "server" } },
    ingress: [{ fromEndpoints: [{ matchLabels: { "k8s:app": "other" } }], toPorts: [{ ports: [{ port: "8080", protocol: "TCP" }] }] }],
    enableDefaultDeny: { ingress: false, egress: false },
  });
});

test("an address outside of the cluster is let through alone, not with all the world", () => {
  const out = rule("out", { egress: [{ path: "egress[0]", peers: [] }] });
  const { egress } = explained(optionsOf([out]), "app=server", "192.0.2.1", 443);
  assert.equal(egress.verdict, "dropped");
  assert.match(JSON.stringify(egress.remedy), /"toCIDRSet":\[\{"cidr":"192\.0\.2\.1\/32"\}\]/);
});

test("where policy only audits, a drop is told and passes", () => {
  const given = { id: 22, containerId: "c", containerIfname: "eth0", podNamespace: "default", podName: "server", ifindex: 7 };
  const devices = { hostDeviceName: "lxc1", mac: "02:00:00:00:00:01", hostMac: "02:00:00:00:00:02" };
  const row = createEndpoint({ ...given, ...devices, identity: 1002, labels: ["k8s:app=server"] }, 0);
  const options = optionsOf([web]);
  const sources = { ...options.sources, endpoints: () => [row], isAudited: () => true };
  const { verdict, ingress, to } = explained({ ...options, sources }, "app=other", "server");
  assert.deepEqual([verdict, ingress.verdict, ingress.audited, to.pod], ["allowed", "dropped", true, "default/server"]);
});

test("a pod of another node is called by its name", () => {
  const { from, ingress } = explained(optionsOf([web]), "default/far-client", "app=server");
  assert.deepEqual([from.pod, from.endpoint, from.identity], ["default/far-client", undefined, 1001]);
  assert.match(ingress.reason, /^traffic from default\/far-client on 80\/TCP is allowed/);
});

test("denials that miss the packet are not offered as a way to let it through", () => {
  const deny = rule("deny", { ingressDeny: [{ path: "ingressDeny[0]", peers: from("client") ?? [], ports: tcp("ingressDeny[0]", 22) }] });
  const { changes } = ingress([web, deny], "app=client", 8080);
  assert.equal(changes.filter((change) => change.includes("ingressDeny")).length, 0, changes.join("\n"));
});

test("nothing is claimed of a change while rules and what is in force differ", () => {
  const { ingress } = explained(
    { ...optionsOf([web]), rules: () => [rule("web", { ingress: [{ path: "ingress[0]" }] })] },
    "app=other",
    "app=server",
  );
  assert.deepEqual([ingress.verdict, ingress.changes, ingress.remedy], ["dropped", [], undefined]);
});

test("asking leaves nothing behind in the engine", () => {
  const options = optionsOf([web]);
  explained(options, "app=client", "app=server");
  assert.deepEqual(options.engine.upsertPolicy("web", [rule("web", { ingress: [] })]).affected, new Set());
});

for (const [from, to, status, problem] of [
  ["app=nobody", "world", 404, /^from: no identity has the labels app=nobody$/],
  [
    "world",
    "io.kubernetes.pod.namespace=default",
    400,
    /^to: 3 identities have the labels .*: 1001, 1002, 1003; name one as identity:1001$/,
  ],
  ["identity:5000", "world", 404, /^from: there is no identity 5000$/],
  ["shop/web", "world", 404, /^from: there is no pod shop\/web$/],
  ["9", "world", 404, /^from: there is no endpoint 9 on this node/],
  ["nobody", "world", 404, /^from: "nobody" is neither a reserved identity nor a pod of namespace default/],
] as const) {
  test(`${from} to ${to} is refused`, () => {
    const answer = ask(optionsOf([]), from, to);
    assert.equal(answer.status, status);
    assert.match("error" in answer ? answer.error : "", problem);
  });
}

test("the node itself is asked by its own policies, and seen by others as the host", () => {
  const { labels: _, ...row } = createEndpoint({ ...hostRow, id: hostEndpointId, identity: 1 }, 0);
  const labels = ["k8s:zone=a", "reserved:host"];
  const closed: Rule = {
    policy: { kind: "CiliumClusterwideNetworkPolicy", namespace: "", name: "nodes", uid: "", labels: [] },
    ofNodes: true,
    endpointSelector: Selector.of({ matchLabels: { zone: "a" } }),
    ...{ ingress: [{ path: "ingress[0]", peers: [] }], ingressDeny: [], egress: [], egressDeny: [] },
    enableDefaultDeny: { ingress: true, egress: false },
  };
  const options = optionsOf([closed]);
  const withNode: ExplainOptions = {
    ...options,
    world: { ...options.world, hostFirewall: true },
    sources: { ...options.sources, endpoints: () => [{ ...row, labels }] },
  };
  const { to, verdict, ingress: into } = explained(withNode, "app=client", "host", 22);
  assert.deepEqual([to, verdict], [{ identity: 1, labels, endpoint: hostEndpointId }, "dropped"]);
  assert.match(into.reason, /^traffic from .* on 22\/TCP is dropped at reserved:host: no ingress rule of the one policy that selects it/);
  assert.deepEqual((into.remedy as { spec?: { nodeSelector?: unknown } } | undefined)?.spec?.nodeSelector, {
    matchLabels: { "k8s:zone": "a" },
  });
});

const hostRow = {
  ...{ containerId: "", containerIfname: "", podNamespace: "", podName: "" },
  ...{ ifindex: 0, hostDeviceName: "", mac: "", hostMac: "" },
};
