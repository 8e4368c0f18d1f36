import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom, type Random } from "@cilium-ts/testing";
import { buildSanitizedCni } from "./build.ts";
import { Agent, type Ended, podVariables, response, runPlugin } from "./plugin-bench.ts";

const atOnce = 8;

function mutate(bytes: Buffer, random: Random): Buffer {
  const mutated = Buffer.from(random.chance(0.3) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes);
  for (let count = 1 + random.below(5); count > 0 && mutated.length > 0; count -= 1) {
    const byte = random.pick([
      0,
      0x0a,
      0x0d,
      0x20,
      0x22,
      0x2c,
      0x30,
      0x39,
      0x3a,
      0x5b,
      0x5c,
      0x75,
      0x7b,
      0x7d,
      0x80,
      0xff,
      random.below(256),
    ]);
    mutated[random.below(mutated.length)] = byte;
  }
  return mutated;
}

/** It succeeded, or failed with one error object; the sanitizers had nothing to say. */
function checkEnded(ended: Ended, what: Buffer): void {
  const context = `${JSON.stringify(what.toString("latin1"))}: ${JSON.stringify(ended)}`;
  assert.equal(ended.stderr, "", context);
  assert.ok(ended.status === 0 || ended.status === 1, context);
  if (ended.status === 0) return;
  const failure = JSON.parse(ended.stdout);
  assert.ok(typeof failure.code === "number" && typeof failure.msg === "string", context);
}

/** `rounds` of them, a few at a time. */
async function forEachRound(rounds: number, check: () => Promise<void>): Promise<void> {
  let begun = 0;
  const work = async (): Promise<void> => {
    while (begun < rounds) {
      begun += 1;
      await check();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

test("mutated configurations are understood or refused, and nothing is touched that is not ours", { timeout: 60_000 }, async () => {
  const plugin = await buildSanitizedCni();
  await using agent = await new Agent().start();
  const random = createRandom(11);
  const more = { text: 'a\\u00e9\\ud83d\\ude00\\n"', list: [1, -2.5e3, true, null, {}], ü: "€😀" };
  const config = Buffer.from(agent.config(more).replaceAll("\\\\", "\\"));
  await forEachRound(250, async () => {
    const input = mutate(config, random);
    checkEnded(await runPlugin({ plugin, variables: { ...podVariables, CNI_COMMAND: random.pick(["CHECK", "STATUS"]) }, input }), input);
  });
});

test("mutated answers are understood or refused, and nothing is touched that is not ours", { timeout: 60_000 }, async () => {
  const plugin = await buildSanitizedCni();
  await using agent = await new Agent().start();
  const random = createRandom(12);
  const answers = [
    response('{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.5/32"}]}'),
    response('{"cniVersion":"1.0.0","code":11,"msg":"later"}', "400 Bad Request"),
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\n{"a"\r\n3\r\n:1}\r\n0\r\nX: y\r\n\r\n',
  ].map((text) => Buffer.from(text));
  let last: Buffer = Buffer.alloc(0);
  agent.answer = (_, socket) => {
    last = mutate(random.pick(answers), random);
    socket.end(last);
  };
  await forEachRound(250, async () => {
    checkEnded(await runPlugin({ plugin, variables: { ...podVariables, CNI_COMMAND: "CHECK" }, input: agent.config() }), last);
  });
});
