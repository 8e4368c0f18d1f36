import type { Expr } from "@bufbuild/cel-spec/cel/expr/syntax_pb.js";

/** What is taken for the length of a list whose length only the flow knows, such as its labels. */
const unknownCount = 64;
/** A search in a text, whose length is unknown too. */
const searchCost = 50;

/** The most steps that an expression may take for one flow: loops count as often as they may run. */
export function expressionCost(expr: Expr | undefined): number {
  if (expr === undefined) return 0;
  const { exprKind } = expr;
  switch (exprKind.case) {
    case "selectExpr":
      return 1 + expressionCost(exprKind.value.operand);
    case "callExpr":
      return callCost(exprKind.value.function) + expressionCost(exprKind.value.target) + sum(exprKind.value.args);
    case "listExpr":
      return 1 + sum(exprKind.value.elements);
    case "structExpr":
      return 1 + exprKind.value.entries.reduce((cost, { keyKind, value }) => cost + entryCost(keyKind) + expressionCost(value), 0);
    case "comprehensionExpr": {
      const { iterRange, accuInit, loopCondition, loopStep, result } = exprKind.value;
      const each = expressionCost(loopCondition) + expressionCost(loopStep);
      return expressionCost(iterRange) + expressionCost(accuInit) + expressionCost(result) + countOf(iterRange) * each;
    }
    default:
      return 1;
  }
}

function countOf(range: Expr | undefined): number {
  switch (range?.exprKind.case) {
    case "listExpr":
      return Math.max(1, range.exprKind.value.elements.length);
    case "structExpr":
      return Math.max(1, range.exprKind.value.entries.length);
    case "comprehensionExpr": // As long as what it was made from.
      return countOf(range.exprKind.value.iterRange);
    case "callExpr": // Two lists may have been joined.
      return Math.max(
        unknownCount,
        range.exprKind.value.args.reduce((count, argument) => count + countOf(argument), 0),
      );
    default:
      return unknownCount;
  }
}

function callCost(name: string): number {
  return name === "matches" || name === "contains" ? searchCost : 1;
}

function entryCost(key: { readonly case: string | undefined; readonly value?: unknown }): number {
  return key.case === "mapKey" ? expressionCost(key.value as Expr) : 1;
}

function sum(exprs: readonly Expr[]): number {
  return exprs.reduce((cost, expr) => cost + expressionCost(expr), 0);
}
