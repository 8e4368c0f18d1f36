import { namespaceMetaLabelPrefix, Selector } from "@cilium-ts/labels";
import { formatPrefix } from "@cilium-ts/net";
import type { Direction, Peer, Rule, Tier, TierSection } from "@cilium-ts/policy";
import { parseCidr } from "./cidr.ts";
import type { NetworkPolicyOptions } from "./cilium-network-policy.ts";
import { parseLabelSelector } from "./label-selector.ts";
import { describe, FieldReader, type Fields, joinPath } from "./object-fields.ts";
import { createPolicyReference, isPresent, type ParsedPolicy, readPolicyObject } from "./policy-object.ts";
import { inAnyNamespace, inCluster } from "./selector-scope.ts";
import { parseOldPorts, parseProtocols } from "./tier-ports.ts";

/** What the kinds of the network policy API differ in. */
interface Form {
  readonly kind: "ClusterNetworkPolicy" | "AdminNetworkPolicy" | "BaselineAdminNetworkPolicy";
  readonly actions: Readonly<Record<string, TierSection["action"]>>;
  readonly countMax: number;
  /** Field that restricts a rule to ports. */
  readonly portField: "protocols" | "ports";
}

const cluster: Form = {
  kind: "ClusterNetworkPolicy",
  actions: { Accept: "accept", Deny: "deny", Pass: "pass" },
  countMax: 25,
  portField: "protocols",
};
const admin: Form = {
  kind: "AdminNetworkPolicy",
  actions: { Allow: "accept", Deny: "deny", Pass: "pass" },
  countMax: 100,
  portField: "ports",
};
const baseline: Form = { ...admin, kind: "BaselineAdminNetworkPolicy", actions: { Allow: "accept", Deny: "deny" } };

interface Context {
  readonly reader: FieldReader;
  readonly form: Form;
  readonly options: NetworkPolicyOptions;
}

/** The rule of a ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2). With any problem there is none. */
export function parseClusterNetworkPolicy(object: unknown, options: NetworkPolicyOptions = {}): ParsedPolicy {
  return parseTierPolicy(object, cluster, options);
}

/** As `parseClusterNetworkPolicy`, of its forerunner in v1alpha1, which stands in the admin tier. */
export function parseAdminNetworkPolicy(object: unknown, options: NetworkPolicyOptions = {}): ParsedPolicy {
  return parseTierPolicy(object, admin, options);
}

/** As `parseAdminNetworkPolicy`, in the baseline tier. There is one of them, named `default`. */
export function parseBaselineAdminNetworkPolicy(object: unknown, options: NetworkPolicyOptions = {}): ParsedPolicy {
  return parseTierPolicy(object, baseline, options);
}

function parseTierPolicy(object: unknown, form: Form, options: NetworkPolicyOptions): ParsedPolicy {
  const reader = new FieldReader();
  const context: Context = { reader, form, options };
  const policy = readPolicyObject(object, form.kind, "clusterwide", ["spec"], reader);
  if (policy === undefined) return { rules: [], problems: reader.problems };
  const { named, audit } = policy;
  if (form === baseline && named.name !== "default") reader.problem("metadata.name", 'must be "default": there is one baseline');
  if (!isPresent(policy.fields.spec)) reader.problem("spec", "is required");
  const own = form === cluster ? ["tier", "priority"] : form === admin ? ["priority"] : [];
  const spec = isPresent(policy.fields.spec)
    ? reader.object(policy.fields.spec, "spec", [...own, "egress", "ingress", "subject"])
    : undefined;
  if (spec === undefined) return { rules: [], problems: reader.problems };
  const kind = form === cluster ? parseTier(spec.tier, reader) : form === admin ? "admin" : "baseline";
  const priority = form === baseline ? 0 : parsePriority(spec.priority, reader);
  const subject = isPresent(spec.subject)
    ? parsePods(spec.subject, "spec.subject", context)
    : reader.problem("spec.subject", "is required: the pods that the policy is about");
  const tier: Tier = {
    kind,
    priority,
    ingress: parseSections("ingress", spec.ingress, context),
    egress: parseSections("egress", spec.egress, context),
  };
  if (reader.problems.length > 0 || subject === undefined) return { rules: [], problems: reader.problems };
  const rule: Rule = {
    policy: createPolicyReference(named, []),
    endpointSelector: subject,
    ...{ ingress: [], ingressDeny: [], egress: [], egressDeny: [] },
    enableDefaultDeny: { ingress: false, egress: false },
    ...(audit && { audit }),
    tier,
  };
  return { rules: [rule], problems: [] };
}

function parseTier(value: unknown, reader: FieldReader): Tier["kind"] {
  if (value !== "Admin" && value !== "Baseline") reader.problem("spec.tier", `must be Admin or Baseline, not ${describe(value)}`);
  return value === "Baseline" ? "baseline" : "admin";
}

const priorityMax = 1_000;

function parsePriority(value: unknown, reader: FieldReader): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= priorityMax) return value;
  reader.problem("spec.priority", `must be a whole number from 0 (asked first) to ${priorityMax}, not ${describe(value)}`);
  return 0;
}

function parseSections(direction: Direction, value: unknown, context: Context): TierSection[] {
  const { reader, form } = context;
  const path = `spec.${direction}`;
  return boundedList(value, path, "rules", form.countMax, reader).map((item, index) =>
    parseSection(direction, item, `${path}[${index}]`, `${direction}[${index}]`, context),
  );
}

function parseSection(direction: Direction, value: unknown, path: string, origin: string, context: Context): TierSection {
  const { reader, form } = context;
  const side = direction === "ingress" ? "from" : "to";
  const fields = reader.object(value, path, ["action", "name", side, form.portField]) ?? {};
  reader.string(fields.name, joinPath(path, "name"));
  const names = Object.keys(form.actions);
  const action = form.actions[names.find((name) => name === fields.action) ?? ""];
  if (action === undefined) reader.problem(joinPath(path, "action"), `must be one of ${names.join(", ")}, not ${describe(fields.action)}`);
  const peersPath = joinPath(path, side);
  const items = boundedList(fields[side], peersPath, "peers", form.countMax, reader);
  if (items.length === 0) reader.problem(peersPath, "must have at least one peer; a selector {} is every pod");
  const peers = items.flatMap((item, index) => parsePeer(direction, item, `${peersPath}[${index}]`, context));
  const portsPath = joinPath(path, form.portField);
  const list = boundedList(fields[form.portField], portsPath, form.portField, form.countMax, reader);
  const ports = form.portField === "protocols" ? parseProtocols(list, portsPath, reader) : parseOldPorts(list, portsPath, reader);
  if (ports.some(({ kind }) => kind === "name") && peers.some(({ kind }) => kind === "cidr" || kind === "nodes"))
    reader.problem(portsPath, "names a port beside peers that name none: networks and nodes have no names for ports");
  return {
    path: origin,
    action: action ?? "deny",
    peers,
    ...(list.length > 0 && { ports: [{ path: `${origin}.${form.portField}`, ports }] }),
  };
}

function boundedList(value: unknown, path: string, what: string, most: number, reader: FieldReader): readonly unknown[] {
  const items = reader.list(value, path) ?? [];
  if (items.length > most) reader.problem(path, `has ${items.length} ${what}, the most is ${most}; write another policy`);
  return items;
}

const podForms = ["namespaces", "pods"] as const;
const outsideForms = ["nodes", "networks", "domainNames"] as const;

function parsePeer(direction: Direction, value: unknown, path: string, context: Context): Peer[] {
  const { reader, options } = context;
  const forms = direction === "ingress" ? podForms : [...podForms, ...outsideForms];
  const fields = reader.object(value, path, forms);
  if (fields === undefined) return [];
  const given = forms.filter((name) => isPresent(fields[name]));
  const [form] = given;
  if (form === undefined || given.length > 1) {
    reader.problem(path, `must have one of ${forms.join(", ")}`);
    return [];
  }
  switch (form) {
    case "namespaces":
    case "pods": {
      const selector = parsePods(value, path, context);
      return selector === undefined ? [] : [{ kind: "endpoints", selector }];
    }
    case "nodes":
      return parseNodes(fields.nodes, joinPath(path, "nodes"), reader, options);
    case "networks":
      return parseNetworks(fields.networks, joinPath(path, "networks"), context);
    case "domainNames":
      reader.problem(joinPath(path, "domainNames"), "is not supported yet; leave it out, or wait with this policy");
      return [];
  }
}

function parseNodes(value: unknown, path: string, reader: FieldReader, { nodeSelectorLabels }: NetworkPolicyOptions): Peer[] {
  if (!nodeSelectorLabels) {
    reader.problem(path, "nodes are told apart by labels only with enable-node-selector-labels; turn it on, or leave the peer out");
    return [];
  }
  const selector = parseLabelSelector(value, path, reader, { defaultSource: "node", sources: "none" });
  return selector === undefined ? [] : [{ kind: "nodes", selector }];
}

function parseNetworks(value: unknown, path: string, { reader, form }: Context): Peer[] {
  const items = boundedList(value, path, "networks", form.countMax, reader);
  if (items.length === 0) reader.problem(path, "must have at least one CIDR");
  return items.flatMap((item, index): Peer[] => {
    const prefix = parseCidr(item, `${path}[${index}]`, reader, "with length");
    return prefix === undefined ? [] : [{ kind: "cidr", cidr: formatPrefix(prefix), except: [] }];
  });
}

const kubernetesKeys = { defaultSource: "k8s", sources: "none" } as const;

/** `namespaces`, or `pods` with a selector of namespaces and one of pods: always pods, never what else has an identity. */
function parsePods(value: unknown, path: string, { reader, options }: Context): Selector | undefined {
  const fields: Fields | undefined = path === "spec.subject" ? reader.object(value, path, podForms) : reader.anyObject(value, path);
  if (fields === undefined) return undefined;
  if (isPresent(fields.namespaces) === isPresent(fields.pods)) return reader.problem(path, `must have one of ${podForms.join(", ")}`);
  const ofNamespaces = (selector: unknown, at: string): Selector | undefined =>
    parseLabelSelector(selector, at, reader, { ...kubernetesKeys, keyPrefix: namespaceMetaLabelPrefix });
  if (isPresent(fields.namespaces)) {
    const namespaces = ofNamespaces(fields.namespaces, joinPath(path, "namespaces"));
    return namespaces && inCluster(inAnyNamespace(namespaces), options.clusterName);
  }
  const podsPath = joinPath(path, "pods");
  const inner = reader.object(fields.pods, podsPath, ["namespaceSelector", "podSelector"]) ?? {};
  const chosen = (name: string, parse: (selector: unknown, at: string) => Selector | undefined): Selector | undefined =>
    isPresent(inner[name]) ? parse(inner[name], joinPath(podsPath, name)) : Selector.everything;
  const namespaces = chosen("namespaceSelector", ofNamespaces);
  const pods = chosen("podSelector", (selector, at) => parseLabelSelector(selector, at, reader, kubernetesKeys));
  if (namespaces === undefined || pods === undefined) return undefined;
  const selector = Selector.ofRequirements([...pods.requirements, ...namespaces.requirements]);
  return inCluster(inAnyNamespace(selector), options.clusterName);
}
