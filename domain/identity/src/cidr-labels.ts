import { type Label, Labels } from "@cilium-ts/labels";
import { type Family, familyOf, formatAddress, type Prefix, parsePrefix, prefixContains } from "@cilium-ts/net";

/**
 * `cidr:10.0.0.0/8`. IPv6 is written with `-` for `:`, and a zero where the key would begin or end with a dash:
 * `cidr:2001-db8--0/32`.
 */
export function cidrLabel(prefix: Prefix): Label {
  let address = formatAddress(prefix.address).replaceAll(":", "-");
  if (address.startsWith("-")) address = `0${address}`;
  if (address.endsWith("-")) address = `${address}0`;
  return { source: "cidr", key: `${address}/${prefix.length}`, value: "" };
}

/** The prefix of a `cidr:` label; undefined for any other label. */
export function prefixOfCidrLabel(label: Label): Prefix | undefined {
  return label.source === "cidr" ? parsePrefix(label.key.replaceAll("-", ":")) : undefined;
}

/**
 * Labels of the local identity of a prefix: the prefix and the world that it is a part of. The wider prefixes around it are no labels
 * of their own; `cidrLabelContains` tells whether one is inside another.
 *
 * With both families the world is split (`reserved:world-ipv4`, `reserved:world-ipv6`); with one it is `reserved:world`.
 */
export function cidrLabels(prefix: Prefix, families: readonly Family[]): Labels {
  const world = families.length < 2 ? "world" : `world-ipv${familyOf(prefix.address)}`;
  return Labels.of([cidrLabel(prefix), { source: "reserved", key: world, value: "" }]);
}

/** True when both are `cidr:` labels and the inner prefix lies in the outer, or is it. */
export function cidrLabelContains(outer: Label, inner: Label): boolean {
  const outerPrefix = prefixOfCidrLabel(outer);
  const innerPrefix = prefixOfCidrLabel(inner);
  return outerPrefix !== undefined && innerPrefix !== undefined && prefixContains(outerPrefix, innerPrefix);
}

/** Of every `cidr:` label; none for whatever no CIDR means. */
export function prefixesOfLabels(labels: Labels): Prefix[] {
  return labels.all.map(prefixOfCidrLabel).filter((prefix) => prefix !== undefined);
}

/** The narrowest `cidr:` prefix among the labels; undefined for whatever is in the cluster. */
export function prefixOfLabels(labels: Labels): Prefix | undefined {
  let narrowest: Prefix | undefined;
  for (const label of labels.all) {
    const prefix = prefixOfCidrLabel(label);
    if (prefix !== undefined && prefix.length >= (narrowest?.length ?? 0)) narrowest = prefix;
  }
  return narrowest;
}
