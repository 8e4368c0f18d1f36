import { type KubernetesObject, type Resource, resources } from "@cilium-ts/kubernetes";
import type { Random } from "@cilium-ts/testing";

export const apps = ["web", "db", "api"] as const;
export const namespaces = ["default", "prod"] as const;
export const teams = ["red", "blue"] as const;
const names = ["a", "b", "c"] as const;
const cidrs = ["172.16.0.0/12", "172.16.5.0/24", "172.16.5.7/32", "203.0.113.0/24", "2001:db8:ffff::/48"] as const;
const groups = ["office", "vpn"] as const;
const entities = ["all", "world", "cluster", "host", "remote-node", "world-ipv4"] as const;

export interface GeneratedObject {
  readonly resource: Resource;
  readonly object: KubernetesObject;
}

/** A policy of any kind, or a group that policies name. The names are few, so that most replace one that was there. */
export function generatePolicy(random: Random): GeneratedObject {
  const name = random.pick(names);
  const namespace = random.pick(namespaces);
  switch (random.pick(["cilium", "cilium", "cilium", "clusterwide", "kubernetes", "group"] as const)) {
    case "cilium":
      return {
        resource: resources.ciliumNetworkPolicies,
        object: { metadata: { namespace, name }, spec: ciliumSpec(random) } as KubernetesObject,
      };
    case "clusterwide":
      return {
        resource: resources.ciliumClusterwideNetworkPolicies,
        object: { metadata: { name }, spec: ciliumSpec(random) } as KubernetesObject,
      };
    case "kubernetes":
      return {
        resource: resources.networkPolicies,
        object: { metadata: { namespace, name }, spec: kubernetesSpec(random) } as KubernetesObject,
      };
    case "group":
      return {
        resource: resources.ciliumCidrGroups,
        object: {
          metadata: { name: random.pick(groups) },
          spec: { externalCIDRs: cidrs.filter(() => random.chance(0.4)).concat("198.51.100.0/24" as never) },
        } as KubernetesObject,
      };
  }
}

function ciliumSpec(random: Random): object {
  const sections = (probability: number, direction: "from" | "to"): object[] | undefined =>
    random.chance(probability) ? Array.from({ length: 1 + random.below(2) }, () => section(random, direction)) : undefined;
  const ingress = sections(0.7, "from");
  return {
    endpointSelector: selector(random),
    ingress: ingress ?? [],
    ...optional("ingressDeny", sections(0.25, "from")),
    ...optional("egress", sections(0.35, "to")),
    ...optional("egressDeny", sections(0.15, "to")),
  };
}

function section(random: Random, direction: "from" | "to"): object {
  const ports = random.chance(0.5) ? { toPorts: [{ ports: Array.from({ length: 1 + random.below(2) }, () => port(random)) }] } : {};
  return { ...peers(random, direction), ...ports };
}

function peers(random: Random, direction: "from" | "to"): object {
  switch (random.pick(["endpoints", "endpoints", "entities", "cidr", "cidrSet", "group", "none"] as const)) {
    case "endpoints":
      return { [`${direction}Endpoints`]: [random.chance(0.3) ? elsewhere(random) : selector(random)] };
    case "entities":
      return { [`${direction}Entities`]: [random.pick(entities)] };
    case "cidr":
      return { [`${direction}CIDR`]: [random.pick(cidrs)] };
    case "cidrSet":
      return { [`${direction}CIDRSet`]: [{ cidr: "172.16.0.0/12", except: random.chance(0.6) ? ["172.16.5.0/24"] : [] }] };
    case "group":
      return { [`${direction}CIDRSet`]: [{ cidrGroupRef: random.pick(groups) }] };
    case "none":
      return {};
  }
}

function selector(random: Random): object {
  return random.chance(0.2) ? {} : { matchLabels: { app: random.pick(apps) } };
}

function elsewhere(random: Random): object {
  const team = { "k8s:io.cilium.k8s.namespace.labels.team": random.pick(teams) };
  return { matchLabels: random.chance(0.5) ? team : { "k8s:io.kubernetes.pod.namespace": random.pick(namespaces) } };
}

function port(random: Random): object {
  const protocol = random.pick(["TCP", "TCP", "UDP", "ANY"]);
  return { port: random.pick(["53", "80", "443"]), protocol, ...(random.chance(0.2) && { endPort: 8_080 }) };
}

function kubernetesSpec(random: Random): object {
  const podSelector = (): object => (random.chance(0.3) ? {} : { matchLabels: { app: random.pick(apps) } });
  const peer = (): object =>
    random.pick([
      { podSelector: podSelector() },
      { namespaceSelector: { matchLabels: { team: random.pick(teams) } } },
      { ipBlock: { cidr: "172.16.0.0/12", except: ["172.16.5.0/24"] } },
    ]);
  const ports = random.chance(0.5) ? { ports: [{ protocol: "TCP", port: 80 }] } : {};
  return {
    podSelector: podSelector(),
    policyTypes: random.chance(0.3) ? ["Ingress", "Egress"] : ["Ingress"],
    ingress: random.chance(0.7) ? [{ from: [peer()], ...ports }] : [],
    egress: random.chance(0.5) ? [{ to: [peer()], ...ports }] : [],
  };
}

function optional(name: string, value: unknown): object {
  return value === undefined ? {} : { [name]: value };
}
