import { join } from "node:path";
import { checkLayers } from "./check-layers.ts";
import { generate } from "./generate.ts";
import { repositoryRoot } from "./repository.ts";
import { runCommand } from "./run-command.ts";
import { checkTidy } from "./tidy.ts";

export interface CheckStep {
  readonly name: string;
  /** What is wrong, for people; empty when nothing is. */
  readonly run: () => Promise<readonly string[]>;
}

export interface CheckOptions {
  readonly steps?: readonly CheckStep[];
  readonly onLine?: (line: string) => void;
}

/** Quickest to understand first: wrong types explain much of what the later steps find. */
const projectSteps: readonly CheckStep[] = [
  { name: "types", run: () => checkTypes("tsconfig.json") },
  {
    name: "types of what browsers run",
    run: async () => [...(await checkTypes("apps/ui/tsconfig.json")), ...(await checkTypes("test/ui/tsconfig.json"))],
  },
  {
    name: "lint and format",
    run: () =>
      runPackageProgram("@biomejs/biome/bin/biome", [
        "ci",
        "--colors=off",
        "--reporter=concise",
        "--max-diagnostics=200",
        "--diagnostic-level=warn",
        "--error-on-warnings",
      ]),
  },
  { name: "layers", run: () => checkLayers() },
  { name: "tidy", run: () => checkTidy() },
  { name: "generated files", run: findStaleFiles },
  { name: "dead code", run: () => runPackageProgram("knip/bin/knip.js", ["--no-progress"]) },
];

/**
 * Runs every step, also after one has failed, and says of each how it went and how long it took, with its findings below.
 * True when no step found anything.
 */
export async function check({ steps = projectSteps, onLine = console.log }: CheckOptions = {}): Promise<boolean> {
  const failed: string[] = [];
  for (const step of steps) {
    const startedMs = performance.now();
    const findings = await step.run().catch((cause: unknown) => [cause instanceof Error ? cause.message : String(cause)]);
    const duration = `(${((performance.now() - startedMs) / 1000).toFixed(1)} s)`;
    onLine(`${findings.length === 0 ? "ok" : "FAILED"} ${step.name} ${duration}`);
    for (const finding of findings) onLine(finding.replaceAll(/^/gm, "  "));
    if (findings.length > 0) failed.push(step.name);
  }
  if (failed.length > 0) onLine(`${failed.length} of ${steps.length} checks failed: ${failed.join(", ")}`);
  return failed.length === 0;
}

function checkTypes(project: string): Promise<string[]> {
  return runPackageProgram("typescript/bin/tsc", ["--noEmit", "-p", project, "--pretty", "false"]);
}

/** A program of an npm package, run by the Node that runs this. What it prints are its findings when it fails. */
async function runPackageProgram(path: string, parameters: readonly string[]): Promise<string[]> {
  const { output, exitCode } = await runCommand(process.execPath, [join(repositoryRoot, "node_modules", path), ...parameters], {
    environment: { NO_COLOR: "1" },
  });
  if (exitCode === 0) return [];
  return [
    output.trim() === ""
      ? `${path} failed without a word (${exitCode === undefined ? "ended by a signal" : `exit code ${exitCode}`})`
      : output.trim(),
  ];
}

async function findStaleFiles(): Promise<string[]> {
  const lines: string[] = [];
  const isCurrent = await generate({ check: true, onLine: (line) => lines.push(line) });
  return isCurrent ? [] : lines;
}

if (import.meta.main) process.exitCode = (await check()) ? 0 : 1;
