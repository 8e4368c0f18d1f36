import { type Labels, namespaceLabelKey, type Selector } from "@cilium-ts/labels";
import { parsePrefix } from "@cilium-ts/net";
import { type Direction, type Peer, type Rule, type RuleSection, selects } from "@cilium-ts/policy";
import { containsPrefix, coversSection, coversSubjects } from "./coverage.ts";
import type { Check, Finding, LintCluster, LintContext } from "./finding.ts";
import { forgottenNeeds } from "./node-needs.ts";

const lists = ["ingress", "ingressDeny", "egress", "egressDeny"] as const;
type List = (typeof lists)[number];

type Tell = (check: Check, path: string, message: string) => void;

/** Findings of one policy are that many at most: more are of one kind, and nobody reads them. */
const findingsMax = 100;

/** What is surely not meant in these policies. They are in force beside those of the context. */
export function lintPolicies(rules: readonly Rule[], context: LintContext): Finding[] {
  const inForce = new RulesInForce([...rules, ...context.rules], context);
  const findings: Finding[] = [];
  const counts = new Map<string, number>();
  for (const rule of rules) {
    const { policy } = rule;
    const key = `${policy.kind}/${policy.namespace}/${policy.name}`;
    const tell: Tell = (check, path, message) => {
      const count = counts.get(key) ?? 0;
      counts.set(key, count + 1);
      if (count < findingsMax) findings.push({ check, policy, path: placeOf(rule, path), message });
    };
    lintRule(rule, inForce, context, tell);
  }
  return findings;
}

/** Paths of rules are those below `spec`, or name their place among `specs`. */
function placeOf(rule: Rule, path: string): string {
  if (path.startsWith("specs[")) return path;
  const [place] = lists.flatMap((list) => rule[list].map((section) => /^specs\[[0-9]+\]\./.exec(section.path)?.[0]));
  return `${place ?? "spec."}${path}`;
}

/** All rules together, with what is asked of them again and again. */
class RulesInForce {
  readonly rules: readonly Rule[];
  readonly #context: LintContext;
  readonly #denying: Readonly<Record<Direction, readonly Rule[]>>;
  readonly #choosing = new Map<string, boolean>();

  constructor(rules: readonly Rule[], context: LintContext) {
    this.rules = rules;
    this.#context = context;
    this.#denying = { ingress: denyingIn(rules, "ingress"), egress: denyingIn(rules, "egress") };
  }

  /** Those that deny something for certain. */
  denying(direction: Direction): readonly Rule[] {
    return this.#denying[direction];
  }

  /** Of the pods that are in the cluster now. */
  choosesSomePod(selector: Selector): boolean {
    let chooses = this.#choosing.get(selector.key);
    if (chooses === undefined) {
      chooses = this.#context.cluster?.pods.some(({ labels }) => selector.matches(labels)) === true;
      this.#choosing.set(selector.key, chooses);
    }
    return chooses;
  }
}

/** What is only audited denies nothing, and what is required of peers that are denied makes every denial narrower. */
function denyingIn(rules: readonly Rule[], direction: Direction): readonly Rule[] {
  const denying = rules.filter((rule) => rule[`${direction}Deny`].length > 0);
  if (denying.some((rule) => rule[`${direction}Deny`].some(({ requires = [] }) => requires.length > 0))) return [];
  return denying.filter(({ audit }) => audit !== true);
}

function lintRule(rule: Rule, inForce: RulesInForce, context: LintContext, tell: Tell): void {
  const { cluster } = context;
  const subject = subjectField(rule);
  const contradiction = contradictionOf(rule.endpointSelector);
  if (contradiction !== undefined)
    tell("never-matches", subject, `chooses no ${rule.ofNodes === true ? "node" : "pod"} of any cluster: ${contradiction}`);
  else if (cluster !== undefined) lintSubject(rule, cluster, inForce, subject, tell);
  for (const message of forgottenNeeds(rule, inForce.rules, cluster?.tunnelled)) tell("nodes-cut-off", subject, message);
  for (const list of lists) {
    for (const [index, section] of rule[list].entries()) {
      lintSection(section, tell);
      lintPeers(rule, section, inForce, context, tell);
      if (cluster !== undefined) lintPortNames(rule, list, section, cluster, tell);
      const earlier = rule[list].slice(0, index).find((other) => saysTheSame(other, section));
      if (earlier !== undefined) tell("repeated", section.path, `says again what ${earlier.path} says`);
    }
  }
  lintNames(rule, inForce, tell);
  for (const direction of ["ingress", "egress"] as const) lintShadows(rule, direction, inForce, tell);
}

function subjectField({ policy, ofNodes }: Rule): string {
  if (ofNodes === true) return "nodeSelector";
  return policy.kind === "NetworkPolicy" ? "podSelector" : "endpointSelector";
}

function saysTheSame(one: RuleSection, other: RuleSection): boolean {
  const layer7Of = ({ ports = [] }: RuleSection): string => JSON.stringify(ports.map(({ layer7 }) => layer7 ?? null));
  return layer7Of(one) === layer7Of(other) && coversSection(one, other) && coversSection(other, one);
}

/** Requirements of which no labels fulfil both; undefined when there are none. */
function contradictionOf({ requirements }: Selector): string | undefined {
  for (const [index, one] of requirements.entries()) {
    for (const other of requirements.slice(index + 1)) {
      if (one.key !== other.key || one.source !== other.source) continue;
      const operators = [one.operator, other.operator];
      const isThere = operators.some((operator) => operator === "Exists" || operator === "In");
      if (isThere && operators.includes("DoesNotExist")) return `${one.key} cannot be there and be missing`;
      // A label has one value where its source is given.
      const [valued, barred] = one.operator === "In" ? [one, other] : [other, one];
      if (valued.operator !== "In" || valued.source === "any") continue;
      const left = valued.values.filter((value) => barred.values.includes(value) === (barred.operator === "In"));
      if ((barred.operator === "In" || barred.operator === "NotIn") && left.length === 0)
        return `${one.key} cannot have a value that fulfils both requirements`;
    }
  }
  return undefined;
}

function lintSubject(rule: Rule, { namespaces, nodes }: LintCluster, inForce: RulesInForce, path: string, tell: Tell): void {
  const { namespace } = rule.policy;
  if (rule.ofNodes === true) {
    if (!nodes.some(({ labels }) => selects(rule, labels))) tell("selects-nothing", path, "chooses no node that is in the cluster now");
    return;
  }
  if (namespace !== "" && !namespaces.has(namespace)) tell("no-such-namespace", path, `there is no namespace ${namespace} in the cluster`);
  else if (!inForce.choosesSomePod(rule.endpointSelector) && !isAboutReserved(rule.endpointSelector))
    tell("selects-nothing", path, "chooses no pod that is in the cluster now");
}

function isAboutReserved({ requirements }: Selector): boolean {
  return requirements.some(({ source }) => source === "reserved" || source === "node");
}

function lintSection({ path, peers, ports }: RuleSection, tell: Tell): void {
  if (peers?.length === 0) tell("allows-nothing", path, "names an empty list of peers, which is nobody: leave the list out for everybody");
  for (const group of ports ?? [])
    if (group.ports.length === 0) tell("allows-nothing", group.path, "names no port, which is none: leave it out for all ports");
  for (const peer of peers ?? []) {
    if (peer.kind !== "cidr") continue;
    const prefix = parsePrefix(peer.cidr);
    const hole = peer.except.find((except) => prefix !== undefined && containsPrefix(except, prefix));
    if (hole !== undefined) tell("allows-nothing", path, `${peer.cidr} has no address left: ${hole} is excepted`);
  }
}

function lintPeers(rule: Rule, { path, peers = [] }: RuleSection, inForce: RulesInForce, context: LintContext, tell: Tell): void {
  for (const peer of peers) {
    if (peer.kind === "endpoints") lintSelector(peer.selector, path, inForce, context.cluster, tell);
    if (peer.kind === "cidr") lintCidr(peer, path, context, tell);
    if (context.cluster !== undefined) lintReferences(rule, peer, path, context.cluster, tell);
  }
}

function lintSelector(selector: Selector, path: string, inForce: RulesInForce, cluster: LintCluster | undefined, tell: Tell): void {
  const contradiction = contradictionOf(selector);
  if (contradiction !== undefined) tell("never-matches", path, `a selector of peers chooses no pod of any cluster: ${contradiction}`);
  else if (cluster !== undefined && !isAboutReserved(selector) && !inForce.choosesSomePod(selector))
    tell("selects-nothing", path, `no pod that is in the cluster now is chosen by ${textOf(selector)}${namespaceHint(selector, cluster)}`);
}

/** The namespace that a policy adds by itself is what people forget. */
function namespaceHint(selector: Selector, { pods }: LintCluster): string {
  const elsewhere = (labels: Labels): boolean =>
    selector.requirements.every(
      ({ key, source, values }) => key === namespaceLabelKey || values.length === 0 || values.includes(labels.get(source, key) ?? ""),
    );
  const found = pods.find(({ labels }) => elsewhere(labels))?.labels.get("k8s", namespaceLabelKey);
  return found === undefined ? "" : `; there is one in the namespace ${found}, which must be named with k8s:${namespaceLabelKey}`;
}

function lintCidr({ cidr }: Extract<Peer, { kind: "cidr" }>, path: string, { podCidrs, cluster }: LintContext, tell: Tell): void {
  const prefix = parsePrefix(cidr);
  if (prefix === undefined) return;
  const [address = ""] = cidr.split("/");
  const isOne = prefix.length === prefix.address.length * 8;
  const pods = podCidrs.find((outer) => containsPrefix(outer, prefix));
  const service = isOne ? cluster?.serviceAddresses.get(address) : undefined;
  if (pods !== undefined)
    tell("cidr-of-pods", path, `${cidr} holds only addresses of pods (${pods}), which are chosen by labels and never by address`);
  else if (isOne && cluster?.nodeAddresses.includes(address) === true)
    tell("cidr-of-node", path, `${cidr} is a node, which is chosen by the entities host and remote-node and never by address`);
  else if (service !== undefined)
    tell(
      "cidr-of-service",
      path,
      `${cidr} is the service ${service}: policies see what is behind it; choose that by labels or with toServices`,
    );
}

function lintReferences(rule: Rule, peer: Peer, path: string, cluster: LintCluster, tell: Tell): void {
  if (peer.kind === "cidrGroups" && "name" in peer && !cluster.cidrGroups.some(({ name }) => name === peer.name))
    tell("no-such-group", path, `there is no CiliumCIDRGroup ${peer.name}, so nothing is chosen`);
  if (peer.kind !== "services" || !("name" in peer)) return;
  const namespace = peer.namespace ?? rule.policy.namespace;
  const isThere = cluster.services.some(
    (service) => service.name === peer.name && (peer.namespace === undefined || service.namespace === namespace),
  );
  if (!isThere) tell("no-such-service", path, `there is no service ${namespace}/${peer.name}, so nothing is chosen`);
}

/** A name means what the pods that receive call so. */
function lintPortNames(rule: Rule, list: List, { ports = [], peers }: RuleSection, { pods }: LintCluster, tell: Tell): void {
  if (!ports.some((group) => group.ports.some(({ kind }) => kind === "name"))) return;
  const receives = (labels: Labels): boolean => {
    if (list.startsWith("ingress")) return selects(rule, labels);
    return peers === undefined || peers.some((peer) => peer.kind !== "endpoints" || peer.selector.matches(labels));
  };
  const receivers = pods.filter(({ labels }) => receives(labels));
  if (receivers.length === 0) return;
  const names = new Set(receivers.flatMap(({ namedPorts }) => namedPorts.map(({ name }) => name)));
  for (const group of ports) {
    for (const port of group.ports) {
      if (port.kind === "name" && !names.has(port.name))
        tell("no-such-port", group.path, `no pod that would receive the traffic has a port called ${port.name}`);
    }
  }
}

/** Names are learned from answers that a proxy sees, and it sees those that a DNS rule of the same pods sends its way. */
function lintNames(rule: Rule, inForce: RulesInForce, tell: Tell): void {
  const named = rule.egress.filter(({ peers = [] }) => peers.some(({ kind }) => kind === "fqdn"));
  if (named.length === 0) return;
  const learns = ({ ports = [] }: RuleSection): boolean => ports.some(({ layer7 }) => layer7?.parser === "dns");
  // What a node's pods have learned its own policies know, too.
  const covering = rule.ofNodes === true ? inForce.rules : inForce.rules.filter((other) => coversSubjects(other, rule));
  if (covering.some(({ egress }) => egress.some(learns))) return;
  for (const { path } of named)
    tell(
      "fqdn-without-dns",
      path,
      "allows no name: no policy of these pods has a DNS rule (toPorts.rules.dns), from which names are learned",
    );
}

function lintShadows(rule: Rule, direction: Direction, inForce: RulesInForce, tell: Tell): void {
  const denying = inForce.denying(direction).filter((other) => coversSubjects(other, rule));
  for (const section of rule[direction]) {
    // What allows nothing is told as such.
    if (section.peers?.length === 0) continue;
    for (const other of denying) {
      const shadow = other[`${direction}Deny`].find((deny) => coversSection(deny, section));
      if (shadow === undefined) continue;
      const { kind, namespace, name } = other.policy;
      const whose = other.policy === rule.policy ? "" : ` of ${kind} ${namespace === "" ? name : `${namespace}/${name}`}`;
      tell("shadowed-by-deny", section.path, `never allows anything: ${shadow.path}${whose} denies all of it, and a denial always wins`);
      break;
    }
  }
}

function textOf(selector: Selector): string {
  const texts = selector.requirements.map(({ source, key, operator, values }) => {
    const name = source === "any" ? key : `${source}:${key}`;
    if (operator === "In" && values.length === 1) return `${name}=${values[0]}`;
    return operator === "Exists"
      ? name
      : operator === "DoesNotExist"
        ? `!${name}`
        : `${name} ${operator === "In" ? "in" : "not in"} (${values.join(", ")})`;
  });
  return texts.length === 0 ? "an empty selector" : texts.join(", ");
}
