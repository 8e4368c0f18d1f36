import assert from "node:assert/strict";
import { mkdir, mkdtempDisposable, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { buildBpf } from "./build-bpf.ts";
import { findClang } from "./clang.ts";

const program = `
#include "lib/answer.h"
char LICENSE[] __attribute__((section("license"), used)) = "Dual BSD/GPL";
__attribute__((section("tc"), used)) int answer(void *context) { return ANSWER; }
`;

async function createSources(root: string): Promise<string> {
  const directory = join(root, "bpf");
  for (const folder of ["programs", "lib", "include"]) await mkdir(join(directory, folder), { recursive: true });
  await writeFile(join(directory, "lib/answer.h"), "#define ANSWER 42\n");
  await writeFile(join(directory, "programs/first.c"), program);
  await writeFile(join(directory, "programs/second.c"), program);
  return directory;
}

test("every program becomes an object with BTF and without DWARF", async () => {
  await using temporary = await mkdtempDisposable(join(tmpdir(), "build-bpf-"));
  const directory = await createSources(temporary.path);
  const lines: string[] = [];
  await buildBpf({ directory, onBuilt: (line) => lines.push(line) });
  assert.match(lines.sort().join("\n"), /^built bpf\/build\/first\.o .*\nbuilt bpf\/build\/second\.o [^\n]*$/);
  const object = await readFile(join(directory, "build/first.o"), "latin1");
  assert.ok(object.includes(".BTF.ext"));
  assert.ok(!object.includes(".debug_info"));
});

test("an object is built again when a header changes, and only then", async () => {
  await using temporary = await mkdtempDisposable(join(tmpdir(), "build-bpf-"));
  const directory = await createSources(temporary.path);
  const lines: string[] = [];
  const build = (): Promise<void> => buildBpf({ directory, onBuilt: (line) => lines.push(line) });
  await build();
  await build();
  assert.equal(lines.length, 2);
  await writeFile(join(directory, "lib/answer.h"), "#define ANSWER 43\n");
  await build();
  assert.equal(lines.length, 4);
  await rm(join(directory, "build/second.o"));
  await build();
  assert.equal(lines.length, 5);
});

test("the object of a program that is gone is removed", async () => {
  await using temporary = await mkdtempDisposable(join(tmpdir(), "build-bpf-"));
  const directory = await createSources(temporary.path);
  await buildBpf({ directory, onBuilt: () => {} });
  await rm(join(directory, "programs/second.c"));
  await buildBpf({ directory, onBuilt: () => {} });
  assert.deepEqual((await readdir(join(directory, "build"))).sort(), ["first.fingerprint", "first.o"]);
});

test("a program that does not compile is named with what the compiler says, and its last object stays", async () => {
  await using temporary = await mkdtempDisposable(join(tmpdir(), "build-bpf-"));
  const directory = await createSources(temporary.path);
  await buildBpf({ directory, onBuilt: () => {} });
  const before = await stat(join(directory, "build/first.o"));
  await writeFile(join(directory, "programs/first.c"), "int answer(void) { int unused; return missing; }\n");
  await assert.rejects(
    buildBpf({ directory, onBuilt: () => {} }),
    /bpf\/programs\/first\.c does not compile[\s\S]*undeclared identifier 'missing'/,
  );
  assert.equal((await stat(join(directory, "build/first.o"))).mtimeMs, before.mtimeMs);
  assert.deepEqual((await readdir(join(directory, "build"))).sort(), ["first.fingerprint", "first.o", "second.fingerprint", "second.o"]);
});

test("without a compiler the package to install is named", async () => {
  await assert.rejects(findClang("/nonexistent"), /apt-get install clang-19 llvm-19/);
});

test("the release that the objects are tested with is preferred, else the newest from 16 on is taken", async () => {
  await using temporary = await mkdtempDisposable(join(tmpdir(), "clang-"));
  const install = async (version: number): Promise<void> => {
    for (const name of ["clang", "llvm-strip"]) await writeFile(join(temporary.path, `${name}-${version}`), "", { mode: 0o755 });
  };
  await install(15);
  await assert.rejects(findClang(temporary.path), /need clang-16 or newer/);
  for (const [version, expected] of [
    [16, 16],
    [21, 21],
    [18, 21],
    [19, 19],
  ] as const) {
    await install(version);
    assert.equal((await findClang(temporary.path)).version, expected);
  }
});
