import { Labels, type Selector } from "@cilium-ts/labels";
import { formatPrefix, type Prefix, prefixContains } from "@cilium-ts/net";
import { parseCidr } from "./policies/cidr.ts";
import { parseLabelSelector } from "./policies/label-selector.ts";
import { FieldReader, joinPath, type Problem } from "./policies/object-fields.ts";

/** One family of a pool. */
export interface PodIPPoolFamily {
  readonly prefixes: readonly Prefix[];
  /** Bits of the pod CIDRs that it is cut into. */
  readonly maskSize: number;
}

/** Addresses that pods may ask for by the pool's name, or get because the selectors match them. */
export interface PodIPPool {
  readonly name: string;
  readonly ipv4: PodIPPoolFamily | undefined;
  readonly ipv6: PodIPPoolFamily | undefined;
  /** Of pods' labels (source `k8s`); absent: all pods, where the other selector is there. */
  readonly podSelector: Selector | undefined;
  /** Of their namespaces' labels. */
  readonly namespaceSelector: Selector | undefined;
}

/** With any problem there is no pool: what it was before stays in force. */
export function parseCiliumPodIPPool(object: unknown): { pool: PodIPPool | undefined; problems: Problem[] } {
  const reader = new FieldReader();
  const fields = reader.object(object, "", ["apiVersion", "kind", "metadata", "spec"]) ?? {};
  const name = reader.string(reader.anyObject(fields.metadata, "metadata")?.name, "metadata.name") ?? "";
  if (name === "") reader.problem("metadata.name", "is required");
  const spec = reader.object(fields.spec, "spec", ["ipv4", "ipv6", "podSelector", "namespaceSelector"]) ?? {};
  const family = (of: "ipv4" | "ipv6"): PodIPPoolFamily | undefined => readFamily(spec[of], `spec.${of}`, of === "ipv4" ? 4 : 16, reader);
  const selector = (of: "podSelector" | "namespaceSelector"): Selector | undefined =>
    spec[of] === undefined || spec[of] === null
      ? undefined
      : parseLabelSelector(spec[of], `spec.${of}`, reader, { defaultSource: "k8s", sources: "none" });
  const pool = {
    name,
    ipv4: family("ipv4"),
    ipv6: family("ipv6"),
    ...{ podSelector: selector("podSelector"), namespaceSelector: selector("namespaceSelector") },
  };
  return reader.problems.length > 0 ? { pool: undefined, problems: reader.problems } : { pool, problems: [] };
}

/** Labels as the selectors of pools look at them. */
export function poolSelectorLabels(labels: Readonly<Record<string, string>>): Labels {
  return Labels.of(Object.entries(labels).map(([key, value]) => ({ source: "k8s", key, value })));
}

function readFamily(value: unknown, path: string, sizeBytes: 4 | 16, reader: FieldReader): PodIPPoolFamily | undefined {
  if (value === undefined || value === null) return undefined;
  const fields = reader.object(value, path, ["cidrs", "maskSize"]) ?? {};
  const { maskSize } = fields;
  const bits = sizeBytes * 8;
  if (typeof maskSize !== "number" || !Number.isInteger(maskSize) || maskSize < 1 || maskSize > bits)
    return reader.problem(joinPath(path, "maskSize"), `must be a whole number from 1 to ${bits}`);
  const prefixes: Prefix[] = [];
  for (const [index, item] of (reader.list(fields.cidrs, joinPath(path, "cidrs")) ?? []).entries()) {
    const itemPath = `${joinPath(path, "cidrs")}[${index}]`;
    const prefix = parseCidr(item, itemPath, reader, "with length");
    if (prefix === undefined) continue;
    const other = prefixes.find((known) => prefixContains(known, prefix) || prefixContains(prefix, known));
    const text = formatPrefix(prefix);
    if (prefix.address.length !== sizeBytes) reader.problem(itemPath, `${text} is of the other family`);
    else if (prefix.length > maskSize) reader.problem(itemPath, `${text} is smaller than a pod CIDR of ${maskSize} bits (maskSize)`);
    else if (other !== undefined) reader.problem(itemPath, `${text} overlaps ${formatPrefix(other)}; name each address once`);
    else prefixes.push(prefix);
  }
  if (prefixes.length === 0) reader.problem(joinPath(path, "cidrs"), "must name at least one CIDR");
  return { prefixes, maskSize };
}
