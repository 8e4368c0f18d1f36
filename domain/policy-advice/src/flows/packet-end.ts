import { cidrLabels } from "@cilium-ts/identity";
import { Labels, namespaceLabelKey } from "@cilium-ts/labels";
import { type Family, parseAddress } from "@cilium-ts/net";
import { canonicalName, matchesPattern, type NamedPort, nameLabel, type PacketEnd, type Rule } from "@cilium-ts/policy";
import type { ObservedEnd } from "./observed-flow.ts";

const outside = ["world", "world-ipv4", "world-ipv6"];

/** Whether the end is an address outside the cluster, whatever the node that saw it told it by. */
export function isOutside(labels: readonly string[]): boolean {
  return labels.some((label) => label.startsWith("cidr:") || label.startsWith("fqdn:") || outside.includes(label.replace("reserved:", "")));
}

/** What is known beside the flow of who its ends are. */
export interface EndKnowledge {
  readonly families: readonly Family[];
  /** Patterns of names that policies mean. */
  readonly patterns: readonly string[];
  readonly namedPorts: readonly NamedPort[];
}

/**
 * The end as policies see it. An address outside the cluster counts by itself and by its names: the identity that a node told it by follows
 * from the policies that were in force there. Undefined: it is not known who it was.
 */
export function packetEndOf(end: ObservedEnd, { families, patterns, namedPorts }: EndKnowledge): PacketEnd | undefined {
  if (end.labels.length === 0) return undefined;
  if (!isOutside(end.labels)) return { labels: Labels.parse(end.labels), namedPorts };
  const address = parseAddress(end.address);
  if (address === undefined) return undefined;
  const names = end.names.map(canonicalName);
  const meant = patterns.filter((pattern) => names.some((name) => matchesPattern(pattern, name)));
  return { labels: cidrLabels({ address, length: address.length * 8 }, families).with(meant.map(nameLabel)) };
}

/** Patterns of names in rules, each once. */
export function patternsIn(rules: readonly Rule[]): string[] {
  const peers = rules.flatMap((rule) => [...rule.egress, ...rule.egressDeny].flatMap((section) => section.peers ?? []));
  return [...new Set(peers.flatMap((peer) => (peer.kind === "fqdn" ? [peer.pattern] : [])))];
}

/** For people: `shop/web`, `host`, `192.0.2.1`. A pod is called by what it is a part of. */
export function endText(end: ObservedEnd): string {
  const name = end.workload === "" ? end.podName : (end.workload.split("/")[1] ?? "");
  if (name !== "") return `${end.namespace}/${name}`;
  const [dnsName] = end.names;
  if (isOutside(end.labels)) return dnsName === undefined ? end.address : `${dnsName} (${end.address})`;
  const reserved = end.labels.find((label) => label.startsWith("reserved:"));
  if (reserved !== undefined) return reserved.slice("reserved:".length);
  const namespace = end.labels.find((label) => label.startsWith(`k8s:${namespaceLabelKey}=`))?.split("=")[1];
  const own = end.labels.filter((label) => label.startsWith("k8s:") && !label.startsWith("k8s:io.")).map((label) => label.slice(4));
  const shown = own.length > 0 ? own.join(",") : end.address;
  return namespace === undefined ? shown : `${namespace}/${shown}`;
}
