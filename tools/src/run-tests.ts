import { glob } from "node:fs/promises";
import { join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { benchPackages, browserPackages, etcdPackages, installDebianPackages } from "./debian-packages.ts";

export interface TestSummary {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const unitRoots = ["base", "domain", "adapters", "apps", "bpf", "tools"];

/** Every `*.test.ts`, those of the lab (test/) one file at a time because they share the machine's namespaces. */
export async function runTests(root: string, patterns: readonly string[]): Promise<TestSummary> {
  installDebianPackages([...etcdPackages, ...browserPackages, ...benchPackages]);
  const files = await testFiles(root, patterns);
  const labFiles = files.filter((file) => file.startsWith(join(root, "test/")));
  const unitFiles = files.filter((file) => !labFiles.includes(file));
  const unit = await runFiles(unitFiles, 2);
  const lab = await runFiles(labFiles, 1);
  return { passed: unit.passed + lab.passed, failed: unit.failed + lab.failed, skipped: unit.skipped + lab.skipped };
}

async function testFiles(root: string, patterns: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const folder of [...unitRoots, "test"]) {
    for await (const file of glob(`${folder}/**/*.test.ts`, { cwd: root, exclude: (name) => name === "node_modules" })) {
      if (patterns.length === 0 || patterns.some((pattern) => file.includes(pattern))) files.push(join(root, file));
    }
  }
  return files.sort();
}

async function runFiles(files: string[], concurrency: number): Promise<TestSummary> {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  if (files.length === 0) return counts;
  const stream = run({ files, concurrency, timeout: process.env.CILIUM_TS_LONG === "1" ? 1_800_000 : 600_000 });
  stream.on("test:pass", (event) => {
    if (event.details.type === "suite") return;
    if (event.skip !== undefined) counts.skipped += 1;
    else counts.passed += 1;
  });
  stream.on("test:fail", (event) => {
    if (event.details.type !== "suite") counts.failed += 1;
  });
  const lines = stream.compose(spec());
  for await (const line of lines) process.stdout.write(String(line));
  return counts;
}
