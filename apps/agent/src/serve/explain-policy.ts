import {
  type AgentOperations,
  type ExplainedDirection,
  type ExplainedPolicy,
  type ExplainedProtocol,
  type ExplainedRule,
  found,
  type PolicyVerdict,
} from "@cilium-ts/agent-api";
import { ciliumPolicyFromRule } from "@cilium-ts/kubernetes";
import {
  type CidrGroup,
  type Direction,
  matchTypes,
  type PolicyEngine,
  type PolicyService,
  type PolicyWorld,
  protocols,
  type Rule,
  type RuleOrigin,
  type Verdict,
} from "@cilium-ts/policy";
import { type PolicyQuestion, policyText, whatWouldChange } from "./policy-changes.ts";
import { families, findParty, type PartySources, partyShape } from "./policy-parties.ts";

export interface ExplainOptions {
  readonly engine: PolicyEngine;
  readonly sources: PartySources;
  readonly world: Pick<PolicyWorld, "allowLocalhost" | "clusterName">;
  /** All rules in force. */
  rules(): readonly Rule[];
  cidrGroups(): readonly CidrGroup[];
  services(): readonly PolicyService[];
}

const protocolNumbers: Readonly<Record<ExplainedProtocol, number>> = {
  TCP: protocols.tcp,
  UDP: protocols.udp,
  SCTP: protocols.sctp,
  ICMP: protocols.icmp,
  ICMPv6: protocols.icmpv6,
};
const policiesShownMax = 100;

type ExplainRequest = Parameters<AgentOperations["explainPolicy"]>[0];

/** Asks the policy engine for both directions of a connection, and says why in words. */
export function explainPolicy(options: ExplainOptions, request: ExplainRequest): Awaited<ReturnType<AgentOperations["explainPolicy"]>> {
  const from = findParty(options.sources, request.from, "from");
  if ("status" in from) return from;
  const to = findParty(options.sources, request.to, "to");
  if ("status" in to) return to;
  const { protocol, port } = request;
  const about = { protocol: protocolNumbers[protocol], port, portText: `${port}/${protocol}` };
  const egress = explainDirection(options, { ...about, self: from, peer: to, direction: "egress" });
  const ingress = explainDirection(options, { ...about, self: to, peer: from, direction: "ingress" });
  const barring = [egress, ingress].find((direction) => direction.verdict !== "allowed" && direction.audited !== true);
  const verdict = barring?.verdict ?? "allowed";
  return found({ from: partyShape(from), to: partyShape(to), protocol, port, verdict, egress, ingress });
}

function explainDirection(options: ExplainOptions, question: PolicyQuestion): ExplainedDirection {
  const { self, direction } = question;
  if (!self.hasPolicy) {
    const reason = `${self.text} is no workload: policies of pods are not about it`;
    return { verdict: "allowed", enforced: false, reason, match: "none", rules: [], policies: [], changes: [] };
  }
  const { enforced, decision } = judge(options.engine, question);
  const selecting = options.rules().filter((rule) => rule.endpointSelector.matches(self.labels) && isAbout(rule, direction));
  const rules = explainedRules(decision.origins);
  const { mode } = options.engine;
  const world = { ...options.world, mode, families, rules: selecting, cidrGroups: options.cidrGroups(), services: options.services() };
  const { sentences: changes, remedy } = whatWouldChange(question, world, { verdict: decision.verdict, enforced, deciding: rules });
  const policies = explainedPolicies(selecting);
  const reason = reasonOf(question, decision.verdict, { enforced, mode, rules, policies });
  const match = matchNames[decision.match] ?? "none";
  const audited = self.row !== undefined && options.sources.isAudited(self.row);
  const told = { verdict: decision.verdict, ...(audited && { audited }), enforced, reason, match, rules, policies, changes };
  return remedy === undefined ? told : { ...told, remedy: { ...ciliumPolicyFromRule(remedy) } };
}

/** Only a subject that no endpoint of this node has is forgotten again: the engine tells of changes to those it remembers. */
function judge(engine: PolicyEngine, { self, peer, direction, protocol, port }: PolicyQuestion): { enforced: boolean; decision: Verdict } {
  const subject = { labels: self.labels, namedPorts: self.namedPorts };
  const policy = engine.resolve(subject);
  const decision = engine.explain(subject, peer.identity, direction, protocol, port);
  if (self.row === undefined) engine.forget(subject);
  return { enforced: direction === "ingress" ? policy.ingressEnforced : policy.egressEnforced, decision };
}

function isAbout(rule: Rule, direction: Direction): boolean {
  const sections = direction === "ingress" ? [rule.ingress, rule.ingressDeny] : [rule.egress, rule.egressDeny];
  return rule.enableDefaultDeny[direction] || sections.some(({ length }) => length > 0);
}

function reasonOf(
  { self, peer, direction, portText }: PolicyQuestion,
  verdict: PolicyVerdict,
  {
    enforced,
    mode,
    rules,
    policies,
  }: { enforced: boolean; mode: string; rules: readonly ExplainedRule[]; policies: readonly ExplainedPolicy[] },
): string {
  const traffic = direction === "ingress" ? `traffic from ${peer.text} on ${portText}` : `traffic to ${peer.text} on ${portText}`;
  if (!enforced) {
    const why = mode === "never" ? "policy enforcement is off on this node" : `no policy selects it for ${direction}`;
    return `everything is allowed at ${self.text}: ${why}`;
  }
  if (verdict === "dropped") {
    const count = policies.length === 1 ? "the one policy that selects it" : `any of the ${policies.length} policies that select it`;
    const why = policies.length === 0 ? `policy is always enforced and no policy selects it` : `no ${direction} rule of ${count} allows it`;
    return `${traffic} is dropped at ${self.text}: ${why}`;
  }
  const deciding = rules.map((rule) => (rule.path === "" ? rule.name : `${rule.path} of ${policyText(rule)}`)).join(", ");
  return `${traffic} is ${verdict} at ${self.text} by ${deciding === "" ? "the system itself" : deciding}`;
}

const matchNames: Readonly<Record<number, string>> = {
  [matchTypes.none]: "none",
  [matchTypes.l3Only]: "L3-Only",
  [matchTypes.l3L4]: "L3-L4",
  [matchTypes.l4Only]: "L4-Only",
  [matchTypes.all]: "all",
  [matchTypes.l3Protocol]: "L3-Proto",
  [matchTypes.protocolOnly]: "Proto-Only",
};

function explainedRules(origins: readonly RuleOrigin[]): ExplainedRule[] {
  return origins.map(({ policy: { kind, namespace, name }, path }) => ({ kind, namespace, name, path }));
}

function explainedPolicies(rules: readonly Rule[]): ExplainedPolicy[] {
  const policies = new Map<string, ExplainedPolicy>();
  for (const { policy } of rules) {
    const { kind, namespace, name } = policy;
    policies.set(`${kind}/${namespace}/${name}`, { kind, namespace, name });
  }
  return [...policies.values()].slice(0, policiesShownMax);
}
