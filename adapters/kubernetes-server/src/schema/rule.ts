import { isDeepStrictEqual } from "node:util";
import { type Expression, parseExpression } from "./expression.ts";
import { invalid, type Problem } from "./problem.ts";
import { isObject, type ValidationRule } from "./schema.ts";

/**
 * Rules between fields (`x-kubernetes-validations`), in the part of CEL that definitions of networks use: `self`, `oldSelf`, fields, `has()`,
 * `size()`, `startsWith()`, `endsWith()`, `contains()`, comparison, `in`, `&&`, `||`, `!`, `?:` and literals. A rule outside of that part is not checked; `ruleIsChecked` says so when a definition is made.
 */
export function ruleProblems(rules: readonly ValidationRule[], value: unknown, previous: unknown, path: string): readonly Problem[] {
  const problems: Problem[] = [];
  for (const { rule, message } of rules) {
    const expression = compile(rule);
    if (expression === undefined || (previous === undefined && rule.includes("oldSelf"))) continue;
    let holds: unknown;
    try {
      holds = evaluate(expression, { self: value, oldSelf: previous });
    } catch {
      holds = false;
    }
    if (holds !== true) problems.push(invalid(path, typeof value === "object" ? "object" : value, message ?? `failed rule: ${rule}`));
  }
  return problems;
}

export function ruleIsChecked(rule: string): boolean {
  return compile(rule) !== undefined;
}

const compiled = new Map<string, Expression | undefined>();
const compiledMax = 1_024;

function compile(rule: string): Expression | undefined {
  if (!compiled.has(rule)) {
    if (compiled.size >= compiledMax) compiled.clear();
    compiled.set(rule, parseExpression(rule));
  }
  return compiled.get(rule);
}

type Scope = Readonly<Record<string, unknown>>;

function evaluate(expression: Expression, scope: Scope): unknown {
  switch (expression.kind) {
    case "literal":
      return expression.value;
    case "list":
      return expression.items.map((item) => evaluate(item, scope));
    case "name":
      return scope[expression.name];
    case "member":
      return memberOf(evaluate(expression.of, scope), expression.name);
    case "has":
      return isObject(evaluate(expression.of, scope)) && memberOrUndefined(evaluate(expression.of, scope), expression.name) !== undefined;
    case "not":
      return evaluate(expression.of, scope) !== true;
    case "choice":
      return evaluate(expression.when, scope) === true ? evaluate(expression.yes, scope) : evaluate(expression.no, scope);
    case "call":
      return callResult(
        expression.name,
        evaluate(expression.of, scope),
        expression.arguments.map((argument) => evaluate(argument, scope)),
      );
    case "binary":
      return binaryResult(expression, scope);
  }
}

function binaryResult(expression: Extract<Expression, { kind: "binary" }>, scope: Scope): unknown {
  const left = evaluate(expression.left, scope);
  if (expression.operator === "&&") return left === true && evaluate(expression.right, scope) === true;
  if (expression.operator === "||") return left === true || evaluate(expression.right, scope) === true;
  const right = evaluate(expression.right, scope);
  switch (expression.operator) {
    case "==":
      return isDeepStrictEqual(left, right);
    case "!=":
      return !isDeepStrictEqual(left, right);
    case "in":
      return Array.isArray(right)
        ? right.some((item) => isDeepStrictEqual(item, left))
        : isObject(right) && Object.hasOwn(right, String(left));
    default:
      return ordered(expression.operator, left, right);
  }
}

function ordered(operator: "<" | "<=" | ">" | ">=", left: unknown, right: unknown): boolean {
  if (typeof left !== typeof right || (typeof left !== "number" && typeof left !== "string")) throw new TypeError("no such overload");
  const [a, b] = [left, right as typeof left];
  if (operator === "<") return a < b;
  if (operator === "<=") return a <= b;
  return operator === ">" ? a > b : a >= b;
}

function callResult(name: string, of: unknown, given: readonly unknown[]): unknown {
  const [first] = given;
  if (name === "size") {
    if (typeof of === "string") return [...of].length;
    return Array.isArray(of) ? of.length : Object.keys(of as object).length;
  }
  if (typeof of !== "string" || typeof first !== "string") throw new TypeError("no such overload");
  if (name === "startsWith") return of.startsWith(first);
  return name === "endsWith" ? of.endsWith(first) : of.includes(first);
}

function memberOrUndefined(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function memberOf(value: unknown, name: string): unknown {
  const member = memberOrUndefined(value, name);
  if (member === undefined) throw new TypeError(`no such key: ${name}`);
  return member;
}
