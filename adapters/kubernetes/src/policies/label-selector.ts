import { parseSourcedKey, type Requirement, Selector, type SelectorOperator } from "@cilium-ts/labels";
import { type FieldReader, joinPath } from "./object-fields.ts";

const operators: readonly SelectorOperator[] = ["In", "NotIn", "Exists", "DoesNotExist"];
const namePattern = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const valuePattern = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
/** Of keys without their DNS prefix, and of values. */
const characterCountMax = 63;

export interface LabelSelectorOptions {
  /** Of keys that name none; `any` unless said otherwise. */
  readonly defaultSource?: string;
  /** What keys of namespaces' labels stand under among a pod's. */
  readonly keyPrefix?: string;
  /** Keys may carry a source (`k8s:app`), which Kubernetes' own selectors do not have. */
  readonly sources?: "allowed" | "none";
}

/** A Kubernetes label selector. Undefined after a problem. */
export function parseLabelSelector(
  value: unknown,
  path: string,
  reader: FieldReader,
  options: LabelSelectorOptions = {},
): Selector | undefined {
  const before = reader.problems.length;
  const fields = reader.object(value, path, ["matchLabels", "matchExpressions"]);
  const requirements = [
    ...parseMatchLabels(fields?.matchLabels, joinPath(path, "matchLabels"), reader, options),
    ...parseMatchExpressions(fields?.matchExpressions, joinPath(path, "matchExpressions"), reader, options),
  ];
  return reader.problems.length > before ? undefined : Selector.ofRequirements(requirements);
}

function parseMatchLabels(value: unknown, path: string, reader: FieldReader, options: LabelSelectorOptions): Requirement[] {
  if (value === undefined || value === null) return [];
  const requirements: Requirement[] = [];
  for (const [name, item] of Object.entries(reader.anyObject(value, path) ?? {})) {
    const itemPath = `${path}[${JSON.stringify(name)}]`;
    const text = reader.string(item, itemPath) ?? "";
    const key = parseKey(name, itemPath, reader, options);
    if (key !== undefined && isValue(text, itemPath, reader)) requirements.push({ ...key, operator: "In", values: [text] });
  }
  return requirements;
}

function parseMatchExpressions(value: unknown, path: string, reader: FieldReader, options: LabelSelectorOptions): Requirement[] {
  const requirements: Requirement[] = [];
  for (const [index, item] of (reader.list(value, path) ?? []).entries()) {
    const requirement = parseExpression(item, `${path}[${index}]`, reader, options);
    if (requirement !== undefined) requirements.push(requirement);
  }
  return requirements;
}

function parseExpression(value: unknown, path: string, reader: FieldReader, options: LabelSelectorOptions): Requirement | undefined {
  const fields = reader.object(value, path, ["key", "operator", "values"]);
  if (fields === undefined) return undefined;
  const name = reader.string(fields.key, joinPath(path, "key"));
  const key =
    name === undefined ? reader.problem(joinPath(path, "key"), "is required") : parseKey(name, joinPath(path, "key"), reader, options);
  const operator = operators.find((known) => known === fields.operator);
  if (operator === undefined) return reader.problem(joinPath(path, "operator"), `must be one of ${operators.join(", ")}`);
  const valuesPath = joinPath(path, "values");
  const values = (reader.list(fields.values, valuesPath) ?? []).map((item, index) => reader.string(item, `${valuesPath}[${index}]`) ?? "");
  const takesValues = operator === "In" || operator === "NotIn";
  if (takesValues && values.length === 0) return reader.problem(valuesPath, `operator ${operator} needs at least one value`);
  if (!takesValues && values.length > 0) return reader.problem(valuesPath, `operator ${operator} takes no values; use In or NotIn`);
  const valid = values.every((text, index) => isValue(text, `${valuesPath}[${index}]`, reader));
  if (key === undefined || !valid) return undefined;
  return { ...key, operator, values: [...new Set(values)].sort() };
}

function parseKey(
  name: string,
  path: string,
  reader: FieldReader,
  options: LabelSelectorOptions,
): { source: string; key: string } | undefined {
  const { defaultSource = "any", keyPrefix = "", sources = "allowed" } = options;
  const { source, key } = sources === "none" ? { source: defaultSource, key: name } : parseSourcedKey(name, defaultSource);
  const last = key.slice(key.lastIndexOf("/") + 1);
  // Prefixes are keys of labels from CIDR policies; they are written with a slash that is no DNS prefix.
  const isCidr = sources === "allowed" && source === "cidr";
  if (isCidr || (namePattern.test(key) && last.length <= characterCountMax)) return { source, key: `${keyPrefix}${key}` };
  const example = sources === "none" ? "app or example.com/app" : "app or k8s:app";
  return reader.problem(path, `${JSON.stringify(name)} is no label key; write letters, digits, '-', '_' and '.', such as ${example}`);
}

function isValue(text: string, path: string, reader: FieldReader): boolean {
  if (valuePattern.test(text) && text.length <= characterCountMax) return true;
  reader.problem(path, `${JSON.stringify(text)} is no label value; write at most ${characterCountMax} letters, digits, '-', '_' and '.'`);
  return false;
}
