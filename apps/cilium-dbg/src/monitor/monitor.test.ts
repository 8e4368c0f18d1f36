import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { test } from "node:test";
import { AgentEventRing, FlowRing } from "@cilium-ts/flow";
import {
  buildDebug,
  buildDrop,
  buildPacket,
  buildTrace,
  buildVerdict,
  frameRecords,
  sampleAgentEvents,
  sampleContext,
} from "@cilium-ts/flow/testing";
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

test("monitor follows the events of the datapath and of the agent, one line each", async () => {
  const folder = mkdtempSync(join(tmpdir(), "cilium-dbg-"));
  const socketPath = join(folder, "hubble.sock");
  const ring = new FlowRing({ capacity: 15, instance: new Uint8Array(9) });
  const agentEvents = new AgentEventRing(() => 60e9);
  const server = await startHubble({ socketPath, ring, agentEvents, context: sampleContext(), version: "0.1.0", nowNs: () => 60e9 });
  try {
    const monitored = async (
      args: string,
      expected: readonly string[],
      happen: () => void = () => void ring.append(events),
    ): Promise<void> => {
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
      const heading = args.includes("-j") ? [] : ["Press Ctrl-C to quit"];
      const listeners = /agent|debug/.test(args) ? 1 : args.includes("-t") || args.includes("--type") ? 1 : 3;
      await eventually(() => assert.equal(ring.listenerCount + agentEvents.listenerCount, listeners));
      happen();
      await eventually(() => assert.deepEqual(out.join("").trimEnd().split("\n"), [...heading, ...expected]));
      leave.abort();
      assert.equal(await code, 0);
      await eventually(() => assert.equal(ring.listenerCount + agentEvents.listenerCount, 0));
    };
    await monitored("", lines);
    await monitored("-t drop,policy-verdict", lines.slice(0, 3));
    await monitored("-t trace --to 22", [lines[3], lines[4]]);
    await monitored("-t drop,trace --from 11 --to 22 --related-to 11", lines.slice(2, 5));
    await monitored("--from 22", [lines[5]]);
    await monitored("--type trace --related-to 22 --last 1", [lines[5], ...lines.slice(3)]);
    const { 3: created, 5: failed, 8: upserted } = sampleAgentEvents;
    const act = (): void => {
      ring.append(events);
      for (const event of [created, failed, upserted]) if (event !== undefined) agentEvents.append(event);
    };
    const acts = [
      '>> Endpoint created: {"id":22,"labels":["k8s:app=web"],"pod-name":"web","namespace":"shop"}',
      '>> Failed endpoint regeneration: {"id":22,"labels":["k8s:app=web"],"error":"no memory"}',
      '>> IPCache entry upserted: {"cidr":"10.0.2.0/24","id":1004,"old-id":1003,"host-ip":"192.0.2.3","old-host-ip":"192.0.2.2"}',
    ];
    await monitored("--type agent", acts, act);
    await monitored("--type agent --last 1 -j", [acts[2] ?? "", ...acts].map(asJson), act);
    await monitored("-t debug", ["CPU ?: endpoint 22 DBG_POLICY_DENIED: DBG_POLICY_DENIED 1 2 3"], () =>
      ring.appendRecord(buildDebug({ message: 5, reporter: 22, arguments: [1, 2, 3] })),
    );
    await monitored("-t drop -v", [
      lines[2],
      "     from: default/client identity 1001 [k8s:app=client k8s:io.kubernetes.pod.namespace=default]",
      "     to: shop/web identity 1002 [k8s:app=web k8s:io.kubernetes.pod.namespace=shop]",
      "     frame: 02:00:00:00:00:01 -> 02:00:00:00:00:02",
    ]);
    await monitored("-t drop -j", ['{"source":"OBSERVER_EVENTS_QUEUE","num_events_lost":"5"}'], () => ring.appendLost(2, 5, 60e9));
    await monitored("-t drop", ["Lost 5 events (OBSERVER_EVENTS_QUEUE)"], () => ring.appendLost(2, 5, 60e9));
  } finally {
    await server[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  }
});

/** The line of an event of the agent, as JSON. */
function asJson(line: string): string {
  const [, subtype = "", message = ""] = /^>> ([^:]+): (.*)$/.exec(line) ?? [];
  return `{"type":"agent","subtype":"${subtype}","message":${message}}`;
}
