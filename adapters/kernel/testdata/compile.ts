import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const triplets: Readonly<Record<string, string>> = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" };

/** Compiles `NAME.c` of this folder for BPF into the directory, and returns the object's bytes. */
export function compileSample(name: string, directory: string): Uint8Array {
  const output = join(directory, `${name}.o`);
  const include = `/usr/include/${triplets[process.arch] ?? process.arch}`;
  const flags = ["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", "-I", include];
  execFileSync("clang-19", [...flags, "-c", join(import.meta.dirname, `${name}.c`), "-o", output], { stdio: ["ignore", "inherit", "inherit"] });
  return new Uint8Array(readFileSync(output));
}
