import type { Label as LabelShape, SelectorIdentityMapping } from "@cilium-ts/agent-api";
import type { ChosenPeers, Peer, Rule } from "@cilium-ts/policy";

/** How rules choose their peers, whom that is now, and whose rules they are. By the selector's text. */
export function selectorMappings(chosen: Iterable<ChosenPeers>, rules: readonly Rule[]): SelectorIdentityMapping[] {
  const labels = labelsByPeer(rules);
  const mappings = [...chosen].map(({ peer, wildcard, identities, users }) => ({
    selector: peerText(peer, wildcard),
    labels: labels.get(JSON.stringify(peer)) ?? [],
    identities: [...identities].sort((left, right) => left - right),
    users,
  }));
  return mappings.sort((left, right) => (left.selector < right.selector ? -1 : 1));
}

/** Of the first policy that chooses so: the API has room for one. */
function labelsByPeer(rules: readonly Rule[]): Map<string, readonly LabelShape[]> {
  const labels = new Map<string, readonly LabelShape[]>();
  for (const { policy, ingress, ingressDeny, egress, egressDeny } of rules) {
    for (const { peers = [] } of [ingress, ingressDeny, egress, egressDeny].flat()) {
      for (const peer of peers) {
        const key = JSON.stringify(peer);
        if (!labels.has(key)) labels.set(key, policy.labels);
      }
    }
  }
  return labels;
}

/** `entity cluster`, `cidr 10.0.0.0/8 except 10.1.0.0/16`, `endpoints any:app in ["web"]`. */
function peerText(peer: Peer, wildcard: boolean): string {
  const choice = (one: { readonly name: string } | { readonly selector: { toString(): string } }): string =>
    "name" in one ? one.name : String(one.selector);
  const except = "except" in peer && peer.except.length > 0 ? ` except ${peer.except.join(" ")}` : "";
  switch (peer.kind) {
    case "endpoints":
      return `endpoints ${wildcard ? "<everybody>" : peer.selector}`;
    case "entity":
      return `entity ${peer.entity}`;
    case "cidr":
      return `cidr ${peer.cidr}${except}`;
    case "cidrGroups":
      return `cidr group ${choice(peer)}${except}`;
    case "services":
      return `service ${peer.namespace === undefined ? "" : `${peer.namespace}/`}${choice(peer)}`;
    case "fqdn":
      return `name ${peer.pattern}`;
    case "nodes":
      return `nodes ${peer.selector}`;
  }
}
