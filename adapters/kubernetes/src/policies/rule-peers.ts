import type { Selector } from "@cilium-ts/labels";
import { formatPrefix } from "@cilium-ts/net";
import { type Entity, entities, type Peer } from "@cilium-ts/policy";
import { parseCidr, parseExcept } from "./cidr.ts";
import { parseLabelSelector } from "./label-selector.ts";
import { parseNameRule } from "./layer7-rules.ts";
import { type FieldReader, joinPath } from "./object-fields.ts";
import { isPresent } from "./policy-object.ts";
import type { SectionContext } from "./section-context.ts";
import { scopePeer } from "./selector-scope.ts";

/** What follows `from` or `to` in the name of a field. */
export type PeerKind = "Endpoints" | "Entities" | "CIDR" | "CIDRSet" | "Nodes" | "Services" | "FQDNs";

/** One item of a list of peers. Undefined after a problem. */
export function parsePeer(kind: PeerKind, value: unknown, path: string, context: SectionContext): Peer | undefined {
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
    case "CIDRSet":
      return parseCidrSet(value, path, reader);
    case "Nodes":
      return parseNodes(value, path, context);
    case "Services":
      return parseService(value, path, context);
    case "FQDNs": {
      const rule = parseNameRule(value, path, reader);
      if (rule === undefined) return undefined;
      return { kind: "fqdn", pattern: "matchName" in rule ? rule.matchName : rule.matchPattern };
    }
  }
}

const cidrSetForms = ["cidr", "cidrGroupRef", "cidrGroupSelector"] as const;

function parseCidrSet(value: unknown, path: string, reader: FieldReader): Peer | undefined {
  const fields = reader.object(value, path, [...cidrSetForms, "except"]);
  if (fields === undefined) return undefined;
  const [form = "cidr", other] = cidrSetForms.filter((name) => isPresent(fields[name]));
  if (other !== undefined) {
    return reader.problem(
      joinPath(path, other),
      `cannot stand beside ${form}: an item is one CIDR or one choice of groups; write an item for each`,
    );
  }
  if (form === "cidr") {
    const cidr = parseCidr(fields.cidr, joinPath(path, "cidr"), reader, "with length");
    const except = parseExcept(fields.except, joinPath(path, "except"), cidr, reader);
    return cidr === undefined ? undefined : { kind: "cidr", cidr: formatPrefix(cidr), except };
  }
  const except = parseExcept(fields.except, joinPath(path, "except"), "anywhere", reader);
  const groups = parseGroups(form, fields[form], joinPath(path, form), reader);
  return groups === undefined ? undefined : { kind: "cidrGroups", ...groups, except };
}

const objectNamePattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const objectNameCharactersMax = 253;

function parseGroups(
  form: "cidrGroupRef" | "cidrGroupSelector",
  value: unknown,
  path: string,
  reader: FieldReader,
): { readonly name: string } | { readonly selector: Selector } | undefined {
  if (form === "cidrGroupSelector") {
    const selector = parseLabelSelector(value, path, reader);
    return selector === undefined ? undefined : { selector };
  }
  const name = parseObjectName(value, path, reader);
  return name === undefined ? undefined : { name };
}

/** A name of an object. Undefined after a problem. */
function parseObjectName(value: unknown, path: string, reader: FieldReader): string | undefined {
  const name = reader.string(value, path);
  if (name === undefined) return isPresent(value) ? undefined : reader.problem(path, "is required");
  if (name.length <= objectNameCharactersMax && objectNamePattern.test(name)) return name;
  return reader.problem(path, `${JSON.stringify(name)} is no name of an object; write lower-case letters, digits, '-' and '.'`);
}

/** Keys are those of Node objects. */
function parseNodes(value: unknown, path: string, { reader, nodeSelectorLabels }: SectionContext): Peer | undefined {
  if (!nodeSelectorLabels) {
    return reader.problem(
      path,
      "nodes are told apart by labels only with enable-node-selector-labels; turn it on, or use the entity remote-node",
    );
  }
  const selector = parseLabelSelector(value, path, reader, { defaultSource: "node" });
  return selector === undefined ? undefined : { kind: "nodes", selector };
}

/** A service without a namespace is of the policy's; in a cluster-wide policy of any. */
function parseService(value: unknown, path: string, { reader, namespace }: SectionContext): Peer | undefined {
  const fields = reader.object(value, path, ["k8sService", "k8sServiceSelector"]);
  if (fields === undefined) return undefined;
  const form = isPresent(fields.k8sServiceSelector) ? "k8sServiceSelector" : "k8sService";
  const formPath = joinPath(path, form);
  if (isPresent(fields.k8sService) === isPresent(fields.k8sServiceSelector)) {
    return reader.problem(path, "must have k8sService or k8sServiceSelector, one of them");
  }
  const inner = reader.object(fields[form], formPath, ["namespace", form === "k8sService" ? "serviceName" : "selector"]);
  if (inner === undefined) return undefined;
  const own = reader.string(inner.namespace, joinPath(formPath, "namespace")) || namespace;
  const place = own === "" ? {} : { namespace: own };
  if (form === "k8sService") {
    const name = parseObjectName(inner.serviceName, joinPath(formPath, "serviceName"), reader);
    return name === undefined ? undefined : { kind: "services", ...place, name };
  }
  const selector = parseLabelSelector(inner.selector, joinPath(formPath, "selector"), reader);
  return selector === undefined ? undefined : { kind: "services", ...place, selector };
}
