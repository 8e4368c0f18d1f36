import type { LocalIdentityAllocator } from "@cilium-ts/identity";
import { Labels, Selector } from "@cilium-ts/labels";
import { type Peer, type PolicyEngine, type PolicySubject, protocols, type Rule, type RuleSection } from "@cilium-ts/policy";

/** What the rules of a made cluster name as peers. */
export type RuleKind = "l3" | "l4" | "cidr" | "cidr-deny";

export interface ClusterSize {
  readonly kind: RuleKind;
  readonly rules: number;
  readonly identities: number;
}

export const subject: PolicySubject = { labels: labelsOf("subject") };
/** Pods begin here; smaller numbers are reserved. */
export const firstIdentity = 256;

export function labelsOf(app: string, ...more: readonly string[]): Labels {
  return Labels.parse([`k8s:app=${app}`, "k8s:io.kubernetes.pod.namespace=default", "k8s:io.cilium.k8s.policy.cluster=default", ...more]);
}

/** The rule of an index. Every second one of `cidr-deny` denies. `port` makes it another rule. */
export function ruleOf(kind: RuleKind, index: number, port = 0, selector = Selector.of({ matchLabels: { app: "subject" } })): Rule {
  const section: RuleSection = { path: "ingress[0]", peers: [peerOf(kind, index)], ...portsOf(kind, port) };
  const deny = kind === "cidr-deny" && index % 2 === 1;
  return {
    policy: { kind: "CiliumNetworkPolicy", namespace: "default", name: `rule-${index}`, uid: `${index}`, labels: [] },
    endpointSelector: selector,
    ingress: deny ? [] : [section],
    ingressDeny: deny ? [section] : [],
    egress: [],
    egressDeny: [],
    enableDefaultDeny: { ingress: true, egress: false },
  };
}

/** Loads the engine: identities first, then rules, as an agent that has listed both. */
export function load(engine: PolicyEngine, { kind, rules, identities }: ClusterSize, locals: LocalIdentityAllocator): void {
  for (let index = 0; index < identities; index += 1) {
    engine.upsertIdentity(firstIdentity + index, labelsOf(`peer-${index % Math.max(rules, 1)}`, `k8s:pod=${index}`));
  }
  for (let index = 0; index < rules; index += 1) engine.upsertPolicy(keyOf(index), [ruleOf(kind, index)]);
  if (kind !== "cidr" && kind !== "cidr-deny") return;
  for (const prefix of engine.referencedPrefixes()) {
    const allocation = locals.acquire(prefix);
    if (allocation.ok) engine.upsertIdentity(allocation.identity.id, allocation.identity.labels);
  }
}

export function keyOf(index: number): string {
  return `CiliumNetworkPolicy/default/rule-${String(index).padStart(6, "0")}`;
}

function peerOf(kind: RuleKind, index: number): Peer {
  if (kind === "l3" || kind === "l4") return { kind: "endpoints", selector: Selector.of({ matchLabels: { app: `peer-${index}` } }) };
  // Of every ten, one is a /16 around the other nine, which are /24s.
  const second = Math.floor(index / 10) % 256;
  const first = 10 + Math.floor(index / 2560);
  const cidr = index % 10 === 0 ? `${first}.${second}.0.0/16` : `${first}.${second}.${index % 10}.0/24`;
  return { kind: "cidr", cidr, except: [] };
}

function portsOf(kind: RuleKind, port: number): Pick<RuleSection, "ports"> {
  if (kind !== "l4" && port === 0) return {};
  const first = 80 + port;
  return { ports: [{ path: "ingress[0].toPorts[0]", ports: [{ kind: "number", protocol: protocols.tcp, first, last: first }] }] };
}
