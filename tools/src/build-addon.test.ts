import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { buildAddon } from "./build-addon.ts";

describe("building the addon", () => {
  let directory: string;
  const lines: string[] = [];
  const build = (): Promise<void> => buildAddon({ directory, onBuilt: (line) => lines.push(line) });
  const write = (text: string): Promise<void> => writeFile(join(directory, "native", "addon.c"), text);

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "build-addon-"));
    await mkdir(join(directory, "native"));
    lines.length = 0;
  });
  afterEach(() => rm(directory, { recursive: true }));

  test("happens once, and again when a source has changed", async () => {
    await write("#include <node_api.h>\nNAPI_MODULE_INIT() { (void)env; return exports; }\n");
    await build();
    await build();
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? "", /^built adapters\/kernel\/build\/kernel\.node/);
    await write("#include <node_api.h>\nNAPI_MODULE_INIT() { (void)env; (void)exports; return NULL; }\n");
    await build();
    assert.equal(lines.length, 2);
    assert.deepEqual((await readdir(join(directory, "build"))).sort(), ["kernel.fingerprint", "kernel.node"]);
  });

  test("says what the compiler says, leaves the last good one, and tries again", async () => {
    await write("#include <node_api.h>\nNAPI_MODULE_INIT() { (void)env; return exports; }\n");
    await build();
    const { mtimeMs } = await stat(join(directory, "build", "kernel.node"));
    await write("int nonsense(void) { return nothing; }\n");
    for (const _attempt of [1, 2])
      await assert.rejects(build(), /does not compile; it needs the Debian packages gcc[\s\S]*addon\.c:1.*nothing/);
    assert.equal((await stat(join(directory, "build", "kernel.node"))).mtimeMs, mtimeMs);
    assert.equal((await readdir(join(directory, "build"))).length, 2);
  });
});
