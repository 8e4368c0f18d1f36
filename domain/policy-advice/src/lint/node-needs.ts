import { type Direction, type Entity, type Peer, type PortMatch, protocols, type Rule, type RuleSection } from "@cilium-ts/policy";

/** What nodes need to stay in their cluster. */
interface Need {
  readonly direction: Direction;
  readonly entity: Entity;
  readonly protocol: 6 | 17;
  /** Undefined: nobody but the cluster knows. */
  readonly port: number | undefined;
  readonly what: string;
  readonly remedy: string;
  /** Only where nodes are connected by a tunnel. */
  readonly ofTunnel?: true;
}

const needs: readonly Need[] = [
  {
    ...{ direction: "ingress", entity: "remote-node", protocol: protocols.udp, port: 8472, ofTunnel: true },
    what: "the tunnel of other nodes",
    remedy: "allow UDP port 8472 from the entity remote-node",
  },
  {
    ...{ direction: "ingress", entity: "remote-node", protocol: protocols.tcp, port: 4240 },
    what: "other nodes' health probes",
    remedy: "allow TCP port 4240 from the entity remote-node",
  },
  {
    ...{ direction: "egress", entity: "kube-apiserver", protocol: protocols.tcp, port: undefined },
    what: "the API server, without which no agent learns of the next policy",
    remedy: "allow the entity kube-apiserver",
  },
  {
    ...{ direction: "egress", entity: "remote-node", protocol: protocols.tcp, port: 4240 },
    what: "health probes of other nodes",
    remedy: "allow TCP port 4240 to the entity remote-node",
  },
];

/**
 * Sentences about what a policy that closes nodes cuts them off from. Only what no policy of any nodes can allow: which nodes they are
 * about does not matter then. `tunnelled`: nodes are connected by a tunnel; undefined where nobody knows.
 */
export function forgottenNeeds(rule: Rule, inForce: readonly Rule[], tunnelled: boolean | undefined): string[] {
  if (rule.ofNodes !== true || rule.audit === true) return [];
  const ofNodes = inForce.filter(({ ofNodes: isOfNodes }) => isOfNodes === true);
  return needs
    .filter(({ direction, ofTunnel }) => rule.enableDefaultDeny[direction] && (ofTunnel !== true || tunnelled !== false))
    .filter((need) => !ofNodes.some((other) => other[need.direction].some((section) => mayAllow(section, need))))
    .map(({ direction, what, remedy, ofTunnel }) => {
      const where = ofTunnel === true && tunnelled === undefined ? ", where they are connected by one" : "";
      return `closes ${direction} of nodes, and no policy of nodes lets them have ${what}${where}: ${remedy}`;
    });
}

function mayAllow({ peers, ports }: RuleSection, need: Need): boolean {
  const isPeer = peers === undefined || peers.some((peer) => mayBe(peer, need.entity));
  return isPeer && (ports === undefined || ports.some((group) => group.ports.some((port) => mayCover(port, need))));
}

/** Whoever is chosen by where they are may be a node, or the API server. */
function mayBe(peer: Peer, entity: Entity): boolean {
  if (peer.kind === "endpoints") return peer.selector.requirements.some(({ source }) => source === "reserved");
  if (peer.kind !== "entity") return true;
  const wide: readonly Entity[] = ["all", "cluster", "remote-node", "kube-apiserver"];
  return wide.includes(peer.entity) || (entity === "kube-apiserver" && ["host", "world", "world-ipv4", "world-ipv6"].includes(peer.entity));
}

function mayCover(match: PortMatch, { protocol, port }: Need): boolean {
  if (match.protocol !== protocols.any && match.protocol !== protocol) return false;
  return match.kind === "name" || port === undefined || (match.first <= port && port <= match.last);
}
