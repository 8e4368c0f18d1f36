import assert from "node:assert/strict";
import { test } from "node:test";
import { cidrLabels, reservedLabels } from "@cilium-ts/identity";
import { Labels, Selector } from "@cilium-ts/labels";
import { parsePrefix } from "@cilium-ts/net";
import { type Peer, protocols, type Rule, type RuleSection } from "../rules/rule.ts";
import { type DirectionExplanation, explainPacket, type PacketEnd, type PolicyWorld } from "./explain.ts";

const pod = (app: string, namespace = "shop"): PacketEnd => ({
  labels: Labels.parse([`k8s:app=${app}`, `k8s:io.kubernetes.pod.namespace=${namespace}`, "k8s:io.cilium.k8s.policy.cluster=default"]),
});
const app = (name: string): Selector => Selector.of({ matchLabels: { app: name } });
const peers = (...names: string[]): Peer[] => names.map((name) => ({ kind: "endpoints", selector: app(name) }));
const port80: RuleSection["ports"] = [{ path: "toPorts[0]", ports: [{ kind: "number", protocol: protocols.tcp, first: 80, last: 80 }] }];

function rule(name: string, selected: string, sections: Partial<Pick<Rule, "ingress" | "ingressDeny" | "egress" | "egressDeny">>): Rule {
  const { ingress = [], ingressDeny = [], egress = [], egressDeny = [] } = sections;
  return {
    policy: { kind: "CiliumNetworkPolicy", namespace: "shop", name, uid: "", labels: [] },
    endpointSelector: app(selected),
    ...{ ingress, ingressDeny, egress, egressDeny },
    enableDefaultDeny: { ingress: ingress.length + ingressDeny.length > 0, egress: egress.length + egressDeny.length > 0 },
  };
}

function world(...rules: Rule[]): PolicyWorld {
  return { rules, cidrGroups: [], services: [], mode: "default", allowLocalhost: true, clusterName: "default", families: [4, 6] };
}

const webToDb = { from: pod("web"), to: pod("db"), protocol: 6, port: 80 };

/** `verdict by deciders; also runners-up; nearly near-misses` */
function tell(direction: DirectionExplanation | undefined): string {
  if (direction === undefined) return "nobody's policy";
  const by = direction.origins.map(({ policy }) => policy.name).join(" ");
  const also = direction.runnersUp.map(({ origin, says }) => `${says} ${origin.policy.name}`).join(" ");
  const nearly = direction.nearMisses.map(({ origin, misses }) => `${origin.policy.name}:${misses}`).join(" ");
  return `${direction.verdict} by [${by}] also [${also}] nearly [${nearly}]`;
}

test("both ends are asked, and either can stop a packet", () => {
  const open = explainPacket(webToDb, world());
  assert.deepEqual(
    [open.verdict, tell(open.egress), tell(open.ingress)],
    ["allowed", "allowed by [allow-any-egress] also [] nearly []", "allowed by [allow-any-ingress] also [] nearly []"],
  );
  const closed = explainPacket(webToDb, world(rule("closed", "web", { egress: [{ path: "egress[0]", peers: [] }] })));
  assert.deepEqual([closed.verdict, closed.egress?.verdict, closed.ingress?.verdict], ["dropped", "dropped", "allowed"]);
});

test("the rule that decides stands before those that agree and those that lost", () => {
  const rules = [
    rule("wide", "db", { ingress: [{ path: "ingress[0]", peers: peers("web") }] }),
    rule("narrow", "db", { ingress: [{ path: "ingress[0]", peers: peers("web"), ports: port80 }] }),
    rule("other", "db", { ingress: [{ path: "ingress[0]", peers: peers("api") }] }),
    rule("elsewhere", "web", { ingress: [{ path: "ingress[0]", peers: peers("web") }] }),
  ];
  assert.equal(tell(explainPacket(webToDb, world(...rules)).ingress), "allowed by [narrow] also [allow wide] nearly [other:peer]");
  const denied = explainPacket(
    webToDb,
    world(...rules, rule("deny", "db", { ingressDeny: [{ path: "ingressDeny[0]", peers: peers("web") }] })),
  );
  assert.equal(tell(denied.ingress), "denied by [deny] also [allow wide allow narrow] nearly [other:peer]");
  assert.equal(denied.ingress?.remedy, undefined, "no allow rule helps against a deny");
});

test("nodes and what is outside have no policy of their own", () => {
  const prefix = parsePrefix("192.0.2.1/32");
  assert.ok(prefix !== undefined);
  const outside = { labels: cidrLabels(prefix, [4, 6]) };
  const closed = world(rule("closed", "db", { ingress: [{ path: "ingress[0]", peers: [] }] }));
  const fromOutside = explainPacket({ ...webToDb, from: outside }, closed);
  assert.equal(tell(fromOutside.egress), "nobody's policy");
  assert.deepEqual(fromOutside.ingress?.remedy?.ingress[0]?.peers, [{ kind: "cidr", cidr: "192.0.2.1/32", except: [] }]);
  const host = { labels: reservedLabels(1) ?? Labels.empty };
  assert.equal(explainPacket({ ...webToDb, from: host }, closed).verdict, "allowed", "the node reaches its endpoints");
  const strict = explainPacket({ ...webToDb, from: host }, { ...closed, allowLocalhost: false }).ingress;
  assert.deepEqual([strict?.verdict, strict?.remedy?.ingress[0]?.peers], ["dropped", [{ kind: "entity", entity: "host" }]]);
});

test("the smallest rule allows one port of one peer, and closes nothing", () => {
  const { remedy } = explainPacket(webToDb, world(rule("closed", "db", { ingress: [{ path: "ingress[0]", peers: [] }] }))).ingress ?? {};
  assert.ok(remedy !== undefined);
  assert.deepEqual([remedy.policy.namespace, remedy.policy.name], ["shop", "allow-db-from-web-80"]);
  assert.deepEqual(remedy.enableDefaultDeny, { ingress: false, egress: false });
  assert.deepEqual(remedy.ingress[0]?.ports?.[0]?.ports, [{ kind: "number", protocol: 6, first: 80, last: 80 }]);
  assert.ok(remedy.endpointSelector.matches(pod("db").labels) && !remedy.endpointSelector.matches(pod("db", "prod").labels));
});

test("a protocol that rules cannot name is allowed with all others", () => {
  const closed = world(rule("closed", "db", { ingress: [{ path: "ingress[0]", peers: [] }] }));
  const { remedy } = explainPacket({ ...webToDb, protocol: 47, port: 0 }, closed).ingress ?? {};
  assert.equal(remedy?.ingress[0]?.ports, undefined);
});

test("a node is asked where nodes have a firewall, by the labels that policies of nodes see", () => {
  const host: PacketEnd = { labels: Labels.parse(["reserved:host"]), asSubject: Labels.parse(["reserved:host", "k8s:zone=a"]) };
  const other: PacketEnd = { ...host, labels: Labels.parse(["reserved:remote-node"]) };
  const ofNodes = { ...rule("nodes", "", { ingress: [{ path: "ingress[0]", peers: [] }] }), ofNodes: true } as const;
  const zoneA = { ...ofNodes, endpointSelector: Selector.of({ matchLabels: { zone: "a" } }) };
  const everywhere = {
    ...rule("pods", "web", {}),
    endpointSelector: Selector.everything,
    enableDefaultDeny: { ingress: true, egress: true },
  };
  const question = { from: pod("web"), to: host, protocol: 6, port: 22 };
  const ingress = (...rules: Rule[]): string => tell(explainPacket(question, { ...world(...rules), hostFirewall: true }).ingress);
  assert.equal(ingress(everywhere), "allowed by [allow-any-ingress] also [] nearly []");
  assert.equal(ingress(zoneA), "dropped by [] also [] nearly [nodes:peer]");
  assert.equal(tell(explainPacket({ ...question, to: other }, { ...world(zoneA), hostFirewall: true }).ingress), ingress(zoneA));
  assert.equal(explainPacket(question, world(zoneA)).ingress, undefined);
  const { remedy } = explainPacket(question, { ...world(zoneA), hostFirewall: true }).ingress ?? {};
  assert.deepEqual([remedy?.ofNodes, remedy?.endpointSelector.matches(Labels.parse(["k8s:zone=a"]))], [true, true]);
});
