import { isObject, type Mutable } from "../schema/schema.ts";
import { listAt, textAt, valueAt } from "./column.ts";

export interface Requirement {
  readonly key: string;
  readonly operator: "=" | "!=" | "in" | "notin" | "exists" | "absent" | ">" | "<";
  readonly values: readonly string[];
}

export type Selector = readonly Requirement[];

export type ParsedSelector =
  | { readonly outcome: "parsed"; readonly selector: Selector }
  | { readonly outcome: "problem"; readonly problem: string };

const requirementsMax = 256;
const setForm = /^\s*([^\s!=<>(),]+)\s+(in|notin)\s*\(([^()]*)\)\s*(?:,|$)/;
const valueForm = /^\s*([^\s!=<>(),]+)\s*(==|=|!=|>|<)\s*([^\s!=<>(),]*)\s*(?:,|$)/;
const bareForm = /^\s*(!?)\s*([^\s!=<>(),]+)\s*(?:,|$)/;

/** `a=b,c!=d,e in (f,g),h,!i`: a label selector as it stands in a query. */
export function parseLabelSelector(text: string): ParsedSelector {
  const selector: Requirement[] = [];
  let rest = text.trim();
  while (rest !== "") {
    const found = nextRequirement(rest);
    if (found === undefined)
      return { outcome: "problem", problem: `unable to parse requirement: found ${JSON.stringify(rest.slice(0, 80))}` };
    selector.push(found.requirement);
    if (selector.length > requirementsMax)
      return { outcome: "problem", problem: `a selector may have at most ${requirementsMax} requirements` };
    rest = rest.slice(found.size).trim();
  }
  return { outcome: "parsed", selector };
}

function nextRequirement(rest: string): { requirement: Requirement; size: number } | undefined {
  const inSet = setForm.exec(rest);
  if (inSet !== null) {
    const [all, key = "", operator = "", values = ""] = inSet;
    return {
      requirement: { key, operator: operator as "in" | "notin", values: values.split(",").map((value) => value.trim()) },
      size: all.length,
    };
  }
  const withValue = valueForm.exec(rest);
  if (withValue !== null) {
    const [all, key = "", sign = "", value = ""] = withValue;
    const operator = sign === "==" ? "=" : (sign as Requirement["operator"]);
    return { requirement: { key, operator, values: [value] }, size: all.length };
  }
  const bare = bareForm.exec(rest);
  if (bare === null) return undefined;
  const [all, not, key = ""] = bare;
  return { requirement: { key, operator: not === "!" ? "absent" : "exists", values: [] }, size: all.length };
}

export function matchesLabels(selector: Selector, object: Mutable): boolean {
  const labels = valueAt(object, "metadata", "labels");
  const values = isObject(labels) ? labels : {};
  return selector.every((requirement) =>
    holds(requirement, Object.hasOwn(values, requirement.key) ? String(values[requirement.key]) : undefined),
  );
}

function holds(requirement: Requirement, value: string | undefined): boolean {
  const { operator, values } = requirement;
  switch (operator) {
    case "exists":
      return value !== undefined;
    case "absent":
      return value === undefined;
    case "=":
    case "in":
      return value !== undefined && values.includes(value);
    case "!=":
    case "notin":
      return value === undefined || !values.includes(value);
    default: {
      const [left, right] = [Number.parseInt(value ?? "", 10), Number.parseInt(values[0] ?? "", 10)];
      return operator === ">" ? left > right : left < right;
    }
  }
}

/** `metadata.name=x,spec.nodeName!=y`; only fields that the kind offers. */
export function parseFieldSelector(text: string, fields: readonly string[]): ParsedSelector {
  const selector: Requirement[] = [];
  for (const part of text.split(",").slice(0, requirementsMax)) {
    if (part.trim() === "") continue;
    const [, key, sign, value = ""] = /^\s*([^\s!=]+)\s*(==|=|!=)(.*)$/.exec(part) ?? [];
    if (key === undefined) return { outcome: "problem", problem: `invalid selector: ${JSON.stringify(part)}; can't understand it` };
    if (!["metadata.name", "metadata.namespace", ...fields].includes(key))
      return { outcome: "problem", problem: `field label not supported: ${key}` };
    selector.push({ key, operator: sign === "!=" ? "!=" : "=", values: [value.trim()] });
  }
  return { outcome: "parsed", selector };
}

/** A field that is missing counts as empty text. */
export function matchesFields(selector: Selector, object: Mutable): boolean {
  return selector.every(({ key, operator, values }) => {
    const found = valueAt(object, ...key.split(".")) ?? (key === "source" ? valueAt(object, "source", "component") : undefined);
    return values.includes(found === undefined || found === null ? "" : String(found)) === (operator === "=");
  });
}

/** A selector as objects hold it: `matchLabels` and `matchExpressions`. */
export function parseSelectorObject(selector: Mutable): Selector {
  const labels = valueAt(selector, "matchLabels");
  const equal = Object.entries(isObject(labels) ? labels : {}).map(
    ([key, value]): Requirement => ({ key, operator: "=", values: [String(value)] }),
  );
  const operators = { In: "in", NotIn: "notin", Exists: "exists", DoesNotExist: "absent" } as const;
  const expressions = listAt(selector, "matchExpressions").map((expression): Requirement => {
    const operator = textAt(expression, "operator");
    const values = valueAt(expression, "values");
    // What is not understood matches nothing.
    if (!Object.hasOwn(operators, operator)) return { key: "", operator: "in", values: [] };
    const texts = Array.isArray(values) ? values.map(String) : [];
    return { key: textAt(expression, "key"), operator: operators[operator as keyof typeof operators], values: texts };
  });
  return [...equal, ...expressions];
}
