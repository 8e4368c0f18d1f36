import { prefixOfLabels } from "@cilium-ts/identity";
import {
  clusterLabelKey,
  type Labels,
  namespaceLabelKey,
  namespaceMetaLabelPrefix,
  Selector,
  serviceAccountLabelKey,
} from "@cilium-ts/labels";
import { formatPrefix } from "@cilium-ts/net";
import {
  type Direction,
  type Entity,
  entities,
  type Peer,
  type PortGroup,
  type Protocol,
  protocols,
  type Rule,
  type RuleSection,
} from "../rules/rule.ts";
import { isHost } from "../rules/rule-subject.ts";

/**
 * The rule that allows this and nothing else: about endpoints with the subject's labels, for peers with those of the peer, on one port.
 * It closes nothing that is open now. Undefined: no rule can say it, for the peer is nobody that rules can name.
 */
export function smallestRule(direction: Direction, subject: Labels, peer: Labels, protocol: number, port: number): Rule | undefined {
  const named = peerOf(peer);
  if (named === undefined) return undefined;
  const ports = portsOf(protocol, port);
  // A protocol that policies cannot name is allowed with all others, or not at all.
  const path = `${direction}[0]`;
  const item = protocol === protocols.icmp || protocol === protocols.icmpv6 ? "icmps" : "toPorts";
  const section: RuleSection = { path, peers: [named], ...(ports === undefined ? {} : { ports: [{ path: `${path}.${item}[0]`, ports }] }) };
  return {
    policy: {
      kind: "CiliumNetworkPolicy",
      namespace: subject.get("k8s", namespaceLabelKey) ?? "",
      name: nameOf(direction, subject, peer, port),
      uid: "",
      labels: [],
    },
    ...(isHost(subject) ? { ofNodes: true, endpointSelector: nodeSelectorOf(subject) } : { endpointSelector: selectorOf(subject) }),
    ingress: direction === "ingress" ? [section] : [],
    ingressDeny: [],
    egress: direction === "egress" ? [section] : [],
    egressDeny: [],
    // Endpoints with more labels than these may be open.
    enableDefaultDeny: { ingress: false, egress: false },
  };
}

function peerOf(labels: Labels): Peer | undefined {
  const prefix = prefixOfLabels(labels);
  if (prefix !== undefined) return { kind: "cidr", cidr: formatPrefix(prefix), except: [] };
  const reserved = labels.all.filter(({ source }) => source === "reserved");
  if (reserved.length > 0) {
    const entity = entities.find((name): name is Entity => reserved.some(({ key }) => key === name));
    return entity === undefined ? undefined : { kind: "entity", entity };
  }
  return labels.size === 0 ? undefined : { kind: "endpoints", selector: selectorOf(labels) };
}

/** What the user gave the pod, and its namespace and cluster: labels that are derived from these say nothing more. */
function selectorOf(labels: Labels): Selector {
  const telling = labels.all.filter(
    ({ source, key }) => !(source === "k8s" && (key.startsWith(namespaceMetaLabelPrefix) || key === serviceAccountLabelKey)),
  );
  return Selector.ofRequirements(telling.map(({ source, key, value }) => ({ source, key, operator: "In", values: [value] })));
}

/** A node by its name where it has one, else by all labels. */
function nodeSelectorOf(labels: Labels): Selector {
  const name = labels.get("k8s", "kubernetes.io/hostname");
  if (name !== undefined) return Selector.of({ matchLabels: { "k8s:kubernetes.io/hostname": name } });
  const own = labels.all.filter(({ source }) => source === "k8s");
  return Selector.ofRequirements(own.map(({ source, key, value }) => ({ source, key, operator: "In", values: [value] })));
}

const portProtocols: readonly number[] = [protocols.tcp, protocols.udp, protocols.sctp, protocols.icmp, protocols.icmpv6];

function portsOf(protocol: number, port: number): PortGroup["ports"] | undefined {
  const known = portProtocols.find((number): number is Protocol => number === protocol);
  return known === undefined ? undefined : [{ kind: "number", protocol: known, first: port, last: port }];
}

const nameCharactersMax = 63;

/** `allow-db-from-web-80`: letters that an object's name may have. */
function nameOf(direction: Direction, subject: Labels, peer: Labels, port: number): string {
  const name = `allow-${shortName(subject)}-${direction === "ingress" ? "from" : "to"}-${shortName(peer)}-${port}`;
  return name.slice(0, nameCharactersMax).replace(/[^a-z0-9]+$/, "");
}

function shortName(labels: Labels): string {
  const first = labels.all.find(
    ({ source, key }) => source === "reserved" || (source === "k8s" && key !== clusterLabelKey && !key.includes("io.")),
  );
  const text = first === undefined ? "endpoint" : first.source === "reserved" ? first.key : first.value;
  return (
    text
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, "-")
      .replaceAll(/^-+|-+$/g, "") || "endpoint"
  );
}
