import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { repositoryRoot } from "./repository.ts";
import { runCommand } from "./run-command.ts";

export interface BuildAddonOptions {
  /** Holds `native/*.c` and `native/*.h`; the addon goes to its `build/kernel.node`. The checkout's `adapters/kernel` by default. */
  readonly directory?: string;
  /** Called when the addon was built, with a line for people. */
  readonly onBuilt?: (line: string) => void;
}

/**
 * libbpf is linked in, so that an image needs only libelf and zlib. Debian compiles that archive for programs; its one reference
 * that a shared object may not have is to `stderr`, which native/addon.c provides.
 */
const compilerFlags = ["-std=gnu11", "-O2", "-g1", "-fPIC", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra", "-Werror", "-shared"];
const linkerFlags = ["-Wl,--wrap=stderr", "-Wl,--exclude-libs,ALL", "-Wl,-z,now", "-l:libbpf.a", "-lelf", "-lz"];

/**
 * Compiles the kernel's addon with the Node headers that the lock file pins. It is built again only when a source, a flag, the
 * compiler or the headers are others than last time, and replaced in one step. Throws with everything the compiler said.
 */
export async function buildAddon(options: BuildAddonOptions = {}): Promise<void> {
  const { directory = join(repositoryRoot, "adapters/kernel"), onBuilt = console.error } = options;
  const includeDirectory = join(repositoryRoot, `node_modules/node-linux-${process.arch}/include/node`);
  const sources = (await readdir(join(directory, "native"))).filter((name) => /\.[ch]$/.test(name)).sort();
  const fingerprint = await hashInputs(directory, includeDirectory, sources);
  const buildDirectory = join(directory, "build");
  const addonPath = join(buildDirectory, "kernel.node");
  const fingerprintPath = join(buildDirectory, "kernel.fingerprint");
  const current = await Promise.all([readFile(fingerprintPath, "utf8"), stat(addonPath)]).catch(() => undefined);
  if (current?.[0] === fingerprint) return;

  const startedMs = performance.now();
  const temporaryPath = join(buildDirectory, `.kernel.${process.pid}.node`);
  await mkdir(buildDirectory, { recursive: true });
  try {
    const inputs = sources.filter((name) => name.endsWith(".c")).map((name) => join("native", name));
    const parameters = [...compilerFlags, "-I", includeDirectory, ...inputs, "-o", temporaryPath, ...linkerFlags];
    const compiled = await runCommand("gcc", parameters, { directory });
    if (compiled.exitCode !== 0) {
      throw new Error(
        `the kernel addon does not compile; it needs the Debian packages gcc, libbpf-dev, libelf-dev and zlib1g-dev:\n${compiled.output.trimEnd()}`,
      );
    }
    await rename(temporaryPath, addonPath);
    await writeFile(fingerprintPath, fingerprint);
  } finally {
    await rm(temporaryPath, { force: true });
  }
  onBuilt(`built adapters/kernel/build/kernel.node (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`);
}

async function hashInputs(directory: string, includeDirectory: string, sources: readonly string[]): Promise<string> {
  const nodeVersion = await readFile(join(includeDirectory, "node_version.h"), "utf8").catch((cause: unknown) => {
    throw new Error(`the headers of Node are missing in ${includeDirectory}: run npm ci`, { cause });
  });
  const compiler = await runCommand("gcc", ["--version"]);
  const hash = createHash("sha256").update(JSON.stringify([compiler.output, compilerFlags, linkerFlags, nodeVersion]));
  for (const name of sources) {
    const content = await readFile(join(directory, "native", name));
    hash.update(`${name} ${content.byteLength}\n`).update(content);
  }
  return hash.digest("hex");
}

if (import.meta.main) await buildAddon();
