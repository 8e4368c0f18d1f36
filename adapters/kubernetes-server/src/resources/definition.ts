import { objectMetaSchema } from "../schema/meta-v1.ts";
import { patternProblem } from "../schema/pattern.ts";
import { forbidden, invalid, type Problem, required } from "../schema/problem.ts";
import { ruleIsChecked } from "../schema/rule.ts";
import { isObject, type Mutable, type MutableJson, type Schema } from "../schema/schema.ts";
import { ageColumn, listAt, nameColumn, pathColumn, textAt, valueAt } from "./column.ts";
import { labelNameProblem, subdomainNameProblem } from "./name.ts";
import type { Behaviour, Resource } from "./resource.ts";
import { definedScale } from "./scale.ts";

/** Holds a definition until its objects are gone. */
export const definitionFinalizer = "customresourcecleanup.apiextensions.k8s.io";

/** What the server does with a CustomResourceDefinition itself: fill in names, check it, and say that it is established. */
export const definitionBehaviour: Behaviour = {
  onCreate(definition) {
    const { metadata } = definition;
    if (isObject(metadata)) metadata.finalizers = [...new Set([...listOfTexts(metadata.finalizers), definitionFinalizer])];
    complete(definition);
  },
  onUpdate: complete,
  validate(definition, previous) {
    const problems = [...definitionProblems(definition)];
    for (const field of ["group", "scope"]) {
      const before = previous === undefined ? undefined : valueAt(previous, "spec", field);
      if (before !== undefined && before !== valueAt(definition, "spec", field))
        problems.push(forbidden(`spec.${field}`, "field is immutable"));
    }
    return problems;
  },
  warn: (definition) =>
    listAt(definition, "spec", "versions").flatMap((version) =>
      uncheckedRules(valueAt(version, "schema", "openAPIV3Schema")).map(
        (rule) => `this server does not check the rule ${JSON.stringify(rule)}`,
      ),
    ),
};

/** Rules between fields that are outside of what the server evaluates. */
function uncheckedRules(schema: MutableJson | undefined): string[] {
  if (!isObject(schema)) return [];
  const own = listAt(schema, "x-kubernetes-validations").map((rule) => textAt(rule, "rule"));
  const members = isObject(schema.properties) ? Object.values(schema.properties) : [];
  const inner = [...members, schema.items, schema.additionalProperties].flatMap(uncheckedRules);
  return [...own.filter((rule) => !ruleIsChecked(rule)), ...inner];
}

function complete(definition: Mutable): void {
  const { spec } = definition;
  if (!isObject(spec)) return;
  const { names } = spec;
  if (isObject(names)) {
    names.singular ??= textAt(names, "kind").toLowerCase();
    names.listKind ??= `${textAt(names, "kind")}List`;
  }
  spec.conversion ??= { strategy: "None" };
  const stored = listAt(spec, "versions").filter((version) => version.storage === true);
  const time = textAt(definition, "metadata", "creationTimestamp");
  const condition = (type: string, reason: string, message: string): Mutable => ({
    type,
    status: "True",
    lastTransitionTime: time,
    reason,
    message,
  });
  definition.status = {
    acceptedNames: structuredClone(names ?? {}),
    conditions: [
      condition("NamesAccepted", "NoConflicts", "no conflicts found"),
      condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ],
    storedVersions: stored.map((version) => textAt(version, "name")),
  };
}

/** Where a definition of a protected group was approved, as a URL; or `unapproved` and why. */
const approval = "api-approved.kubernetes.io";

function isProtected(group: string): boolean {
  return ["k8s.io", "kubernetes.io"].some((domain) => group === domain || group.endsWith(`.${domain}`));
}

function isApproved(definition: Mutable): boolean {
  const text = textAt(definition, "metadata", "annotations", approval);
  return URL.canParse(text) || text.startsWith("unapproved");
}

function* definitionProblems(definition: Mutable): Generator<Problem> {
  const group = textAt(definition, "spec", "group");
  const plural = textAt(definition, "spec", "names", "plural");
  const name = textAt(definition, "metadata", "name");
  const groupProblem = subdomainNameProblem("spec.group", group);
  if (groupProblem !== undefined) yield groupProblem;
  else if (!group.includes(".")) yield invalid("spec.group", group, "should be a domain with at least one dot");
  else if (isProtected(group) && !isApproved(definition))
    yield forbidden("spec.group", `groups under k8s.io belong to Kubernetes; its own definitions say so in the annotation ${approval}`);
  const pluralProblem = labelNameProblem("spec.names.plural", plural);
  if (pluralProblem !== undefined) yield pluralProblem;
  if (name !== `${plural}.${group}`)
    yield invalid("metadata.name", name, `must be spec.names.plural+"."+spec.group, which is ${JSON.stringify(`${plural}.${group}`)}`);
  const versions = listAt(definition, "spec", "versions");
  const stored = versions.filter((version) => version.storage === true);
  if (stored.length !== 1) yield invalid("spec.versions", stored.length, "must have exactly one version marked as storage version");
  if (textAt(definition, "spec", "conversion", "strategy") === "Webhook")
    yield invalid("spec.conversion.strategy", "Webhook", "this server converts between versions only by apiVersion (strategy None)");
  for (const [index, version] of versions.entries()) {
    const path = `spec.versions[${index}]`;
    const versionProblem = labelNameProblem(`${path}.name`, textAt(version, "name"));
    if (versionProblem !== undefined) yield versionProblem;
    const schema = valueAt(version, "schema", "openAPIV3Schema");
    if (schema === undefined) yield required(`${path}.schema.openAPIV3Schema`, "schemas are required");
    else yield* schemaProblems(schema, `${path}.schema.openAPIV3Schema`);
  }
}

const schemaTypes = ["object", "array", "string", "integer", "number", "boolean"];

/** Checks the parts of a schema that could otherwise fail, or silently do nothing, when an object comes. */
function* schemaProblems(schema: MutableJson, path: string): Generator<Problem> {
  if (!isObject(schema)) {
    yield invalid(path, schema, "must be a schema");
    return;
  }
  const { type, pattern, items, properties, additionalProperties } = schema;
  if (type !== undefined && !schemaTypes.includes(String(type))) {
    yield {
      reason: "FieldValueNotSupported",
      path: `${path}.type`,
      message: `Unsupported value: ${JSON.stringify(type)}: supported values: ${schemaTypes.map((one) => JSON.stringify(one)).join(", ")}`,
    };
  }
  if (type === undefined && schema["x-kubernetes-int-or-string"] !== true && schema["x-kubernetes-preserve-unknown-fields"] !== true) {
    yield required(`${path}.type`, "must not be empty for specified object fields");
  }
  const badPattern = typeof pattern === "string" ? patternProblem(pattern) : undefined;
  if (badPattern !== undefined) yield invalid(`${path}.pattern`, pattern, badPattern);
  if (type === "array" && items === undefined) yield required(`${path}.items`, "must be specified");
  if (items !== undefined) yield* schemaProblems(items, `${path}.items`);
  if (isObject(properties))
    for (const [name, member] of Object.entries(properties)) yield* schemaProblems(member, `${path}.properties[${name}]`);
  if (additionalProperties !== undefined && typeof additionalProperties !== "boolean") {
    yield* schemaProblems(additionalProperties, `${path}.additionalProperties`);
  }
}

/** The kinds, one for each served version, that a stored definition adds to the API. */
export function definedResources(definition: Mutable): Resource[] {
  const names = valueAt(definition, "spec", "names");
  const versions = listAt(definition, "spec", "versions");
  const storage = versions.find((version) => version.storage === true);
  return versions
    .filter((version) => version.served === true)
    .map((version) => {
      const columns = listAt(version, "additionalPrinterColumns").map(pathColumn);
      return {
        group: textAt(definition, "spec", "group"),
        version: textAt(version, "name"),
        kind: textAt(names, "kind"),
        listKind: textAt(names, "listKind"),
        plural: textAt(names, "plural"),
        singular: textAt(names, "singular"),
        shortNames: listOfTexts(valueAt(names, "shortNames")),
        categories: listOfTexts(valueAt(names, "categories")),
        isNamespaced: textAt(definition, "spec", "scope") === "Namespaced",
        schema: rootSchema(valueAt(version, "schema", "openAPIV3Schema"), definition, version),
        hasStatus: valueAt(version, "subresources", "status") !== undefined,
        ...scaleMember(version),
        isCustom: true,
        isReview: false,
        storageVersion: textAt(storage, "name"),
        columns: [nameColumn, ...(columns.length > 0 ? columns : [ageColumn])],
        selectableFields: listAt(version, "selectableFields").map((field) => textAt(field, "jsonPath").replace(/^\./, "")),
        behaviour: {},
      };
    });
}

function scaleMember(version: Mutable): Pick<Resource, "scale"> {
  const scale = definedScale(valueAt(version, "subresources", "scale"));
  return scale === undefined ? {} : { scale };
}

function listOfTexts(value: MutableJson | undefined): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** The schema of the definition with what every object has. Its component is named like `io.cilium.v2.CiliumNode`. */
function rootSchema(given: MutableJson | undefined, definition: Mutable, version: Mutable): Schema {
  const schema = (isObject(given) ? given : {}) as Schema;
  const domain = textAt(definition, "spec", "group").split(".").reverse().join(".");
  return {
    ...schema,
    type: "object",
    properties: { ...schema.properties, apiVersion: { type: "string" }, kind: { type: "string" }, metadata: objectMetaSchema },
    componentName: `${domain}.${textAt(version, "name")}.${textAt(definition, "spec", "names", "kind")}`,
  };
}
