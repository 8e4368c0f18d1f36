import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { issueCertificate, knownIssuer } from "@cilium-ts/certificates";
import { FlowRing } from "@cilium-ts/flow";
import { sampleContext } from "@cilium-ts/flow/testing";
import { eventually } from "@cilium-ts/testing";
import { ChangeNotificationType } from "./gen/peer/peer_pb.js";
import { type ClientTls, createObserverClients } from "./grpc/client.ts";
import { parseListenAddress, type TlsContext } from "./grpc/listen.ts";
import { type Peer, type PeerDirectory, peerName, tlsServerName } from "./peers.ts";
import { type HubbleOptions, startHubble } from "./server.ts";

const validity = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
const subject = { commonName: "test-ca", organizations: [] };
const serverName = tlsServerName("default", "n1");

function authority() {
  const pair = issueCertificate({ subject, use: "authority", names: [], ...validity }, undefined);
  const issuer = knownIssuer(subject, pair);
  return (use: "server" | "client"): TlsContext => ({
    pair: issueCertificate({ subject: { commonName: use, organizations: [] }, use, names: [serverName], ...validity }, issuer),
    authorities: [pair.certificate],
  });
}

class Replaced {
  current: TlsContext;
  readonly #listeners = new Set<(context: TlsContext) => void>();

  constructor(current: TlsContext) {
    this.current = current;
  }

  watch(listener: (context: TlsContext) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  replace(next: TlsContext): void {
    this.current = next;
    for (const listener of this.#listeners) listener(next);
  }
}

async function setUp(options: Partial<HubbleOptions>) {
  const folder = mkdtempSync(join(tmpdir(), "hubble-tcp-"));
  const ring = new FlowRing({ capacity: 7, instance: new Uint8Array(9) });
  const socketPath = join(folder, "hubble.sock");
  const server = await startHubble({ socketPath, ring, context: sampleContext(), version: "0.1.0", ...options });
  return {
    address: server.tcpAddress ?? "",
    socketPath,
    status: (tls?: ClientTls) => createObserverClients(server.tcpAddress ?? "", tls).observer.serverStatus({}, { timeoutMs: 5_000 }),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

test("over TCP both sides prove who they are, by TLS 1.3", async () => {
  const issue = authority();
  await using setup = await setUp({ tcp: { address: "127.0.0.1:0", tls: new Replaced(issue("server")) } });
  const client = issue("client");
  assert.equal((await setup.status({ ...client, serverName })).version, "0.1.0");
  await assert.rejects(setup.status({ ...client, serverName: tlsServerName("default", "n2") }), /does not match/);
  await assert.rejects(setup.status({ ...client, pair: undefined, serverName }), "a client without a certificate is turned away");
  await assert.rejects(setup.status({ ...authority()("client"), authorities: client.authorities, serverName }), "so is a stranger");
  await assert.rejects(setup.status(), "and one that does not speak TLS");
  assert.equal((await setup.status({ ...client, serverName })).version, "0.1.0", "others go on");
});

test("certificates are replaced without a restart; connections go on", async () => {
  const [before, after] = [authority(), authority()];
  const source = new Replaced(before("server"));
  await using setup = await setUp({ tcp: { address: "127.0.0.1:0", tls: source } });
  const old = createObserverClients(setup.address, { ...before("client"), serverName }).observer;
  await old.serverStatus({});
  source.replace(after("server"));
  assert.equal((await setup.status({ ...after("client"), serverName })).version, "0.1.0");
  await assert.rejects(setup.status({ ...before("client"), serverName }));
  assert.equal((await old.serverStatus({})).version, "0.1.0");
});

test("plain text where it was asked for", async () => {
  await using setup = await setUp({ tcp: { address: "127.0.0.1:0" } });
  assert.equal((await setup.status()).version, "0.1.0");
});

test("a server that cannot listen says where, and leaves nothing behind", async () => {
  await using setup = await setUp({ tcp: { address: "127.0.0.1:0" } });
  await assert.rejects(setUp({ tcp: { address: setup.address } }), /cannot listen on 127\.0\.0\.1:\d+; is another program there/);
  for (const address of ["4244", ":70000", "a:b:1", "unix:///x"])
    assert.throws(() => parseListenAddress(address), /no address to listen on/);
  assert.deepEqual(parseListenAddress("[::1]:4244"), { host: "::1", port: 4244 });
  assert.deepEqual(parseListenAddress(":4244"), { host: "", port: 4244 });
});

class Directory implements PeerDirectory {
  readonly list: Peer[] = [];
  readonly #listeners = new Set<() => void>();

  peers(): readonly Peer[] {
    return this.list;
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  get watcherCount(): number {
    return this.#listeners.size;
  }

  set(...peers: Peer[]): void {
    this.list.splice(0, this.list.length, ...peers);
    for (const listener of this.#listeners) listener();
  }
}

test("Notify tells the nodes, then what changes, and nothing twice", async () => {
  const peers = new Directory();
  const n1 = { name: "n1", address: "10.0.0.1:4244", tlsServerName: serverName };
  const n2 = { name: "west/n2", address: "10.0.0.2:4244" };
  peers.set(n1);
  await using setup = await setUp({ peers });
  const told: string[] = [];
  const leave = new AbortController();
  const reading = (async () => {
    const { peer } = createObserverClients(`unix://${setup.socketPath}`);
    for await (const { name, address, type, tls } of peer.notify({}, { signal: leave.signal }))
      told.push(`${ChangeNotificationType[type]} ${name} ${address} ${tls?.serverName ?? "-"}`);
  })();
  const check = (...lines: string[]): Promise<void> => eventually(() => assert.deepEqual(told.splice(0, lines.length), lines));
  await check(`PEER_ADDED n1 10.0.0.1:4244 ${serverName}`);
  peers.set(n1, n2);
  await check("PEER_ADDED west/n2 10.0.0.2:4244 -");
  peers.set(n1, n2);
  peers.set({ ...n1, address: "[fd00::1]:4244" });
  await check("PEER_DELETED west/n2 10.0.0.2:4244 -", `PEER_UPDATED n1 [fd00::1]:4244 ${serverName}`);
  assert.deepEqual(told, []);
  leave.abort();
  await assert.rejects(reading);
  await eventually(() => assert.equal(peers.watcherCount, 0));
});

test("names of peers and of their certificates are as Hubble has them", () => {
  assert.deepEqual([peerName("default", "n1"), peerName("west", "n1")], ["n1", "west/n1"]);
  assert.equal(tlsServerName("west.eu", "n1.lab"), "n1-lab.west-eu.hubble-grpc.cilium.io");
});

test("a Go client without our .proto files finds the services and calls them", async () => {
  await using setup = await setUp({ tcp: { address: "127.0.0.1:0" }, peers: new Directory() });
  const buf = join(import.meta.dirname, "../../../node_modules/.bin/buf");
  const curl = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)(process.execPath, [buf, "curl", "--protocol", "grpc", "--http2-prior-knowledge", ...args])).stdout;
  for (const version of ["grpc-v1", "grpc-v1alpha"]) {
    const listed = await curl("--reflect", "--reflect-protocol", version, "--list-methods", `http://${setup.address}`);
    assert.match(listed, /observer\.Observer\/GetFlows/);
    assert.match(listed, /peer\.Peer\/Notify/);
  }
  assert.equal(JSON.parse(await curl("--reflect", `http://${setup.address}/observer.Observer/ServerStatus`)).version, "0.1.0");
  await assert.rejects(curl("--reflect", `http://${setup.address}/observer.Observer/Nothing`), /Nothing/);
});
