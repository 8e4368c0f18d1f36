import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { findClang } from "../../tools/src/clang.ts";
import { buildPodObject } from "./pod-programs.ts";
import { deepestChains } from "./stack-depth.ts";

/** Of a program and all that it has called. */
const stackBytesMax = 512;

for (const name of ["pod", "host", "network", "overlay", "proxy", "conntrack"]) {
  test(`the programs of ${name}.o fit the stack of kernels that round each frame up to 32 bytes, as those before 6.9 do`, async () => {
    await buildPodObject();
    const { clangPath, version } = await findClang();
    const objdumpPath = join(dirname(clangPath), `llvm-objdump-${version}`);
    const chains = await deepestChains(objdumpPath, join(import.meta.dirname, "../build", `${name}.o`));
    assert.ok(chains.length > 0);
    for (const { program, depth, calls } of chains) {
      assert.ok(depth <= stackBytesMax, `${program}: ${depth} bytes, by ${calls.join(" > ")}`);
      assert.ok(depth >= 32 && calls.length > 0);
    }
  });
}
