import { type Finding, isGenerated, isTypeScript, type RepositoryFile } from "./finding.ts";

const linesMax = 70;

/**
 * Functions longer than 70 lines. The formatter makes it simple to see them: a body opens at the end of a line and closes at the start
 * of the first line with the same indentation. Tests that a function declares count by themselves, not as its lines.
 */
export function checkFunctionLengths({ path, text }: RepositoryFile): Finding[] {
  if (text === undefined || isGenerated(path) || !isTypeScript(path)) return [];
  const lines = text.split("\n");
  const findings: Finding[] = [];
  for (const [start, line] of lines.entries()) {
    if (!opensFunction(line) || declaresSuite(line)) continue;
    const end = findEnd(lines, start);
    const count = end - start + 1 - linesOfTests(lines, start + 1, end);
    if (count > linesMax) {
      findings.push({
        path,
        line: start + 1,
        message: `a function of ${count} lines: more than ${linesMax} do not fit on a screen, so split it where it decides`,
      });
    }
  }
  return findings;
}

function opensFunction(line: string): boolean {
  if (!line.endsWith("{")) return false;
  if (/^\s*(?:\}\s*)?(?:if|for|while|switch|catch|else|with|do|try|finally|class|interface|namespace)\b/.test(line)) return false;
  return /\bfunction\b/.test(line) || line.endsWith("=> {") || /\)(?:: [^=]+)? \{$/.test(line);
}

function declaresSuite(line: string): boolean {
  return /^\s*(?:describe|suite)\(/.test(line);
}

function findEnd(lines: readonly string[], start: number): number {
  const indentation = /^\s*/.exec(lines[start] ?? "")?.[0] ?? "";
  const end = lines.findIndex((line, index) => index > start && line.startsWith(`${indentation}}`));
  return end < 0 ? lines.length - 1 : end;
}

function linesOfTests(lines: readonly string[], from: number, to: number): number {
  let count = 0;
  for (let index = from; index < to; index += 1) {
    if (!/^\s*(?:await )?(?:test|it|suite|describe|[a-z]\w*\.test)\(.*\{$/.test(lines[index] ?? "")) continue;
    const end = findEnd(lines, index);
    count += end - index + 1;
    index = end;
  }
  return count;
}
