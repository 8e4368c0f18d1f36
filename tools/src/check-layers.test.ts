import assert from "node:assert/strict";
import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { checkLayers } from "./check-layers.ts";

/** A small tree that breaks no rule: a package of each layer, importing downward. */
const soundTree: Readonly<Record<string, string>> = {
  "base/net/package.json": manifest("net", []),
  "base/net/src/index.ts": 'import { isIPv4 } from "node:net";\nexport const a = isIPv4;\n',
  "base/testing/package.json": manifest("testing", []),
  "base/testing/src/index.ts": 'import { readFileSync } from "node:fs";\nexport const b = readFileSync;\n',
  "domain/policy/package.json": manifest("policy", ["@cilium-ts/net"], ["@cilium-ts/testing"]),
  "domain/policy/src/index.ts": 'export * from "./rule.ts";\n',
  "domain/policy/src/rule.ts": 'import { a } from "@cilium-ts/net";\nexport const c = a;\n',
  "domain/policy/src/rule.test.ts":
    'import { readFileSync } from "node:fs";\nimport "@cilium-ts/testing";\nimport "./oracle.ts";\nreadFileSync(process.env.X);\n',
  "domain/policy/src/oracle.ts": 'import "node:fs";\nimport "@cilium-ts/testing";\n',
  "adapters/kernel/package.json": manifest("kernel", []),
  "adapters/kernel/src/index.ts": 'import { createRequire } from "node:module";\ncreateRequire(import.meta.url)("../build/kernel.node");\n',
  "adapters/datapath/package.json": manifest("datapath", ["@cilium-ts/kernel", "@cilium-ts/policy", "@bufbuild/protobuf"]),
  "adapters/datapath/src/index.ts":
    'import "node:net";\nimport "@cilium-ts/kernel";\nimport "@cilium-ts/policy";\nimport "@bufbuild/protobuf/wire";\n',
  "adapters/datapath/src/index.test.ts": 'import "@cilium-ts/kernel/testing";\n',
  "apps/agent/package.json": manifest("agent", ["@cilium-ts/datapath"]),
  "apps/agent/src/index.ts": 'import "@cilium-ts/datapath";\nexport const d = process.argv;\n',
  "apps/cni/build.ts": 'import { spawn } from "node:child_process";\nspawn(process.env.CC);\n',
  "test/lab/package.json": manifest("lab", ["@cilium-ts/agent", "@cilium-ts/tools"]),
  "test/lab/src/index.ts": 'import "@cilium-ts/agent";\nimport "@cilium-ts/tools/kubectl";\nawait import(process.env.X);\n',
  "tools/package.json": '{ "name": "@cilium-ts/tools", "exports": { "./*": "./src/*.ts" } }',
  "tools/src/kubectl.ts": "export {};\n",
};

function manifest(name: string, dependencies: readonly string[], devDependencies: readonly string[] = []): string {
  const versions = (names: readonly string[]): Record<string, string> =>
    Object.fromEntries(names.map((dependency) => [dependency, "0.1.0"]));
  const exports = { ".": "./src/index.ts", ...(name === "kernel" ? { "./testing": "./src/testing.ts" } : {}) };
  return JSON.stringify({
    name: `@cilium-ts/${name}`,
    exports,
    dependencies: versions(dependencies),
    devDependencies: versions(devDependencies),
  });
}

async function check(changes: Readonly<Record<string, string>>): Promise<string[]> {
  await using temporary = await mkdtempDisposable(join(tmpdir(), "layers-"));
  for (const [path, text] of Object.entries({ ...soundTree, ...changes })) {
    await mkdir(join(temporary.path, dirname(path)), { recursive: true });
    await writeFile(join(temporary.path, path), text);
  }
  return await checkLayers(temporary.path);
}

test("a tree that follows the rules has no findings", async () => {
  assert.deepEqual(await check({}), []);
});

const rows: { name: string; changes: Record<string, string>; finding: RegExp }[] = [
  {
    name: "an import upward",
    changes: {
      "domain/policy/package.json": manifest("policy", ["@cilium-ts/net", "@cilium-ts/kernel"], ["@cilium-ts/testing"]),
      "domain/policy/src/index.ts": '\nimport "@cilium-ts/kernel";\n',
    },
    finding:
      /^domain\/policy\/src\/index\.ts:2: domain\/ imports adapters\/ \(@cilium-ts\/kernel\), which is above it; declare an interface here/,
  },
  {
    name: "an import upward in a test",
    changes: {
      "base/net/package.json": manifest("net", [], ["@cilium-ts/policy"]),
      "base/net/src/a.test.ts": 'import "@cilium-ts/policy";\n',
    },
    finding: /^base\/net\/src\/a\.test\.ts:1: base\/ imports domain\//,
  },
  {
    name: "an app that imports an app",
    changes: {
      "apps/hubble/package.json": manifest("hubble", ["@cilium-ts/agent"]),
      "apps/hubble/src/index.ts": 'export * from "@cilium-ts/agent";\n',
    },
    finding: /^apps\/hubble\/src\/index\.ts:1: apps\/hubble imports the app apps\/agent; move what both need/,
  },
  {
    name: "shipped code that imports the lab",
    changes: {
      "apps/agent/package.json": manifest("agent", ["@cilium-ts/lab", "@cilium-ts/datapath"]),
      "test/lab/src/index.ts": "export {};\n",
      "apps/agent/src/late.ts": 'await import("@cilium-ts/lab");\n',
    },
    finding: /^apps\/agent\/src\/late\.ts:1: apps\/agent imports test\/lab; what is shipped knows neither tests nor tools/,
  },
  {
    name: "a relative path that leaves the package",
    changes: { "domain/policy/src/index.ts": 'import { a } from "../../../base/net/src/index.ts";\n' },
    finding:
      /^domain\/policy\/src\/index\.ts:1: "\.\.\/\.\.\/\.\.\/base\/net\/src\/index\.ts" leaves the package @cilium-ts\/policy; import the other package by its name/,
  },
  {
    name: "a relative path out of a folder whose name only begins like the package's",
    changes: { "base/net/src/index.ts": 'import "../../net-more/src/index.ts";\n' },
    finding: /leaves the package @cilium-ts\/net/,
  },
  {
    name: "a dependency that is not declared",
    changes: { "domain/policy/src/rule.ts": 'import "yaml";\n' },
    finding: /^domain\/policy\/src\/rule\.ts:1: yaml is not declared in domain\/policy\/package\.json; add it to its dependencies$/,
  },
  {
    name: "a development dependency in what is shipped",
    changes: { "domain/policy/src/rule.ts": 'import "@cilium-ts/testing";\n' },
    finding: /^domain\/policy\/src\/rule\.ts:1: @cilium-ts\/testing is for tests only/,
  },
  {
    name: "a fake in what is shipped",
    changes: { "adapters/datapath/src/index.ts": 'import "@cilium-ts/kernel/testing";\n' },
    finding: /^adapters\/datapath\/src\/index\.ts:1: @cilium-ts\/kernel\/testing is for tests/,
  },
  {
    name: "a file behind a package's exports",
    changes: { "adapters/datapath/src/index.ts": 'import "@cilium-ts/kernel/src/map.ts";\n' },
    finding: /@cilium-ts\/kernel does not export "\.\/src\/map\.ts"; use what its index has/,
  },
  {
    name: "a package that imports itself by name",
    changes: { "base/net/src/other.ts": 'import "@cilium-ts/net";\n' },
    finding: /^base\/net\/src\/other\.ts:1: a package imports itself by name/,
  },
  ...["node:fs/promises", "node:http", "node:http2", "node:child_process", "node:dgram", "node:tls"].map((name) => ({
    name: `${name} in domain/`,
    changes: { "domain/policy/src/rule.ts": `import "${name}";\n` },
    finding: new RegExp(
      `^domain/policy/src/rule\\.ts:1: domain/ does no I/O, and "${name}" is for it; state what is needed as an interface`,
    ),
  })),
  {
    name: "a socket in base/net",
    changes: { "base/net/src/index.ts": 'import { isIPv4, Socket } from "node:net";\n' },
    finding: /base\/ does no I\/O, and "node:net"/,
  },
  {
    name: "a module of Node without prefix",
    changes: { "base/net/src/index.ts": 'import "fs";\n' },
    finding: /"fs" is a module of Node without its prefix; write "node:fs"/,
  },
  {
    name: "the environment in an adapter",
    changes: { "adapters/datapath/src/index.ts": "\n\nconst a = process.env.HOME;\n" },
    finding: /^adapters\/datapath\/src\/index\.ts:3: process\.env is read outside of apps\//,
  },
  {
    name: "the environment by import",
    changes: { "adapters/datapath/src/index.ts": 'import { env } from "node:process";\n' },
    finding: /node:process brings the environment/,
  },
  {
    name: "native code outside of adapters/kernel",
    changes: { "adapters/datapath/src/index.ts": "process.dlopen(a, b);\n" },
    finding: /^adapters\/datapath\/src\/index\.ts:1: process\.dlopen can load native code/,
  },
  {
    name: "an import that cannot be checked",
    changes: { "adapters/datapath/src/index.ts": 'await import("./" + name);\n' },
    finding: /import\(\) of something computed cannot be checked/,
  },
];

for (const { name, changes, finding } of rows) {
  test(`${name} is found`, async () => {
    const findings = await check(changes);
    assert.equal(findings.length, 1, findings.join("\n"));
    assert.match(findings[0] ?? "", finding);
  });
}

test("packages that import each other in a circle are found, once, with the way along it", async () => {
  const findings = await check({
    "base/net/package.json": manifest("net", ["@cilium-ts/state"]),
    "base/net/src/index.ts": 'import "@cilium-ts/state";\n',
    "base/state/package.json": manifest("state", ["@cilium-ts/net"]),
    "base/state/src/index.ts": 'import "@cilium-ts/net";\n',
  });
  assert.equal(findings.length, 1, findings.join("\n"));
  assert.match(findings[0] ?? "", /in a circle: @cilium-ts\/net -> @cilium-ts\/state -> @cilium-ts\/net; move what they share/);
});

test("a fake that shipped code imports is shipped, and held to its rules", async () => {
  const fake = { "adapters/kernel/src/testing.ts": "export const a = process.env.X;\n" };
  assert.deepEqual(await check(fake), []);
  const findings = await check({ ...fake, "adapters/kernel/src/index.ts": 'export * from "./testing.ts";\n' });
  assert.equal(findings.length, 1, findings.join("\n"));
  assert.match(findings[0] ?? "", /^adapters\/kernel\/src\/testing\.ts:1: process\.env is read/);
});

test("what only tests use may use what tests may", async () => {
  const oracle = { "domain/policy/src/oracle.ts": 'import "node:fs";\nimport "@cilium-ts/testing";\nprocess.env.X;\n' };
  assert.deepEqual(await check(oracle), []);
  const findings = await check({ ...oracle, "domain/policy/src/index.ts": 'export * from "./oracle.ts";\n' });
  assert.equal(findings.length, 3, findings.join("\n"));
});
