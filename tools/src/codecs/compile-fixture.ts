import { mkdtempDisposable, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findClang } from "../clang.ts";
import { repositoryRoot } from "../repository.ts";
import { runCommand } from "../run-command.ts";

/** For tests: a BPF object made from the text of one C file, which may include the headers of bpf/include. */
export async function compileFixture(source: string): Promise<Uint8Array> {
  const clang = await findClang();
  await using directory = await mkdtempDisposable(join(tmpdir(), "codec-fixture-"));
  const [sourcePath, objectPath] = [join(directory.path, "fixture.c"), join(directory.path, "fixture.o")];
  await writeFile(sourcePath, source);
  const includes = [join(repositoryRoot, "bpf/include"), `/usr/include/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`];
  const flags = ["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", ...includes.flatMap((path) => ["-I", path])];
  const compiled = await runCommand(clang.clangPath, [...flags, "-c", sourcePath, "-o", objectPath]);
  if (compiled.exitCode !== 0) throw new Error(`the fixture does not compile:\n${compiled.output}`);
  return readFile(objectPath);
}
