import { clusterIdentityMin, reservedIdentities } from "@cilium-ts/identity";
import type { Labels } from "@cilium-ts/labels";
import type { Family } from "@cilium-ts/net";
import { VerdictLookup } from "../entries/lookup.ts";
import { SubjectGroup } from "../entries/subject-group.ts";
import type { Verdict } from "../entries/verdict.ts";
import { CompiledRule, matchesNamedPort, type Statement } from "../rules/compiled-rule.ts";
import { decodePortKey, type PortKey } from "../rules/port-prefix.ts";
import {
  type CidrGroup,
  type Direction,
  type NamedPort,
  type PolicyService,
  protocols,
  type Rule,
  type RuleOrigin,
} from "../rules/rule.ts";
import { isHost, selects } from "../rules/rule-subject.ts";
import { SelectorCache } from "../selectors/selector-cache.ts";
import { smallestRule } from "./smallest-rule.ts";

/** One end of a packet. An address outside the cluster has the labels of its prefix. */
export interface PacketEnd {
  readonly labels: Labels;
  readonly namedPorts?: readonly NamedPort[];
  /** Of a node: what policies about nodes see of it. Others see the labels above. */
  readonly asSubject?: Labels;
}

export interface PacketQuestion {
  readonly from: PacketEnd;
  readonly to: PacketEnd;
  /** Any IP protocol number. */
  readonly protocol: number;
  /** The destination's; for ICMP the type. */
  readonly port: number;
}

/** All that a verdict depends on beside the packet. */
export interface PolicyWorld {
  readonly rules: readonly Rule[];
  readonly cidrGroups: readonly CidrGroup[];
  readonly services: readonly PolicyService[];
  readonly mode: "default" | "always" | "never";
  readonly allowLocalhost: boolean;
  readonly clusterName: string;
  readonly families: readonly Family[];
  /** Nodes enforce policies about themselves. */
  readonly hostFirewall?: boolean;
}

/** A rule that has something to say about the packet, or nearly. */
export interface Opinion {
  readonly origin: RuleOrigin;
  readonly says: "allow" | "deny" | "pass";
}

export interface NearMiss extends Opinion {
  /** What would have to be otherwise for the rule to match. */
  readonly misses: "peer" | "port";
}

export interface DirectionExplanation extends Verdict {
  readonly direction: Direction;
  /** Match the packet, and did not decide: a deny is stronger, or another says it for more or fewer packets. */
  readonly runnersUp: readonly Opinion[];
  /** Select the same subject, and match all but one thing of the packet. */
  readonly nearMisses: readonly NearMiss[];
  /**
   * Of a packet that no rule allows: the smallest rule that would, about this subject, peer, protocol and port and nothing else.
   * Undefined where no rule alone would do.
   */
  readonly remedy: Rule | undefined;
}

export interface Explanation {
  /** Of both directions: what is not allowed anywhere does not arrive. */
  readonly verdict: Verdict["verdict"];
  /** Undefined: no policy is about the sender, which is no endpoint. */
  readonly egress: DirectionExplanation | undefined;
  readonly ingress: DirectionExplanation | undefined;
}

/** What happens to the first packet of a connection, and why. Looks at every rule: made for people's questions, not for packets. */
export function explainPacket(question: PacketQuestion, world: PolicyWorld): Explanation {
  const { from, to } = question;
  const sender = subjectOf(from, world);
  const receiver = subjectOf(to, world);
  const egress = sender && explainDirection("egress", { ...from, labels: sender }, to, question, world);
  const ingress = receiver && explainDirection("ingress", { ...to, labels: receiver }, from, question, world);
  return { verdict: verdictOfBoth(egress, ingress), egress, ingress };
}

/** What is not allowed anywhere does not arrive; what is only audited does. Undefined: no policy is asked there. */
export function verdictOfBoth(...directions: ReadonlyArray<Pick<Verdict, "verdict" | "audited"> | undefined>): Verdict["verdict"] {
  const verdicts = directions.map((direction) => (direction === undefined || direction.audited ? "allowed" : direction.verdict));
  const worst = (["denied", "dropped", "redirected"] as const).find((verdict) => verdicts.includes(verdict));
  return worst ?? "allowed";
}

/** Peers that are no subject of any policy: nodes as others see them, and what is outside. */
const outsiders = ["remote-node", "kube-apiserver", "world", "world-ipv4", "world-ipv6", "unmanaged"];

/** What policies about the end itself see of it. Undefined: no policy is about it. */
export function subjectOf(
  { labels, asSubject = labels }: PacketEnd,
  { hostFirewall }: Pick<PolicyWorld, "hostFirewall">,
): Labels | undefined {
  if (isHost(asSubject)) return hostFirewall === true ? asSubject : undefined;
  const isOutside = asSubject.all.some(({ source, key }) => source === "cidr" || (source === "reserved" && outsiders.includes(key)));
  return isOutside ? undefined : asSubject;
}

/** The number that a peer has here, where it is the only one. The node's own number means something. */
function numberOf(peer: PacketEnd): number {
  return peer.labels.has("reserved", "host") ? reservedIdentities.host : clusterIdentityMin;
}

function explainDirection(
  direction: Direction,
  subject: PacketEnd,
  peer: PacketEnd,
  question: PacketQuestion,
  world: PolicyWorld,
): DirectionExplanation {
  const { protocol, port } = question;
  const number = numberOf(peer);
  const { group, rules } = createGroup(subject, peer, world);
  const verdict = new VerdictLookup(group.resolve()).decide(direction, number, protocol, port);
  const receiver = direction === "ingress" ? subject : peer;
  const decided = new Set(verdict.origins);
  const runnersUp: Opinion[] = [];
  const nearMisses: NearMiss[] = [];
  for (const statement of rules.flatMap((rule) => group.heldFor(rule)[direction].statements)) {
    const opinion: Opinion = { origin: statement.origin, says: statement.deny ? "deny" : statement.pass ? "pass" : "allow" };
    const isPeer = statement.anyPeer || statement.selectors.some(({ identities }) => identities.has(number));
    const isPort = coversPort(statement, protocol, port, receiver.namedPorts ?? []);
    if (isPeer && isPort) {
      if (!decided.has(statement.origin)) runnersUp.push(opinion);
    } else if (isPeer !== isPort) nearMisses.push({ ...opinion, misses: isPeer ? "port" : "peer" });
  }
  const rule = verdict.verdict === "dropped" ? smallestRule(direction, subject.labels, peer.labels, protocol, port) : undefined;
  return { ...verdict, direction, runnersUp, nearMisses, remedy: rule !== undefined && helps(rule) ? rule : undefined };

  /** What other rules require of peers may be in its way. */
  function helps(remedy: Rule): boolean {
    const { group: better } = createGroup(subject, peer, { ...world, rules: [...world.rules, remedy] });
    return new VerdictLookup(better.resolve()).decide(direction, number, protocol, port).verdict === "allowed";
  }
}

/** What the engine would hold for the subject if there were no peer but this. */
function createGroup(subject: PacketEnd, peer: PacketEnd, world: PolicyWorld): { group: SubjectGroup; rules: readonly CompiledRule[] } {
  const cache = new SelectorCache(world);
  for (const cidrGroup of world.cidrGroups) cache.setCidrGroup(cidrGroup.name, cidrGroup);
  for (const service of world.services) cache.setService(`${service.namespace}/${service.name}`, service);
  cache.upsertIdentity(numberOf(peer), peer.labels);
  const selecting = world.rules.filter((rule) => selects(rule, subject.labels));
  // Of one priority in a tier, policies are asked by their names.
  const names = [...new Set(selecting.map(nameOf))].sort();
  const rules = selecting.map((rule, index) => new CompiledRule(rule, { policy: { rank: names.indexOf(nameOf(rule)) }, index }, cache));
  const group = new SubjectGroup({
    init: subject.labels.has("reserved", "init"),
    namedPorts: subject.namedPorts ?? [],
    cache,
    allowLocalhost: world.allowLocalhost,
    peerNamedPorts: new Map([[numberOf(peer), peer.namedPorts ?? []]]),
    mode: () => world.mode,
    onTouched() {},
  });
  group.change([], rules);
  return { group, rules };
}

function nameOf({ policy: { kind, namespace, name } }: Rule): string {
  return `${kind}/${namespace}/${name}`;
}

/** A name means what the receiver of the traffic calls so. */
function coversPort({ keys, named }: Statement, protocol: number, port: number, receiving: readonly NamedPort[]): boolean {
  if (keys.some((key) => isInBlock(key, protocol, port))) return true;
  return receiving.some((one) => one.protocol === protocol && one.port === port && named.some((match) => matchesNamedPort(match, one)));
}

function isInBlock(key: PortKey, protocol: number, port: number): boolean {
  const block = decodePortKey(key);
  if (block.protocol === protocols.any) return true;
  return block.protocol === protocol && (port ^ block.port) >> (16 - block.length) === 0;
}
