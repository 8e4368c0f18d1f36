import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { buildCni, buildSanitizedCni } from "./build.ts";
import { Agent, type Ended, failureOf, podVariables, response, runPlugin } from "./plugin-bench.ts";

before(buildCni);

/** ADD, answered with these bytes, then the end of the connection. */
async function answered(bytes: string | Buffer, options: { command?: string; plugin?: string } = {}): Promise<Ended> {
  await using agent = await new Agent().start();
  agent.answer = (_, socket) => void socket.end(bytes);
  return await call(agent, options); // The agent goes when this function ends.
}

function call(agent: Agent, options: { command?: string; plugin?: string } = {}): Promise<Ended> {
  const variables = { ...podVariables, CNI_COMMAND: options.command ?? "ADD" };
  return runPlugin({ ...(options.plugin === undefined ? {} : { plugin: options.plugin }), variables, input: agent.config() });
}

const chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

for (const [what, bytes, expected] of [
  ["with a length", response('{"a":1}'), '{"a":1}'],
  ["in one chunk", `${chunkedHead}7\r\n{"a":1}\r\n0\r\n\r\n`, '{"a":1}'],
  ["in chunks with extensions and a trailer", `${chunkedHead}3;x=y\r\n{"a\r\n04 \r\n":1}\r\n0\r\nTrailer: x\r\n\r\n`, '{"a":1}'],
  ["that ends with the connection", 'HTTP/1.1 200 OK\r\n\r\n{"a":1}', '{"a":1}'],
  ["of HTTP/1.0 with odd spelling", 'HTTP/1.0 200 Fine\r\ncOnTeNt-LeNgTh:7  \r\nX:\r\n\r\n{"a":1}', '{"a":1}'],
  ["with bytes behind it", `${response('{"a":1}')}more`, '{"a":1}'],
] as const) {
  test(`an answer ${what} is printed`, async () => {
    assert.deepEqual(await answered(bytes), { status: 0, stdout: expected, stderr: "" });
  });
}

test("an answer that comes byte by byte is put together", async () => {
  await using agent = await new Agent().start();
  agent.answer = async (_, socket) => {
    for (const byte of `${chunkedHead}7\r\n{"a":1}\r\n0\r\n\r\n`) {
      socket.write(byte);
      await delay(1);
    }
  };
  assert.equal((await call(agent)).stdout, '{"a":1}');
});

test("commands without a result may be answered with nothing, ADD may not", async () => {
  for (const empty of ["HTTP/1.1 204 No Content\r\n\r\n", response("")]) {
    assert.deepEqual(await answered(empty, { command: "DEL" }), { status: 0, stdout: "", stderr: "" });
    assert.equal(failureOf(await answered(empty)).code, 999);
  }
});

test("an answer of 1 MiB is printed, and a larger one is refused", async () => {
  const sized = (sizeBytes: number): string => `{"a":"${"x".repeat(sizeBytes - 8)}"}`;
  const largest = sized(1024 * 1024);
  const tooLarge = sized(1024 * 1024 + 1);
  const chunked = (body: string): string =>
    `${chunkedHead}8\r\n${body.slice(0, 8)}\r\n${(body.length - 8).toString(16)}\r\n${body.slice(8)}\r\n0\r\n\r\n`;
  const toTheEnd = (body: string): string => `HTTP/1.1 200 OK\r\n\r\n${body}`;
  for (const encode of [response, chunked, toTheEnd]) {
    assert.equal((await answered(encode(largest))).stdout.length, 1024 * 1024);
    assert.match(failureOf(await answered(encode(tooLarge))).msg, /larger than 1 MiB/);
  }
});

for (const [what, bytes, pattern] of [
  ["is no HTTP", "SSH-2.0-OpenSSH\r\n\r\n", /no HTTP\/1\.1/],
  ["has a status of letters", "HTTP/1.1 abc\r\n\r\n", /status is no number/],
  ["is an interim one", "HTTP/1.1 100 Continue\r\n\r\n", /status is none of an answer/],
  ["has a head without end", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(20_000)}`, /head is larger than 16 KiB/],
  ["has a zero byte in its head", "HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", /zero byte/],
  ["has a header without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", /without a colon/],
  ["has a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", /length is no number/],
  ["has a length beyond all numbers", `HTTP/1.1 200 OK\r\nContent-Length: ${"9".repeat(40)}\r\n\r\n`, /larger than 1 MiB/],
  ["has two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", /given twice/],
  ["is compressed", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", /not chunked alone/],
  ["has a chunk of no size", `${chunkedHead}\r\n{}\r\n0\r\n\r\n`, /has no size/],
  ["has a chunk of letters", `${chunkedHead}zz\r\n{}\r\n0\r\n\r\n`, /size of a chunk is no number/],
  ["has a chunk beyond all sizes", `${chunkedHead}${"f".repeat(16)}\r\n`, /larger than 1 MiB/],
  ["has a chunk longer than its size", `${chunkedHead}1\r\n{}\r\n0\r\n\r\n`, /longer than its size/],
  ["is no JSON", response("<html>"), /not one JSON object/],
  ["is JSON and no object", response("[]"), /not one JSON object/],
  ["leads elsewhere", response("{}", "301 Moved Permanently"), /HTTP status 301/],
  ["is an error without a CNI error", response('{"error":"nope"}', "404 Not Found"), /HTTP status 404 and no CNI error/],
  ["is an error in words", response("not found", "404 Not Found"), /HTTP status 404 and something that is not one JSON object/],
] as const) {
  test(`an answer that ${what} is an error, and not printed`, async () => {
    const failure = failureOf(await answered(bytes));
    assert.equal(failure.code, 999);
    assert.match(failure.msg, pattern);
    assert.match(failure.msg, /cilium\.sock/);
  });
}

for (const [what, leave] of [
  ["says nothing", (socket: Socket) => void socket.end()],
  ["breaks off in the head", (socket: Socket) => void socket.end("HTTP/1.1 200 OK\r\nConte")],
  ["breaks off in the body", (socket: Socket) => void socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")],
  ["breaks off in a chunk", (socket: Socket) => void socket.end(`${chunkedHead}5\r\n{`)],
  ["hangs up", (socket: Socket) => void socket.destroy()],
] as const) {
  test(`an agent that ${what} is to be asked again later`, async () => {
    await using agent = await new Agent().start();
    agent.answer = (_, socket) => leave(socket);
    const failure = failureOf(await call(agent));
    assert.equal(failure.code, 11);
    assert.match(failure.msg, /closed the connection before it had answered.*try again later/);
  });
}

test("an agent that keeps silent is given up", async () => {
  await using agent = await new Agent().start();
  agent.answer = (_, socket) => void socket.write("HTTP/1.1 200 OK\r\n");
  const plugin = await buildSanitizedCni();
  const failure = failureOf(await call(agent, { plugin }));
  assert.equal(failure.code, 11);
  assert.match(failure.msg, /no answer within 1 s/);
});
