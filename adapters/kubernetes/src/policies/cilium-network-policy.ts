import { namespaceLabelKey, type Selector } from "@cilium-ts/labels";
import { parserOf, type Rule, type RuleSection } from "@cilium-ts/policy";
import { parseLabelSelector } from "./label-selector.ts";
import { FieldReader, joinPath } from "./object-fields.ts";
import {
  createPolicyReference,
  isPresent,
  type ParsedPolicy,
  type PolicyName,
  parsePolicyLabels,
  readPolicyObject,
} from "./policy-object.ts";
import { parseSection } from "./rule-section.ts";
import { type SectionContext, sectionNames } from "./section-context.ts";
import { inNamespace } from "./selector-scope.ts";

export interface NetworkPolicyOptions {
  /** Peers without a cluster of their own are of this one. Undefined: of any. */
  readonly clusterName?: string;
  /** Nodes have identities by their labels, so that rules may choose nodes. */
  readonly nodeSelectorLabels?: boolean;
}

/**
 * The rules of a CiliumNetworkPolicy. With any problem there are none: a policy applies as a whole or not at all, since half of one
 * may be weaker than what its author wrote. Fields that this version does not enforce are problems too.
 */
export function parseCiliumNetworkPolicy(object: unknown, options: NetworkPolicyOptions = {}): ParsedPolicy {
  return parsePolicy(object, "CiliumNetworkPolicy", options);
}

/** As `parseCiliumNetworkPolicy`, about the endpoints of every namespace, or about nodes. */
export function parseCiliumClusterwideNetworkPolicy(object: unknown, options: NetworkPolicyOptions = {}): ParsedPolicy {
  return parsePolicy(object, "CiliumClusterwideNetworkPolicy", options);
}

type Kind = "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy";

function parsePolicy(object: unknown, kind: Kind, options: NetworkPolicyOptions): ParsedPolicy {
  const reader = new FieldReader();
  const scope = kind === "CiliumNetworkPolicy" ? "namespaced" : "clusterwide";
  const policy = readPolicyObject(object, kind, scope, ["spec", "specs"], reader);
  if (policy === undefined) return { rules: [], problems: reader.problems };
  const { fields, named, audit } = policy;
  const specs: { value: unknown; path: string; origin: string }[] = [];
  if (isPresent(fields.spec)) specs.push({ value: fields.spec, path: "spec", origin: "" });
  for (const [index, value] of (reader.list(fields.specs, "specs") ?? []).entries()) {
    specs.push({ value, path: `specs[${index}]`, origin: `specs[${index}].` });
  }
  if (specs.length === 0) reader.problem("spec", "is required, or specs with at least one rule");
  const rules = specs
    .map(({ value, path, origin }) => parseRule(value, path, origin, named, reader, options))
    .filter((rule) => rule !== undefined);
  if (reader.problems.length > 0) return { rules: [], problems: reader.problems };
  return { rules: audit ? rules.map((rule) => ({ ...rule, audit })) : rules, problems: [] };
}

const ruleFields = ["description", "enableDefaultDeny", "endpointSelector", "labels", "log", "nodeSelector", ...sectionNames];

function parseRule(
  value: unknown,
  path: string,
  origin: string,
  named: PolicyName,
  reader: FieldReader,
  options: NetworkPolicyOptions,
): Rule | undefined {
  const fields = reader.object(value, path, ruleFields);
  if (fields === undefined) return undefined;
  const ofNodes = named.namespace === "" && isPresent(fields.nodeSelector) && !isPresent(fields.endpointSelector);
  if (isPresent(fields.nodeSelector) && !ofNodes) refuseNodeSelector(joinPath(path, "nodeSelector"), named, reader);
  const endpointSelector = ofNodes
    ? parseLabelSelector(fields.nodeSelector, joinPath(path, "nodeSelector"), reader)
    : parseEndpointSelector(fields.endpointSelector, joinPath(path, "endpointSelector"), named.namespace, reader);
  const context: SectionContext = {
    reader,
    namespace: named.namespace,
    clusterName: options.clusterName,
    nodeSelectorLabels: options.nodeSelectorLabels ?? false,
    aboutInit: endpointSelector?.hasKey("reserved", "init") ?? false,
  };
  const sections = (name: (typeof sectionNames)[number]): RuleSection[] =>
    (reader.list(fields[name], joinPath(path, name)) ?? []).map((item, index) =>
      parseSection(item, `${joinPath(path, name)}[${index}]`, `${origin}${name}[${index}]`, name, context),
    );
  const parts = {
    ingress: sections("ingress"),
    ingressDeny: sections("ingressDeny"),
    egress: sections("egress"),
    egressDeny: sections("egressDeny"),
  };
  if (ofNodes) refuseProxies([...parts.ingress, ...parts.egress], origin === "" ? "spec." : "", reader);
  const given = parseDefaultDeny(fields.enableDefaultDeny, joinPath(path, "enableDefaultDeny"), reader);
  const enableDefaultDeny = {
    ingress: given.ingress ?? parts.ingress.length + parts.ingressDeny.length > 0,
    egress: given.egress ?? parts.egress.length + parts.egressDeny.length > 0,
  };
  if (!sectionNames.some((name) => isPresent(fields[name])) && !enableDefaultDeny.ingress && !enableDefaultDeny.egress) {
    reader.problem(path, `says nothing: give at least one of ${sectionNames.join(", ")}`);
  }
  reader.string(fields.description, joinPath(path, "description"));
  const log = parseLog(fields.log, joinPath(path, "log"), reader);
  const policy = createPolicyReference(named, parsePolicyLabels(fields.labels, joinPath(path, "labels"), reader));
  if (endpointSelector === undefined) return undefined;
  return { policy, endpointSelector, ...(ofNodes && { ofNodes }), ...parts, enableDefaultDeny, ...(log !== undefined && { log }) };
}

function refuseNodeSelector(path: string, named: PolicyName, reader: FieldReader): void {
  if (named.namespace !== "") {
    reader.problem(
      path,
      "is not supported: a CiliumNetworkPolicy is about endpoints; use endpointSelector, or a CiliumClusterwideNetworkPolicy",
    );
  } else {
    reader.problem(
      path,
      "cannot stand beside endpointSelector: a rule is about endpoints or about nodes; write a rule of its own for each",
    );
  }
}

/** Of nodes' own connections a proxy can only see which names they ask for. */
function refuseProxies(sections: readonly RuleSection[], base: string, reader: FieldReader): void {
  for (const { path, layer7 } of sections.flatMap(({ ports = [] }) => ports)) {
    if (layer7 === undefined || layer7.parser === "dns") continue;
    const message = `cannot have rules of ${parserOf(layer7)} in a policy of nodes: of layer 7 it may have rules.dns on egress; leave them out`;
    reader.problem(`${base}${path}.rules`, message);
  }
}

/** A namespaced policy is about its own namespace: a label of another in `matchLabels` is put right, as Cilium does. */
function parseEndpointSelector(value: unknown, path: string, namespace: string, reader: FieldReader): Selector | undefined {
  if (!isPresent(value)) {
    return reader.problem(path, `is required; {} is every endpoint of the ${namespace === "" ? "cluster" : "namespace"}`);
  }
  if (namespace === "") return parseLabelSelector(value, path, reader);
  const selector = parseLabelSelector(withoutNamespaceLabel(value), path, reader);
  return selector === undefined ? undefined : inNamespace(selector, namespace);
}

function withoutNamespaceLabel(selector: unknown): unknown {
  const fields = selector as { readonly matchLabels?: unknown };
  const key = `k8s:${namespaceLabelKey}`;
  if (typeof fields.matchLabels !== "object" || fields.matchLabels === null || !Object.hasOwn(fields.matchLabels, key)) return selector;
  const { [key]: _, ...matchLabels } = fields.matchLabels as Record<string, unknown>;
  return { ...fields, matchLabels };
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
