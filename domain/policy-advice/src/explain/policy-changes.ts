import type { Labels } from "@cilium-ts/labels";
import {
  type Direction,
  type DirectionExplanation,
  explainPacket,
  isHost,
  type NamedPort,
  type NearMiss,
  type Opinion,
  type PacketEnd,
  type PolicyWorld,
  type PortMatch,
  protocols,
  type Rule,
} from "@cilium-ts/policy";
import type { ExplainedPolicy, ExplainedRule, PolicyVerdict } from "./explained.ts";

/** One end of a connection that is to be explained. */
export interface Party {
  readonly labels: Labels;
  /** By these a packet is explained: an address outside the cluster is told from the rest of its prefix. */
  readonly packetLabels: Labels;
  readonly namedPorts: readonly NamedPort[];
  /** Workloads have policies, and nodes with a firewall; the world does not. */
  readonly hasPolicy: boolean;
  /** For sentences: `default/web`, `reserved:world`. */
  readonly text: string;
}

/** What of a party a packet shows. A node is one thing to its own policies, and another to those of others. */
export function packetEnd({ labels, packetLabels, namedPorts }: Party): PacketEnd {
  return { labels: packetLabels, namedPorts, ...(isHost(labels) && { asSubject: labels }) };
}

/** One direction of a connection: the policies of `self` about `peer`. */
export interface DirectionQuestion {
  readonly self: Party;
  readonly peer: Party;
  readonly direction: Direction;
  readonly protocol: number;
  readonly port: number;
  /** `80/TCP`, for sentences. */
  readonly portText: string;
}

/** The verdict that is in force, which the changes are about. */
export interface Verdicted {
  readonly verdict: PolicyVerdict;
  readonly enforced: boolean;
  readonly deciding: readonly ExplainedRule[];
}

export interface PolicyChanges {
  /** A sentence each. */
  readonly sentences: readonly string[];
  /** Rules that match the packet and did not decide. */
  readonly runnersUp: readonly Opinion[];
  /** The smallest rule that would let a packet through that no rule allows. */
  readonly remedy: Rule | undefined;
}

const sentencesMax = 8;
/** Policies that are taken away in turn, to see what that makes of the verdict. */
const policiesTriedMax = 50;

/**
 * What would change the verdict, found by trying: the question is asked again of the same rules with one thing different.
 * The rules of `world` are those that select `self`.
 */
export function whatWouldChange(question: DirectionQuestion, world: PolicyWorld, now: Verdicted): PolicyChanges {
  const { self, peer, direction, portText } = question;
  let runnersUp: readonly Opinion[] = [];
  const only = (...sentences: string[]): PolicyChanges => ({ sentences: sentences.slice(0, sentencesMax), runnersUp, remedy: undefined });
  if (!now.enforced) return only(`a policy with an ${direction} section that selects ${self.text} drops what it does not allow`);
  const explained = ask(question, world);
  // What is in force may be newer than the rules that were asked for; then nothing is claimed of a change.
  if (explained?.verdict !== now.verdict) return only();
  runnersUp = explained.runnersUp;
  switch (now.verdict) {
    case "allowed":
    case "redirected": {
      const denial = `an ${direction}Deny rule that selects ${peer.text} on ${portText} would deny it: denials win over everything that allows`;
      return only(...withoutPolicies(question, world, now), denial);
    }
    case "denied":
      return only(withoutDenials(question, world, now.deciding));
    case "dropped": {
      const misses = explained.nearMisses.filter(({ says }) => says === "allow").map((miss) => missText(question, world.rules, miss));
      const sentences = [...misses.slice(0, sentencesMax / 2), ...withoutPolicies(question, world, now)];
      return { sentences: sentences.slice(0, sentencesMax), runnersUp, remedy: explained.remedy };
    }
  }
}

/** `CiliumNetworkPolicy default/web`. */
export function policyText({ kind, namespace, name }: ExplainedPolicy): string {
  return `${kind} ${namespace === "" ? name : `${namespace}/${name}`}`;
}

function ask({ self, peer, direction, protocol, port }: DirectionQuestion, world: PolicyWorld): DirectionExplanation | undefined {
  const [from, to] = direction === "egress" ? [self, peer] : [peer, self];
  return explainPacket({ from: packetEnd(from), to: packetEnd(to), protocol, port }, world)[direction];
}

/** The policies whose removal alone would turn the verdict. */
function withoutPolicies(question: DirectionQuestion, world: PolicyWorld, now: Verdicted): string[] {
  const byPolicy = Map.groupBy(world.rules, ({ policy }) => policyText(policy));
  return [...byPolicy.keys()].slice(0, policiesTriedMax).flatMap((text) => {
    const rules = world.rules.filter(({ policy }) => policyText(policy) !== text);
    const verdict = ask(question, { ...world, rules })?.verdict ?? now.verdict;
    return verdict === now.verdict ? [] : [`without ${text} it would be ${verdict}`];
  });
}

function withoutDenials(question: DirectionQuestion, world: PolicyWorld, deciding: readonly ExplainedRule[]): string {
  const places = new Set(deciding.map((rule) => `${policyText(rule)} ${sectionOf(rule.path)}`));
  const kept = (rule: Rule, sections: Rule["ingressDeny"]): Rule["ingressDeny"] =>
    sections.filter(({ path }) => !places.has(`${policyText(rule.policy)} ${path}`));
  const rules = world.rules.map((rule) => ({
    ...rule,
    ingressDeny: kept(rule, rule.ingressDeny),
    egressDeny: kept(rule, rule.egressDeny),
  }));
  const named = deciding.map((rule) => `${sectionOf(rule.path)} of ${policyText(rule)}`).join(" and ");
  return `without ${named} it would be ${ask(question, { ...world, rules })?.verdict ?? "allowed"}; no rule that allows can win over a denial`;
}

function missText(
  { peer, portText, protocol, direction }: DirectionQuestion,
  rules: readonly Rule[],
  { origin, misses }: NearMiss,
): string {
  const place = `${origin.path} of ${policyText(origin.policy)}`;
  if (misses === "peer") return `${place} allows ${portText}, but not for ${peer.text}: add a peer that selects it`;
  const list = protocol === protocols.icmp || protocol === protocols.icmpv6 ? "icmps" : "toPorts";
  const sections = rules.filter(({ policy }) => policyText(policy) === policyText(origin.policy)).flatMap((rule) => rule[direction]);
  const groups = sections.flatMap(({ ports = [] }) => ports).filter(({ path }) => path === origin.path);
  return `${place} allows ${peer.text}, but only on ${portsText(groups.flatMap((group) => group.ports))}: add ${portText} to its ${list}`;
}

/** `ingressDeny[0]` of `ingressDeny[0].toPorts[1]`. */
function sectionOf(path: string): string {
  return path.split(".")[0] ?? path;
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
  return texts.length === 0 ? "other ports" : `${texts.join(", ")}${ports.length > texts.length ? " and others" : ""}`;
}
