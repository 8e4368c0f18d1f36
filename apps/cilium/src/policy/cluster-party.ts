import { UsageError } from "@cilium-ts/command-line";
import { cidrLabels, reservedIdentityByName, reservedLabels } from "@cilium-ts/identity";
import type { PolicyCluster, PolicyNode, PolicyPod } from "@cilium-ts/kubernetes";
import { Labels } from "@cilium-ts/labels";
import { formatAddress, parseAddress } from "@cilium-ts/net";
import type { ExplainedParty, Party } from "@cilium-ts/policy-advice";

export const partyHelp =
  "NAMESPACE/POD, labels (app=web,k8s:io.kubernetes.pod.namespace=shop), a reserved name (world, host), the name of a node or an address";

/** One end of a connection, as the cluster's objects know it. */
export interface ClusterParty extends Party {
  readonly shape: ExplainedParty;
}

/** Who is meant; UsageError when nobody is, or more than one kind. */
export function findParty(cluster: PolicyCluster, text: string, flag: string): ClusterParty {
  const address = parseAddress(text);
  if (address !== undefined) return addressParty(cluster, formatAddress(address));
  if (/[=:]/.test(text)) return labelledParty(cluster, text, flag);
  if (text.includes("/")) {
    const [namespace = "", name = ""] = text.split("/");
    const pod = cluster.pods.find((one) => one.namespace === namespace && one.name === name);
    if (pod === undefined) throw new UsageError(`${flag}: there is no pod ${text}${podHint(cluster, namespace)}`);
    return podParty(pod);
  }
  const node = cluster.nodes.find(({ name }) => name === text);
  if (node !== undefined) return nodeParty(cluster, node);
  const identity = reservedIdentityByName(text);
  const labels = identity === undefined ? undefined : reservedLabels(identity);
  if (identity === undefined || labels === undefined) throw new UsageError(`${flag} ${JSON.stringify(text)} is none of: ${partyHelp}`);
  const hasPolicy = ["health", "init", "ingress"].includes(text);
  const shape = { identity, labels: labels.format() };
  return { labels, packetLabels: labels, namedPorts: [], hasPolicy, text: `reserved:${text}`, shape };
}

function podHint({ pods }: PolicyCluster, namespace: string): string {
  const names = pods.filter((pod) => pod.namespace === namespace).map(({ name }) => name);
  if (names.length === 0) return `: there are no pods with a network of their own in the namespace ${namespace}`;
  return `; in ${namespace} there are ${names.slice(0, 5).join(", ")}${names.length > 5 ? " and others" : ""}`;
}

function podParty({ namespace, name, labels, namedPorts }: PolicyPod): ClusterParty {
  const pod = `${namespace}/${name}`;
  return { labels, packetLabels: labels, namedPorts, hasPolicy: true, text: pod, shape: { identity: 0, labels: labels.format(), pod } };
}

/** Others see a remote node; its own policies see its labels, where it has a firewall. */
function nodeParty({ settings }: PolicyCluster, { name, labels }: PolicyNode): ClusterParty {
  const packetLabels = Labels.parse(["reserved:remote-node"]);
  const hasPolicy = settings.hostFirewall === true;
  const shape = { identity: 0, labels: (hasPolicy ? labels : packetLabels).format() };
  return { labels: hasPolicy ? labels : packetLabels, packetLabels, namedPorts: [], hasPolicy, text: `node ${name}`, shape };
}

function labelledParty({ pods }: PolicyCluster, text: string, flag: string): ClusterParty {
  const wanted = text.split(",").map((label) => label.trim());
  const found = pods.filter(({ labels }) => {
    const own = labels.format();
    return wanted.every((label) => own.some((one) => one === label || one.slice(one.indexOf(":") + 1) === label));
  });
  const kinds = new Map(found.map((pod) => [pod.labels.key, pod]));
  const [first, second] = kinds.values();
  if (first === undefined) throw new UsageError(`${flag}: no pod has the labels ${text}`);
  if (second === undefined) return podParty(first);
  const names = [...kinds.values()].slice(0, 5).map(({ namespace, name }) => `${namespace}/${name}`);
  throw new UsageError(
    `${flag}: pods with the labels ${text} differ in others, which policies may look at: name one, such as ${names.join(" or ")}`,
  );
}

/** Of a pod, of a node, or outside the cluster. */
function addressParty(cluster: PolicyCluster, text: string): ClusterParty {
  const { pods, nodes, nodeAddresses, settings } = cluster;
  const pod = pods.find(({ addresses }) => addresses.includes(text));
  if (pod !== undefined) return podParty(pod);
  const node = nodes.find(({ addresses }) => addresses.includes(text));
  if (node !== undefined && settings.hostFirewall === true) return nodeParty(cluster, node);
  const bytes = parseAddress(text);
  const ofNode = nodeAddresses.includes(text) || bytes === undefined;
  const labels = ofNode
    ? Labels.parse(["reserved:remote-node"])
    : cidrLabels({ address: bytes, length: bytes.length * 8 }, settings.families);
  const shape = { identity: 0, labels: labels.format(), address: text };
  return { labels, packetLabels: labels, namedPorts: [], hasPolicy: false, text, shape };
}
