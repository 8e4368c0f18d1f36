import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom, type Random } from "@cilium-ts/testing";
import { address, hostMac, podMac, prefix } from "./contract-suite.ts";
import { NetlinkError } from "./errors.ts";
import { decodeAnswers } from "./kernel-answers.ts";
import { kernelTables } from "./kernel-tables.ts";
import { decodeAttributes, decodeMessages } from "./message-reader.ts";
import { MessageWriter } from "./message-writer.ts";
import { encodeOperation, type Operation } from "./operation.ts";
import { decodeChanges } from "./watch.ts";

const operations: readonly Operation[] = [
  { kind: "link.createVeth", link: { name: "lxc1", mac: hostMac, mtu: 1500, peer: { name: "eth0", mac: podMac, mtu: 1500 } } },
  { kind: "link.createBridge", link: { name: "br0", up: true } },
  { kind: "link.set", link: 4, change: { up: false, alias: "web", masterIndex: null } },
  { kind: "address.add", address: { linkIndex: 4, address: address("10.0.0.5"), prefixLength: 32, noDad: true } },
  { kind: "address.delete", address: { linkIndex: 4, address: address("fd00::5"), prefixLength: 128 } },
  {
    kind: "route.add",
    route: { destination: prefix("::/0"), gateway: address("fd00::1"), linkIndex: 4, mtu: 1400, metric: 7, table: 1000 },
  },
  { kind: "route.add", route: { destination: prefix("10.0.0.0/8"), kind: "blackhole" } },
  {
    kind: "rule.add",
    rule: { family: 4, priority: 9, mark: 1, from: prefix("10.0.0.0/8"), to: prefix("10.1.0.0/16"), table: 7, outputLink: "lo" },
  },
  { kind: "neighbour.replace", neighbour: { linkIndex: 4, address: address("10.0.0.6"), mac: podMac } },
  { kind: "link.createVxlan", link: { name: "vx0", external: true, port: 8472, mtu: 1400, up: true } },
];

function encodeAll(): Uint8Array {
  const writer = new MessageWriter();
  for (const [index, operation] of operations.entries()) encodeOperation(writer, operation, index + 1, 7);
  return writer.take();
}

test("what is written as a request is read as the row it asks for", () => {
  const [veth, bridge, change, added, , gateway, blackhole, rule, neighbour, vxlan] = decodeMessages(encodeAll()).map(
    ({ payload }) => payload,
  );
  assert.ok(veth && bridge && change && added && gateway && blackhole && rule && neighbour && vxlan);
  const link = kernelTables.link.decode(veth);
  assert.deepEqual([link?.name, link?.kind, link?.mtu, link?.up], ["lxc1", "veth", 1500, false]);
  const tunnel = kernelTables.link.decode(vxlan);
  assert.deepEqual([tunnel?.name, tunnel?.kind, tunnel?.mtu, tunnel?.up], ["vx0", "vxlan", 1400, true]);
  assert.equal(kernelTables.link.decode(bridge)?.up, true);
  assert.throws(() => kernelTables.link.decode(change), /a link without a name/);
  assert.deepEqual(kernelTables.address.decode(added)?.address, address("10.0.0.5"));
  const route = kernelTables.route.decode(gateway);
  assert.deepEqual([route?.gateway, route?.mtu, route?.metric, route?.table], [address("fd00::1"), 1400, 7, 1000]);
  assert.equal(kernelTables.route.decode(blackhole)?.kind, "blackhole");
  assert.deepEqual(kernelTables.rule.decode(rule)?.to, prefix("10.1.0.0/16"));
  assert.equal(kernelTables.neighbour.decode(neighbour)?.state, "permanent");
});

test("the bytes of a request are those that the kernel's headers describe", () => {
  const writer = new MessageWriter();
  encodeOperation(
    writer,
    { kind: "neighbour.replace", neighbour: { linkIndex: 4, address: address("10.0.0.6"), mac: podMac } },
    9,
    undefined,
  );
  const expected = [
    "30000000 1c00 0505 09000000 00000000", // length 48, RTM_NEWNEIGH, REQUEST ACK REPLACE CREATE, sequence, port
    "02 00 0000 04000000 8000 00 00", // AF_INET, ifindex, NUD_PERMANENT
    "0800 0100 0a000006", // NDA_DST
    "0a00 0200 020000000002 0000", // NDA_LLADDR and padding
  ].join(" ");
  assert.equal(Buffer.from(writer.take()).toString("hex"), expected.replaceAll(" ", ""));
});

test("an operation that cannot be written leaves nothing of itself behind", () => {
  const writer = new MessageWriter();
  const route = { destination: prefix("10.0.0.0/8"), metric: -1 };
  assert.throws(() => encodeOperation(writer, { kind: "route.add", route }, 1, undefined), RangeError);
  assert.equal(writer.take().length, 0);
});

function acknowledgement(options: { errno: number; flags: number; request: number; text?: string }): Uint8Array {
  const writer = new MessageWriter();
  writer.message({ type: 2, flags: options.flags, sequence: 1 }, () => {
    writer.u32(-options.errno >>> 0);
    writer.u32(16 + options.request);
    for (let index = 0; index < 12 + options.request; index += 4) writer.u32(0);
    if (options.text !== undefined) writer.attributeText(1, options.text);
  });
  return writer.take();
}

for (const [what, flags, request] of [
  ["after the request that it repeats", 0x200, 12],
  ["after the request's header alone", 0x300, 0],
] as const) {
  test(`the kernel's own words are found ${what}`, () => {
    const answer = decodeAnswers(acknowledgement({ errno: 22, flags, request, text: "Unknown device type" })).get(1);
    assert.deepEqual([answer?.errno, answer?.detail], [22, "Unknown device type"]);
  });
}

test("an acknowledgement without words is one too", () => {
  assert.deepEqual(decodeAnswers(acknowledgement({ errno: 17, flags: 0, request: 12 })).get(1)?.errno, 17);
  assert.deepEqual(decodeAnswers(acknowledgement({ errno: 0, flags: 0x100, request: 0 })).get(1)?.errno, 0);
});

test("a list that ends in an error may carry the kernel's words", () => {
  const writer = new MessageWriter();
  writer.message({ type: 3, flags: 0x202, sequence: 1 }, () => {
    writer.u32(-22 >>> 0);
    writer.attributeText(1, "Invalid header");
  });
  assert.deepEqual(decodeAnswers(writer.take()).get(1), { errno: 22, detail: "Invalid header", interrupted: false, rows: [] });
});

test("a list that was interrupted is known by any of its messages", () => {
  const writer = new MessageWriter();
  writer.message({ type: 16, flags: 0x2 | 0x10, sequence: 1 }, () => writer.u32(0));
  writer.message({ type: 3, flags: 0x2, sequence: 1 }, () => writer.u32(0));
  assert.equal(decodeAnswers(writer.take()).get(1)?.interrupted, true);
});

/** Anything is either read or refused as EBADMSG. */
function checkSurvives(bytes: Uint8Array): void {
  const readers: (() => unknown)[] = [
    () => decodeAnswers(bytes),
    () => decodeAttributes(bytes),
    ...Object.values(kernelTables).map((table) => () => table.decode(bytes)),
    ...Object.values(kernelTables).map((table) => () => [...decodeChanges<unknown>(bytes, table)]),
  ];
  for (const read of readers) {
    try {
      read();
    } catch (error) {
      assert.ok(error instanceof NetlinkError && error.code === "EBADMSG", `${Buffer.from(bytes).toString("hex")}: ${error}`);
    }
  }
}

function mutate(bytes: Uint8Array, random: Random): Uint8Array {
  const mutated = Uint8Array.from(random.chance(0.3) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes);
  for (let count = random.below(6); count > 0 && mutated.length > 0; count -= 1) {
    mutated[random.below(mutated.length)] = random.pick([0, 1, 2, 3, 4, 8, 0x7f, 0x80, 0xff, random.below(256)]);
  }
  return mutated;
}

test("garbage is refused, never misread past its end", () => {
  const random = createRandom(7);
  const whole = encodeAll();
  const payloads = decodeMessages(whole).map(({ payload }) => payload);
  for (let round = 0; round < 20_000; round += 1) checkSurvives(mutate(random.chance(0.3) ? whole : random.pick(payloads), random));
});
