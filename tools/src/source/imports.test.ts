import assert from "node:assert/strict";
import { test } from "node:test";
import { readSourceFacts } from "./imports.ts";

test("every form of import is found with its line and the names it takes", () => {
  const rows: [string, { specifier: string | undefined; line: number; names: string[] }][] = [
    ['import "./effects.ts";', { specifier: "./effects.ts", line: 1, names: [] }],
    ['import net from "node:net";', { specifier: "node:net", line: 1, names: ["default"] }],
    ['import * as net from "node:net";', { specifier: "node:net", line: 1, names: ["*"] }],
    ['import { isIPv4 } from "node:net";', { specifier: "node:net", line: 1, names: ["isIPv4"] }],
    ['import { isIPv4 as four, type Socket } from "node:net";', { specifier: "node:net", line: 1, names: ["isIPv4", "Socket"] }],
    ['import type { Socket } from "node:net";', { specifier: "node:net", line: 1, names: ["Socket"] }],
    ['import net, { type as from, isIP } from "node:net";', { specifier: "node:net", line: 1, names: ["default", "type", "isIP"] }],
    ['import {\n  a,\n  b,\n} from "./many.ts";', { specifier: "./many.ts", line: 4, names: ["a", "b"] }],
    ["import a from './single.ts'", { specifier: "./single.ts", line: 1, names: ["default"] }],
    ['export * from "./all.ts";', { specifier: "./all.ts", line: 1, names: ["*"] }],
    ['export { a as b } from "./some.ts";', { specifier: "./some.ts", line: 1, names: ["a"] }],
    ['export type { A } from "./shapes.ts";', { specifier: "./shapes.ts", line: 1, names: ["A"] }],
    ['const x = await import("./late.ts");', { specifier: "./late.ts", line: 1, names: [] }],
    ['const x = require("./old.js");', { specifier: "./old.js", line: 1, names: [] }],
    ["const x = await import(name);", { specifier: undefined, line: 1, names: [] }],
    ['const x = await import("./" + name);', { specifier: undefined, line: 1, names: [] }],
    ['/* import "./not.ts"; */ import "./yes.ts";', { specifier: "./yes.ts", line: 1, names: [] }],
    ['const re = /["\'`]/; import "./yes.ts";', { specifier: "./yes.ts", line: 1, names: [] }],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a template within the source.
    ['const t = `a ${ { b: `}` } } "`; import "./yes.ts";', { specifier: "./yes.ts", line: 1, names: [] }],
    ['const half = a / b; import "./yes.ts"; // "/', { specifier: "./yes.ts", line: 1, names: [] }],
    ['#!/usr/bin/env node "\nimport "./yes.ts";', { specifier: "./yes.ts", line: 2, names: [] }],
    ['const text = "a\\"b"; import "./yes.ts";', { specifier: "./yes.ts", line: 1, names: [] }],
  ];
  for (const [source, expected] of rows) assert.deepEqual(readSourceFacts(source).imports, [expected], source);
});

test("what only looks like an import is none", () => {
  const rows = [
    '// import "./a.ts";',
    "const text = 'import \"./a.ts\"';",
    'const text = `import "./a.ts"`;',
    'const pattern = /import "a"/;',
    "const url = import.meta.url;",
    'const x = { import: "./a.ts" };',
    'x.import("./a.ts");',
    'export { a }; const from = "./a.ts";',
    'export const a = { from: "./a.ts" };',
    'export type A = { from: "./a.ts" };',
    'export function require(): string { return "./a.ts"; }',
  ];
  for (const source of rows) {
    const { imports } = readSourceFacts(source);
    assert.deepEqual(
      imports.filter(({ specifier }) => specifier !== undefined),
      [],
      source,
    );
  }
});

test("uses of the process' environment and of native loading are found", () => {
  const source =
    'const a = process.env.HOME;\nconst b = process["argv"];\n// process.env\nthis.process.env;\nprocess.dlopen(m, p);\ncreateRequire(import.meta.url);\n"process.env";';
  const facts = readSourceFacts(source);
  assert.deepEqual(facts.processMembers, [
    { name: "env", line: 1 },
    { name: "argv", line: 2 },
  ]);
  assert.deepEqual(facts.nativeLoads, [
    { name: "process.dlopen", line: 5 },
    { name: "createRequire", line: 6 },
  ]);
});
