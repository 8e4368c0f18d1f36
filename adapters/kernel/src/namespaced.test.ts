import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { closeSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { requireKernel } from "@cilium-ts/testing";
import { KernelError } from "./errors.ts";
import type { Kernel } from "./kernel.ts";
import { openKernel } from "./open-kernel.ts";

const run = promisify(execFile);
const name = `kdns${process.pid}`;
const namespacePath = `/run/netns/${name}`;

describe("in another network namespace", { skip: requireKernel() }, () => {
  let kernel: Kernel;
  before(() => {
    kernel = openKernel();
    execFileSync("ip", ["netns", "add", name]);
    execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
  });
  after(() => {
    execFileSync("ip", ["netns", "del", name]);
    for (const thread of readdirSync("/proc/self/task")) {
      assert.equal(readlinkSync(`/proc/self/task/${thread}/ns/net`), readlinkSync("/proc/self/ns/net"), "a thread stayed away");
    }
  });

  test("a listening socket is served from here and found only there", async () => {
    const fd = kernel.openSocket({ namespacePath, family: "ipv4", type: "stream", bind: { address: "127.0.0.1", port: 8123 }, listen: 16 });
    await using server = createServer((socket) => socket.end("from outside\n"));
    await new Promise<void>((resolve) => server.listen({ fd }, resolve));
    const ask = ["-c", "exec 3<>/dev/tcp/127.0.0.1/8123 && cat <&3"];
    const { stdout } = await run("nsenter", [`--net=${namespacePath}`, "bash", ...ask]);
    assert.equal(stdout, "from outside\n");
    await assert.rejects(run("bash", ask), /refused/i);
  });

  test("a namespace that is made here goes with its descriptor, and its stack answers pings before that", async () => {
    const made = kernel.createNamespace();
    const inside = (...command: readonly string[]): Promise<unknown> =>
      run("nsenter", [`--net=/proc/${process.pid}/fd/${made.path.slice(14)}`, ...command]);
    await inside("ip", "link", "set", "lo", "up");
    kernel.writeSysctls({ namespacePath: made.path, values: [["/proc/sys/net/ipv4/ping_group_range", "0 0"]] });
    for (const [family, protocol, type, address] of [
      ["ipv4", 1, "udp4", "127.0.0.1"],
      ["ipv6", 58, "udp6", "::1"],
    ] as const) {
      const request = Uint8Array.of(family === "ipv4" ? 8 : 128, 0, 0, 0, 0, 0, 0, 7, 0x70, 0x6f, 0x6e, 0x67);
      const socket = createSocket(type);
      socket.bind({ fd: kernel.openSocket({ namespacePath: made.path, family, type: "datagram", protocol }) });
      const answered = once(socket, "message") as Promise<[Buffer, { address: string }]>;
      socket.send(request, 1, address);
      const [answer, from] = await answered;
      assert.deepEqual(
        [answer[0], answer.readUInt16BE(6), answer.subarray(8).toString(), from.address],
        [family === "ipv4" ? 0 : 129, 7, "pong", address],
      );
      socket.close();
    }
    made[Symbol.dispose]();
    assert.throws(() => kernel.namespaceCookie(made.path), failure("ENOENT"));
  });

  test("a port that is taken is refused with the address", () => {
    const options = { namespacePath, family: "ipv6", type: "stream", bind: { address: "::1", port: 8124 }, listen: 1 } as const;
    const fd = kernel.openSocket(options);
    assert.throws(() => kernel.openSocket(options), failure("EADDRINUSE", /ipv6 stream socket at ::1 port 8124 in \/run\/netns/));
    closeSync(fd);
  });

  test("a transparent socket may have an address that is not ours, another one may not", () => {
    for (const [family, address] of [
      ["ipv4", "203.0.113.7"],
      ["ipv6", "2001:db8::7"],
    ] as const) {
      const bind = { address, port: 8125 };
      assert.throws(() => kernel.openSocket({ namespacePath, family, type: "stream", bind }), failure("EADDRNOTAVAIL"));
      closeSync(
        kernel.openSocket({ namespacePath, family, type: "stream", transparent: true, reuseAddress: true, mark: 0x200, bind, listen: 1 }),
      );
      closeSync(kernel.openSocket({ namespacePath, family, type: "datagram", transparent: true, bind }));
    }
  });

  test("unix sockets with abstract names belong to the namespace", () => {
    const options = { family: "unix", type: "stream", bind: { address: `@${name}`, port: 0 }, listen: 1 } as const;
    const there = kernel.openSocket({ ...options, namespacePath });
    const here = kernel.openSocket(options);
    assert.throws(() => kernel.openSocket(options), failure("EADDRINUSE"));
    closeSync(there);
    closeSync(here);
  });

  test("a packet socket is bound to a device by its name", () => {
    const options = { namespacePath, family: "packet", type: "raw", protocol: 0x0003 } as const;
    closeSync(kernel.openSocket({ ...options, bind: { address: "lo", port: 0 } }));
    assert.throws(() => kernel.openSocket({ ...options, bind: { address: "nobody", port: 0 } }), failure("ENODEV", /nobody/));
  });

  test("an address of the wrong family, and a port that is none, are refused", () => {
    const bind = { address: "::1", port: 80 };
    assert.throws(() => kernel.openSocket({ family: "ipv4", type: "stream", bind }), failure("EINVAL", /at ::1 port 80/));
    assert.throws(
      () => kernel.openSocket({ family: "ipv6", type: "stream", bind: { address: "::1", port: 70_000 } }),
      failure("EINVAL", /70000 is no port/),
    );
  });

  test("a namespace that does not exist is named, and so is a file that is none", () => {
    assert.throws(
      () => kernel.openSocket({ namespacePath: "/run/netns/nobody", family: "ipv4", type: "stream" }),
      failure("ENOENT", /\/run\/netns\/nobody/),
    );
    assert.throws(() => kernel.namespaceCookie("/proc/self/ns/mnt"), failure("EINVAL", /setns/));
    assert.throws(() => kernel.openNetlink({ family: "route", namespacePath: "/etc/hostname" }), failure("EINVAL", /setns/));
  });

  test("sysctls are written there and not here", () => {
    const path = "/proc/sys/net/ipv4/ip_default_ttl";
    const here = readFileSync(path, "latin1");
    kernel.writeSysctls({
      namespacePath,
      values: [
        [path, "77"],
        ["/proc/sys/net/ipv4/conf/lo/rp_filter", "2"],
      ],
    });
    const there = execFileSync("nsenter", [`--net=${namespacePath}`, "cat", path, "/proc/sys/net/ipv4/conf/lo/rp_filter"], {
      encoding: "latin1",
    });
    assert.equal(there, "77\n2\n");
    assert.equal(readFileSync(path, "latin1"), here);
  });

  test("a sysctl that cannot be written is named, and those before it are written", () => {
    const ttl = "/proc/sys/net/ipv4/ip_default_ttl";
    const values = [
      [ttl, "78"],
      ["/proc/sys/net/ipv4/nobody", "1"],
      [ttl, "79"],
    ] as const;
    assert.throws(() => kernel.writeSysctls({ namespacePath, values }), failure("ENOENT", /\/proc\/sys\/net\/ipv4\/nobody/));
    assert.throws(() => kernel.writeSysctls({ namespacePath, values: [[ttl, "never"]] }), failure("EINVAL", /ip_default_ttl/));
    assert.equal(execFileSync("nsenter", [`--net=${namespacePath}`, "cat", ttl], { encoding: "latin1" }), "78\n");
    assert.throws(() => kernel.writeSysctls({ values: [["/proc/sys/../1/oom_adj", "1"]] }), failure("EINVAL", /no path under \/proc\/sys/));
    assert.throws(() => kernel.writeSysctls({ values: [["/etc/passwd", "1"]] }), failure("EINVAL", /no path under \/proc\/sys/));
  });

  test("every namespace has its own cookie, always the same", () => {
    assert.equal(kernel.namespaceCookie(namespacePath), kernel.namespaceCookie(namespacePath));
    assert.notEqual(kernel.namespaceCookie(namespacePath), kernel.namespaceCookie());
  });

  test("closed sockets leave nothing open", () => {
    const count = readdirSync("/proc/self/fd").length;
    for (let round = 0; round < 10; round += 1) {
      closeSync(kernel.openSocket({ namespacePath, family: "ipv4", type: "datagram" }));
      assert.throws(() => kernel.openSocket({ namespacePath, family: "ipv4", type: "stream", bind: { address: "203.0.113.1", port: 1 } }));
      kernel.namespaceCookie(namespacePath);
    }
    assert.equal(readdirSync("/proc/self/fd").length, count);
  });
});

function failure(code: string, message = /./): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof KernelError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}
