import assert from "node:assert/strict";
import { test } from "node:test";
import { KernelError, type NetlinkSocket } from "@cilium-ts/kernel";
import { prefix } from "./contract-suite.ts";
import { decodeMessages } from "./message-reader.ts";
import { MessageWriter } from "./message-writer.ts";
import type { Netlink } from "./netlink.ts";
import { openNetlink } from "./open-netlink.ts";
import type { Operation } from "./operation.ts";
import { FakeNetworks } from "./testing.ts";

/** Netlink over a socket that answers as it is told. `sends` counts the system calls. */
function openScripted(
  answer: (request: Uint8Array) => Uint8Array,
  notifications: readonly Uint8Array[] = [],
): { netlink: Netlink; sends: () => number } {
  let sends = 0;
  const socket: NetlinkSocket = {
    async transact(request) {
      sends += 1;
      return answer(request);
    },
    async *receive() {
      yield* notifications;
    },
    [Symbol.dispose]: () => {},
  };
  return { netlink: openNetlink({ openNetlink: () => socket }), sends: () => sends };
}

/** To each request: errno 0. */
function acknowledge(request: Uint8Array): Uint8Array {
  const writer = new MessageWriter();
  for (const { sequence } of decodeMessages(request)) writer.message({ type: 2, flags: 0x100, sequence }, () => writer.u32(0));
  return writer.take();
}

function done(request: Uint8Array, flags: number): Uint8Array {
  const writer = new MessageWriter();
  for (const { sequence } of decodeMessages(request)) writer.message({ type: 3, flags: 0x2 | flags, sequence }, () => writer.u32(0));
  return writer.take();
}

const removal: Operation = { kind: "route.delete", route: { destination: prefix("10.0.0.0/8") } };

test("a list that was interrupted is read again", async () => {
  let answers = 0;
  const { netlink, sends } = openScripted((request) => {
    answers += 1;
    return done(request, answers < 3 ? 0x10 : 0);
  });
  assert.deepEqual(await netlink.links.list(), []);
  assert.equal(sends(), 3);
});

test("a list that is always interrupted is refused in the end", async () => {
  const { netlink, sends } = openScripted((request) => done(request, 0x10));
  await assert.rejects(netlink.routes.list(), /list of routes: changed again and again .* \(EAGAIN\): given up after 6 attempts/);
  assert.equal(sends(), 6);
});

test("96 operations are one send, 97 are two", async () => {
  for (const [count, expected] of [
    [96, 1],
    [97, 2],
  ] as const) {
    const { netlink, sends } = openScripted(acknowledge);
    const outcomes = await netlink.batch(new Array<Operation>(count).fill(removal));
    assert.ok(outcomes.length === count && outcomes.every(({ ok }) => ok));
    assert.equal(sends(), expected);
  }
});

test("created links count for more, because each is echoed", async () => {
  const { netlink, sends } = openScripted(acknowledge);
  await netlink.batch(new Array<Operation>(20).fill({ kind: "link.createBridge", link: { name: "br0" } }));
  assert.equal(sends(), 2);
});

test("when the socket fails, what was done before is told from what is unknown", async () => {
  let answers = 0;
  const { netlink } = openScripted((request) => {
    answers += 1;
    if (answers > 1)
      throw new KernelError({ message: "netlink route: no answer within 5 s", syscall: "recv", errno: 110, code: "ETIMEDOUT" });
    return acknowledge(request);
  });
  const outcomes = await netlink.batch(new Array<Operation>(100).fill(removal));
  assert.equal(outcomes.length, 100);
  assert.deepEqual(
    [outcomes[95], outcomes[96], outcomes[99]].map((outcome) => outcome?.ok),
    [true, false, false],
  );
  const last = outcomes[99];
  assert.ok(last !== undefined && !last.ok);
  assert.match(last.error.message, /^route 10\.0\.0\.0\/8: .*\(ETIMEDOUT\): netlink route: no answer within 5 s$/);
});

test("an operation that nobody acknowledged is a failure", async () => {
  const { netlink } = openScripted(() => new Uint8Array(0));
  await assert.rejects(netlink.routes.add({ destination: prefix("10.0.0.0/8") }), /EBADMSG.*was not acknowledged/);
});

test("an overflow of the kernel's buffer says to list again", async () => {
  const { netlink } = openScripted(acknowledge, [new Uint8Array(0)]);
  const changes: unknown[] = [];
  for await (const change of netlink.watchRoutes(new AbortController().signal)) changes.push(change);
  assert.deepEqual(changes, [{ kind: "overflow" }]);
});

test("the fake overflows too", async () => {
  const netlink = new FakeNetworks().open();
  const changes = netlink.watchLinks(new AbortController().signal);
  for (let count = 0; count < 1100; count += 1) await netlink.links.set("lo", { up: count % 2 === 0 });
  for await (const change of changes) {
    assert.equal(change.kind, "overflow");
    break;
  }
});

test("deleting a namespace of the fake takes its links and their peers along", async () => {
  const networks = new FakeNetworks();
  networks.createNamespace("/pod");
  const netlink = networks.open();
  await netlink.links.createVeth({ name: "lxc1", peer: { name: "eth0", namespacePath: "/pod" } });
  networks.deleteNamespace("/pod");
  assert.equal(await netlink.links.get("lxc1"), undefined);
  assert.throws(() => networks.open({ namespacePath: "/pod" }), /namespace \/pod: does not exist \(ENOENT\)/);
});
