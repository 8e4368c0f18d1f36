import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { buildCni } from "./build.ts";
import { Agent, failureOf, podVariables, response, runPlugin } from "./plugin-bench.ts";

before(buildCni);

function queued(agent: Agent): string[] {
  return readdirSync(agent.queuePath)
    .filter((name) => name.endsWith(".json"))
    .sort();
}

for (const [command, code, pattern] of [
  ["ADD", 11, /cilium-agent does not answer on .*cilium\.sock \(No such file or directory\): try again later/],
  ["CHECK", 11, /cilium-agent does not answer on .*cilium\.sock .*: try again later/],
  ["STATUS", 50, /cilium-agent does not answer on .*cilium\.sock .*: start it/],
] as const) {
  test(`${command} without an agent has code ${code} and names the socket`, async () => {
    await using agent = new Agent();
    const failure = failureOf(await runPlugin({ variables: { ...podVariables, CNI_COMMAND: command }, input: agent.config() }));
    assert.deepEqual([failure.code, failure.cniVersion], [code, "1.0.0"]);
    assert.match(failure.msg, pattern);
  });
}

test("ADD waits a moment for an agent that is just starting", async () => {
  await using agent = new Agent();
  const adding = runPlugin({ variables: { ...podVariables, CNI_COMMAND: "ADD" }, input: agent.config() });
  await delay(200);
  await agent.start();
  assert.deepEqual(await adding, { status: 0, stdout: "{}", stderr: "" });
});

test("DEL without an agent is written down and succeeds", async () => {
  await using agent = new Agent();
  const ended = await runPlugin({ variables: { ...podVariables, CNI_COMMAND: "DEL" }, input: agent.config({ secret: "x".repeat(1000) }) });
  assert.deepEqual(ended, { status: 0, stdout: "", stderr: "" });
  const [name = ""] = queued(agent);
  assert.match(name, /^\d{20}-\d+\.json$/);
  assert.deepEqual(JSON.parse(readFileSync(join(agent.queuePath, name), "utf8")), {
    command: "DEL",
    containerId: "c0ffee",
    netns: "/run/netns/web",
    ifname: "eth0",
    args: podVariables.CNI_ARGS,
    path: "/opt/cni/bin",
    config: { cniVersion: "1.0.0" },
  });
  assert.equal(statSync(join(agent.queuePath, name)).mode & 0o777, 0o600);
  assert.equal(statSync(agent.queuePath).mode & 0o777, 0o700);
});

test("DEL is written down too when the agent dies in the middle of it", async () => {
  await using agent = await new Agent().start();
  agent.answer = (_, socket) => void socket.destroy();
  assert.equal((await runPlugin({ variables: { ...podVariables, CNI_COMMAND: "DEL" }, input: agent.config() })).status, 0);
  assert.equal(queued(agent).length, 1);
});

test("an error of the agent is no reason to write DEL down", async () => {
  await using agent = await new Agent().start();
  agent.answer = (_, socket) => void socket.end(response('{"code":999,"msg":"no"}', "500 No"));
  assert.equal(failureOf(await runPlugin({ variables: { ...podVariables, CNI_COMMAND: "DEL" }, input: agent.config() })).code, 999);
  assert.ok(!existsSync(agent.queuePath));
});

test("deletions at one time are all there, in the order of their names, and nothing else is left", async () => {
  await using agent = new Agent();
  const ids = Array.from({ length: 20 }, (_, index) => `container-${index}`);
  const ended = await Promise.all(
    ids.map((id) => runPlugin({ variables: { ...podVariables, CNI_COMMAND: "DEL", CNI_CONTAINERID: id }, input: agent.config() })),
  );
  assert.ok(ended.every(({ status }) => status === 0));
  const files = queued(agent).map((name) => JSON.parse(readFileSync(join(agent.queuePath, name), "utf8")).containerId);
  assert.deepEqual(files.sort(), ids.sort());
  assert.equal(readdirSync(agent.queuePath).length, 21, "the files and the lock");
});

test("what a killed plugin left half written is taken away", async () => {
  await using agent = new Agent();
  mkdirSync(agent.queuePath, { recursive: true });
  writeFileSync(join(agent.queuePath, "00000000000000000001-1.json.tmp"), '{"comma');
  assert.equal((await runPlugin({ variables: { ...podVariables, CNI_COMMAND: "DEL" }, input: agent.config() })).status, 0);
  assert.deepEqual(
    readdirSync(agent.queuePath).filter((name) => name.endsWith(".tmp")),
    [],
  );
});

test("a full queue is an error that names its bound", async () => {
  await using agent = new Agent();
  mkdirSync(agent.queuePath, { recursive: true });
  for (let index = 0; index < 9_999; index += 1) writeFileSync(join(agent.queuePath, `${String(index).padStart(20, "0")}-1.json`), "");
  const variables = { ...podVariables, CNI_COMMAND: "DEL" };
  assert.equal((await runPlugin({ variables, input: agent.config() })).status, 0);
  const failure = failureOf(await runPlugin({ variables, input: agent.config() }));
  assert.equal(failure.code, 11);
  assert.match(failure.msg, /delete queue .*deleteQueue is full \(10000 deletions\): start cilium-agent/);
  assert.equal(queued(agent).length, 10_000);
});

test("a queue that cannot be written is an error that names it", async () => {
  await using agent = new Agent();
  writeFileSync(join(agent.directory, "run"), "a file where a directory belongs");
  const failure = failureOf(await runPlugin({ variables: { ...podVariables, CNI_COMMAND: "DEL" }, input: agent.config() }));
  assert.equal(failure.code, 5);
  assert.match(failure.msg, /cannot be queued for it: cannot create .*\/run\/deleteQueue: Not a directory/);
});
