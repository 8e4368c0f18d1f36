import assert from "node:assert/strict";
import { test } from "node:test";
import { completeLock } from "./update-lock.ts";

test("an optional package that the registry did not serve is named with its platform, and those it served stay", () => {
  const served = { version: "1.0.0", integrity: "sha512-x", os: ["linux"], cpu: ["x64"] };
  const packages = {
    "": {},
    "node_modules/tool": { version: "1.0.0", optionalDependencies: { "tool-linux-x64": "1.0.0", "@x/tool-darwin-arm64": "1.0.0" } },
    "node_modules/tool-linux-x64": served,
  };
  const completed = completeLock({ packages }).packages;
  assert.equal(completed["node_modules/tool-linux-x64"], served);
  assert.deepEqual(completed["node_modules/@x/tool-darwin-arm64"], {
    version: "1.0.0",
    optional: true,
    dev: true,
    os: ["darwin"],
    cpu: ["arm64"],
  });
  assert.deepEqual(Object.keys(completed), Object.keys(completed).toSorted());
});
