import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { before, test } from "node:test";
import { buildCni, buildSanitizedCni, pluginPath } from "./build.ts";
import { Agent, failureOf, podVariables, response, runPlugin } from "./plugin-bench.ts";

before(buildCni);

test("the plugin is a static program of less than 1 MB", () => {
  assert.ok(statSync(pluginPath).size < 1_000_000);
});

test("VERSION is answered without an agent and without input", async () => {
  const ended = await runPlugin({ variables: { CNI_COMMAND: "VERSION" }, input: "garbage" });
  assert.equal(ended.status, 0);
  assert.deepEqual(JSON.parse(ended.stdout), {
    cniVersion: "1.1.0",
    supportedVersions: ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
  });
});

for (const command of ["ADD", "DEL", "CHECK", "STATUS"]) {
  test(`${command} is handed to the agent as it came, and its answer is printed`, async () => {
    await using agent = await new Agent().start();
    const answer = '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.5/32"}]}';
    agent.answer = (_, socket) => void socket.end(response(answer));
    const config = agent.config({ "log-file": 'a "quoted"\npath', mtu: 1450 });
    const ended = await runPlugin({ variables: { ...podVariables, CNI_COMMAND: command }, input: config });
    assert.deepEqual(ended, { status: 0, stdout: answer, stderr: "" });
    const [seen] = agent.seen;
    assert.ok(seen !== undefined && agent.seen.length === 1);
    assert.match(seen.head, /^POST \/v1\/cni HTTP\/1\.1\r\n/);
    assert.match(seen.head, /\r\nHost: .+\r\n/);
    assert.match(seen.head, /\r\nContent-Type: application\/json\r\n/);
    assert.ok(seen.body.endsWith(`"config":${config}}`), "the configuration is there byte for byte");
    assert.deepEqual(JSON.parse(seen.body), {
      command,
      containerId: "c0ffee",
      netns: "/run/netns/web",
      ifname: "eth0",
      args: podVariables.CNI_ARGS,
      path: "/opt/cni/bin",
      config: JSON.parse(config),
    });
  });
}

test("what stands in the environment arrives as it is, whatever it is", async () => {
  await using agent = await new Agent().start();
  const args = 'quote " backslash \\ tab \t newline \n bell \u0007 delete \u007f umlaut ü emoji 😀';
  await runPlugin({ variables: { ...podVariables, CNI_COMMAND: "ADD", CNI_ARGS: args }, input: agent.config() });
  assert.equal(JSON.parse(agent.seen[0]?.body ?? "").args, args);
});

test("an error of the agent is printed as it is, and the plugin fails", async () => {
  await using agent = await new Agent().start();
  const error = '{"cniVersion":"1.0.0","code":11,"msg":"no addresses left in 10.0.0.0/24","details":""}';
  agent.answer = (_, socket) => void socket.end(response(error, "400 Bad Request"));
  const ended = await runPlugin({ variables: { ...podVariables, CNI_COMMAND: "ADD" }, input: agent.config() });
  assert.deepEqual(ended, { status: 1, stdout: error, stderr: "" });
});

test("DEL needs no namespace, and STATUS nothing at all", async () => {
  await using agent = await new Agent().start();
  const { CNI_CONTAINERID, CNI_IFNAME } = podVariables;
  const deletion = await runPlugin({
    variables: { CNI_COMMAND: "DEL", CNI_CONTAINERID, CNI_IFNAME, CNI_NETNS: "" },
    input: agent.config(),
  });
  assert.equal(deletion.status, 0);
  assert.equal(JSON.parse(agent.seen[0]?.body ?? "").netns, "");
  assert.equal((await runPlugin({ variables: { CNI_COMMAND: "STATUS" }, input: agent.config() })).status, 0);
});

test("the agent is found through CILIUM_SOCK where the configuration does not name it", async () => {
  await using agent = await new Agent().start();
  const config = JSON.stringify({ cniVersion: "1.0.0" });
  for (const socket of [agent.socketPath, `unix://${agent.socketPath}`]) {
    const ended = await runPlugin({ variables: { CNI_COMMAND: "STATUS", CILIUM_SOCK: socket }, input: config });
    assert.equal(ended.status, 0, ended.stdout);
  }
  const both = await runPlugin({ variables: { CNI_COMMAND: "STATUS", CILIUM_SOCK: "/nowhere" }, input: agent.config() });
  assert.equal(both.status, 0, "the configuration comes first");
});

for (const [variable, commands] of [
  ["CNI_NETNS", ["ADD", "CHECK"]],
  ["CNI_CONTAINERID", ["ADD", "DEL", "CHECK"]],
  ["CNI_IFNAME", ["ADD", "DEL", "CHECK"]],
] as const) {
  for (const command of commands) {
    test(`${command} without ${variable} is an error of the environment that names it`, async () => {
      await using agent = await new Agent().start();
      for (const value of ["", undefined]) {
        const variables: Record<string, string> = { ...podVariables, CNI_COMMAND: command };
        if (value === undefined) delete variables[variable];
        else variables[variable] = value;
        const failure = failureOf(await runPlugin({ variables, input: agent.config({ cniVersion: "0.4.0" }) }));
        assert.deepEqual([failure.code, failure.cniVersion], [4, "0.4.0"]);
        assert.match(failure.msg, new RegExp(`^${variable} is empty: .*${command}$`));
      }
      assert.equal(agent.seen.length, 0);
    });
  }
}

for (const [what, variables, pattern] of [
  ["no command", {}, /CNI_COMMAND is not set/],
  ["an unknown command", { CNI_COMMAND: "GC" }, /CNI_COMMAND is GC, which is not known: use ADD, DEL, CHECK, STATUS or VERSION/],
  ["a command in small letters", { CNI_COMMAND: "add" }, /CNI_COMMAND is add/],
  ["a command that is JSON", { CNI_COMMAND: '"}\n{"' }, /CNI_COMMAND is "}\n{"/],
  ["an endless variable", { ...podVariables, CNI_COMMAND: "ADD", CNI_ARGS: "a".repeat(16385) }, /CNI_ARGS is longer than 16 KiB/],
] as const) {
  test(`${what} is an error of the environment`, async () => {
    const failure = failureOf(await runPlugin({ variables, input: '{"cniVersion":"1.0.0"}' }));
    assert.deepEqual([failure.code, failure.cniVersion], [4, "1.0.0"]);
    assert.match(failure.msg, pattern);
  });
}

for (const [what, input, pattern] of [
  ["nothing", "", /it ends too early, at byte 0/],
  ["garbage", Buffer.from([0xff, 0xfe, 0, 1]), /look at byte 0/],
  ["half an object", '{"cniVersion":"1.0.0"', /it ends too early, at byte 21/],
  ["more than an object", '{"cniVersion":"1.0.0"} x', /look at byte 23/],
  ["an array", '["1.0.0"]', /look at byte 0/],
  ["a comma too many", '{"a":1,}', /look at byte 7/],
  ["an unquoted name", "{a:1}", /look at byte 1/],
  ["a number with a leading zero", '{"a":01}', /look at byte 6/],
  ["a line break inside of a text", '{"a":"\n"}', /look at byte 6/],
  ["broken UTF-8", Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc0, 0x80]), Buffer.from('"}')]), /look at byte 6/],
  ["a zero byte", '{"a":1}\0', /look at byte 7/],
  ["a nesting without end", `{"a":${"[".repeat(100_000)}`, /look at byte/],
] as const) {
  test(`${what} on standard input is a decode failure that says where`, async () => {
    const failure = failureOf(await runPlugin({ variables: { ...podVariables, CNI_COMMAND: "ADD" }, input }));
    assert.deepEqual([failure.code, failure.cniVersion], [6, "1.1.0"]);
    assert.match(failure.msg, /network configuration on standard input is not one JSON object/);
    assert.match(failure.msg, pattern);
  });
}

test("a configuration of 1 MiB is handed on, and one byte more is refused", async () => {
  await using agent = await new Agent().start();
  const filled = (sizeBytes: number): string => {
    const empty = agent.config({ fill: "" });
    return agent.config({ fill: "x".repeat(sizeBytes - empty.length) });
  };
  const variables = { ...podVariables, CNI_COMMAND: "ADD" };
  const largest = filled(1024 * 1024);
  assert.equal((await runPlugin({ variables, input: largest })).status, 0);
  assert.ok(agent.seen[0]?.body.endsWith(`${largest}}`));
  const failure = failureOf(await runPlugin({ variables, input: filled(1024 * 1024 + 1) }));
  assert.equal(failure.code, 6);
  assert.match(failure.msg, /larger than 1 MiB/);
  assert.equal(failureOf(await runPlugin({ variables, input: Buffer.alloc(40 * 1024 * 1024, " ") })).code, 6);
});

test("an input that never ends is given up", async () => {
  const plugin = await buildSanitizedCni();
  const failure = failureOf(await runPlugin({ plugin, variables: { ...podVariables, CNI_COMMAND: "ADD" } }));
  assert.equal(failure.code, 5);
  assert.match(failure.msg, /did not end within 1 s/);
});

for (const [version, code] of [
  ["1.1.0", undefined],
  ["0.1.0", undefined],
  ["2.0.0", 1],
  ["1.0", 1],
] as const) {
  test(`cniVersion ${version} is ${code === undefined ? "supported" : "refused"}`, async () => {
    await using agent = await new Agent().start();
    const ended = await runPlugin({ variables: { ...podVariables, CNI_COMMAND: "ADD" }, input: agent.config({ cniVersion: version }) });
    if (code === undefined) return assert.equal(ended.status, 0);
    const failure = failureOf(ended);
    assert.deepEqual([failure.code, failure.cniVersion], [code, version]);
    assert.match(failure.msg, new RegExp(`cniVersion ${version} is not supported`));
  });
}

for (const [what, more, pattern] of [
  ["cniVersion is a number", { cniVersion: 1 }, /cniVersion .* is no text/],
  ["cniVersion is endless", { cniVersion: "1".repeat(100) }, /cniVersion .* longer than 63 bytes/],
  ["the socket is no text", { "agent-socket": {} }, /agent-socket .* is no text/],
  [
    "the socket's path is too long for a socket",
    { "agent-socket": `/${"x".repeat(107)}` },
    /has 108 bytes, and a unix socket's has 1 to 107/,
  ],
  ["the socket's path has a zero byte", { "agent-socket": "/run/\0x" }, /agent-socket .* zero byte/],
  ["the queue's path is endless", { "delete-queue": "x".repeat(5000) }, /delete-queue .* longer than 4095 bytes/],
] as const) {
  test(`a configuration where ${what} is refused`, async () => {
    await using agent = await new Agent().start();
    const failure = failureOf(await runPlugin({ variables: { ...podVariables, CNI_COMMAND: "ADD" }, input: agent.config(more) }));
    assert.equal(failure.code, 7);
    assert.match(failure.msg, pattern);
  });
}

test("names and values may be written with escapes, and of two the last counts", async () => {
  await using agent = await new Agent().start();
  const escaped = agent.socketPath.replaceAll("/", "\\u002F").replace("cilium", "\\u0063ilium");
  const input = `{"agent-socket":"/nowhere","cniVersion":"1.0.0","nested":{"agent-socket":"/nowhere"},"agent\\u002dsocket":"${escaped}"}`;
  const ended = await runPlugin({ variables: { CNI_COMMAND: "STATUS" }, input });
  assert.equal(ended.status, 0, ended.stdout);
});

test("twenty calls at once each get their own answer", async () => {
  await using agent = await new Agent().start();
  agent.answer = ({ body }, socket) => void socket.end(response(JSON.stringify({ id: JSON.parse(body).containerId })));
  const ids = Array.from({ length: 20 }, (_, index) => `container-${index}`);
  const ended = await Promise.all(
    ids.map((id) => runPlugin({ variables: { ...podVariables, CNI_COMMAND: "ADD", CNI_CONTAINERID: id }, input: agent.config() })),
  );
  assert.deepEqual(
    ended.map(({ stdout }) => JSON.parse(stdout).id),
    ids,
  );
});
