import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { KernelError } from "./errors.ts";
import type { Kernel } from "./kernel.ts";
import { openKernel } from "./open-kernel.ts";

/** Of linux/netlink.h and linux/rtnetlink.h. */
const typeError = 2;
const typeDone = 3;
const newLink = 16;
const delLink = 17;
const getLink = 18;
const flagRequest = 1;
const flagAck = 4;
const flagDump = 0x300;
const groupLink = 1;

const name = `kdnl${process.pid}`;
const namespacePath = `/run/netns/${name}`;

describe("netlink", { skip: requireKernel() }, () => {
  let kernel: Kernel;
  before(() => {
    kernel = openKernel();
    execFileSync("ip", ["netns", "add", name]);
  });
  after(() => execFileSync("ip", ["netns", "del", name]));

  test("a dump lists the links of its own namespace", async () => {
    using here = kernel.openNetlink({ family: "route" });
    using there = kernel.openNetlink({ family: "route", namespacePath });
    const dump = linkMessage(getLink, flagRequest | flagDump, 7);
    const links = messages(await here.transact(dump, 1));
    assert.equal(links.at(-1)?.type, typeDone);
    assert.equal(links.filter((message) => message.type === newLink).length, readdirSync("/sys/class/net").length);
    const inside = messages(await there.transact(dump, 1)).filter((message) => message.type === newLink);
    assert.deepEqual(
      inside.map((message) => message.index),
      [1],
      "only the loopback device",
    );
    assert.ok([...links, ...inside].every((message) => message.sequence === 7));
  });

  test("a refusal is an answer, not an exception; a buffer of several messages is answered as a whole", async () => {
    using socket = kernel.openNetlink({ family: "route", namespacePath });
    const nobody = linkMessage(delLink, flagRequest | flagAck, 1, 999_999);
    const up = linkMessage(newLink, flagRequest | flagAck, 2, 1);
    const answers = messages(await socket.transact(Buffer.concat([nobody, up, nobody]), 3));
    assert.deepEqual(
      answers.map(({ type, errno }) => [type, errno]),
      [
        [typeError, -19],
        [typeError, 0],
        [typeError, -19],
      ],
    );
  });

  test("a thousand messages in one buffer get their thousand answers", async () => {
    using socket = kernel.openNetlink({ family: "route", namespacePath });
    const buffer = Buffer.concat(Array.from({ length: 1000 }, (_, index) => linkMessage(newLink, flagRequest | flagAck, index, 1)));
    const answers = messages(await socket.transact(buffer, 1000));
    assert.deepEqual(
      answers.map((answer) => answer.sequence),
      Array.from({ length: 1000 }, (_, index) => index),
    );
  });

  test("calls on one socket are answered in their order, and closing waits for them", async () => {
    const socket = kernel.openNetlink({ family: "route", namespacePath });
    const asked = [1, 2, 3].map((sequence) => socket.transact(linkMessage(getLink, flagRequest | flagDump, sequence), 1));
    const answers = await Promise.all(asked);
    assert.deepEqual(
      answers.map((answer) => messages(answer)[0]?.sequence),
      [1, 2, 3],
    );
    socket[Symbol.dispose]();
    socket[Symbol.dispose]();
    await assert.rejects(socket.transact(linkMessage(getLink, flagRequest | flagDump, 4), 1), failure("EBADF"));
  });

  test("who has joined a group hears of every change until aborted", { timeout: 10_000 }, async () => {
    using listener = kernel.openNetlink({ family: "route", namespacePath, groups: [groupLink] });
    const stop = new AbortController();
    const batches = listener.receive(stop.signal)[Symbol.asyncIterator]();
    const first = batches.next();
    execFileSync("ip", ["-n", name, "link", "add", "kdveth", "type", "veth", "peer", "name", "kdpeer"]);
    const { value } = await first;
    assert.ok(value instanceof Uint8Array && messages(value).every((message) => message.type === newLink));
    const next = batches.next();
    stop.abort();
    for (let result = await next; !result.done; ) result = await batches.next();
  });

  test("lost notifications are one empty batch, with nothing older after it", { timeout: 20_000 }, async () => {
    using listener = kernel.openNetlink({ family: "route", namespacePath, groups: [groupLink] });
    using writer = kernel.openNetlink({ family: "route", namespacePath });
    // Up and down: each is a notification of more than a kilobyte; 8 MiB of them wait at most.
    const change = (sequence: number): Uint8Array => linkMessage(newLink, flagRequest | flagAck, sequence, 1, sequence % 2);
    for (let round = 0; round < 8; round += 1) {
      await writer.transact(Buffer.concat(Array.from({ length: 1000 }, (_, number) => change(number))), 1000);
    }
    const stop = new AbortController();
    let lost = 0;
    for await (const batch of listener.receive(stop.signal)) {
      if (batch.length === 0) {
        lost += 1;
        await writer.transact(change(0), 1);
        await writer.transact(change(1), 1);
      } else {
        assert.ok(messages(batch).length < 10, "only what happened after the loss");
        stop.abort();
      }
    }
    assert.equal(lost, 1);
  });

  test("closing ends the listening", { timeout: 10_000 }, async () => {
    const listener = kernel.openNetlink({ family: "route", namespacePath, groups: [groupLink] });
    const next = listener.receive(new AbortController().signal)[Symbol.asyncIterator]().next();
    listener[Symbol.dispose]();
    assert.equal((await next).done, true);
  });
});

/** struct nlmsghdr and struct ifinfomsg: the device by its index, IFF_UP as given. */
function linkMessage(type: number, flags: number, sequence: number, index = 0, up = 1): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  if (type === newLink) {
    view.setUint32(24, up, true);
    view.setUint32(28, 1, true); // Which flags are to change.
  }
  view.setInt32(20, index, true);
  return bytes;
}

function messages(bytes: Uint8Array): Array<{ type: number; sequence: number; errno: number; index: number }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const list = [];
  for (let offset = 0; offset < bytes.length; ) {
    const lengthBytes = view.getUint32(offset, true);
    const whole = lengthBytes >= 24;
    list.push({
      type: view.getUint16(offset + 4, true),
      sequence: view.getUint32(offset + 8, true),
      errno: view.getInt32(offset + 16, true),
      index: whole ? view.getInt32(offset + 20, true) : 0,
    });
    offset += (lengthBytes + 3) & ~3;
  }
  return list;
}

function failure(code: string, message = /./): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof KernelError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}
