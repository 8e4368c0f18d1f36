import { clean } from "@cilium-ts/command-line";
import type { ScenarioResult } from "./run-scenario.ts";

/** One line when it went well; its problems below when it did not. */
export function resultText(result: ScenarioResult, index: number, count: number): string {
  const { name, outcome, attempts, flows, durationMs, problems } = result;
  const mark = { passed: "ok", failed: "FAILED", skipped: "skipped" }[outcome];
  const figures = outcome === "skipped" ? "" : `  ${attempts} attempts, ${flows} seen in Hubble, ${(durationMs / 1000).toFixed(1)} s`;
  const lines = [`[${String(index).padStart(String(count).length)}/${count}] ${name.padEnd(28)} ${mark.padEnd(7)}${figures}`.trimEnd()];
  for (const problem of problems) lines.push(`        ${problem}`);
  return `${lines.map(clean).join("\n")}\n`;
}

export function summaryText(results: readonly ScenarioResult[]): string {
  const count = (outcome: ScenarioResult["outcome"]): number => results.filter((result) => result.outcome === outcome).length;
  const attempts = results.reduce((sum, result) => sum + result.attempts, 0);
  const failed = results.filter(({ outcome }) => outcome === "failed").map(({ name }) => name);
  const tail = failed.length === 0 ? "" : `\nFailed: ${failed.join(", ")}`;
  return `${count("passed")} of ${results.length} scenarios passed, ${count("failed")} failed, ${count("skipped")} skipped; ${attempts} attempts${clean(tail).replace("\\x0a", "\n")}\n`;
}

/** As build servers read it. */
export function junitXml(results: readonly ScenarioResult[]): string {
  const seconds = (durationMs: number): string => (durationMs / 1000).toFixed(3);
  const total = results.reduce((sum, { durationMs }) => sum + durationMs, 0);
  const cases = results.map(({ name, outcome, durationMs, problems }) => {
    const head = `    <testcase classname="cilium connectivity test" name="${xmlText(name)}" time="${seconds(durationMs)}"`;
    if (outcome === "passed") return `${head}/>`;
    const [first = ""] = problems;
    const body =
      outcome === "skipped"
        ? `<skipped message="${xmlText(first)}"/>`
        : `<failure message="${xmlText(first)}">${xmlText(problems.join("\n"))}</failure>`;
    return `${head}>${body}</testcase>`;
  });
  const failures = results.filter(({ outcome }) => outcome === "failed").length;
  const skipped = results.filter(({ outcome }) => outcome === "skipped").length;
  const counts = `tests="${results.length}" failures="${failures}" skipped="${skipped}" time="${seconds(total)}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts}>`,
    `  <testsuite name="cilium connectivity test" ${counts}>`,
    ...cases,
    "  </testsuite>",
    "</testsuites>",
    "",
  ].join("\n");
}

function xmlText(text: string): string {
  const named: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return clean(text)
    .replaceAll("\\x0a", "\n")
    .replace(/[&<>"]/g, (character) => named[character] ?? "");
}
