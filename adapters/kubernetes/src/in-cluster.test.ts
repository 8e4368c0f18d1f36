import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { loadInClusterAccess } from "./in-cluster.ts";

const directory = mkdtempSync(join(tmpdir(), "cilium-ts-in-cluster-"));
before(() => writeFileSync(join(directory, "ca.crt"), "PEM"));
after(() => rmSync(directory, { recursive: true, force: true }));

for (const [host, port, server] of [
  ["10.96.0.1", "443", "https://10.96.0.1:443"],
  ["fd00::1", "6443", "https://[fd00::1]:6443"],
] as const) {
  test(`in a pod that is told ${host} and ${port} the server is ${server}`, async () => {
    assert.deepEqual(await loadInClusterAccess({ host, port, directory }), { server, ca: "PEM", tokenPath: join(directory, "token") });
  });
}

test("outside of a cluster there is none", async () => {
  assert.equal(await loadInClusterAccess({ host: undefined, port: undefined, directory }), undefined);
  assert.equal(await loadInClusterAccess({ host: "", port: "443", directory }), undefined);
});

test("a pod without its service account is told what is missing", async () => {
  const options = { host: "10.96.0.1", port: "443", directory: join(directory, "none") };
  await assert.rejects(loadInClusterAccess(options), /none\/ca\.crt cannot be read: ENOENT.*; mount its token, or name a kubeconfig/);
});
