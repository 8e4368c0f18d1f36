import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { KernelError } from "./errors.ts";
import type { Datagram, DatagramExchange, Kernel, RedirectedDatagrams } from "./kernel.ts";
import { openKernel } from "./open-kernel.ts";

const name = `kddg${process.pid}`;
const namespacePath = `/run/netns/${name}`;
const port = 10_053;
const mark = 0x51;

/** The namespace has one device and answers for every address: whatever is sent goes out and comes in again, and is then redirected. */
const setUp: readonly string[] = [
  `ip netns add ${name}`,
  `ip -n ${name} link set lo up`,
  `ip -n ${name} address add 198.51.100.1/32 dev lo`,
  `ip -n ${name} address add 2001:db8::1/128 dev lo`,
  ...["-4", "-6"].flatMap((family) => [
    `ip -n ${name} ${family} rule add fwmark 1 lookup 100`,
    `ip -n ${name} ${family} route add local default dev lo table 100`,
    `ip -n ${name} ${family} route add default dev lo`,
  ]),
];
const rules = `
table inet t {
  chain output { type route hook output priority mangle; udp dport 53 meta mark set 1; }
  chain prerouting { type filter hook prerouting priority mangle;
    meta nfproto ipv4 udp dport 53 tproxy ip to 127.0.0.1:${port} meta mark set 1 accept;
    meta nfproto ipv6 udp dport 53 tproxy ip6 to [::1]:${port} meta mark set 1 accept; }
}`;
const families = [
  { family: "ipv4", type: "udp4", own: "127.0.0.1", server: "203.0.113.7", bytes: [203, 0, 113, 7] },
  { family: "ipv6", type: "udp6", own: "::1", server: "2001:db8::7", bytes: [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7] },
] as const;

/** What a program inside asks a server that is not there, and what it hears from whom. */
const client = `
const { createSocket } = require("node:dgram");
const [type, server, text] = process.argv.slice(1);
const socket = createSocket(type);
socket.on("message", (message, from) => { console.log(from.address, from.port, message.length, String(message.subarray(0, 20))); socket.close(); });
socket.send(text, 53, server);
setTimeout(() => process.exit(), 5_000).unref();
`;

describe("datagrams", { skip: requireKernel() }, () => {
  let kernel: Kernel;
  before(() => {
    kernel = openKernel();
    for (const command of setUp) execFileSync("sh", ["-c", command]);
    execFileSync("ip", ["netns", "exec", name, "nft", "-f", "-"], { input: rules });
  });
  after(() => execFileSync("ip", ["netns", "del", name]));

  for (const { family, type, server, bytes } of families) {
    test(`${family}: who asks a server is redirected, and hears the answer from that server`, async () => {
      using redirected = kernel.openRedirected({ namespacePath, family, port });
      using replies = kernel.openReplies({ namespacePath, family, mark });
      const asking = ask(type, server, "who?");
      const [question] = await next(redirected);
      assert.ok(question);
      assert.deepEqual([[...question.local], question.localPort, String(Buffer.from(question.bytes))], [[...bytes], 53, "who?"]);
      assert.equal(replies.send([{ ...question, bytes: Buffer.from("nobody") }]), 0);
      assert.equal(await asking, `${server} 53 6 nobody\n`);
      assert.deepEqual(redirected.receive(), [], "nothing comes to who only replies, nor twice");
    });

    test(`${family}: an answer larger than a packet, and of an odd length, arrives whole`, async () => {
      using redirected = kernel.openRedirected({ namespacePath, family, port });
      using replies = kernel.openReplies({ namespacePath, family });
      const asking = ask(type, server, "all of it");
      const [question] = await next(redirected);
      assert.ok(question);
      assert.equal(replies.send([{ ...question, bytes: Buffer.alloc(65_001, "x") }]), 0);
      assert.equal(await asking, `${server} 53 65001 ${"x".repeat(20)}\n`);
    });
  }

  test("many datagrams come in batches, none twice", async () => {
    using redirected = kernel.openRedirected({ namespacePath, family: "ipv4", port });
    const script = `const s = require("node:dgram").createSocket("udp4"); let left = 300;
      for (let i = 0; i < 300; i++) s.send(String(i), 53, "203.0.113.7", () => { if (--left === 0) s.close(); });`;
    const sent = once(spawn("ip", ["netns", "exec", name, process.execPath, "-e", script]), "close");
    const texts = new Set<string>();
    while (texts.size < 300) {
      const batch = await next(redirected);
      assert.ok(batch.length <= 64);
      for (const { bytes } of batch) texts.add(String(Buffer.from(bytes)));
    }
    await sent;
    assert.equal(texts.size, 300);
  });

  test("an answer that the network refuses is counted as lost, and the others are sent", async () => {
    using replies = kernel.openReplies({ namespacePath, family: "ipv4" });
    const datagram = { peerPort: 5_353, localPort: 53, local: Uint8Array.of(203, 0, 113, 7), bytes: Buffer.from("x") };
    const broadcast = { ...datagram, peer: Uint8Array.of(255, 255, 255, 255) };
    assert.equal(replies.send([broadcast, { ...datagram, peer: Uint8Array.of(127, 0, 0, 1) }, broadcast]), 2);
  });

  for (const { family, type, own } of families) {
    test(`${family}: each question has a socket of its own, and only who was asked can answer`, async () => {
      using exchange = kernel.openExchange();
      const server = createSocket(type);
      const ports = new Set<number>();
      server.on("message", (message, from) => {
        ports.add(from.port);
        const stranger = createSocket(type);
        stranger.send("not asked", from.port, from.address, () => {
          stranger.close();
          server.send(`re: ${message}`, from.port, from.address);
        });
      });
      server.bind(0, own);
      await once(server, "listening");
      const address = family === "ipv4" ? Uint8Array.of(127, 0, 0, 1) : Uint8Array.from([...new Array<number>(15).fill(0), 1]);
      for (const token of [1, 2, 0xffff_ffff])
        exchange.ask({ token, server: address, port: server.address().port, mark, bytes: Buffer.from(`${token}`) });
      const answers = new Map<number, string>();
      while (answers.size < 3) {
        assert.equal(await exchange.wait(AbortSignal.timeout(5_000)), true, "an answer never came");
        for (const { token, bytes, errno } of exchange.receive()) answers.set(token, `${Buffer.from(bytes)} ${errno}`);
      }
      assert.deepEqual([...answers].sort(), [
        [1, "re: 1 0"],
        [2, "re: 2 0"],
        [0xffff_ffff, "re: 4294967295 0"],
      ]);
      assert.equal(ports.size, 3);
      server.close();
    });
  }

  test("where nobody is, that is the answer", async () => {
    using exchange = kernel.openExchange();
    exchange.ask({ token: 5, server: Uint8Array.of(127, 0, 0, 1), port: 1, bytes: Buffer.from("x") });
    assert.equal(await exchange.wait(AbortSignal.timeout(5_000)), true);
    assert.deepEqual(received(exchange), [[5, 111]]);
  });

  test("a question that cannot be sent fails, and leaves nothing open; nor does whatever is closed", async () => {
    const count = readdirSync("/proc/self/fd").length;
    {
      using exchange = kernel.openExchange({ namespacePath });
      using redirected = kernel.openRedirected({ namespacePath, family: "ipv6", port });
      using _replies = kernel.openReplies({ namespacePath, family: "ipv6" });
      const question = { token: 1, port: 53, bytes: Buffer.from("x") };
      assert.throws(() => exchange.ask({ ...question, server: Uint8Array.of(1, 2, 3) }), failure("EAFNOSUPPORT"));
      assert.throws(
        () => exchange.ask({ ...question, server: Uint8Array.of(127, 0, 0, 1), bytes: Buffer.alloc(66_000) }),
        failure("EMSGSIZE"),
      );
      exchange.ask({ ...question, server: Uint8Array.of(127, 0, 0, 1) });
      assert.throws(() => exchange.ask({ ...question, server: Uint8Array.of(127, 0, 0, 1) }), failure("EEXIST"));
      exchange.end(1);
      exchange.end(1);
      exchange.ask({ ...question, server: Uint8Array.of(127, 0, 0, 1) });
      assert.throws(() => kernel.openRedirected({ namespacePath, family: "ipv6", port }), failure("EADDRINUSE"));
      const waiting = redirected.wait(new AbortController().signal);
      redirected[Symbol.dispose]();
      assert.equal(await waiting, false);
      assert.throws(() => redirected.receive(), failure("EBADF"));
    }
    await eventually(() => assert.equal(readdirSync("/proc/self/fd").length, count));
  });

  async function ask(type: string, server: string, text: string): Promise<string> {
    const child = spawn("ip", ["netns", "exec", name, process.execPath, "-e", client, type, server, text]);
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    await once(child, "close");
    return output;
  }
});

async function next(redirected: RedirectedDatagrams): Promise<Datagram[]> {
  assert.equal(await redirected.wait(AbortSignal.timeout(10_000)), true, "nothing came");
  return redirected.receive();
}

function received(exchange: DatagramExchange): Array<[number, number]> {
  return exchange.receive().map(({ token, errno }) => [token, errno]);
}

function failure(code: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof KernelError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  };
}
