import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

const directory = import.meta.dirname;
const sourceDirectory = join(directory, "native");

/** The built plugin. */
export const pluginPath: string = join(directory, "build/cilium-cni");

interface Variant {
  readonly outputPath: string;
  /** The first that is installed is used. */
  readonly compilers: readonly string[];
  readonly flags: readonly string[];
  readonly packages: string;
}

const commonFlags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"];

/** musl's libc makes a static program of 60 KB, glibc's one of 800. */
const shipped: Variant = {
  outputPath: pluginPath,
  compilers: ["musl-gcc", "gcc"],
  flags: [
    ...commonFlags,
    "-Os",
    "-static",
    "-s",
    "-fstack-protector-strong",
    "-ffunction-sections",
    "-Wl,--gc-sections",
    "-Wl,-z,noexecstack",
  ],
  packages: "musl-tools (or gcc and libc6-dev)",
};

/** Stops at every access out of bounds and every undefined operation, and waits a second where the other waits long: for tests. */
const sanitized: Variant = {
  outputPath: join(directory, "build/cilium-cni-sanitized"),
  compilers: ["gcc"],
  flags: [
    ...[...commonFlags, "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"],
    ...["-DCONFIG_TIMEOUT_MS=1000", "-DANSWER_TIMEOUT_MS=1000"],
  ],
  packages: "gcc",
};

/** Compiles `build/cilium-cni` where a source, a flag or the compiler changed. Throws with what the compiler said. */
export async function buildCni(): Promise<void> {
  await build(shipped);
}

/** The path of the plugin with the sanitizers of gcc. */
export async function buildSanitizedCni(): Promise<string> {
  await build(sanitized);
  return sanitized.outputPath;
}

async function build(variant: Variant): Promise<void> {
  const { outputPath, flags } = variant;
  const names = (await readdir(sourceDirectory)).filter((name) => /\.[ch]$/.test(name)).sort();
  const { compiler, version } = await findCompiler(variant);
  const hash = createHash("sha256").update(JSON.stringify([compiler, version, flags]));
  for (const name of names) {
    const content = await readFile(join(sourceDirectory, name));
    hash.update(`${name} ${content.byteLength}\n`).update(content);
  }
  const fingerprint = hash.digest("hex");
  const fingerprintPath = `${outputPath}.fingerprint`;
  const [known] = await Promise.all([readFile(fingerprintPath, "utf8"), access(outputPath)]).catch(() => [undefined]);
  if (known === fingerprint) return;

  const temporaryPath = `${outputPath}.${process.pid}`;
  await mkdir(join(directory, "build"), { recursive: true });
  try {
    const sources = names.filter((name) => name.endsWith(".c"));
    const compiled = await run(compiler, [...flags, ...sources, "-o", temporaryPath], sourceDirectory);
    if (compiled.failure !== undefined)
      throw new Error(`cilium-cni does not compile:\n${compiled.output.trimEnd()}`, { cause: compiled.failure });
    await rename(temporaryPath, outputPath);
    await writeFile(fingerprintPath, fingerprint);
  } finally {
    await rm(temporaryPath, { force: true });
  }
}

async function findCompiler(variant: Variant): Promise<{ compiler: string; version: string }> {
  for (const compiler of variant.compilers) {
    const { output, failure } = await run(compiler, ["--version"], sourceDirectory);
    if (failure === undefined) return { compiler, version: output };
  }
  throw new Error(`cilium-cni needs a C compiler (${variant.compilers.join(" or ")}): install the Debian package ${variant.packages}`);
}

function run(program: string, parameters: readonly string[], cwd: string): Promise<{ output: string; failure: Error | undefined }> {
  return new Promise((resolve) => {
    execFile(program, parameters, { cwd, timeout: 120_000 }, (failure, stdout, stderr) => {
      resolve({ output: `${stdout}${stderr}`, failure: failure ?? undefined });
    });
  });
}

if (import.meta.main) await buildCni();
