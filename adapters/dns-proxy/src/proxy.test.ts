import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { createServer, Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { type Kernel, openKernel } from "@cilium-ts/kernel";
import { formatAddress } from "@cilium-ts/net";
import { systemClock, TaskGroup } from "@cilium-ts/std";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { type DecodedPacket, decode, encode, type Packet } from "dns-packet";
import { Frames, framed } from "./frames.ts";
import type { Answer, Question } from "./message.ts";
import { DnsProxy } from "./proxy.ts";
import type { AskedServer, DnsProxyOptions } from "./proxy-options.ts";

const name = `dnsp${process.pid}`;
const namespacePath = `/run/netns/${name}`;
const port = 10_001;
/** Of what the proxy sends itself: it is not redirected. */
const mark = 0x52;

/**
 * One namespace has the pod, the servers and the proxy. What is sent to the servers' addresses, which are its own, is redirected as the
 * datapath would, unless the proxy has sent it.
 */
const commands: readonly string[] = [
  `ip netns add ${name}`,
  `ip -n ${name} link set lo up`,
  ...["192.0.2.1/32", "192.0.2.53/32", "192.0.2.54/32", "2001:db8::1/128", "2001:db8::53/128"].map(
    (address) => `ip -n ${name} address add ${address} dev lo${address.includes(":") ? " nodad" : ""}`,
  ),
  ...["-4", "-6"].flatMap((family) => [
    `ip -n ${name} ${family} rule add fwmark 1 lookup 100`,
    `ip -n ${name} ${family} route add local default dev lo table 100`,
  ]),
];
const rules = `
table inet t {
  chain output { type route hook output priority mangle; meta mark 0 th dport 53 meta mark set 1; }
  chain prerouting { type filter hook prerouting priority mangle;
    meta mark 1 meta nfproto ipv4 meta l4proto { tcp, udp } th dport 53 tproxy ip to 127.0.0.1:${port} accept;
    meta mark 1 meta nfproto ipv6 meta l4proto { tcp, udp } th dport 53 tproxy ip6 to [::1]:${port} accept; }
}`;

/** Answers by the first label of the name, over UDP and TCP at both families; runs inside. */
const serverScript = `
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { decode, encode } from "dns-packet";
const answer = (bytes, udp) => {
  const query = decode(bytes);
  const [question] = query.questions;
  const kind = question.name.toLowerCase().split(".")[0];
  const base = { type: "response", id: query.id, questions: [question], additionals: query.additionals };
  const a = (data) => ({ type: "A", name: question.name, data, ttl: 30 });
  if (kind === "silent") return undefined;
  if (kind === "big" && udp) return encode({ ...base, flags: 0x200 });
  if (kind === "big") return encode({ ...base, answers: Array.from({ length: 200 }, (_, i) => a("198.51.100." + i)) });
  if (kind === "wrong") return encode({ ...base, id: query.id ^ 1, answers: [a("198.51.100.66")] });
  if (kind === "none") return encode({ ...base, flags: 3 });
  return encode({ ...base, answers: [a("198.51.100.1")] });
};
for (const [type, address] of [["udp4", "192.0.2.53"], ["udp6", "2001:db8::53"]]) {
  const socket = createSocket(type);
  socket.on("message", (bytes, from) => { const out = answer(bytes, true); if (out) socket.send(out, from.port, from.address); });
  socket.bind(53, address);
  createServer((stream) => {
    let rest = Buffer.alloc(0);
    stream.on("error", () => {});
    stream.on("data", (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
        const out = answer(rest.subarray(2, 2 + rest.readUInt16BE(0)), false);
        rest = rest.subarray(2 + rest.readUInt16BE(0));
        if (!out) continue;
        const frame = Buffer.alloc(2 + out.length);
        frame.writeUInt16BE(out.length, 0); out.copy(frame, 2);
        stream.write(frame);
      }
    });
  }).listen(53, address);
}
console.log("ready");
`;

/** Sends queries, hex, and prints the first answer, hex: what a pod sees. */
const clientScript = `
const socket = require("node:dgram").createSocket(process.argv[1]);
socket.connect(53, process.argv[2], () => { for (const query of process.argv.slice(3)) socket.send(Buffer.from(query, "hex")); });
socket.on("message", (bytes) => { console.log(bytes.toString("hex")); process.exit(); });
socket.on("error", (error) => { console.log(error.code); process.exit(); });
setTimeout(() => process.exit(), 20000);
`;

interface Seen {
  readonly asked: AskedServer[];
  readonly questions: Array<readonly [Question, string]>;
  readonly answers: Array<readonly [Question, Answer]>;
  readonly outcomes: string[];
  readonly lost: string[];
}

describe("the DNS proxy", { skip: requireKernel() }, () => {
  let kernel: Kernel;
  let server: ChildProcess;
  const clients = new Set<ChildProcess>();
  before(async () => {
    kernel = openKernel();
    for (const command of commands) execFileSync("sh", ["-c", command]);
    execFileSync("ip", ["netns", "exec", name, "nft", "-f", "-"], { input: rules });
    server = spawn("ip", ["netns", "exec", name, process.execPath, "--input-type=module", "-e", serverScript], {
      stdio: ["ignore", "pipe", "inherit"],
      cwd: import.meta.dirname,
    });
    await once(server.stdout ?? server, "data");
  });
  after(() => {
    server.kill();
    execFileSync("ip", ["netns", "del", name]);
  });

  async function withProxy(work: (seen: Seen) => Promise<void>, more: Partial<DnsProxyOptions> = {}): Promise<void> {
    const seen: Seen = { asked: [], questions: [], answers: [], outcomes: [], lost: [] };
    let lastId = 100;
    await using proxy = new DnsProxy({
      kernel,
      clock: systemClock,
      port,
      mark,
      namespacePath,
      refusedWith: 5,
      inFlightMax: 100,
      timeoutMs: 10_000,
      answerDelayMsMax: 100,
      randomId() {
        lastId += 1;
        return lastId;
      },
      judge(asked) {
        seen.asked.push(asked);
        return {
          endpointId: 1,
          mark,
          allows: (asked) => !asked.startsWith("evil"),
          onQuestion: (question, verdict) => void seen.questions.push([question, verdict]),
          onAnswer(question, answer) {
            seen.answers.push([question, answer]);
            return undefined;
          },
        };
      },
      onOutcome: (outcome, transport) => void seen.outcomes.push(`${transport} ${outcome}`),
      onLost: (what) => void seen.lost.push(what),
      ...more,
    });
    await using tasks = new TaskGroup(new AbortController().signal);
    tasks.run("serve", (signal) => proxy.serve(signal));
    await work(seen);
    assert.equal(proxy.inFlight, 0);
    for (const client of clients) client.kill();
  }

  async function ask(
    host: string | readonly string[],
    options: { address?: string; edns?: boolean } = {},
  ): Promise<DecodedPacket & { rcode?: string }> {
    const { address = "192.0.2.53", edns = false } = options;
    const additionals = edns ? [{ type: "OPT", name: ".", udpPayloadSize: 1_232, options: [] } as never] : [];
    const queries = [host]
      .flat()
      .map((one) => encode({ type: "query", id: 4_711, flags: 0x100, questions: [{ type: "A", name: one }], additionals }));
    const type = address.includes(":") ? "udp6" : "udp4";
    const texts = queries.map((query) => query.toString("hex"));
    const child = spawn("ip", ["netns", "exec", name, process.execPath, "-e", clientScript, type, address, ...texts]);
    clients.add(child);
    child.once("close", () => clients.delete(child));
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    await once(child, "close");
    assert.match(output, /^[0-9a-f]+\n$/, `${host}: ${output || "no answer"}`);
    const packet = decode(Buffer.from(output.trim(), "hex"));
    assert.equal(packet.id, 4_711, "the client's own id");
    return packet;
  }

  /** A stream to the server, through the proxy. */
  async function connect(address: string): Promise<{ socket: Socket; send(...hosts: string[]): void; next(): Promise<Packet> }> {
    const family = address.includes(":") ? "ipv6" : "ipv4";
    const socket = new Socket({ fd: kernel.openSocket({ namespacePath, family, type: "stream" }), readable: true, writable: true });
    const frames = new Frames();
    const packets: Packet[] = [];
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      for (const frame of frames.push(chunk)) packets.push(decode(Buffer.from(frame)));
    });
    socket.connect(53, address);
    await once(socket, "connect");
    return {
      socket,
      send(...hosts) {
        const queries = hosts.map((host, index) => framed(encode({ type: "query", id: index, questions: [{ type: "A", name: host }] })));
        socket.write(Buffer.concat(queries));
      },
      next: () => eventually(() => packets.shift() ?? assert.fail("no answer")),
    };
  }

  for (const address of ["192.0.2.53", "2001:db8::53"]) {
    test(`what is allowed is asked of the server that the pod meant, and its answer told and released: ${address}`, () =>
      withProxy(async (seen) => {
        const packet = await ask("WWW.test", { address, edns: true });
        assert.deepEqual(
          packet.answers?.map((answer) => (answer.type === "A" ? answer.data : answer.type)),
          ["198.51.100.1"],
        );
        assert.equal(packet.questions?.[0]?.name, "WWW.test", "bytes are forwarded as they are");
        assert.equal(packet.additionals?.length, 1, "so are extensions");
        const [{ client, server: meant } = assert.fail()] = seen.asked;
        assert.deepEqual([formatAddress(meant.address), meant.port, client.port > 1_023], [address, 53, true]);
        assert.deepEqual(
          seen.questions.map(([{ name: asked, type }, verdict]) => [asked, type, verdict]),
          [["www.test", "A", "forwarded"]],
        );
        assert.deepEqual(
          seen.answers.map(([, { addresses, ttlS, rcode }]) => [addresses, ttlS, rcode]),
          [[["198.51.100.1"], 30, 0]],
        );
        assert.deepEqual(seen.outcomes, ["UDP answered"]);
      }));
  }

  test("what is not allowed is refused at once, and no server hears of it", () =>
    withProxy(async (seen) => {
      assert.equal((await ask("evil.test")).rcode, "REFUSED");
      assert.deepEqual([seen.outcomes, seen.answers, seen.questions[0]?.[1]], [["UDP refused"], [], "refused"]);
    }));

  test("refusals have the code that is wanted", () =>
    withProxy(async () => assert.equal((await ask("evil.test")).rcode, "NXDOMAIN"), { refusedWith: 3 }));

  test("who may not speak to the server is not answered", () =>
    withProxy(
      async (seen) => {
        const asking = assert.rejects(ask("www.test"), /no answer/);
        await eventually(() => assert.deepEqual(seen.outcomes, ["UDP stranger"]));
        for (const client of clients) client.kill();
        await asking;
      },
      { judge: () => undefined },
    ));

  test("where no server is, the client is told that it failed", () =>
    withProxy(async (seen) => {
      assert.equal((await ask("www.test", { address: "192.0.2.54" })).rcode, "SERVFAIL");
      assert.deepEqual(seen.outcomes, ["UDP unreachable"]);
    }));

  test("an answer that is none is not released", () =>
    withProxy(
      async (seen) => {
        const asking = ask("wrong.test");
        await eventually(() => assert.deepEqual(seen.lost, ["mismatched answer"]));
        assert.equal((await ask("www.test")).rcode, "NOERROR");
        assert.equal(seen.answers.length, 1);
        assert.equal((await asking).rcode, "SERVFAIL", "when the question is too old");
        assert.deepEqual(seen.outcomes.sort(), ["UDP answered", "UDP timeout"]);
      },
      { timeoutMs: 1_000 },
    ));

  test("too many questions at once are not forwarded, and the client is told", () =>
    withProxy(
      async (seen) => {
        const first = await ask(["silent.test", "www.test"]);
        assert.deepEqual([first.questions?.[0]?.name, first.rcode], ["www.test", "SERVFAIL"]);
        await eventually(() => assert.deepEqual(seen.outcomes, ["UDP overload", "UDP timeout"]));
        assert.equal(seen.questions.length, 1, "no server has heard of the other one");
      },
      { inFlightMax: 4, timeoutMs: 1_000 },
    ));

  test("an answer waits until what it says is in force", async () => {
    const inForce = Promise.withResolvers<void>();
    let told = false;
    const asker = {
      endpointId: 1,
      mark,
      allows: () => true,
      onQuestion() {},
      onAnswer() {
        told = true;
        return inForce.promise;
      },
    };
    await withProxy(
      async () => {
        let answered = false;
        const asking = ask("www.test").then(() => {
          answered = true;
        });
        await eventually(() => assert.equal(told, true));
        await new Promise((resolve) => setTimeout(resolve, 50));
        assert.equal(answered, false);
        inForce.resolve();
        await asking;
      },
      { judge: () => asker, answerDelayMsMax: 60_000 },
    );
  });

  test("an answer does not wait for ever", () =>
    withProxy(async () => assert.equal((await ask("www.test")).rcode, "NOERROR"), {
      judge: () => ({ endpointId: 1, mark, allows: () => true, onQuestion() {}, onAnswer: () => new Promise(() => {}) }),
      answerDelayMsMax: 20,
    }));

  for (const address of ["192.0.2.53", "2001:db8::53"]) {
    test(`an answer that UDP cuts off is had by TCP, many in one connection: ${address}`, () =>
      withProxy(async (seen) => {
        assert.equal((await ask("big.test", { address })).flag_tc, true);
        const { socket, send, next } = await connect(address);
        send("big.test", "evil.test", "none.test");
        const packets = [await next(), await next(), await next()].sort((one, other) => (one.id ?? 0) - (other.id ?? 0));
        assert.deepEqual(
          packets.map((packet) => [packet.id, (packet as { rcode?: string }).rcode, packet.answers?.length]),
          [
            [0, "NOERROR", 200],
            [1, "REFUSED", 0],
            [2, "NXDOMAIN", 0],
          ],
        );
        socket.end();
        await once(socket, "close");
        assert.equal(
          seen.answers.find(([{ name: asked }, { truncated }]) => asked === "big.test" && !truncated)?.[1].addresses.length,
          200,
        );
        assert.deepEqual(seen.outcomes.slice(1).sort(), ["TCP answered", "TCP answered", "TCP refused"]);
      }));
  }

  test("by TCP, too, the client is told when no server is there", () =>
    withProxy(async (seen) => {
      const { socket, send, next } = await connect("192.0.2.54");
      send("www.test", "api.test");
      assert.deepEqual(
        [((await next()) as { rcode?: string }).rcode, ((await next()) as { rcode?: string }).rcode],
        ["SERVFAIL", "SERVFAIL"],
      );
      assert.deepEqual(seen.outcomes, ["TCP unreachable", "TCP unreachable"]);
      socket.destroy();
    }));

  test("a client that ends its side is still answered", () =>
    withProxy(async () => {
      const { socket, send, next } = await connect("192.0.2.53");
      send("www.test");
      socket.end();
      assert.equal(((await next()) as { rcode?: string }).rcode, "NOERROR");
    }));

  test("what is no question ends the connection", () =>
    withProxy(async (seen) => {
      const { socket } = await connect("192.0.2.53");
      socket.write(framed(encode({ type: "response", id: 1 })));
      await once(socket, "close");
      assert.deepEqual(seen.outcomes.slice(-1), ["TCP malformed"]);
    }));

  test("a port that somebody else has is refused, and nothing stays open", async () => {
    const fd = kernel.openSocket({ namespacePath, family: "ipv6", type: "stream", bind: { address: "::1", port }, listen: 1 });
    const other = createServer().listen({ fd });
    await once(other, "listening");
    await assert.rejects(
      withProxy(async () => {}),
      { code: "EADDRINUSE" },
    );
    other.close();
    await once(other, "close");
    await withProxy(async () => {});
    closeSync(kernel.openSocket({ namespacePath, family: "ipv4", type: "datagram", bind: { address: "127.0.0.1", port } }));
  });
});
