import assert from "node:assert/strict";
import { mkdir, mkdtempDisposable, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { runCommand } from "./run-command.ts";
import { checkTidy } from "./tidy.ts";

/** In parts, so that this file does not break the rule itself. */
const leftover = `TO${"DO"}`;
const large = "x".repeat(257 * 1024);

function functionOf(lineCount: number, opening = "export function f(): void {"): string {
  return `${opening}\n${"  g();\n".repeat(lineCount - 2)}}\n`;
}

/** A registration of tests: long as a whole, each test short. */
const longSuite = `export function testContract(open: () => void): void {\n${'  test("one", () => {\n    open();\n  });\n'.repeat(40)}}\n`;

const tidyTree: Readonly<Record<string, string>> = {
  ".gitignore": "ignored/\n",
  "README.md": "# One\n\n```sh\n# no title\n```\n## Part\n",
  "package-lock.json": large,
  "bpf/lib/parse.h": "/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */\n#pragma once\n",
  "bpf/programs/pod.c": "// SPDX-License-Identifier: GPL-2.0-only\n",
  "adapters/kernel/README.md": "# kernel\n",
  "adapters/kernel/src/map.ts": functionOf(70),
  "adapters/kernel/src/contract-suite.ts": longSuite,
  "adapters/datapath/README.md": "# datapath\n",
  "adapters/datapath/src/gen/types.ts": `// ${leftover}\nexport default 1;\n${functionOf(200)}${large}`,
  "domain/policy/src/icmp-types.ts": "export const update = 1;\n",
  "vite.config.ts": "export default {};\n",
  "ignored/util.ts": `// ${leftover}\n`,
};

async function check(changes: Readonly<Record<string, string>>, removed: readonly string[] = []): Promise<string[]> {
  await using temporary = await mkdtempDisposable(join(tmpdir(), "tidy-"));
  for (const [path, text] of Object.entries({ ...tidyTree, ...changes })) {
    await mkdir(join(temporary.path, dirname(path)), { recursive: true });
    await writeFile(join(temporary.path, path), text);
  }
  for (const path of removed) await rm(join(temporary.path, path));
  const created = await runCommand("git", ["init", "--quiet"], { directory: temporary.path });
  assert.equal(created.exitCode, 0, created.output);
  return await checkTidy(temporary.path);
}

test("a tidy tree has no findings", async () => {
  assert.deepEqual(await check({}), []);
});

const rows: { name: string; changes: Record<string, string>; finding: RegExp }[] = [
  {
    name: "a note for later",
    changes: { "base/a.ts": `const a = 1;\n// ${leftover}: more\n` },
    finding: /^base\/a\.ts:2: a left-over \w+: do it/,
  },
  {
    name: "a note for later in C",
    changes: { "bpf/lib/parse.h": `/* SPDX-License-Identifier: X */\n/* FIX${"ME"} */\n` },
    finding: /^bpf\/lib\/parse\.h:2: a left-over/,
  },
  {
    name: "a file name that says nothing",
    changes: { "base/net/src/address-utils.ts": "" },
    finding: /^base\/net\/src\/address-utils\.ts:1: "utils" in a name says nothing/,
  },
  {
    name: "a folder name that says nothing",
    changes: { "base/shared/src/clock.ts": "" },
    finding: /^base\/shared\/src\/clock\.ts:1: "shared" in a name/,
  },
  { name: "a name that is a rank", changes: { "adapters/kernel/src/base-map.ts": "" }, finding: /"base-map\.ts" names a rank/ },
  {
    name: "a TypeScript file that is not in kebab-case",
    changes: { "base/net/src/ipAddress.ts": "" },
    finding: /ipAddress\.ts:1: TypeScript files are named in kebab-case/,
  },
  { name: "a default export", changes: { "base/a.ts": "\nexport default function a() {}\n" }, finding: /^base\/a\.ts:2: a default export/ },
  {
    name: "a function of 71 lines",
    changes: { "base/a.ts": `\n${functionOf(71)}` },
    finding: /^base\/a\.ts:2: a function of 71 lines: more than 70/,
  },
  {
    name: "a long arrow function",
    changes: { "base/a.ts": functionOf(71, "const f = (a: string): void => {") },
    finding: /^base\/a\.ts:1: a function of 71 lines/,
  },
  {
    name: "a long method",
    changes: {
      "base/a.ts": `class A {\n${functionOf(71, "async *#f(a: string): AsyncGenerator<void> {").replaceAll(/^(?=.)/gm, "  ")}}\n`,
    },
    finding: /^base\/a\.ts:2: a function of 71 lines/,
  },
  {
    name: "a long function with its parameters on lines of their own",
    changes: { "base/a.ts": functionOf(71, "): Promise<void> {") },
    finding: /^base\/a\.ts:1: a function of 71 lines/,
  },
  { name: "a large file", changes: { "docs/picture.svg": large }, finding: /^docs\/picture\.svg:1: 257 KiB: a file of more than 256 KiB/ },
  {
    name: "BPF source without a licence",
    changes: { "bpf/programs/pod.c": "#include <x.h>\n" },
    finding: /^bpf\/programs\/pod\.c:1: the first line names no licence/,
  },
  { name: "a document without a title", changes: { "docs/a.md": "Text\n" }, finding: /^docs\/a\.md:1: a document without a title/ },
  { name: "a document with two titles", changes: { "docs/a.md": "# A\n\n# B\n" }, finding: /^docs\/a\.md:3: a second title/ },
  {
    name: "an adapter without a README",
    changes: { "adapters/netlink/src/link.ts": "" },
    finding: /^adapters\/netlink\/README\.md:1: missing: say what the adapter is/,
  },
];

for (const { name, changes, finding } of rows) {
  test(`${name} is found`, async () => {
    const findings = await check(changes);
    assert.equal(findings.length, 1, findings.join("\n"));
    assert.match(findings[0] ?? "", finding);
  });
}

test("a file that was deleted and is still listed is passed over, and where there is no repository the reason is told", async () => {
  assert.deepEqual(await check({}, ["vite.config.ts"]), []);
  await using temporary = await mkdtempDisposable(join(tmpdir(), "no-repository-"));
  await assert.rejects(checkTidy(temporary.path), /git cannot list the files of .*not a git repository/s);
});
