import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repositoryRoot } from "./repository.ts";
import { runCommand } from "./run-command.ts";

interface LockedPackage {
  readonly version?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

interface LockFile {
  packages: Record<string, LockedPackage>;
}

/**
 * Makes package-lock.json again from every package.json, whatever is installed. A registry may not serve optional packages of platforms that
 * it does not know; npm then leaves them out, and `npm ci` refuses a lock file that lacks what a manifest names. Such packages get an entry
 * that names their version and platform, and are never fetched: we run on Linux.
 */
export async function updateLock(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cilium-ts-lock-"));
  try {
    for (const file of [
      ".npmrc",
      "package.json",
      ...globSync("{base,domain,adapters,apps,test}/*/package.json", { cwd: repositoryRoot }),
      "tools/package.json",
    ]) {
      cpSync(join(repositoryRoot, file), join(folder, file));
    }
    const result = await runCommand("npm", ["install", "--package-lock-only", "--ignore-scripts", "--prefix", folder]);
    if (result.exitCode !== 0) throw new Error(`npm could not make the lock file: ${result.output}`);
    const lock: LockFile = JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8"));
    writeFileSync(join(repositoryRoot, "package-lock.json"), `${JSON.stringify(completeLock(lock), undefined, 2)}\n`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function completeLock(lock: LockFile): LockFile {
  const packages = { ...lock.packages };
  for (const [path, owner] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(owner.optionalDependencies ?? {})) {
      const nested = `${path}/node_modules/${name}`;
      const hoisted = `node_modules/${name}`;
      if (packages[nested] === undefined && packages[hoisted] === undefined)
        packages[hoisted] = { version, optional: true, dev: true, ...platformOf(name) };
    }
  }
  return { ...lock, packages: Object.fromEntries(Object.entries(packages).sort(([left], [right]) => (left < right ? -1 : 1))) };
}

/** Such packages are named after what they are for: `…-darwin-arm64`, `…-linux-x64-musl`. */
function platformOf(name: string): { os: string[]; cpu: string[] } {
  const [, os = "unknown", cpu = "unknown"] = /-(android|darwin|freebsd|linux|openharmony|win32)-([a-z0-9]+)/.exec(name) ?? [];
  return { os: [os], cpu: [cpu] };
}

if (import.meta.main) await updateLock();
