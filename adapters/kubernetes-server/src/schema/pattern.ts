import { RE2JS } from "re2js";

/** Patterns come from users (in definitions), so they run on an engine whose time is linear in the text. Bounded: 4,096 patterns. */
const compiled = new Map<string, RE2JS | undefined>();
const compiledMax = 4_096;

/** Whether the pattern is found in the text. A pattern that is no RE2 expression matches nothing. */
export function patternMatches(pattern: string, text: string): boolean {
  return compile(pattern)?.matcher(text).find() ?? false;
}

/** Undefined when the pattern is well formed; otherwise why not. */
export function patternProblem(pattern: string): string | undefined {
  return compile(pattern) === undefined ? `${JSON.stringify(pattern)} is not a regular expression that RE2 understands` : undefined;
}

function compile(pattern: string): RE2JS | undefined {
  if (compiled.has(pattern)) return compiled.get(pattern);
  let expression: RE2JS | undefined;
  try {
    expression = RE2JS.compile(pattern);
  } catch {
    expression = undefined;
  }
  if (compiled.size >= compiledMax) compiled.clear();
  compiled.set(pattern, expression);
  return expression;
}
