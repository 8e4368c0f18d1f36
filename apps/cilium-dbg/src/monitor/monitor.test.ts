import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { test } from "node:test";
import { FlowRing } from "@cilium-ts/flow";
import { buildDrop, buildPacket, buildTrace, buildVerdict, frameRecords, sampleContext } from "@cilium-ts/flow/testing";
import { startHubble } from "@cilium-ts/observer";
import { eventually } from "@cilium-ts/testing";
import { run } from "../run.ts";

const ports = { sourcePort: 40000, destinationPort: 80 };
const packet = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", tcp: { ...ports, flags: 2 } });
const datagram = buildPacket({ source: "fd00::1", destination: "fd00::2", udp: ports });
const echo = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", icmp: { type: 8, code: 0 } });
const answer = buildPacket({ source: "10.0.0.2", destination: "10.0.0.1", tcp: { sourcePort: 80, destinationPort: 40000, flags: 18 } });
const identities = { sourceIdentity: 1001, destinationIdentity: 1002 };
const events = frameRecords([
  buildVerdict({ timeNs: 1e9, reporter: 22, remoteIdentity: 1001, verdict: 0, flags: 1 | (2 << 3), packet }),
  buildVerdict({ timeNs: 2e9, reporter: 11, remoteIdentity: 1002, verdict: -133, flags: 2, packet }),
  buildDrop({ timeNs: 3e9, reporter: 11, reason: 133, ...identities, destinationId: 22, file: 1, line: 33, ifindex: 12, packet }),
  buildTrace({ timeNs: 4e9, reporter: 22, point: 0, reason: 0, ...identities, destinationId: 22, packet: datagram }),
  buildTrace({ timeNs: 5e9, reporter: 11, point: 3, reason: 1, ...identities, packet: echo }),
  buildTrace({ timeNs: 6e9, reporter: 11, point: 0, reason: 2, sourceIdentity: 1002, destinationIdentity: 1001, packet: answer }),
]);
const lines = [
  "Policy verdict log: flow 0x0 local EP ID 22, remote ID 1001, proto 6, ingress, action allow, auth: disabled, match L3-L4, 10.0.0.1:40000 -> 10.0.0.2:80 tcp SYN",
  "Policy verdict log: flow 0x0 local EP ID 11, remote ID 1002, proto 6, egress, action deny, auth: disabled, match none, 10.0.0.1:40000 -> 10.0.0.2:80 tcp SYN",
  "xx drop (Policy denied) flow 0x0 to endpoint 22, ifindex lxc1234, file pod.c:33, identity 1001->1002: 10.0.0.1:40000 -> 10.0.0.2:80 tcp SYN",
  "-> endpoint 22 flow 0x0 , identity 1001->1002 state new: [fd00::1]:40000 -> [fd00::2]:80 udp",
  "-> stack flow 0x0 , identity 1001->1002 state established: 10.0.0.1 -> 10.0.0.2 ICMPv4 EchoRequest",
  "-> endpoint 11 flow 0x0 , identity 1002->1001 state reply: 10.0.0.2:80 -> 10.0.0.1:40000 tcp SYN, ACK",
] as const;

test("monitor follows the datapath's events, one line each", async () => {
  const folder = mkdtempSync(join(tmpdir(), "cilium-dbg-"));
  const socketPath = join(folder, "hubble.sock");
  const ring = new FlowRing({ capacity: 15, instance: new Uint8Array(9) });
  const server = await startHubble({ socketPath, ring, context: sampleContext(), version: "0.1.0", nowNs: () => 60e9 });
  try {
    const monitored = async (args: string, expected: readonly string[]): Promise<void> => {
      const out: string[] = [];
      const stdout = new Writable({
        decodeStrings: false,
        write: (part, _encoding, done) => done(void out.push(String(part)) as undefined),
      });
      const leave = new AbortController();
      const env = { HUBBLE_SERVER: `unix://${socketPath}` };
      const openKernel = (): Promise<never> => Promise.reject(new Error("monitor needs no kernel"));
      const world = { stdout, stderr: stdout, env, openKernel };
      const code = run(["monitor", ...args.split(" ").filter(Boolean)], world, leave.signal);
      await eventually(() => assert.equal(server.streamCount, 1));
      ring.append(events);
      await eventually(() => assert.deepEqual(out.join("").trimEnd().split("\n"), ["Press Ctrl-C to quit", ...expected]));
      leave.abort();
      assert.equal(await code, 0);
      await eventually(() => assert.equal(server.streamCount, 0));
    };
    await monitored("", lines);
    await monitored("-t drop,policy-verdict", lines.slice(0, 3));
    await monitored("-t trace --to 22", [lines[3], lines[4]]);
    await monitored("-t drop,trace --from 11 --to 22 --related-to 11", lines.slice(2, 5));
    await monitored("--from 22", [lines[5]]);
    await monitored("--type trace --related-to 22 --last 1", [lines[5], ...lines.slice(3)]);
  } finally {
    await server[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  }
});
