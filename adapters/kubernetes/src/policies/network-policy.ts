import { namespaceMetaLabelPrefix, Selector } from "@cilium-ts/labels";
import { formatPrefix } from "@cilium-ts/net";
import { type Peer, type PortGroup, type PortMatch, type Protocol, protocols, type Rule, type RuleSection } from "@cilium-ts/policy";
import { parseCidr, parseExcept } from "./cidr.ts";
import type { NetworkPolicyOptions } from "./cilium-network-policy.ts";
import { parseLabelSelector } from "./label-selector.ts";
import { describe, FieldReader, joinPath } from "./object-fields.ts";
import { createPolicyReference, isPresent, type ParsedPolicy, readPolicyObject } from "./policy-object.ts";
import { inAnyNamespace, inCluster, inNamespace } from "./selector-scope.ts";

interface Context {
  readonly reader: FieldReader;
  readonly namespace: string;
  readonly clusterName: string | undefined;
}

/**
 * The rule of a Kubernetes NetworkPolicy (networking.k8s.io/v1). With any problem there is none. Rules of a direction that `policyTypes`
 * leaves out say nothing, as the API's own documentation has it.
 */
export function parseNetworkPolicy(object: unknown, options: NetworkPolicyOptions = {}): ParsedPolicy {
  const reader = new FieldReader();
  const policy = readPolicyObject(object, "NetworkPolicy", "namespaced", ["spec"], reader);
  if (policy === undefined) return { rules: [], problems: reader.problems };
  const { named, audit } = policy;
  const context: Context = { reader, namespace: named.namespace, clusterName: options.clusterName };
  if (!isPresent(policy.fields.spec)) reader.problem("spec", "is required");
  const spec = isPresent(policy.fields.spec)
    ? reader.object(policy.fields.spec, "spec", ["egress", "ingress", "podSelector", "policyTypes"])
    : undefined;
  if (spec === undefined) return { rules: [], problems: reader.problems };
  // An absent selector is an empty one: the field's zero value.
  const podSelector = isPresent(spec.podSelector)
    ? parseLabelSelector(spec.podSelector, "spec.podSelector", reader, kubernetesKeys)
    : Selector.everything;
  const ingress = (reader.list(spec.ingress, "spec.ingress") ?? []).map((item, index) => parseRule("ingress", item, index, context));
  const egress = (reader.list(spec.egress, "spec.egress") ?? []).map((item, index) => parseRule("egress", item, index, context));
  const types = parsePolicyTypes(spec.policyTypes, egress.length > 0, reader);
  if (reader.problems.length > 0 || podSelector === undefined) return { rules: [], problems: reader.problems };
  const rule: Rule = {
    policy: createPolicyReference(named, []),
    endpointSelector: inNamespace(podSelector, named.namespace),
    ingress: types.ingress ? ingress : [],
    ingressDeny: [],
    egress: types.egress ? egress : [],
    egressDeny: [],
    enableDefaultDeny: types,
    ...(audit && { audit }),
  };
  return { rules: [rule], problems: [] };
}

const kubernetesKeys = { defaultSource: "k8s", sources: "none" } as const;

/** Ingress where nothing is said, and Egress when there are egress rules. */
function parsePolicyTypes(value: unknown, hasEgress: boolean, reader: FieldReader): { ingress: boolean; egress: boolean } {
  const types = reader.list(value, "spec.policyTypes") ?? [];
  for (const [index, type] of types.entries()) {
    if (type !== "Ingress" && type !== "Egress")
      reader.problem(`spec.policyTypes[${index}]`, `must be Ingress or Egress, not ${describe(type)}`);
  }
  if (types.length === 0) return { ingress: true, egress: hasEgress };
  return { ingress: types.includes("Ingress"), egress: types.includes("Egress") };
}

function parseRule(direction: "ingress" | "egress", value: unknown, index: number, context: Context): RuleSection {
  const { reader } = context;
  const path = `spec.${direction}[${index}]`;
  const origin = `${direction}[${index}]`;
  const side = direction === "ingress" ? "from" : "to";
  const fields = reader.object(value, path, [side, "ports"]) ?? {};
  const items = reader.list(fields[side], joinPath(path, side)) ?? [];
  const peers = items
    .map((item, position) => parsePeer(item, `${path}.${side}[${position}]`, context))
    .filter((peer) => peer !== undefined);
  const ports = reader.list(fields.ports, joinPath(path, "ports")) ?? [];
  const groups = ports.map((item, position) => parsePortGroup(item, `${path}.ports[${position}]`, `${origin}.ports[${position}]`, reader));
  // Empty lists restrict nothing.
  return { path: origin, ...(items.length === 0 ? {} : { peers }), ...(ports.length === 0 ? {} : { ports: groups }) };
}

function parsePeer(value: unknown, path: string, context: Context): Peer | undefined {
  const { reader } = context;
  const fields = reader.object(value, path, ["ipBlock", "namespaceSelector", "podSelector"]);
  if (fields === undefined) return undefined;
  const chooses = isPresent(fields.podSelector) || isPresent(fields.namespaceSelector);
  if (isPresent(fields.ipBlock)) {
    if (chooses) return reader.problem(path, "has ipBlock beside a selector; write a peer of its own for each");
    return parseIpBlock(fields.ipBlock, joinPath(path, "ipBlock"), reader);
  }
  if (!chooses) return reader.problem(path, "must have podSelector, namespaceSelector or ipBlock");
  return parseSelectors(fields.podSelector, fields.namespaceSelector, path, context);
}

function parseIpBlock(value: unknown, path: string, reader: FieldReader): Peer | undefined {
  const fields = reader.object(value, path, ["cidr", "except"]);
  if (fields === undefined) return undefined;
  const cidr = parseCidr(fields.cidr, joinPath(path, "cidr"), reader, "with length");
  const except = parseExcept(fields.except, joinPath(path, "except"), cidr, reader);
  return cidr === undefined ? undefined : { kind: "cidr", cidr: formatPrefix(cidr), except };
}

/** Pods of the policy's namespace, or of those whose labels the namespace selector asks for. */
function parseSelectors(podSelector: unknown, namespaceSelector: unknown, path: string, context: Context): Peer | undefined {
  const { reader, clusterName } = context;
  const pods = isPresent(podSelector)
    ? parseLabelSelector(podSelector, joinPath(path, "podSelector"), reader, kubernetesKeys)
    : Selector.everything;
  if (!isPresent(namespaceSelector)) {
    return pods === undefined ? undefined : { kind: "endpoints", selector: inCluster(inNamespace(pods, context.namespace), clusterName) };
  }
  const keys = { ...kubernetesKeys, keyPrefix: namespaceMetaLabelPrefix };
  const namespaces = parseLabelSelector(namespaceSelector, joinPath(path, "namespaceSelector"), reader, keys);
  if (pods === undefined || namespaces === undefined) return undefined;
  const selector = Selector.ofRequirements([...pods.requirements, ...namespaces.requirements]);
  return { kind: "endpoints", selector: inCluster(inAnyNamespace(selector), clusterName) };
}

const protocolNames: Readonly<Record<string, Protocol>> = { TCP: protocols.tcp, UDP: protocols.udp, SCTP: protocols.sctp };
/** A name of a service (RFC 6335) in lower case. */
const portNamePattern = /^(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/;

function parsePortGroup(value: unknown, path: string, origin: string, reader: FieldReader): PortGroup {
  const port = parsePort(value, path, reader);
  return { path: origin, ports: port === undefined ? [] : [port] };
}

function parsePort(value: unknown, path: string, reader: FieldReader): PortMatch | undefined {
  const fields = reader.object(value, path, ["endPort", "port", "protocol"]);
  if (fields === undefined) return undefined;
  const text = reader.string(fields.protocol, joinPath(path, "protocol")) ?? "TCP";
  const protocol = Object.hasOwn(protocolNames, text) ? protocolNames[text] : undefined;
  if (protocol === undefined)
    return reader.problem(joinPath(path, "protocol"), `${JSON.stringify(text)} is no protocol; write TCP, UDP or SCTP`);
  const { port, endPort } = fields;
  const endPortPath = joinPath(path, "endPort");
  if (!isPresent(port)) {
    if (isPresent(endPort)) return reader.problem(endPortPath, "needs a port where the range begins");
    return { kind: "number", protocol, first: 0, last: 65_535 };
  }
  if (typeof port === "string" && portNamePattern.test(port)) {
    if (isPresent(endPort)) return reader.problem(endPortPath, "needs a numeric port; a name stands for one port");
    return { kind: "name", protocol, name: port };
  }
  if (!isPortNumber(port))
    return reader.problem(joinPath(path, "port"), `${describe(port)} is no port; write a number from 1 to 65535 or the name of a port`);
  if (!isPresent(endPort)) return { kind: "number", protocol, first: port, last: port };
  if (!isPortNumber(endPort)) return reader.problem(endPortPath, `must be a number from 1 to 65535, not ${describe(endPort)}`);
  if (endPort < port) return reader.problem(endPortPath, `${endPort} lies before port ${port}`);
  return { kind: "number", protocol, first: port, last: endPort };
}

function isPortNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65_535;
}
