import { isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import type { SourceImport } from "../source/imports.ts";
import { layers, type SourceFile, type Workspace, type WorkspacePackage } from "./workspace.ts";

/** A place where the tree is not as ARCHITECTURE.md says, and what to do about it. */
export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  readonly wayOut: string;
}

/** By these a module would reach the world. */
const builtinsWithSideEffects =
  /^node:(?:fs|net|http|https|http2|tls|dgram|dns|child_process|cluster|worker_threads|sqlite|repl|inspector)(?:\/|$)/;
/** Plain functions on texts, in a module that otherwise opens sockets. */
const pureNamesOfNet = new Set(["isIP", "isIPv4", "isIPv6"]);

/** Everything that is wrong with one module. */
export function checkFile(workspace: Workspace, owner: WorkspacePackage, file: SourceFile): Violation[] {
  const violations: Violation[] = [];
  const report = (line: number, rule: string, wayOut: string): void => void violations.push({ path: file.path, line, rule, wayOut });
  for (const found of file.facts.imports) {
    const problem = checkImport(workspace, owner, file, found);
    if (problem !== undefined) report(found.line, problem.rule, problem.wayOut);
  }
  for (const { name, line } of file.facts.processMembers) {
    if ((name !== "env" && name !== "argv") || mayReadSettings(owner) || file.isTestOnly) continue;
    report(line, `process.${name} is read outside of apps/`, "take an Options value and let the app fill it");
  }
  for (const { name, line } of file.facts.nativeLoads) {
    if (owner.folder === "adapters/kernel" || isBeside(owner) || file.isTestOnly) continue;
    report(line, `${name} can load native code, which only adapters/kernel does`, "use @cilium-ts/kernel");
  }
  return violations;
}

interface Problem {
  readonly rule: string;
  readonly wayOut: string;
}

function checkImport(workspace: Workspace, owner: WorkspacePackage, file: SourceFile, found: SourceImport): Problem | undefined {
  const { specifier } = found;
  if (specifier === undefined) {
    if (file.isTestOnly || isBeside(owner)) return undefined;
    return { rule: "import() of something computed cannot be checked", wayOut: "name the module as a text constant" };
  }
  if (specifier.startsWith(".") || specifier.startsWith("/")) return checkRelative(owner, file, specifier);
  if (isBuiltin(specifier)) return checkBuiltin(owner, file, found, specifier);
  const packageName = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
  const target = workspace.packages.find((candidate) => candidate.name === packageName);
  return (
    checkDeclared(owner, file, packageName) ??
    (target === undefined ? undefined : checkWorkspaceImport(owner, file, target, `.${specifier.slice(packageName.length)}`))
  );
}

function checkRelative(owner: WorkspacePackage, file: SourceFile, specifier: string): Problem | undefined {
  if (join(dirname(file.path), specifier).startsWith(`${owner.folder}/`)) return undefined;
  return { rule: `"${specifier}" leaves the package ${owner.name}`, wayOut: "import the other package by its name" };
}

function checkBuiltin(owner: WorkspacePackage, file: SourceFile, found: SourceImport, specifier: string): Problem | undefined {
  if (!specifier.startsWith("node:"))
    return { rule: `"${specifier}" is a module of Node without its prefix`, wayOut: `write "node:${specifier}"` };
  if (specifier === "node:process" && !mayReadSettings(owner) && !file.isTestOnly && found.names.some((name) => name !== "hrtime")) {
    return { rule: "node:process brings the environment and the arguments", wayOut: "take an Options value and let the app fill it" };
  }
  const isPure = owner.layer === "base" || owner.layer === "domain";
  if (!isPure || file.isTestOnly || owner.folder === "base/testing" || !builtinsWithSideEffects.test(specifier)) return undefined;
  if (specifier === "node:net" && found.names.length > 0 && found.names.every((name) => pureNamesOfNet.has(name))) return undefined;
  return {
    rule: `${owner.layer}/ does no I/O, and "${specifier}" is for it`,
    wayOut: "state what is needed as an interface and do it in adapters/",
  };
}

function checkDeclared(owner: WorkspacePackage, file: SourceFile, packageName: string): Problem | undefined {
  if (packageName === owner.name) return { rule: "a package imports itself by name", wayOut: "use a relative path" };
  if (owner.dependencies.has(packageName)) return undefined;
  const isDevelopment = owner.devDependencies.has(packageName);
  if (isDevelopment && (file.isTestOnly || isBeside(owner))) return undefined;
  const manifest = `${owner.folder}/package.json`;
  if (isDevelopment)
    return {
      rule: `${packageName} is for tests only, by the devDependencies of ${manifest}`,
      wayOut: "move it to its dependencies, or do without",
    };
  return {
    rule: `${packageName} is not declared in ${manifest}`,
    wayOut: `add it to its ${file.isTestOnly ? "devDependencies" : "dependencies"}`,
  };
}

function checkWorkspaceImport(owner: WorkspacePackage, file: SourceFile, target: WorkspacePackage, subpath: string): Problem | undefined {
  if (!isExported(target, subpath)) {
    return {
      rule: `${target.name} does not export "${subpath}"`,
      wayOut: `use what its index has, or export more in ${target.folder}/package.json`,
    };
  }
  if (subpath === "./testing" && !file.isTestOnly && !isBeside(owner)) {
    return { rule: `${target.name}/testing is for tests`, wayOut: "take the real thing as a parameter" };
  }
  if (isBeside(owner)) return undefined; // Tests and tools use whatever is exported.
  if (isBeside(target))
    return {
      rule: `${owner.folder} imports ${target.folder}`,
      wayOut: "what is shipped knows neither tests nor tools: move the code down",
    };
  if (target.layer === "apps")
    return { rule: `${owner.folder} imports the app ${target.folder}`, wayOut: "move what both need into a package below apps/" };
  if (rankOf(target) > rankOf(owner))
    return {
      rule: `${owner.layer}/ imports ${target.layer}/ (${target.name}), which is above it`,
      wayOut: "declare an interface here and let the upper layer implement it",
    };
  return undefined;
}

function isExported(target: WorkspacePackage, subpath: string): boolean {
  if (target.exports.has(subpath)) return true;
  return [...target.exports.keys()].some((pattern) => pattern.endsWith("/*") && subpath.startsWith(pattern.slice(0, -1)));
}

/** Cycles among packages in what is shipped, each as the packages along it. */
export function findCycles(workspace: Workspace): WorkspacePackage[][] {
  const byName = new Map(workspace.packages.map((entry) => [entry.name, entry]));
  const targetsOf = (owner: WorkspacePackage): WorkspacePackage[] => {
    const specifiers = owner.files
      .filter(({ isTestOnly }) => !isTestOnly)
      .flatMap(({ facts }) => facts.imports.map(({ specifier }) => specifier ?? ""));
    const names = new Set(specifiers.map((specifier) => specifier.split("/", 2).join("/")));
    return [...names].map((name) => byName.get(name)).filter((target) => target !== undefined && target !== owner) as WorkspacePackage[];
  };
  const cycles: WorkspacePackage[][] = [];
  const done = new Set<WorkspacePackage>();
  const visit = (owner: WorkspacePackage, path: readonly WorkspacePackage[]): void => {
    const start = path.indexOf(owner);
    if (start >= 0) cycles.push(path.slice(start));
    if (start >= 0 || done.has(owner)) return;
    for (const target of targetsOf(owner)) visit(target, [...path, owner]);
    done.add(owner);
  };
  for (const entry of workspace.packages) visit(entry, []);
  return cycles;
}

function rankOf(owner: WorkspacePackage): number {
  return (layers as readonly string[]).indexOf(owner.layer);
}

function isBeside(owner: WorkspacePackage): boolean {
  return owner.layer === "test" || owner.layer === "tools";
}

function mayReadSettings(owner: WorkspacePackage): boolean {
  return owner.layer === "apps" || isBeside(owner);
}
