import { access, constants, readdir } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** What is in Debian 12 and what the objects are tested with. */
const versionPreferred = 19;
/** The first to keep the BTF of what `-mcpu=v3` programs need: type tags and 64-bit enums. */
const versionMin = 16;

/** A compiler for BPF and the strip program of the same release. */
export interface Clang {
  readonly version: number;
  readonly clangPath: string;
  readonly stripPath: string;
}

/**
 * Finds clang-19, or else the newest from 16 on, with its llvm-strip, in the directories given.
 * Throws with the package to install when there is none.
 */
export async function findClang(searchPath: string = process.env.PATH ?? ""): Promise<Clang> {
  const found = new Map<number, Clang>();
  for (const directory of searchPath.split(delimiter).filter((path) => path !== "")) {
    for (const name of await readdir(directory).catch(() => [])) {
      const version = Number(/^clang-(\d+)$/.exec(name)?.[1] ?? 0);
      if (version < versionMin || found.has(version)) continue;
      const clang: Clang = { version, clangPath: join(directory, name), stripPath: join(directory, `llvm-strip-${version}`) };
      if ((await isExecutable(clang.clangPath)) && (await isExecutable(clang.stripPath))) found.set(version, clang);
    }
  }
  const best = found.get(versionPreferred) ?? [...found.values()].sort((left, right) => right.version - left.version)[0];
  if (best !== undefined) return best;
  throw new Error(
    `no compiler for the BPF programs: they need clang-${versionMin} or newer with its llvm-strip; run "apt-get install clang-${versionPreferred} llvm-${versionPreferred}"`,
  );
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
