import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openOwnTls } from "@cilium-ts/certificates";
import { FlowRing } from "@cilium-ts/flow";
import { buildPacket, buildTrace, frameRecords, sampleContext } from "@cilium-ts/flow/testing";
import { createObserverClients, hubbleDomain, type Peer, startHubble, tlsServerName } from "@cilium-ts/observer";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import type { Relay } from "./relay.ts";
import { metricsText } from "./relay-metrics.ts";
import { runRelay } from "./run-relay.ts";
import { parseSettings } from "./settings.ts";

const packet = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", tcp: { sourcePort: 40000, destinationPort: 80, flags: 2 } });
const bootMs = 1_767_225_600_000; // Of the sample context.

function record(atSeconds: number): Uint8Array {
  return buildTrace({
    timeNs: atSeconds * 1e9,
    reporter: 11,
    sourceIdentity: 1001,
    destinationIdentity: 1002,
    packet,
    point: 0,
    reason: 0,
  });
}

test("two nodes, a relay and a client, with certificates that nobody had to make", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hubble-relay-"));
  await using opened = new AsyncDisposableStack();
  opened.defer(() => rmSync(folder, { recursive: true }));
  const tlsFolder = join(folder, "tls");
  const names = [`*.${hubbleDomain("default")}`];
  const own = { folder: tlsFolder, authority: "cilium-hubble-ca", clock: systemClock };
  const tls = opened.use(await openOwnTls({ ...own, name: "server", use: "server", names }));
  const peers: Peer[] = [];
  const rings: FlowRing[] = [];
  for (const name of ["n1", "n2"]) {
    const ring = new FlowRing({ capacity: 63, instance: Uint8Array.from({ length: 9 }, (_, index) => index + rings.length) });
    const directory = { peers: () => peers, watch: () => () => {} };
    const socketPath = join(folder, `${name}.sock`);
    const tcp = { address: "127.0.0.1:0", tls };
    const server = opened.use(await startHubble({ socketPath, tcp, peers: directory, ring, context: sampleContext(), version: "0.1.0" }));
    peers.push({ name, address: server.tcpAddress ?? "", tlsServerName: tlsServerName("default", name) });
    rings.push(ring);
  }
  rings[0]?.append(frameRecords([1, 3, 5].map(record)));
  rings[1]?.append(frameRecords([2, 4, 6].map(record)));
  const peerService = `unix://${join(folder, "n1.sock")}`;
  const args = ["--tls-dir", tlsFolder, "--peer-service", peerService, "--listen-address", "127.0.0.1:0", "--health-listen-address", ""];
  const parsed = parseSettings(args, {}, () => undefined);
  assert.equal(parsed.kind, "settings");
  if (parsed.kind !== "settings") return;
  const stop = new AbortController();
  const listening = Promise.withResolvers<Relay>();
  const log = { error: assert.fail, warn() {}, info() {}, debug() {} };
  const running = runRelay({ clock: systemClock, log, version: "0.1.0", onListening: listening.resolve }, parsed.settings, stop.signal);
  running.catch(listening.reject);
  const relay = await listening.promise;
  await eventually(() => assert.equal(relay.pool.peers().filter(({ connection }) => connection !== undefined).length, 2));
  const client = await openOwnTls({ ...own, name: "cli", use: "client", names: [] });
  opened.use(client);
  const { observer } = createObserverClients(relay.address, { ...client.current, serverName: "localhost" });
  const seconds: number[] = [];
  const leave = new AbortController();
  const reading = (async () => {
    for await (const { responseTypes } of observer.getFlows({ number: 4n, follow: true }, { signal: leave.signal })) {
      if (responseTypes.case === "flow") seconds.push(Number(responseTypes.value.time?.seconds) - bootMs / 1_000);
    }
  })();
  await eventually(() => assert.deepEqual(seconds, [3, 4, 5, 6]));
  rings[1]?.append(frameRecords([record(7)]));
  await eventually(() => assert.deepEqual(seconds, [3, 4, 5, 6, 7]));
  const text = metricsText(relay, () => 5_000);
  assert.match(text, /^hubble_relay_pool_peer_connection_status\{status="connected"\} 2$/m);
  assert.match(text, /^hubble_relay_streams 1$/m);
  await observer.serverStatus({});
  await assert.rejects(observer.getFlows({ first: true, follow: true })[Symbol.asyncIterator]().next());
  await eventually(() => {
    const calls = metricsText(relay, () => undefined);
    assert.match(calls, /^grpc_server_handled_total\{grpc_code="Ok",grpc_method="ServerStatus",grpc_service="observer.Observer"\} 1$/m);
    assert.match(calls, /grpc_code="InvalidArgument",grpc_method="GetFlows",/m);
    assert.match(calls, /^grpc_server_handling_seconds_count\{grpc_method="ServerStatus",grpc_service="observer.Observer"\} 1$/m);
  });
  assert.match(text, /^hubble_relay_tls_certificate_expiry_timestamp_seconds 5$/m);
  leave.abort();
  await assert.rejects(reading);
  stop.abort();
  await running;
});
