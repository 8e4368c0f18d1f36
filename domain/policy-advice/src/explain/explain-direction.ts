import {
  explainPacket,
  matchTypes,
  type Opinion,
  type PolicyWorld,
  protocols,
  type Rule,
  type RuleOrigin,
  selects,
  type Verdict,
} from "@cilium-ts/policy";
import { isAbout } from "./enforcement.ts";
import type {
  ExplainedDirection,
  ExplainedPolicy,
  ExplainedProtocol,
  ExplainedRule,
  PolicyExplanation,
  PolicyVerdict,
} from "./explained.ts";
import { type DirectionQuestion, type Party, packetEnd, policyText, whatWouldChange } from "./policy-changes.ts";

/** What is enforced now, which the explanation is about. */
export interface InForce {
  readonly enforced: boolean;
  readonly decision: Verdict;
  /** Policy only audits there. */
  readonly audited?: boolean;
}

const protocolNumbers: Readonly<Record<ExplainedProtocol, number>> = {
  TCP: protocols.tcp,
  UDP: protocols.udp,
  SCTP: protocols.sctp,
  ICMP: protocols.icmp,
  ICMPv6: protocols.icmpv6,
};
const policiesShownMax = 100;

type Explained = Pick<PolicyExplanation<Rule>, "verdict" | "egress" | "ingress">;

/**
 * Why the one may or may not talk to the other, in both directions, and what would change that. `inForce` tells what is enforced, of a
 * question that has an answer in the kernel; without it the rules of `world` decide.
 */
export function explainConnection(
  ends: { readonly from: Party; readonly to: Party; readonly protocol: ExplainedProtocol; readonly port: number },
  world: PolicyWorld,
  inForce?: (question: DirectionQuestion) => InForce,
): Explained {
  const { from, to, protocol, port } = ends;
  const about = { protocol: protocolNumbers[protocol], port, portText: `${port}/${protocol}` };
  const egress = explainDirection({ ...about, self: from, peer: to, direction: "egress" }, world, inForce);
  const ingress = explainDirection({ ...about, self: to, peer: from, direction: "ingress" }, world, inForce);
  const barring = [egress, ingress].find((direction) => direction.verdict !== "allowed" && direction.audited !== true);
  return { verdict: barring?.verdict ?? "allowed", egress, ingress };
}

function explainDirection(
  question: DirectionQuestion,
  world: PolicyWorld,
  inForce: ((question: DirectionQuestion) => InForce) | undefined,
): ExplainedDirection<Rule> {
  const { self, direction } = question;
  if (!self.hasPolicy) {
    const reason = `${self.text} is no workload: policies of pods are not about it`;
    return { verdict: "allowed", enforced: false, reason, match: "none", rules: [], policies: [], changes: [] };
  }
  const selecting = world.rules.filter((rule) => selects(rule, self.labels) && isAbout(rule, direction));
  const inside = inForce?.(question) ?? wouldBeInForce(question, world, selecting);
  const { enforced, decision } = inside;
  const audited = inside.audited === true || decision.audited;
  const rules = explainedRules(decision.origins);
  const { verdict } = decision;
  const {
    sentences: changes,
    runnersUp,
    remedy,
  } = whatWouldChange(question, { ...world, rules: selecting }, { verdict, enforced, deciding: rules });
  const policies = explainedPolicies(selecting);
  const reason = reasonOf(question, verdict, { enforced, mode: world.mode, rules, policies });
  const match = matchNames[decision.match] ?? "none";
  const told = { verdict, ...(audited && { audited }), enforced, reason, match, rules, ...opinionsOf(runnersUp), policies, changes };
  return remedy === undefined ? told : { ...told, remedy };
}

function wouldBeInForce(question: DirectionQuestion, world: PolicyWorld, selecting: readonly Rule[]): InForce {
  const { self, peer, direction, protocol, port } = question;
  const [from, to] = direction === "egress" ? [self, peer] : [peer, self];
  const decision = explainPacket({ from: packetEnd(from), to: packetEnd(to), protocol, port }, world)[direction];
  const enforced = world.mode === "always" || self.labels.has("reserved", "init") || (world.mode === "default" && selecting.length > 0);
  return { enforced, decision: decision ?? { verdict: "allowed", audited: false, match: matchTypes.none, origins: [] } };
}

function reasonOf(
  { self, peer, direction, portText }: DirectionQuestion,
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
  if (verdict === "redirected") return `${traffic} goes to a proxy at ${self.text}, and is dropped where there is none, by ${deciding}`;
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
  return origins.map(({ policy, path }) => ({ ...nameOf(policy), path }));
}

function nameOf({ kind, namespace, name }: ExplainedPolicy): ExplainedPolicy {
  return { kind, namespace, name };
}

const runnersUpShownMax = 20;

function opinionsOf(runnersUp: readonly Opinion[]): Pick<ExplainedDirection<Rule>, "runnersUp"> {
  if (runnersUp.length === 0) return {};
  const shown = runnersUp.slice(0, runnersUpShownMax);
  return { runnersUp: shown.map(({ origin: { policy, path }, says }) => ({ ...nameOf(policy), path, says })) };
}

function explainedPolicies(rules: readonly Rule[]): ExplainedPolicy[] {
  const policies = new Map<string, ExplainedPolicy>();
  for (const { policy } of rules) {
    const { kind, namespace, name } = policy;
    policies.set(`${kind}/${namespace}/${name}`, { kind, namespace, name });
  }
  return [...policies.values()].slice(0, policiesShownMax);
}
