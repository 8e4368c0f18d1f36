import type { ExplainedPolicy, ExplainedRule } from "@cilium-ts/agent-api";
import {
  type Direction,
  PolicyEngine,
  type PolicyMode,
  type PortMatch,
  protocols,
  type Rule,
  type RuleSection,
  type Verdict,
} from "@cilium-ts/policy";
import type { Party } from "./policy-parties.ts";

/** One direction of a connection: the policies of `self` about `peer`. */
export interface PolicyQuestion {
  readonly self: Party;
  readonly peer: Party;
  readonly direction: Direction;
  readonly protocol: number;
  readonly port: number;
  /** `80/TCP`, for sentences. */
  readonly portText: string;
}

export interface WorldOfPolicy {
  readonly mode: PolicyMode;
  readonly allowLocalhost: "auto" | "always" | "policy";
  readonly clusterName: string;
}

/** Sentences in an answer, and rules that are tried for it. */
const changesMax = 8;
const rulesTriedMax = 200;

/**
 * What would change the verdict, found by trying: the question is asked again of the same rules with one thing different.
 * `rules` are those that select `self`.
 */
export function whatWouldChange(
  world: WorldOfPolicy,
  question: PolicyQuestion,
  rules: readonly Rule[],
  now: { readonly verdict: Verdict["verdict"]; readonly enforced: boolean; readonly deciding: readonly ExplainedRule[] },
): string[] {
  const { self, peer, direction, portText } = question;
  const side = direction === "ingress" ? "ingress" : "egress";
  if (!now.enforced) return [`a policy with an ${side} section that selects ${self.text} drops what it does not allow`];
  // Rules about services or nodes cannot be tried apart from the cluster: then nothing is claimed of a change.
  if (decide(world, question, rules) !== now.verdict) return [];
  switch (now.verdict) {
    case "allowed":
      return [
        ...withoutPolicies(world, question, rules, now),
        `an ${side}Deny rule that selects ${peer.text} on ${portText} would deny it: denials win over everything that allows`,
      ].slice(0, changesMax);
    case "denied": {
      const paths = new Set(now.deciding.map(({ kind, namespace, name, path }) => `${kind}/${namespace}/${name}/${base(path)}`));
      const without = rules.map((rule) => withoutSections(rule, (section) => paths.has(`${keyOf(rule)}/${section.path}`)));
      const named = now.deciding.map((rule) => `${base(rule.path)} of ${policyText(rule)}`).join(" and ");
      return [`without ${named} it would be ${decide(world, question, without)}; no rule that allows can win over a denial`];
    }
    case "dropped":
      return [
        ...nearMisses(world, question, rules),
        `${article(side)} rule of a policy that selects ${self.text} with ${side === "ingress" ? "fromEndpoints" : "toEndpoints"} for ${peer.text} and port ${portText} would allow it`,
        ...withoutPolicies(world, question, rules, now),
      ].slice(0, changesMax);
  }
}

/** `CiliumNetworkPolicy default/web`. */
export function policyText({ kind, namespace, name }: ExplainedPolicy): string {
  return `${kind} ${namespace === "" ? name : `${namespace}/${name}`}`;
}

/** What each policy makes of the verdict by being there: those whose removal would turn it. */
function withoutPolicies(
  world: WorldOfPolicy,
  question: PolicyQuestion,
  rules: readonly Rule[],
  now: { readonly verdict: Verdict["verdict"] },
): string[] {
  const sentences: string[] = [];
  const keys = [...new Set(rules.slice(0, rulesTriedMax).map(keyOf))];
  for (const key of keys) {
    const [first] = rules.filter((rule) => keyOf(rule) === key);
    const verdict = decide(
      world,
      question,
      rules.filter((rule) => keyOf(rule) !== key),
    );
    if (first !== undefined && verdict !== now.verdict) sentences.push(`without ${policyText(first.policy)} it would be ${verdict}`);
  }
  return sentences;
}

/** Rules that would allow it, were it not for the port, or for the peer. */
function nearMisses(world: WorldOfPolicy, question: PolicyQuestion, rules: readonly Rule[]): string[] {
  const { direction, peer, portText } = question;
  const sentences: string[] = [];
  for (const rule of rules.slice(0, rulesTriedMax)) {
    for (const section of rule[direction]) {
      const { ports, ...anyPort } = section;
      const { peers, requires, ...anyPeer } = section;
      const alone = (changed: RuleSection): boolean =>
        decide(world, question, [{ ...rule, ...noSections, [direction]: [changed] }]) === "allowed";
      const place = `${section.path} of ${policyText(rule.policy)}`;
      if (ports !== undefined && alone(anyPort))
        sentences.push(
          `${place} allows ${peer.text}, but only on ${portsText(ports.flatMap((group) => group.ports))}: add ${portText} to its toPorts`,
        );
      else if ((peers !== undefined || requires !== undefined) && alone(anyPeer))
        sentences.push(`${place} allows ${portText}, but not for ${peer.text}: add a peer that selects it`);
    }
  }
  return sentences;
}

const noSections = { ingress: [], ingressDeny: [], egress: [], egressDeny: [] } as const;

function decide(world: WorldOfPolicy, question: PolicyQuestion, rules: readonly Rule[]): Verdict["verdict"] {
  const { self, peer, direction, protocol, port } = question;
  const engine = new PolicyEngine({ ...world, families: [4, 6] });
  engine.upsertIdentity(self.identity, self.labels, self.namedPorts);
  engine.upsertIdentity(peer.identity, peer.labels, peer.namedPorts);
  engine.upsertPolicy("tried", rules);
  return engine.explain({ labels: self.labels, namedPorts: self.namedPorts }, peer.identity, direction, protocol, port).verdict;
}

function withoutSections(rule: Rule, leave: (section: RuleSection) => boolean): Rule {
  const kept = (sections: readonly RuleSection[]): RuleSection[] => sections.filter((section) => !leave(section));
  return { ...rule, ingressDeny: kept(rule.ingressDeny), egressDeny: kept(rule.egressDeny) };
}

function keyOf({ policy: { kind, namespace, name } }: Rule): string {
  return `${kind}/${namespace}/${name}`;
}

/** `ingressDeny[0]` of `ingressDeny[0].toPorts[1]`. */
function base(path: string): string {
  return path.split(".")[0] ?? path;
}

function article(word: string): string {
  return `an ${word}`;
}

const protocolNames = new Map<number, string>([
  [protocols.any, "ANY"],
  [protocols.icmp, "ICMP"],
  [protocols.tcp, "TCP"],
  [protocols.udp, "UDP"],
  [protocols.icmpv6, "ICMPv6"],
  [protocols.sctp, "SCTP"],
]);
const portsShownMax = 10;

function portsText(ports: readonly PortMatch[]): string {
  const texts = ports.slice(0, portsShownMax).map((match) => {
    const protocol = protocolNames.get(match.protocol) ?? String(match.protocol);
    if (match.kind === "name") return `${match.name}/${protocol}`;
    if (match.first === 0 && match.last === 0) return `any port/${protocol}`;
    return `${match.first === match.last ? match.first : `${match.first}-${match.last}`}/${protocol}`;
  });
  return texts.length === 0 ? "no port" : `${texts.join(", ")}${ports.length > texts.length ? " and others" : ""}`;
}
