import { type Label, Labels } from "@cilium-ts/labels";
import type { PolicyReference, Rule } from "@cilium-ts/policy";
import { describe, type FieldReader, type Fields, joinPath, type Problem } from "./object-fields.ts";

/** The rules of one object. With any problem there are none: a policy applies as a whole or not at all. */
export interface ParsedPolicy {
  readonly rules: Rule[];
  readonly problems: Problem[];
}

export interface PolicyObject {
  readonly reader: FieldReader;
  readonly fields: Fields;
  readonly named: PolicyName;
  /** The policy is only audited. */
  readonly audit: boolean;
}

/** Of a policy or of a namespace: `enabled` or `disabled`. */
export const auditAnnotation = "policy.cilium.io/audit-mode";

export interface PolicyName {
  readonly kind: string;
  /** Empty for cluster-wide objects. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** The object around a policy's fields, whatever its kind. Undefined when it is not even an object. */
export function readPolicyObject(
  object: unknown,
  kind: string,
  scope: "namespaced" | "clusterwide",
  known: readonly string[],
  reader: FieldReader,
): PolicyObject | undefined {
  const fields = reader.object(object, "", ["apiVersion", "kind", "metadata", "status", ...known]);
  if (fields === undefined) return undefined;
  const given = fields.kind ?? kind;
  if (given !== kind) reader.problem("kind", `must be ${kind}, not ${JSON.stringify(given)}`);
  const metadata = reader.anyObject(fields.metadata, "metadata") ?? {};
  const name = reader.string(metadata.name, "metadata.name") ?? "";
  if (name === "") reader.problem("metadata.name", "is required");
  const namespace = reader.string(metadata.namespace, "metadata.namespace") ?? "";
  if (scope === "clusterwide" && namespace !== "")
    reader.problem("metadata.namespace", `must be absent: a ${kind} is about the whole cluster`);
  const uid = reader.string(metadata.uid, "metadata.uid") ?? "";
  const place = scope === "clusterwide" ? "" : namespace === "" ? "default" : namespace;
  return { reader, fields, named: { kind, namespace: place, name, uid }, audit: readAudit(metadata, reader) };
}

function readAudit(metadata: Fields, reader: FieldReader): boolean {
  if (!isPresent(metadata.annotations)) return false;
  const value = reader.anyObject(metadata.annotations, "metadata.annotations")?.[auditAnnotation];
  if (isPresent(value) && value !== "enabled" && value !== "disabled") {
    const path = `metadata.annotations[${JSON.stringify(auditAnnotation)}]`;
    reader.problem(path, `must be enabled or disabled, not ${describe(value)}`);
  }
  return value === "enabled";
}

/** The reference that verdicts carry; its labels, as flows show them, are the user's and those that say where it came from. */
export function createPolicyReference(named: PolicyName, own: readonly Label[]): PolicyReference {
  const derived = [
    ["io.cilium.k8s.policy.derived-from", named.kind],
    ["io.cilium.k8s.policy.name", named.name],
    ["io.cilium.k8s.policy.namespace", named.namespace],
    ["io.cilium.k8s.policy.uid", named.uid],
  ] as const;
  const present = derived.filter(([key]) => key !== "io.cilium.k8s.policy.namespace" || named.namespace !== "");
  const labels = Labels.of([...own, ...present.map(([key, value]) => ({ source: "k8s", key, value }))]);
  return Object.freeze({ ...named, labels: labels.all });
}

export function parsePolicyLabels(value: unknown, path: string, reader: FieldReader): Label[] {
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

export function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}
