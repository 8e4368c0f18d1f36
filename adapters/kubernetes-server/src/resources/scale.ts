import { invalid, type Problem, required } from "../schema/problem.ts";
import { isObject, type Mutable, type MutableJson } from "../schema/schema.ts";
import { listAt, textAt, valueAt } from "./column.ts";
import type { ScalePaths } from "./resource.ts";

/** The kind under which the scale subresource answers, for every kind that has one. */
export const scaleResource = { group: "autoscaling", version: "v1", kind: "Scale", plural: "scales" } as const;

/** The object as its scale subresource shows it. */
export function scaleOf(paths: ScalePaths, object: Mutable): Mutable {
  const metadata: Mutable = {};
  for (const name of ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"]) {
    const value = valueAt(object, "metadata", name);
    if (value !== undefined) metadata[name] = value;
  }
  const selector = paths.selector === undefined ? "" : selectorText(valueAt(object, ...paths.selector));
  const status: Mutable = { replicas: valueAt(object, ...paths.statusReplicas) ?? 0 };
  if (selector !== "") status.selector = selector;
  const spec: Mutable = { replicas: valueAt(object, ...paths.specReplicas) ?? 0 };
  return { kind: scaleResource.kind, apiVersion: `${scaleResource.group}/${scaleResource.version}`, metadata, spec, status };
}

function selectorText(selector: MutableJson | undefined): string {
  if (typeof selector === "string") return selector;
  const labels = Object.entries(valueAt(selector, "matchLabels") ?? {}).map(([key, value]) => `${key}=${String(value)}`);
  const expressions = listAt(selector, "matchExpressions").map((expression) => {
    const key = textAt(expression, "key");
    const values = valueAt(expression, "values");
    const list = Array.isArray(values) ? values.join(",") : "";
    switch (expression.operator) {
      case "In":
        return `${key} in (${list})`;
      case "NotIn":
        return `${key} notin (${list})`;
      default:
        return expression.operator === "Exists" ? key : `!${key}`;
    }
  });
  return [...labels, ...expressions].join(",");
}

/** What is wrong with a scale that is to be written. */
export function scaleProblems(scale: Mutable): readonly Problem[] {
  const replicas = valueAt(scale, "spec", "replicas") ?? 0;
  if (!Number.isInteger(replicas)) return [invalid("spec.replicas", replicas, "must be a whole number")];
  if (Number(replicas) < 0) return [invalid("spec.replicas", replicas, "must be greater than or equal to 0")];
  return textAt(scale, "metadata", "name") === "" ? [required("metadata.name")] : [];
}

/** The object with the replicas of the scale, and its preconditions. */
export function withScale(paths: ScalePaths, object: Mutable, scale: Mutable): Mutable {
  const next = structuredClone(object);
  let owner = next;
  for (const name of paths.specReplicas.slice(0, -1)) {
    const inner = owner[name];
    const fresh: Mutable = {};
    if (!isObject(inner)) owner[name] = fresh;
    owner = isObject(inner) ? inner : fresh;
  }
  owner[paths.specReplicas.at(-1) ?? ""] = valueAt(scale, "spec", "replicas") ?? 0;
  const metadata = isObject(next.metadata) ? next.metadata : {};
  for (const name of ["resourceVersion", "uid"]) {
    const value = valueAt(scale, "metadata", name);
    if (value === undefined || value === null) delete metadata[name];
    else metadata[name] = value;
  }
  return next;
}

/** The scale subresource of a version of a definition, undefined when it declares none. */
export function definedScale(subresource: MutableJson | undefined): ScalePaths | undefined {
  const pathAt = (name: string): readonly string[] => textAt(subresource, name).split(".").slice(1);
  if (!isObject(subresource)) return undefined;
  const selector = pathAt("labelSelectorPath");
  return {
    specReplicas: pathAt("specReplicasPath"),
    statusReplicas: pathAt("statusReplicasPath"),
    selector: selector.length === 0 ? undefined : selector,
  };
}
