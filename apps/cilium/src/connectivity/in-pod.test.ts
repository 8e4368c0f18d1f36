import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createServer } from "node:net";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Probe, type ProbeResult, probeCommand, serverCommand } from "./in-pod.ts";

/** As a pod runs it, which has nothing but the command. */
function run(command: readonly string[]): readonly ProbeResult[] {
  return JSON.parse(execFileSync(process.execPath, command.slice(1), { encoding: "utf8" }));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "::", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

test("servers answer probes in both families, and what is closed is told", async () => {
  const [port, closed] = [await freePort(), await freePort()];
  const server = spawn(process.execPath, serverCommand([`tcp/${port}`, `udp/${port}`]).slice(1), { stdio: "ignore" });
  try {
    const rest = { timeoutMs: 5_000, connectOnly: false };
    const probes: Probe[] = [
      { id: 0, protocol: "tcp", address: "127.0.0.1", port, ...rest },
      { id: 1, protocol: "tcp", address: "::1", port, ...rest },
      { id: 2, protocol: "udp", address: "127.0.0.1", port, ...rest },
      { id: 3, protocol: "udp", address: "::1", port, ...rest },
      { id: 4, protocol: "tcp", address: "127.0.0.1", port: closed, ...rest },
      { id: 5, protocol: "tcp", address: "127.0.0.1", port, ...rest, connectOnly: true },
    ];
    let outcomes: string[] = [];
    for (let tries = 0; tries < 50 && outcomes[0] !== "answered"; tries += 1) {
      const results = run(probeCommand(probes));
      outcomes = results.map(({ outcome }) => outcome);
      if (outcomes[0] === "answered") for (const id of [0, 1, 2, 3]) assert.ok((results[id]?.localPort ?? 0) > 0);
      else await delay(100);
    }
    assert.deepEqual(outcomes, ["answered", "answered", "answered", "answered", "ECONNREFUSED", "answered"]);
  } finally {
    server.kill();
  }
});

test("silence is a timeout, and the port that asked is known all the same", async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const address = silent.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const probe: Probe = { id: 7, protocol: "tcp", address: "127.0.0.1", port, timeoutMs: 50, connectOnly: false };
  const [result] = run(probeCommand([probe]));
  silent.close();
  assert.deepEqual([result?.id, result?.outcome], [7, "timeout"]);
  assert.ok((result?.localPort ?? 0) > 0);
});
