import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runProgram, startProgram } from "./program.ts";

const folder = mkdtempSync(join(tmpdir(), "cilium-ts-apiserver-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The status of an answer; the server's certificate is not what these tests are about. */
async function statusOf(url: string, headers: Record<string, string> = {}): Promise<number | undefined> {
  const answered = Promise.withResolvers<number | undefined>();
  const asked = request(url, { rejectUnauthorized: false, headers, agent: false }, (response) => {
    response.resume();
    answered.resolve(response.statusCode);
  });
  asked.once("error", answered.reject);
  asked.end();
  return await answered.promise;
}

test("bad flags end with code 2 and one sentence", async () => {
  assert.deepEqual(await runProgram(["--listen", "nowhere"]), {
    code: 2,
    errors: 'cilium-apiserver: --listen must be host:port such as 127.0.0.1:6443 or [::1]:6443, not "nowhere"\n',
  });
});

test("only those who prove who they are get in; health is open to all", async () => {
  const tokens = join(folder, "tokens.csv");
  writeFileSync(tokens, 'secret,lab,1,"system:masters"\n');
  await using server = await startProgram(join(folder, "access"), ["--token-file", tokens]);
  const rows = [
    ["/healthz", {}, 200],
    ["/version", {}, 200],
    ["/metrics", {}, 401],
    ["/api/v1/namespaces", {}, 401],
    ["/api/v1/namespaces", { Authorization: "Bearer wrong" }, 401],
    ["/api/v1/namespaces", { Authorization: "Bearer secret" }, 200],
  ] as const;
  for (const [path, headers, code] of rows) assert.equal(await statusOf(server.url + path, headers), code, path);
});

test("a second server on the same state directory is refused, and the first goes on", async () => {
  const stateDir = join(folder, "twice");
  await using server = await startProgram(stateDir);
  const second = await runProgram(["--state-dir", stateDir, "--listen", "127.0.0.1:0"]);
  assert.equal(second.code, 1);
  assert.match(
    second.errors,
    /^cilium-apiserver: .*state\.db is in use by another server; stop that one first or choose another state directory.*\n$/,
  );
  assert.equal(await statusOf(`${server.url}/healthz`), 200);
});

test("what holds secrets is readable only by its owner, and SIGTERM ends the server cleanly", async () => {
  const stateDir = join(folder, "files");
  const out = join(folder, "out.kubeconfig");
  await using server = await startProgram(stateDir, ["--kubeconfig-out", out]);
  for (const path of [out, ...["ca.key", "server.key", "admin.key", "admin.kubeconfig"].map((name) => join(stateDir, name))]) {
    assert.equal(statSync(path).mode & 0o777, 0o600, path);
  }
  assert.equal(statSync(stateDir).mode & 0o777, 0o700);
  assert.equal(await server.stop("SIGTERM"), 0);
});

test("a port that is taken and a folder that cannot be made are named", async () => {
  await using server = await startProgram(join(folder, "port"));
  const { port } = new URL(server.url);
  const taken = await runProgram(["--state-dir", join(folder, "port2"), "--listen", `127.0.0.1:${port}`]);
  assert.equal(taken.code, 1);
  assert.match(taken.errors, new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`));
  const nowhere = await runProgram(["--state-dir", "/proc/nothing/here"]);
  assert.equal(nowhere.code, 1);
  assert.match(nowhere.errors, /cannot use the state directory \/proc\/nothing\/here/);
});
