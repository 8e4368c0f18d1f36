import { Labels, labelsForPod } from "@cilium-ts/labels";
import { formatAddress, parseAddress } from "@cilium-ts/net";
import {
  type CidrGroup,
  type NamedPort,
  type PolicyMode,
  type PolicyService,
  type PolicyWorld,
  protocols,
  type Rule,
} from "@cilium-ts/policy";
import { ciliumNodeFrom } from "../cilium-node.ts";
import type { KubernetesClient } from "../client.ts";
import { recordAt, textAt, textMapAt, textsAt } from "../fields.ts";
import { KubernetesError } from "../kubernetes-error.ts";
import type { KubernetesObject } from "../kubernetes-object.ts";
import { namespaceFrom } from "../namespace.ts";
import { nodeFrom } from "../node.ts";
import { podFrom } from "../pod.ts";
import { parseCiliumCidrGroup } from "../policies/cilium-cidr-group.ts";
import type { Problem } from "../policies/object-fields.ts";
import { policyServiceFrom, serviceSliceFrom } from "../policies/policy-service.ts";
import { type Resource, resources } from "../resource.ts";
import { policyKey, policyKinds } from "./policy-kinds.ts";

/** A pod as policies see it. */
export interface PolicyPod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly namedPorts: readonly NamedPort[];
  /** Canonical. */
  readonly addresses: readonly string[];
}

/** A node itself, as policies about nodes see it. */
export interface PolicyNode {
  readonly name: string;
  readonly labels: Labels;
  /** Canonical. */
  readonly addresses: readonly string[];
}

/** All that policies depend on, as the cluster's objects say at one time. */
export interface PolicyCluster {
  readonly settings: Pick<PolicyWorld, "clusterName" | "mode" | "allowLocalhost" | "families" | "hostFirewall">;
  /** By `policyKey`. */
  readonly policies: ReadonlyMap<string, readonly Rule[]>;
  /** Objects that say nothing because they are not valid. */
  readonly invalid: ReadonlyArray<{ readonly key: string; readonly problems: readonly Problem[] }>;
  readonly cidrGroups: readonly CidrGroup[];
  readonly services: readonly PolicyService[];
  /** Without those that have the node's network. */
  readonly pods: readonly PolicyPod[];
  readonly namespaces: ReadonlySet<string>;
  /** Prefixes that pods have their addresses from. */
  readonly podCidrs: readonly string[];
  readonly nodeAddresses: readonly string[];
  /** Nodes themselves, as policies about them see them. */
  readonly nodes: readonly PolicyNode[];
  /** Nodes are connected by a tunnel. */
  readonly tunnelled: boolean;
  /** `namespace/name` of the service, by address of its own. */
  readonly serviceAddresses: ReadonlyMap<string, string>;
}

/** What is in force. */
export function policyWorldOf({ settings, cidrGroups, services, policies }: PolicyCluster): PolicyWorld {
  return { ...settings, cidrGroups, services, rules: [...policies.values()].flat() };
}

/** What would be in force: policies and groups come beside those of the cluster, or in the place of those of the same name. */
export function policyWorldWith(cluster: PolicyCluster, changes: Pick<PolicyCluster, "policies" | "cidrGroups">): PolicyWorld {
  const policies = new Map([...cluster.policies, ...changes.policies]);
  const groups = new Map([...cluster.cidrGroups, ...changes.cidrGroups].map((group) => [group.name, group]));
  return policyWorldOf({ ...cluster, policies, cidrGroups: [...groups.values()] });
}

interface ReadOptions {
  readonly signal: AbortSignal;
  /** Where Cilium's settings are. */
  readonly namespace: string;
}

/** Lists what the agents watch. */
export async function readPolicyCluster(client: KubernetesClient, options: ReadOptions): Promise<PolicyCluster> {
  const { signal } = options;
  const { tunnelled, ...settings } = await readSettings(client, options);
  const { clusterName } = settings;
  const policies = new Map<string, readonly Rule[]>();
  const invalid: { key: string; problems: readonly Problem[] }[] = [];
  for (const { resource, parse } of policyKinds) {
    for await (const object of objectsOf(client, resource, signal)) {
      const key = policyKey(resource, object.metadata);
      // What an agent may have turned on is not known here.
      const { rules, problems } = parse(object, { clusterName, nodeSelectorLabels: true });
      if (problems.length === 0) policies.set(key, rules);
      else invalid.push({ key, problems });
    }
  }
  const cidrGroups: CidrGroup[] = [];
  for await (const object of objectsOf(client, resources.ciliumCidrGroups, signal)) {
    const { group, problems } = parseCiliumCidrGroup(object);
    if (group !== undefined && problems.length === 0) cidrGroups.push(group);
    else invalid.push({ key: `CiliumCIDRGroup/${object.metadata.name}`, problems });
  }
  const places = await readPlaces(client, signal);
  const pods = await readPods(client, clusterName, signal);
  return { settings, tunnelled, policies, invalid, cidrGroups, ...(await readServices(client, clusterName, signal)), ...pods, ...places };
}

/** As the chart writes them; where there are none, as agents have them by default. */
async function readSettings(
  client: KubernetesClient,
  { signal, namespace }: ReadOptions,
): Promise<PolicyCluster["settings"] & Pick<PolicyCluster, "tunnelled">> {
  const object = await client.get(resources.configMaps, { namespace, name: "cilium-config" }, { signal });
  const settings = textMapAt(object, "data");
  const given = settings["enable-policy"];
  const mode: PolicyMode = given === "always" || given === "never" ? given : "default";
  const families = ([4, 6] as const).filter((family) => settings[`enable-ipv${family}`] !== "false");
  return {
    clusterName: settings["cluster-name"] || "default",
    mode,
    allowLocalhost: settings["allow-localhost"] !== "policy",
    families: families.length === 0 ? [4, 6] : families,
    hostFirewall: settings["enable-host-firewall"] === "true",
    tunnelled: settings["routing-mode"] !== "native",
  };
}

async function readPods(
  client: KubernetesClient,
  cluster: string,
  signal: AbortSignal,
): Promise<Pick<PolicyCluster, "pods" | "namespaces">> {
  const labelsOf = new Map<string, Readonly<Record<string, string>>>();
  for await (const object of objectsOf(client, resources.namespaces, signal)) {
    const { name, labels } = namespaceFrom(object);
    labelsOf.set(name, labels);
  }
  const pods: PolicyPod[] = [];
  for await (const object of objectsOf(client, resources.pods, signal)) {
    const { namespace, name, labels: podLabels, serviceAccount, hostNetwork, phase, ips, namedPorts } = podFrom(object);
    if (hostNetwork || phase === "Succeeded" || phase === "Failed") continue;
    const namespaceLabels = labelsOf.get(namespace) ?? {};
    const labels = labelsForPod({ namespace, podLabels, namespaceLabels, cluster, ...(serviceAccount !== "" && { serviceAccount }) });
    pods.push({
      ...{ namespace, name, labels, addresses: ips },
      namedPorts: namedPorts.map((named) => ({
        ...named,
        protocol: protocols[named.protocol === "TCP" ? "tcp" : named.protocol === "UDP" ? "udp" : "sctp"],
      })),
    });
  }
  return { pods, namespaces: new Set(labelsOf.keys()) };
}

async function readServices(
  client: KubernetesClient,
  clusterName: string,
  signal: AbortSignal,
): Promise<Pick<PolicyCluster, "services" | "serviceAddresses">> {
  const serviceAddresses = new Map<string, string>();
  const services = new Map<string, PolicyService>();
  for await (const object of objectsOf(client, resources.services, signal)) {
    const service = policyServiceFrom(object, clusterName);
    const key = `${service.namespace}/${service.name}`;
    services.set(key, service);
    for (const address of addressesOf(object)) serviceAddresses.set(address, key);
  }
  for await (const object of objectsOf(client, resources.endpointSlices, signal)) {
    const slice = serviceSliceFrom(object);
    const key = `${slice.namespace}/${slice.service}`;
    const service = services.get(key);
    if (service === undefined || service.selector !== undefined) continue;
    services.set(key, { ...service, addresses: [...new Set([...service.addresses, ...slice.addresses])] });
  }
  return { services: [...services.values()], serviceAddresses };
}

function addressesOf(service: KubernetesObject): string[] {
  const spec = recordAt(service, "spec");
  return [textAt(spec, "clusterIP"), ...textsAt(spec, "clusterIPs")].flatMap((text) => {
    const address = parseAddress(text);
    return address === undefined ? [] : [formatAddress(address)];
  });
}

async function readPlaces(
  client: KubernetesClient,
  signal: AbortSignal,
): Promise<Pick<PolicyCluster, "podCidrs" | "nodeAddresses" | "nodes">> {
  const podCidrs = new Set<string>();
  const nodeAddresses = new Set<string>();
  const add = (node: { readonly podCIDRs: readonly string[]; readonly addresses: readonly { readonly ip: string }[] }): void => {
    for (const cidr of node.podCIDRs) podCidrs.add(cidr);
    for (const { ip } of node.addresses) nodeAddresses.add(ip);
  };
  const nodes: PolicyNode[] = [];
  for await (const object of objectsOf(client, resources.nodes, signal)) {
    const node = nodeFrom(object);
    add(node);
    const own = Object.entries(node.labels).map(([key, value]) => ({ source: "k8s", key, value }));
    const labels = Labels.parse(["reserved:host"]).with(own);
    nodes.push({ name: object.metadata.name ?? "", labels, addresses: node.addresses.map(({ ip }) => ip) });
  }
  for await (const object of objectsOf(client, resources.ciliumNodes, signal)) add(ciliumNodeFrom(object));
  return { podCidrs: [...podCidrs], nodeAddresses: [...nodeAddresses], nodes };
}

/** Objects of one page. */
const pageSize = 500;

/** None where the cluster has no such kind: then nobody can have made one. */
async function* objectsOf(client: KubernetesClient, resource: Resource, signal: AbortSignal): AsyncGenerator<KubernetesObject, void> {
  for (let continueToken: string | undefined; ; ) {
    let page: Awaited<ReturnType<KubernetesClient["list"]>>;
    try {
      page = await client.list(resource, { limit: pageSize, signal, ...(continueToken !== undefined && { continueToken }) });
    } catch (cause) {
      if (cause instanceof KubernetesError && cause.status === 404) return;
      throw cause;
    }
    yield* page.items;
    continueToken = page.continueToken;
    if (continueToken === undefined) return;
  }
}
