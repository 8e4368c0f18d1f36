import { clusterLabelKey, type Label, Labels, namespaceLabelKey, namespaceMetaLabelPrefix, type Selector } from "@cilium-ts/labels";
import { formatPrefix, type Prefix, parsePrefix, prefixContains } from "@cilium-ts/net";
import { type Entity, entities, type Peer, type PolicyReference, type Rule, type RuleSection } from "@cilium-ts/policy";
import { parseLabelSelector } from "./label-selector.ts";
import { FieldReader, type Fields, joinPath, type Problem } from "./object-fields.ts";
import { parseIcmps, parseToPorts } from "./port-rules.ts";

export interface NetworkPolicyOptions {
  /** Peers without a cluster of their own are of this one. Undefined: of any. */
  readonly clusterName?: string;
}

interface Context {
  readonly reader: FieldReader;
  readonly namespace: string;
  readonly clusterName: string | undefined;
}

/**
 * The rules of a CiliumNetworkPolicy. With any problem there are none: a policy applies as a whole or not at all, since half of one
 * may be weaker than what its author wrote. Fields that this version does not enforce are problems too.
 */
export function parseCiliumNetworkPolicy(object: unknown, options: NetworkPolicyOptions = {}): { rules: Rule[]; problems: Problem[] } {
  const reader = new FieldReader();
  const fields = reader.object(object, "", ["apiVersion", "kind", "metadata", "spec", "specs", "status"]);
  if (fields === undefined) return { rules: [], problems: reader.problems };
  const kind = fields.kind ?? "CiliumNetworkPolicy";
  if (kind !== "CiliumNetworkPolicy") reader.problem("kind", `must be CiliumNetworkPolicy, not ${JSON.stringify(kind)}`);
  const metadata = reader.anyObject(fields.metadata, "metadata") ?? {};
  const name = reader.string(metadata.name, "metadata.name") ?? "";
  if (name === "") reader.problem("metadata.name", "is required");
  const namespace = reader.string(metadata.namespace, "metadata.namespace") ?? "default";
  const uid = reader.string(metadata.uid, "metadata.uid") ?? "";

  const specs: { value: unknown; path: string; origin: string }[] = [];
  if (isPresent(fields.spec)) specs.push({ value: fields.spec, path: "spec", origin: "" });
  for (const [index, value] of (reader.list(fields.specs, "specs") ?? []).entries()) {
    specs.push({ value, path: `specs[${index}]`, origin: `specs[${index}].` });
  }
  if (specs.length === 0) reader.problem("spec", "is required, or specs with at least one rule");
  const context: Context = { reader, namespace, clusterName: options.clusterName };
  const rules = specs
    .map(({ value, path, origin }) => parseRule(value, path, origin, { namespace, name, uid }, context))
    .filter((rule) => rule !== undefined);
  return reader.problems.length > 0 ? { rules: [], problems: reader.problems } : { rules, problems: [] };
}

const ruleFields = [
  "description",
  "egress",
  "egressDeny",
  "enableDefaultDeny",
  "endpointSelector",
  "ingress",
  "ingressDeny",
  "labels",
  "log",
  "nodeSelector",
];

function parseRule(
  value: unknown,
  path: string,
  origin: string,
  named: { readonly namespace: string; readonly name: string; readonly uid: string },
  context: Context,
): Rule | undefined {
  const { reader } = context;
  const fields = reader.object(value, path, ruleFields);
  if (fields === undefined) return undefined;
  if (isPresent(fields.nodeSelector)) {
    reader.problem(joinPath(path, "nodeSelector"), "is not supported: a CiliumNetworkPolicy is about endpoints; use endpointSelector");
  }
  const sections = (name: SectionName): RuleSection[] =>
    (reader.list(fields[name], joinPath(path, name)) ?? []).map((item, index) =>
      parseSection(item, `${joinPath(path, name)}[${index}]`, `${origin}${name}[${index}]`, name, context),
    );
  const parts = {
    ingress: sections("ingress"),
    ingressDeny: sections("ingressDeny"),
    egress: sections("egress"),
    egressDeny: sections("egressDeny"),
  };
  const given = parseDefaultDeny(fields.enableDefaultDeny, joinPath(path, "enableDefaultDeny"), reader);
  const enableDefaultDeny = {
    ingress: given.ingress ?? parts.ingress.length + parts.ingressDeny.length > 0,
    egress: given.egress ?? parts.egress.length + parts.egressDeny.length > 0,
  };
  if (!sectionNames.some((name) => isPresent(fields[name])) && !enableDefaultDeny.ingress && !enableDefaultDeny.egress) {
    reader.problem(path, `says nothing: give at least one of ${sectionNames.join(", ")}`);
  }
  const endpointSelector = parseEndpointSelector(fields.endpointSelector, joinPath(path, "endpointSelector"), context);
  reader.string(fields.description, joinPath(path, "description"));
  const log = parseLog(fields.log, joinPath(path, "log"), reader);
  const policy = createReference(named, parsePolicyLabels(fields.labels, joinPath(path, "labels"), reader));
  if (endpointSelector === undefined) return undefined;
  return { policy, endpointSelector, ...parts, enableDefaultDeny, ...(log === undefined ? {} : { log }) };
}

const sectionNames = ["ingress", "ingressDeny", "egress", "egressDeny"] as const;
type SectionName = (typeof sectionNames)[number];

/** What stands for peers, by direction. Only one of a section may have items. */
const peerFields = {
  from: ["fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet"],
  to: ["toEndpoints", "toEntities", "toCIDR", "toCIDRSet"],
} as const;
/** Known to the schema, not enforced by this version. */
const laterFields = {
  ingress: ["fromRequires", "fromGroups", "fromNodes", "authentication"],
  ingressDeny: ["fromRequires", "fromGroups", "fromNodes"],
  egress: ["toRequires", "toGroups", "toNodes", "toServices", "toFQDNs", "authentication"],
  egressDeny: ["toRequires", "toGroups", "toNodes", "toServices"],
} as const;

function parseSection(value: unknown, path: string, origin: string, name: SectionName, context: Context): RuleSection {
  const { reader } = context;
  const side = name.startsWith("ingress") ? "from" : "to";
  const nothing: RuleSection = { path: origin, peers: [] };
  const fields = reader.object(value, path, [...peerFields[side], ...laterFields[name], "toPorts", "icmps"]);
  if (fields === undefined) return nothing;
  for (const later of laterFields[name]) {
    if (isPresent(fields[later])) reader.problem(joinPath(path, later), "is not supported yet; leave it out, or wait with this policy");
  }
  const peers = parsePeers(fields, path, side, context);
  const toPorts = parseToPorts(fields.toPorts, joinPath(path, "toPorts"), origin, name.endsWith("Deny"), reader);
  const icmps = parseIcmps(fields.icmps, joinPath(path, "icmps"), origin, reader);
  if (toPorts !== undefined && icmps !== undefined) {
    reader.problem(joinPath(path, "icmps"), "cannot stand beside toPorts; write a rule of its own for each");
  }
  const ports = toPorts ?? icmps;
  // An item that says nothing allows nothing; it is there to turn default deny on.
  if (peers === undefined && ports === undefined) return nothing;
  return { path: origin, ...(peers === undefined ? {} : { peers }), ...(ports === undefined ? {} : { ports }) };
}

/** Undefined: none named, so any peer. A list that is given but empty chooses nobody. */
function parsePeers(fields: Fields, path: string, side: "from" | "to", context: Context): Peer[] | undefined {
  const { reader } = context;
  const lists = peerFields[side].map((name) => ({ name, items: reader.list(fields[name], joinPath(path, name)) }));
  const filled = lists.filter(({ items }) => items !== undefined && items.length > 0);
  const [first, second] = filled;
  if (first !== undefined && second !== undefined) {
    reader.problem(
      joinPath(path, second.name),
      `cannot stand beside ${first.name}: a rule has one kind of peers; write a rule of its own for each`,
    );
  }
  const peers = filled.flatMap(({ name, items }) =>
    (items ?? []).map((item, index) => parsePeer(name.slice(side.length), item, `${joinPath(path, name)}[${index}]`, context)),
  );
  if (lists.some(({ items }) => items?.length === 0)) return [];
  return filled.length === 0 ? undefined : peers.filter((peer) => peer !== undefined);
}

function parsePeer(kind: string, value: unknown, path: string, context: Context): Peer | undefined {
  const { reader } = context;
  switch (kind) {
    case "Endpoints": {
      const selector = parseLabelSelector(value, path, reader);
      return selector === undefined ? undefined : { kind: "endpoints", selector: scopePeer(selector, context) };
    }
    case "Entities": {
      const entity = entities.find((known): known is Entity => known === value);
      if (entity === undefined) return reader.problem(path, `${JSON.stringify(value)} is no entity; write one of ${entities.join(", ")}`);
      return { kind: "entity", entity };
    }
    case "CIDR": {
      const prefix = parseCidr(value, path, reader);
      return prefix === undefined ? undefined : { kind: "cidr", cidr: formatPrefix(prefix), except: [] };
    }
    default:
      return parseCidrSet(value, path, reader);
  }
}

function parseCidrSet(value: unknown, path: string, reader: FieldReader): Peer | undefined {
  const fields = reader.object(value, path, ["cidr", "cidrGroupRef", "cidrGroupSelector", "except"]);
  if (fields === undefined) return undefined;
  for (const name of ["cidrGroupRef", "cidrGroupSelector"]) {
    if (isPresent(fields[name])) return reader.problem(joinPath(path, name), "is not supported yet; write the prefixes themselves");
  }
  const cidr = parseCidr(fields.cidr, joinPath(path, "cidr"), reader, "with length");
  const except: string[] = [];
  for (const [index, item] of (reader.list(fields.except, joinPath(path, "except")) ?? []).entries()) {
    const itemPath = `${joinPath(path, "except")}[${index}]`;
    const inner = parseCidr(item, itemPath, reader, "with length");
    if (inner === undefined || cidr === undefined) continue;
    if (prefixContains(cidr, inner)) except.push(formatPrefix(inner));
    else reader.problem(itemPath, `${formatPrefix(inner)} does not lie in ${formatPrefix(cidr)}`);
  }
  return cidr === undefined ? undefined : { kind: "cidr", cidr: formatPrefix(cidr), except };
}

function parseCidr(value: unknown, path: string, reader: FieldReader, form: "with length" | "any" = "any"): Prefix | undefined {
  const prefix = typeof value === "string" && (form === "any" || value.includes("/")) ? parsePrefix(value) : undefined;
  const given = JSON.stringify(value) ?? "nothing";
  return prefix ?? reader.problem(path, `${given} is no CIDR; write an address and a length, such as 10.0.0.0/8 or fd00::/64`);
}

/** A policy is about its own namespace: a label of another in `matchLabels` is put right, as Cilium does. */
function parseEndpointSelector(value: unknown, path: string, context: Context): Selector | undefined {
  if (!isPresent(value)) return context.reader.problem(path, "is required; {} is every endpoint of the namespace");
  const selector = parseLabelSelector(withoutNamespaceLabel(value), path, context.reader);
  return selector === undefined ? undefined : inNamespace(selector, context.namespace);
}

function withoutNamespaceLabel(selector: unknown): unknown {
  const fields = selector as { readonly matchLabels?: unknown };
  const key = `k8s:${namespaceLabelKey}`;
  if (typeof fields.matchLabels !== "object" || fields.matchLabels === null || !Object.hasOwn(fields.matchLabels, key)) return selector;
  const { [key]: _, ...matchLabels } = fields.matchLabels as Record<string, unknown>;
  return { ...fields, matchLabels };
}

/** Peers are of the policy's namespace unless the selector speaks of namespaces, or of reserved labels. */
function scopePeer(selector: Selector, context: Context): Selector {
  if (selector.requirements.some(({ source }) => source === "reserved")) return selector;
  const speaksOfNamespaces = selector.requirements.some(
    ({ source, key }) => (source === "k8s" || source === "any") && (key === namespaceLabelKey || key.startsWith(namespaceMetaLabelPrefix)),
  );
  const scoped = speaksOfNamespaces ? selector : inNamespace(selector, context.namespace);
  if (context.clusterName === undefined || selector.hasKey("k8s", clusterLabelKey)) return scoped;
  return scoped.with({ source: "k8s", key: clusterLabelKey, operator: "In", values: [context.clusterName] });
}

function inNamespace(selector: Selector, namespace: string): Selector {
  return selector.with({ source: "k8s", key: namespaceLabelKey, operator: "In", values: [namespace] });
}

function parseDefaultDeny(
  value: unknown,
  path: string,
  reader: FieldReader,
): { ingress: boolean | undefined; egress: boolean | undefined } {
  if (!isPresent(value)) return { ingress: undefined, egress: undefined };
  const fields = reader.object(value, path, ["ingress", "egress"]) ?? {};
  return {
    ingress: reader.boolean(fields.ingress, joinPath(path, "ingress")),
    egress: reader.boolean(fields.egress, joinPath(path, "egress")),
  };
}

const logCharacterCountMax = 32;

function parseLog(value: unknown, path: string, reader: FieldReader): string | undefined {
  if (!isPresent(value)) return undefined;
  const text = reader.string(reader.object(value, path, ["value"])?.value, joinPath(path, "value"));
  if (text === undefined || text === "") return undefined;
  if ([...text].length > logCharacterCountMax)
    return reader.problem(joinPath(path, "value"), `has more than ${logCharacterCountMax} characters`);
  if (/\p{C}/u.test(text)) return reader.problem(joinPath(path, "value"), "has characters that cannot be printed");
  return text;
}

function parsePolicyLabels(value: unknown, path: string, reader: FieldReader): Label[] {
  const labels: Label[] = [];
  for (const [index, item] of (reader.list(value, path) ?? []).entries()) {
    const itemPath = `${path}[${index}]`;
    const fields = reader.object(item, itemPath, ["key", "source", "value"]) ?? {};
    const key = reader.string(fields.key, joinPath(itemPath, "key")) ?? "";
    if (key === "") reader.problem(joinPath(itemPath, "key"), "is required");
    const source = reader.string(fields.source, joinPath(itemPath, "source")) ?? "unspec";
    labels.push({ source, key, value: reader.string(fields.value, joinPath(itemPath, "value")) ?? "" });
  }
  return labels;
}

/** The labels of a policy, as flows show them: the user's and those that say where it came from. */
function createReference(
  named: { readonly namespace: string; readonly name: string; readonly uid: string },
  own: readonly Label[],
): PolicyReference {
  const derived = {
    "io.cilium.k8s.policy.derived-from": "CiliumNetworkPolicy",
    "io.cilium.k8s.policy.name": named.name,
    "io.cilium.k8s.policy.namespace": named.namespace,
    "io.cilium.k8s.policy.uid": named.uid,
  };
  const labels = Labels.of([...own, ...Object.entries(derived).map(([key, value]) => ({ source: "k8s", key, value }))]);
  return Object.freeze({ kind: "CiliumNetworkPolicy", ...named, labels: labels.all });
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}
