import { builtinResources } from "../resources/builtin.ts";
import { definedResources } from "../resources/definition.ts";
import { apiVersionOf, type Resource } from "../resources/resource.ts";
import { conform } from "../schema/conform.ts";
import { invalid, type Problem } from "../schema/problem.ts";
import { isObject, type Mutable } from "../schema/schema.ts";
import { metadataProblems } from "./object-meta.ts";

/** What is wrong with an object; undefined when its kind is not known. */
export type ObjectChecker = (object: unknown) => readonly Problem[] | undefined;

/** Says what a server with these CustomResourceDefinitions would refuse in a new object, without a server. */
export function createObjectChecker(definitions: readonly Mutable[]): ObjectChecker {
  const resources = new Map<string, Resource>();
  for (const resource of [...builtinResources, ...definitions.flatMap(definedResources)])
    resources.set(`${apiVersionOf(resource)}/${resource.kind}`, resource);
  const kinds = new Set([...resources.values()].map(({ kind }) => kind));
  return (given) => {
    // What is checked is changed by it.
    const object = structuredClone(given) as Mutable;
    if (!isObject(object)) return [invalid("", given, "must be an object")];
    const { apiVersion, kind } = object;
    const resource = resources.get(`${String(apiVersion)}/${String(kind)}`);
    if (resource !== undefined) return problemsOf(resource, object);
    if (!kinds.has(String(kind))) return undefined;
    const versions = [...resources.values()].filter((one) => one.kind === kind).map(apiVersionOf);
    return [invalid("apiVersion", apiVersion, `a ${kind} is of ${versions.join(" or ")}`)];
  };
}

function problemsOf(resource: Resource, object: Mutable): readonly Problem[] {
  const { unknown, problems } = conform(resource.schema, object, { nullIsAbsent: !resource.isCustom });
  return [
    ...unknown.map((path): Problem => ({ reason: "FieldValueInvalid", path, message: "unknown field" })),
    ...metadataProblems(resource, object),
    ...problems.filter(({ path }) => path !== "metadata.name"),
    ...(resource.behaviour.validate?.(object, undefined) ?? []),
  ];
}
