import { createHash } from "node:crypto";
import { glob, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { type Clang, findClang } from "./clang.ts";
import { repositoryRoot } from "./repository.ts";
import { runCommand } from "./run-command.ts";

export interface BuildBpfOptions {
  /** Holds `programs/*.c` and what they include; objects go to its `build/`. The checkout's `bpf/` by default. */
  readonly directory?: string;
  /** Called once for every object built, with a line for people. */
  readonly onBuilt?: (line: string) => void;
}

/**
 * Compiles every `programs/NAME.c` into `build/NAME.o`: BPF code with BTF, without DWARF. An object is built again only when
 * a source or header of the directory, a flag or the compiler is another than last time; the object of a program that is gone is removed.
 * Each object is replaced in one step, so a reader never sees half of one. Throws with everything the compiler said about every failing program.
 */
export async function buildBpf(options: BuildBpfOptions = {}): Promise<void> {
  const { directory = join(repositoryRoot, "bpf"), onBuilt = console.error } = options;
  const programs = (await readdir(join(directory, "programs")).catch(() => [])).filter((name) => name.endsWith(".c")).sort();
  const clang = await findClang();
  const fingerprint = await hashInputs(directory, clang);
  const buildDirectory = join(directory, "build");
  await mkdir(buildDirectory, { recursive: true });
  await removeObjectsExcept(
    buildDirectory,
    programs.map((program) => basename(program, ".c")),
  );

  const failures: string[] = [];
  const waiting = programs.values();
  const buildWaiting = async (): Promise<void> => {
    for (const program of waiting) {
      const failure = await buildProgram({ directory, program, clang, fingerprint, onBuilt });
      if (failure !== undefined) failures.push(failure);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, buildWaiting));
  if (failures.length > 0) throw new Error(failures.sort().join("\n"));
}

interface ProgramBuild {
  readonly directory: string;
  readonly program: string;
  readonly clang: Clang;
  readonly fingerprint: string;
  readonly onBuilt: (line: string) => void;
}

/** Returns what went wrong with this program, if anything did. */
async function buildProgram({ directory, program, clang, fingerprint, onBuilt }: ProgramBuild): Promise<string | undefined> {
  const name = basename(program, ".c");
  const objectPath = join(directory, "build", `${name}.o`);
  const fingerprintPath = join(directory, "build", `${name}.fingerprint`);
  const temporaryPath = join(directory, "build", `.${name}.${process.pid}.o`);
  const current = await Promise.all([readFile(fingerprintPath, "utf8"), readFile(objectPath)]).catch(() => undefined);
  if (current?.[0] === fingerprint) return undefined;
  const startedMs = performance.now();
  try {
    // Relative paths, with the sources' parent as the directory: the line information that goes into the object is the same on every machine.
    const compiled = await runCommand(
      clang.clangPath,
      [...compilerFlags(basename(directory)), "-c", join(basename(directory), "programs", program), "-o", temporaryPath],
      { directory: join(directory, "..") },
    );
    if (compiled.exitCode !== 0) return `bpf/programs/${program} does not compile with ${clang.clangPath}:\n${compiled.output.trimEnd()}`;
    const stripped = await runCommand(clang.stripPath, ["-g", temporaryPath]);
    if (stripped.exitCode !== 0) return `${clang.stripPath} refuses the object of bpf/programs/${program}: ${stripped.output.trimEnd()}`;
    await rename(temporaryPath, objectPath);
    await writeFile(fingerprintPath, fingerprint);
  } finally {
    await rm(temporaryPath, { force: true });
  }
  onBuilt(`built bpf/build/${name}.o (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`);
  return undefined;
}

/** The folder of the sources is named as the compiler sees it, which runs beside it. */
function compilerFlags(folder: string): string[] {
  const triplets: Partial<Record<NodeJS.Architecture, string>> = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" };
  const triplet = triplets[process.arch];
  if (triplet === undefined) throw new Error(`BPF programs are not built on ${process.arch}: use x64 or arm64`);
  const target = ["-target", "bpf", "-mcpu=v3", "-O2", "-g"];
  return [...target, "-Wall", "-Werror", "-I", folder, "-I", `${folder}/include`, "-I", `/usr/include/${triplet}`];
}

/** One hash for all of the sources: they are small, and a header may be included by any program. */
async function hashInputs(directory: string, clang: Clang): Promise<string> {
  const hash = createHash("sha256");
  const version = await runCommand(clang.clangPath, ["--version"]);
  hash.update(JSON.stringify([version.output, compilerFlags("bpf")]));
  const sources: string[] = [];
  for await (const path of glob("**/*.{c,h}", { cwd: directory })) sources.push(path);
  for (const path of sources.sort()) {
    const content = await readFile(join(directory, path));
    hash.update(`${path} ${content.byteLength}\n`).update(content);
  }
  return hash.digest("hex");
}

async function removeObjectsExcept(buildDirectory: string, names: readonly string[]): Promise<void> {
  for (const file of await readdir(buildDirectory)) {
    const name = /^([^.]+)\.(?:o|fingerprint)$/.exec(file)?.[1];
    if (name !== undefined && !names.includes(name)) await rm(join(buildDirectory, file), { force: true });
  }
}

if (import.meta.main) await buildBpf();
