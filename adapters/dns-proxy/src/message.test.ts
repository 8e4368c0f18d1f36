import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom, type Random } from "@cilium-ts/testing";
import { decode, encode, type Packet, type Answer as PacketAnswer, RECURSION_DESIRED } from "dns-packet";
import { type Question, Rcode, readAnswer, readQuestion, refusal, withId } from "./message.ts";

const long = process.env.CILIUM_TS_LONG === "1";

function query(name: string, type: "A" | "AAAA" | "TXT" = "A"): Uint8Array {
  return encode({ type: "query", id: 7, flags: RECURSION_DESIRED, questions: [{ type, name }] });
}

function asked(bytes: Uint8Array): Question {
  const read = readQuestion(bytes);
  assert.equal(read.kind, "question");
  return read.kind === "question" ? read.question : assert.fail();
}

function reply(name: string, answers: PacketAnswer[], more: Packet = {}): Uint8Array {
  return encode({ type: "response", id: 9, questions: [{ type: "A", name }], answers, ...more });
}

/** A message by hand: 12 bytes of header, then whatever. */
function raw(flags: number, counts: readonly number[], ...parts: ReadonlyArray<readonly number[] | Uint8Array>): Uint8Array {
  const words = [7, flags, ...counts].flatMap((word) => [word >> 8, word & 0xff]);
  return Uint8Array.from([...words, ...parts.flatMap((part) => [...part])]);
}

test("a question is read as it is meant: without a case, and without the root's dot", () => {
  assert.deepEqual(asked(query("WWW.Example.com")), { id: 7, name: "www.example.com", type: "A", isInternet: true, end: 33 });
  assert.equal(asked(raw(0x0100, [1, 0, 0, 0], [0, 0, 2, 0, 1])).name, "", "the root's");
});

const odd: ReadonlyArray<readonly [what: string, label: readonly number[], text: string]> = [
  ["a dot", [3, 0x61, 0x2e, 0x62], "a\\.b"],
  ["a backslash", [2, 0x61, 0x5c], "a\\\\"],
  ["bytes that nobody can read", [3, 0x00, 0x20, 0xff], "\\000\\032\\255"],
];
for (const [what, label, text] of odd) {
  test(`a label with ${what} is no other name`, () => {
    assert.equal(asked(raw(0, [1, 0, 0, 0], label, [3, 0x63, 0x6f, 0x6d, 0, 0, 1, 0, 1])).name, `${text}.com`);
  });
}

const unanswerable: ReadonlyArray<readonly [what: string, bytes: Uint8Array, rcode: number]> = [
  ["two questions", raw(0, [2, 0, 0, 0], [0, 0, 1, 0, 1, 0, 0, 1, 0, 1]), Rcode.formatError],
  ["no question", raw(0, [0, 0, 0, 0]), Rcode.formatError],
  ["a name that is cut off", raw(0, [1, 0, 0, 0], [5, 0x61]), Rcode.formatError],
  ["a name that points at itself", raw(0, [1, 0, 0, 0], [0xc0, 12, 0, 1, 0, 1]), Rcode.formatError],
  ["a label of a kind that is not", raw(0, [1, 0, 0, 0], [0x80, 0, 0, 1, 0, 1]), Rcode.formatError],
  ["a name of more than 255 bytes", raw(0, [1, 0, 0, 0], new Uint8Array(256).fill(1), [0, 0, 1, 0, 1]), Rcode.formatError],
  ["a question without its type", raw(0, [1, 0, 0, 0], [1, 0x61, 0, 0]), Rcode.formatError],
  ["an update", raw(0x2800, [1, 0, 0, 0], [0, 0, 6, 0, 1]), Rcode.notImplemented],
  ["a transfer of a zone", raw(0, [1, 0, 0, 0], [1, 0x61, 0, 0, 252, 0, 1]), Rcode.notImplemented],
];
for (const [what, bytes, rcode] of unanswerable) {
  test(`${what} is answered with an error, and asks nobody`, () => {
    const read = readQuestion(bytes);
    assert.ok(read.kind === "unanswerable", read.kind);
    assert.equal(read.rcode, rcode);
    const answer = refusal(bytes, read.end, read.rcode);
    const view = new DataView(answer.buffer);
    assert.deepEqual([view.getUint16(0), view.getUint16(2) & 0x800f, answer.length <= bytes.length], [7, 0x8000 | rcode, true]);
  });
}

test("noise is answered with nothing: what is too short, and answers that nobody asked for", () => {
  for (const bytes of [new Uint8Array(0), new Uint8Array(11), reply("a.test", [])]) assert.equal(readQuestion(bytes).kind, "noise");
});

test("a refusal repeats the question and nothing else", () => {
  const bytes = encode({
    type: "query",
    id: 7,
    flags: RECURSION_DESIRED,
    questions: [{ type: "AAAA", name: "Secret.test" }],
    additionals: [{ type: "OPT", name: ".", udpPayloadSize: 1_232 } as never],
  });
  const answer = decode(Buffer.from(refusal(bytes, asked(bytes).end, Rcode.refused)));
  assert.deepEqual(
    [answer.id, answer.type, (answer as { rcode?: string }).rcode, answer.questions, answer.additionals, answer.flag_rd, answer.flag_ra],
    [7, "response", "REFUSED", [{ name: "Secret.test", type: "AAAA", class: "IN" }], [], true, true],
  );
});

test("addresses belong to the name that was asked for, whatever it stands for", () => {
  const bytes = reply("www.test", [
    { type: "A", name: "host.elsewhere.test", data: "192.0.2.1", ttl: 60 },
    { type: "CNAME", name: "www.test", data: "cdn.test", ttl: 300 },
    { type: "CNAME", name: "CDN.test", data: "host.elsewhere.test", ttl: 20 },
    { type: "A", name: "host.elsewhere.test", data: "192.0.2.2", ttl: 90 },
    { type: "AAAA", name: "www.test", data: "2001:db8::1", ttl: 60 },
    { type: "TXT", name: "www.test", data: "x" },
  ]);
  assert.deepEqual(readAnswer(bytes, asked(query("www.test")), 9), {
    rcode: 0,
    truncated: false,
    addresses: ["192.0.2.1", "192.0.2.2", "2001:db8::1"],
    aliases: ["cdn.test.", "host.elsewhere.test."],
    ttlS: 20,
    recordTypes: ["A", "CNAME", "AAAA", "TXT"],
  });
});

test("an address of another name is nobody's, and names that stand for each other end", () => {
  const bytes = reply("www.test", [
    { type: "CNAME", name: "www.test", data: "a.test" },
    { type: "CNAME", name: "a.test", data: "www.test" },
    { type: "A", name: "bank.test", data: "192.0.2.66" },
  ]);
  assert.deepEqual(readAnswer(bytes, asked(query("www.test")), 9)?.addresses, []);
});

test("of another id, name, type or direction it is no answer", () => {
  const question = asked(query("www.test"));
  const good = reply("www.test", [{ type: "A", name: "www.test", data: "192.0.2.1" }]);
  assert.ok(readAnswer(good, question, 9));
  assert.equal(readAnswer(good, question, 8), undefined);
  assert.equal(readAnswer(good, asked(query("www.test", "AAAA")), 9), undefined);
  assert.equal(readAnswer(reply("www2.test", []), question, 9), undefined);
  assert.equal(readAnswer(withId(query("www.test"), 9), question, 9), undefined);
  assert.equal(readAnswer(good.subarray(0, 20), question, 9), undefined);
  assert.ok(readAnswer(raw(0x8001, [0, 0, 0, 0]), question, 7), "a server that did not understand repeats nothing");
  assert.equal(readAnswer(raw(0x8000, [0, 0, 0, 0]), question, 7), undefined);
});

test("nothing is learned from records that cannot be read, or of another class", () => {
  const question = asked(query("a.test"));
  const good = reply("a.test", [{ type: "A", name: "a.test", data: "192.0.2.1", ttl: 5 }]);
  assert.deepEqual(readAnswer(good.subarray(0, good.length - 1), question, 9)?.addresses, []);
  const chaos = Uint8Array.from(good);
  chaos[good.length - 11] = 3;
  assert.deepEqual(readAnswer(chaos, question, 9)?.addresses, []);
});

test("a truncated answer says so, and an error its code", () => {
  const question = asked(query("a.test"));
  assert.equal(readAnswer(reply("a.test", [], { flags: 0x0200 }), question, 9)?.truncated, true);
  assert.equal(readAnswer(reply("a.test", [], { flags: 3 }), question, 9)?.rcode, Rcode.nameError);
});

test("names are read as dns-packet reads them, and answers taken apart likewise, on many messages", () => {
  const random = createRandom(1);
  for (let round = 0; round < (long ? 50_000 : 2_000); round += 1) {
    const name = sampleName(random);
    const answers: PacketAnswer[] = [];
    for (let count = random.below(5); count > 0; count -= 1) {
      const owner = random.chance(0.5) ? name : sampleName(random);
      if (random.chance(0.3)) answers.push({ type: "CNAME", name: owner, data: sampleName(random), ttl: random.below(100) });
      else answers.push({ type: "A", name: owner, data: `192.0.2.${random.below(256)}`, ttl: random.below(100) });
    }
    const read = readAnswer(reply(name, answers), asked(query(name)), 9);
    const packet = decode(Buffer.from(reply(name, answers)));
    const names = new Set([name]);
    for (;;) {
      const before = names.size;
      const alias = packet.answers?.find((one) => one.type === "CNAME" && one.name === [...names].at(-1));
      if (alias?.type === "CNAME") names.add(alias.data);
      if (names.size === before) break;
    }
    const expected = (packet.answers ?? []).flatMap((one) => (one.type === "A" && names.has(one.name) ? [one.data] : []));
    assert.deepEqual(read?.addresses, [...new Set(expected)], `round ${round}`);
  }
});

test("whatever bytes come, reading them ends, with a value", () => {
  const random = createRandom(2);
  const question = asked(query("www.test"));
  const seeds = [
    query("www.test"),
    reply("www.test", [
      { type: "CNAME", name: "www.test", data: "cdn.www.test", ttl: 3 },
      { type: "A", name: "cdn.www.test", data: "192.0.2.1" },
      { type: "AAAA", name: "cdn.www.test", data: "2001:db8::1" },
    ]),
  ];
  for (let round = 0; round < (long ? 1_000_000 : 30_000); round += 1) {
    const bytes = Uint8Array.from(random.pick(seeds));
    for (let count = 1 + random.below(6); count > 0; count -= 1) bytes[random.below(bytes.length)] = random.below(256);
    const cut = random.chance(0.3) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
    const read = readQuestion(cut);
    if (read.kind === "unanswerable") refusal(cut, read.end, read.rcode);
    readAnswer(cut, question, 9);
    readAnswer(cut, question, ((cut[0] ?? 0) << 8) | (cut[1] ?? 0));
  }
});

test("a message made of pointers costs no more labels than it has bytes", () => {
  const deep = raw(
    0x8000,
    [1, 65_535, 0, 0],
    new Uint8Array(252).map((_, index) => (index % 2 === 0 ? 1 : 0x61)),
    [0, 0, 1, 0, 1],
  );
  const record = [0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12];
  const bytes = new Uint8Array(65_535);
  bytes.set(deep);
  for (let at = deep.length; at + record.length <= bytes.length; at += record.length) bytes.set(record, at);
  const question = asked(query(new Array<string>(126).fill("a").join(".")));
  assert.deepEqual(readAnswer(bytes, question, 7)?.addresses, []);
});

test("a name of thousands of pointers is none", () => {
  const bytes = new Uint8Array(16_400);
  bytes.set(raw(0x8000, [1, 2, 0, 0], [0, 0, 1, 0, 1], [0, 0, 16, 0, 1, 0, 0, 0, 0, 0x3f, 0x00]));
  for (let at = 28; at < 28 + 0x3f00; at += 2) bytes.set([0xc0 | ((at - 2) >> 8), (at - 2) & 0xff], at);
  bytes.set([0xc0 | ((0x3f00 + 20) >> 8), (0x3f00 + 20) & 0xff, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4], 28 + 0x3f00);
  const answer = readAnswer(bytes, asked(raw(0, [1, 0, 0, 0], [0, 0, 1, 0, 1])), 7);
  assert.deepEqual([answer?.addresses, answer?.recordTypes], [[], ["TXT"]]);
});

function sampleName(random: Random): string {
  return Array.from({ length: 1 + random.below(4) }, () => random.pick(["a", "b", "www", "cdn-1", "_srv"])).join(".");
}
