import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { client, families, host, server } from "./two-pods.ts";

const skip = requireKernel();
const run = promisify(execFile);
const namespaces = { node: `bpft${process.pid}n`, client: `bpft${process.pid}c`, server: `bpft${process.pid}s` };
type Place = keyof typeof namespaces;

const inside = (place: Place, ...command: readonly string[]): [string, string[]] => [
  "nsenter",
  [`--net=/run/netns/${namespaces[place]}`, ...command],
];
const ip = (place: Place, ...args: readonly string[]) => run(...inside(place, "ip", ...args));

/** Answers every request with so many bytes. */
const answerBytes = 8 << 20;
const serve = `require("node:http").createServer((_, answer) => answer.end(Buffer.alloc(${answerBytes}))).listen(8080, "::")`;
const fetchBytes = (url: string, deadlineMs: number) =>
  `fetch(${JSON.stringify(url)}, { signal: AbortSignal.timeout(${deadlineMs}) }).then((r) => r.arrayBuffer())
    .then((b) => console.log(b.byteLength), () => console.log("nothing")).finally(() => process.exit())`;

/** What a place gets from a server: the number of bytes, or "nothing" before the deadline. */
async function get(place: Place, address: string, deadlineMs = 10_000): Promise<string> {
  const url = `http://${address.includes(":") ? `[${address}]` : address}:8080/`;
  return (await run(...inside(place, process.execPath, "-e", fetchBytes(url, deadlineMs)))).stdout.trim();
}

async function connectPod(name: "client" | "server", pod: typeof client): Promise<string> {
  await ip("node", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", namespaces[name]);
  await ip("node", "link", "set", name, "up");
  await ip(name, "link", "set", "eth0", "up");
  for (const [address, gateway, bits] of [
    [pod.ipv4, host.ipv4, 32],
    [pod.ipv6, host.ipv6, 128],
  ] as const) {
    await ip(name, "address", "add", `${address}/${bits}`, "dev", "eth0", ...(bits === 128 ? ["nodad"] : []));
    await ip(name, "route", "add", gateway, "dev", "eth0");
    await ip(name, "route", "add", "default", "via", gateway, "dev", "eth0");
    await ip("node", "route", "add", `${address}/${bits}`, "dev", name);
  }
  const [link] = JSON.parse((await ip(name, "-json", "link", "show", "eth0")).stdout);
  return link.address;
}

describe("real traffic between two pods and their node", { skip }, () => {
  const children: ChildProcess[] = [];
  let tell: (line: string) => Promise<string>;

  before(async () => {
    for (const place of ["node", "client", "server"] as const) {
      await run("ip", ["netns", "add", namespaces[place]]);
      await ip(place, "link", "set", "lo", "up");
    }
    for (const [address, bits] of [
      [host.ipv4, 32],
      [host.ipv6, 128],
    ] as const)
      await ip("node", "address", "add", `${address}/${bits}`, "dev", "lo");
    const macs = [await connectPod("client", client), await connectPod("server", server)];
    const node = spawn(...inside("node", process.execPath, join(import.meta.dirname, "traffic-node.ts"), ...macs), {
      stdio: ["pipe", "pipe", "inherit"],
    });
    children.push(node);
    const lines = createInterface({ input: node.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<string> => (await lines.next()).value ?? "the node's process has ended";
    tell = (line) => {
      node.stdin.write(`${line}\n`);
      return next();
    };
    assert.equal(await next(), "ready");
    for (const place of ["server", "node"] as const)
      children.push(spawn(...inside(place, process.execPath, "-e", serve), { stdio: "ignore" }));
    await eventually(async () => assert.equal(await get("node", server.ipv4), String(answerBytes)));
    await eventually(async () => assert.equal(await get("client", host.ipv4), String(answerBytes)));
  });

  after(async () => {
    for (const child of children) child.kill();
    for (const name of Object.values(namespaces)) await run("ip", ["netns", "del", name]).catch(() => {});
  });

  for (const family of families) {
    for (const [from, to, address] of [
      ["client", "server", family === 4 ? server.ipv4 : server.ipv6],
      ["client", "node", family === 4 ? host.ipv4 : host.ipv6],
      ["node", "server", family === 4 ? server.ipv4 : server.ipv6],
    ] as const) {
      test(`IPv${family}: the ${from} gets ${answerBytes >> 20} MiB from the ${to}`, async () => {
        await tell("events");
        assert.equal(await get(from, address), String(answerBytes));
        const events = JSON.parse(await tell("events"));
        assert.ok(events.trace >= 2, JSON.stringify(events));
        assert.deepEqual(
          Object.keys(events).filter((kind) => kind.startsWith("drop")),
          [],
        );
      });
    }
  }

  test("a policy without rules stops it, and the drops say so, until there is another policy", async () => {
    await tell("events");
    assert.equal(await tell("set server 99"), "done");
    assert.equal(await get("client", server.ipv4, 500), "nothing");
    const events = JSON.parse(await tell("events"));
    assert.ok(events["drop 133"] >= 1, JSON.stringify(events));
    assert.equal(await tell(`set server ${server.policySet}`), "done");
    assert.equal(await get("client", server.ipv4), String(answerBytes));
  });
});
