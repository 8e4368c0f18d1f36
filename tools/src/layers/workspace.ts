import { glob, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readSourceFacts, type SourceFacts } from "../source/imports.ts";
import { listFiles, packageRoots } from "../source/source-files.ts";

/** The layers from the bottom up, then what stands beside them. */
export const layers = ["base", "domain", "adapters", "apps"] as const;
export type Layer = (typeof layers)[number] | "test" | "tools";

export interface WorkspacePackage {
  /** `@cilium-ts/net` */
  readonly name: string;
  /** `base/net` */
  readonly folder: string;
  readonly layer: Layer;
  readonly dependencies: ReadonlySet<string>;
  readonly devDependencies: ReadonlySet<string>;
  /** Files by subpath, relative to the folder: `.` -> `src/index.ts`. */
  readonly exports: ReadonlyMap<string, string>;
  readonly files: readonly SourceFile[];
}

export interface SourceFile {
  /** Relative to the checkout. */
  readonly path: string;
  readonly facts: SourceFacts;
  /** Whether only tests use it: then it may use what tests may. */
  readonly isTestOnly: boolean;
}

export interface Workspace {
  readonly packages: readonly WorkspacePackage[];
}

/** Reads every package of the checkout and every module in it. */
export async function readWorkspace(root: string): Promise<Workspace> {
  const modules = await listFiles(root, packageRoots, /\.(?:ts|tsx|js|mjs)$/);
  const manifests: string[] = [];
  for (const folder of packageRoots)
    for await (const path of glob([`${folder}/package.json`, `${folder}/*/package.json`], { cwd: root })) manifests.push(path);
  const described = new Set(manifests.map(dirname));
  // A folder without package.json, such as that of a program in C, counts as a package that depends on nothing.
  const folders = new Set([...described, ...modules.map((path) => packageFolderOf(path, described))]);
  const packages = await Promise.all([...folders].sort().map((folder) => readPackage(root, folder, described.has(folder), modules)));
  return { packages };
}

function packageFolderOf(path: string, described: ReadonlySet<string>): string {
  const [top = "", second = ""] = path.split("/");
  return described.has(top) ? top : join(top, second);
}

async function readPackage(root: string, folder: string, isDescribed: boolean, modules: readonly string[]): Promise<WorkspacePackage> {
  const manifest: Record<string, unknown> = isDescribed ? JSON.parse(await readFile(join(root, folder, "package.json"), "utf8")) : {};
  const exports = new Map(Object.entries(recordOf(manifest.exports)).map(([subpath, target]) => [subpath, join(String(target))]));
  const facts = new Map<string, SourceFacts>();
  for (const path of modules.filter((module) => module.startsWith(`${folder}/`)))
    facts.set(path, readSourceFacts(await readFile(join(root, path), "utf8")));
  const layer = (folder.split("/")[0] ?? "") as Layer;
  const production = findProductionFiles(folder, exports, facts);
  return {
    name: typeof manifest.name === "string" ? manifest.name : folder,
    folder,
    layer,
    dependencies: new Set(Object.keys({ ...recordOf(manifest.dependencies), ...recordOf(manifest.optionalDependencies) })),
    devDependencies: new Set(Object.keys(recordOf(manifest.devDependencies))),
    exports,
    files: [...facts.entries()].map(([path, fileFacts]) => ({ path, facts: fileFacts, isTestOnly: !production.has(path) })),
  };
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/**
 * What the package's users run: its exports other than `./testing`, whatever nobody imports (programs, workers), and all that these
 * import. The rest exists for tests.
 */
function findProductionFiles(folder: string, exports: ReadonlyMap<string, string>, facts: ReadonlyMap<string, SourceFacts>): Set<string> {
  const importsOf = (path: string): string[] => {
    const specifiers = facts.get(path)?.imports.map(({ specifier }) => specifier ?? "") ?? [];
    return specifiers.filter((specifier) => specifier.startsWith(".")).map((specifier) => join(dirname(path), specifier));
  };
  const imported = new Set([...facts.keys()].flatMap(importsOf));
  const testing = exports.get("./testing");
  const isTest = (path: string): boolean =>
    path.endsWith(".test.ts") || path.includes("/testdata/") || (testing !== undefined && path === join(folder, testing));
  const exported = [...exports.values()].map((target) => join(folder, target));
  const waiting = [...exported, ...[...facts.keys()].filter((path) => !imported.has(path))].filter((path) => !isTest(path));
  const production = new Set<string>();
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (production.has(path)) continue;
    production.add(path);
    waiting.push(...importsOf(path));
  }
  return production;
}
