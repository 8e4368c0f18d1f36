import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { KubernetesError } from "../kubernetes-error.ts";
import { type Frame, type ScriptedExec, startScriptedExec } from "./exec-server.ts";
import { PodExec } from "./pod-exec.ts";

const signal = new AbortController().signal;
const target = { namespace: "default", pod: "web", container: "main" };
const success = JSON.stringify({ status: "Success" });
let answer: { frames: readonly Frame[]; refuse?: number } = { frames: [] };
let server: ScriptedExec;
let exec: PodExec;

before(async () => {
  server = await startScriptedExec(() => answer);
  exec = new PodExec({ server: server.url, token: "secret" });
});
after(async () => {
  await exec[Symbol.asyncDispose]();
  await server.close();
});

test("a command's words, streams and end travel", async () => {
  answer = {
    frames: [
      [1, "out"],
      [2, "problem"],
      [1, "put\n"],
      [3, success],
    ],
  };
  assert.deepEqual(await exec.run(target, ["ls", "-l", "a b"], signal), { status: 0, stdout: "output\n", stderr: "problem" });
  const [request] = server.requests;
  assert.deepEqual([request?.protocol, request?.authorization], ["v4.channel.k8s.io", "Bearer secret"]);
  const path = "/api/v1/namespaces/default/pods/web/exec?command=ls&command=-l&command=a+b&container=main&stdout=true&stderr=true";
  assert.equal(request?.url, path);
});

test("a command's exit code is told", async () => {
  const causes = [{ reason: "ExitCode", message: "3" }];
  answer = { frames: [[3, JSON.stringify({ status: "Failure", reason: "NonZeroExitCode", details: { causes } })]] };
  assert.equal((await exec.run(target, ["false"], signal)).status, 3);
});

for (const [name, wanted, message] of [
  ["that could not be begun", { frames: [[3, JSON.stringify({ status: "Failure", message: "no such file" })]] }, /no such file/],
  ["whose end is not told", { frames: [[1, "half"]] }, /the connection ended before the command did/],
  ["that the server refuses", { frames: [], refuse: 403 }, /does not let it be run: .+/],
] as const satisfies readonly (readonly [string, typeof answer, RegExp])[]) {
  test(`a command ${name} is a failure in one sentence`, async () => {
    answer = wanted;
    await assert.rejects(exec.run(target, ["x"], signal), (cause) => {
      assert.ok(cause instanceof KubernetesError);
      assert.match(cause.message, /^a command in the pod default\/web: /);
      assert.match(cause.message, message);
      return true;
    });
  });
}

test("a command is not waited for once it is given up", async () => {
  answer = { frames: [] };
  await assert.rejects(exec.run(target, ["x"], AbortSignal.abort(new Error("enough"))), /enough/);
});

test("the end of a container's log is asked for, and why there is none is told", async () => {
  answer = { frames: [[0, "one\ntwo\n"]] };
  const limits = { lines: 10, sizeBytes: 1000 };
  assert.equal(await exec.log(target, limits, signal), "one\ntwo\n");
  const path = "/api/v1/namespaces/default/pods/web/log?container=main&tailLines=10&limitBytes=1000";
  assert.deepEqual([server.requests.at(-1)?.url, server.requests.at(-1)?.authorization], [path, "Bearer secret"]);
  answer = { frames: [], refuse: 404 };
  await assert.rejects(exec.log(target, limits, signal), /not here/);
});
