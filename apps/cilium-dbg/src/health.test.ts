import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { test } from "node:test";
import { type HealthStatusResponse, healthBasePath, healthRoutes, openAgentSocket, serveAgentApi } from "@cilium-ts/agent-api";
import { openFakeKernel } from "@cilium-ts/kernel/testing";
import { run } from "./run.ts";

const lastProbed = "2026-01-01T00:00:00.000Z";
const answers = { latency: 250_000, status: "", lastProbed };
const silent = { status: "no answer to a ping", lastProbed };
const found: HealthStatusResponse = {
  timestamp: lastProbed,
  probeInterval: "83s",
  local: { name: "default/node1" },
  nodes: [
    {
      name: "default/node1",
      host: { "primary-address": { ip: "172.31.0.1", icmp: answers, http: answers } },
      "health-endpoint": { "primary-address": { ip: "10.0.1.9", icmp: answers, http: answers } },
    },
    {
      name: "default/node2",
      host: {
        "primary-address": { ip: "172.31.0.2", icmp: silent, http: answers },
        "secondary-addresses": [{ ip: "fd31::2", icmp: answers, http: answers }],
      },
    },
  ],
};

async function dbg(line: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "cilium-dbg-health-"));
  const socketPath = join(folder, "health.sock");
  const stop = new AbortController();
  const asked: string[] = [];
  const told = (what: string) => async () => {
    asked.push(what);
    return found;
  };
  const health = async () => ({ cilium: {}, uptime: "1s", "system-load": { last1min: "0", last5min: "0", last15min: "0" } });
  const socket = await openAgentSocket({ socketPath });
  const routes = healthRoutes({ health, status: told("status"), probe: told("probe") });
  const serving = serveAgentApi({ socket, routes, basePath: healthBasePath, signal: stop.signal });
  const out: string[] = [];
  const write = new Writable({ decodeStrings: false, write: (part, _encoding, done) => done(void out.push(String(part)) as undefined) });
  const env = { CILIUM_SOCK: join(folder, "cilium.sock") };
  await run(line.split(" "), { stdout: write, stderr: write, env, openKernel: async () => openFakeKernel() }, new AbortController().signal);
  stop.abort();
  await serving;
  await socket[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
  return `${asked.join()}\n${out.join("")}`;
}

test("one line a node: how many of its addresses answer", async () => {
  assert.equal(
    await dbg("health status"),
    `status
Probe time:   2026-01-01T00:00:00.000Z
1/2 reachable   (2026-01-01T00:00:00.000Z, every 83s)
  Name                        IP           Node   Endpoints
  default/node1 (localhost)   172.31.0.1   1/1    1/1
  default/node2               172.31.0.2   1/2    0/0
`,
  );
});

test("in short only those that do not answer, after a round that is waited for", async () => {
  assert.equal(
    await dbg("health status --probe --succinct"),
    `probe
Probe time:   2026-01-01T00:00:00.000Z
1/2 reachable   (2026-01-01T00:00:00.000Z, every 83s)
  Name            IP           Node   Endpoints
  default/node2   172.31.0.2   1/2    0/0
`,
  );
});

test("in full every address, with what is wrong", async () => {
  const text = await dbg("health status --verbose");
  assert.match(
    text,
    /default\/node1 \(localhost\):\n {4}Host connectivity to 1 addresses:\n {6}172\.31\.0\.1:\n {8}ICMP to stack: {3}OK, RTT=250µs/,
  );
  assert.match(text, /172\.31\.0\.2:\n {8}ICMP to stack: {3}no answer to a ping\n {8}HTTP to agent: {3}OK, RTT=250µs\n {6}fd31::2:/);
});
