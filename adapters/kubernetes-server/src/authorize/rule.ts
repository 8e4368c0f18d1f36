import { listAt, valueAt } from "../resources/column.ts";
import type { Mutable } from "../schema/schema.ts";

/** A rule of a role. Rules only allow. */
export interface Rule {
  readonly verbs: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  /** Empty: all. */
  readonly resourceNames: readonly string[];
  readonly nonResourceURLs: readonly string[];
}

/** What somebody wants to do. */
export type Attributes =
  | {
      readonly kind: "resource";
      readonly verb: string;
      /** Empty: no namespace, or all of them. */
      readonly namespace: string;
      readonly group: string;
      readonly resource: string;
      readonly subresource: string;
      readonly name: string;
    }
  | { readonly kind: "path"; readonly verb: string; readonly path: string };

export function rulesIn(role: Mutable): readonly Rule[] {
  return listAt(role, "rules").map((rule) => ({
    verbs: textsAt(rule, "verbs"),
    apiGroups: textsAt(rule, "apiGroups"),
    resources: textsAt(rule, "resources"),
    resourceNames: textsAt(rule, "resourceNames"),
    nonResourceURLs: textsAt(rule, "nonResourceURLs"),
  }));
}

export function textsAt(object: Mutable, ...path: readonly string[]): readonly string[] {
  const value = valueAt(object, ...path);
  return Array.isArray(value) ? value.filter((text) => typeof text === "string") : [];
}

export function ruleAllows(rule: Rule, attributes: Attributes): boolean {
  if (!has(rule.verbs, attributes.verb)) return false;
  if (attributes.kind === "path") return rule.nonResourceURLs.some((url) => urlCovers(url, attributes.path));
  const { group, resource, subresource, name } = attributes;
  return (
    has(rule.apiGroups, group) &&
    rule.resources.some((owned) => resourceCovers(owned, subresource === "" ? resource : `${resource}/${subresource}`)) &&
    (rule.resourceNames.length === 0 || rule.resourceNames.includes(name))
  );
}

function has(owned: readonly string[], asked: string): boolean {
  return owned.includes("*") || owned.includes(asked);
}

/** `*`, `pods`, `pods/log`, or a subresource of everything: `*` + `/scale`. */
function resourceCovers(owned: string, asked: string): boolean {
  if (owned === "*" || owned === asked) return true;
  const slash = asked.indexOf("/");
  return slash > 0 && owned === `*${asked.slice(slash)}`;
}

/** A star at the end stands for anything. */
function urlCovers(owned: string, asked: string): boolean {
  return owned === "*" || owned === asked || (owned.endsWith("*") && asked.startsWith(owned.slice(0, -1)));
}

/** The parts of the rules that nothing in `owned` allows: each is one verb on one kind, or one path. */
export function uncovered(asked: readonly Rule[], owned: readonly Rule[]): readonly Rule[] {
  return asked.flatMap((rule) => [...partsOf(rule)]).filter((part) => !owned.some((rule) => ruleCovers(rule, part)));
}

function* partsOf(rule: Rule): Generator<Rule> {
  for (const verb of rule.verbs) {
    for (const url of rule.nonResourceURLs)
      yield { verbs: [verb], apiGroups: [], resources: [], resourceNames: [], nonResourceURLs: [url] };
    for (const group of rule.apiGroups)
      for (const resource of rule.resources)
        for (const names of rule.resourceNames.length === 0 ? [[]] : rule.resourceNames.map((name) => [name]))
          yield { verbs: [verb], apiGroups: [group], resources: [resource], resourceNames: names, nonResourceURLs: [] };
  }
}

function ruleCovers(owned: Rule, { verbs, apiGroups, resources, resourceNames, nonResourceURLs }: Rule): boolean {
  return (
    verbs.every((verb) => has(owned.verbs, verb)) &&
    apiGroups.every((group) => has(owned.apiGroups, group)) &&
    resources.every((resource) => owned.resources.some((one) => resourceCovers(one, resource))) &&
    (owned.resourceNames.length === 0 ||
      (resources.length > 0 && resourceNames.length > 0 && resourceNames.every((name) => owned.resourceNames.includes(name)))) &&
    nonResourceURLs.every((url) => owned.nonResourceURLs.some((one) => urlCovers(one, url)))
  );
}

/** As Kubernetes writes a rule in a refusal: `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}`. */
export function ruleText({ nonResourceURLs, apiGroups, resources, resourceNames, verbs }: Rule): string {
  const members: readonly [string, readonly string[]][] = [
    ["NonResourceURLs", nonResourceURLs],
    ["APIGroups", apiGroups],
    ["Resources", resources],
    ["ResourceNames", resourceNames],
    ["Verbs", verbs],
  ];
  return `{${members
    .filter(([, values]) => values.length > 0)
    .map(([name, values]) => `${name}:${quotedList(values)}`)
    .join(", ")}}`;
}

export function quotedList(texts: readonly string[]): string {
  return `[${texts.map((text) => JSON.stringify(text)).join(" ")}]`;
}
