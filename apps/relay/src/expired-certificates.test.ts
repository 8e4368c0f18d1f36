import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { issueCertificate, knownIssuer } from "@cilium-ts/certificates";
import { FlowRing } from "@cilium-ts/flow";
import { frameRecords, sampleContext, sampleEvents } from "@cilium-ts/flow/testing";
import { createObserverClients, relaypb, startHubble, tlsServerName } from "@cilium-ts/observer";
import { eventually } from "@cilium-ts/testing";
import { startTestRelay } from "./testing.ts";

const hourMs = 3_600_000;
const subject = { commonName: "test-ca", organizations: [] };
const authority = issueCertificate(
  { subject, use: "authority", names: [], notBeforeMs: Date.now() - 48 * hourMs, notAfterMs: Date.now() + 48 * hourMs },
  undefined,
);

/** A certificate that ends, or has ended, in so many hours. */
function contextOf(use: "server" | "client", names: readonly string[], hours: number) {
  const times = { notBeforeMs: Date.now() - 24 * hourMs, notAfterMs: Date.now() + hours * hourMs };
  const pair = issueCertificate({ subject: { commonName: use, organizations: [] }, use, names, ...times }, knownIssuer(subject, authority));
  return { pair, authorities: [authority.certificate] };
}

type Context = ReturnType<typeof contextOf>;

/** Certificates of a server that may be replaced while it runs. */
class Replaceable {
  current: Context;
  readonly #listeners = new Set<(context: Context) => void>();

  constructor(current: Context) {
    this.current = current;
  }

  watch(listener: (context: Context) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  replace(next: Context): void {
    this.current = next;
    for (const listener of this.#listeners) listener(next);
  }
}

/** Nodes n1 and n2, whose certificates end in these many hours, and a relay of them. */
async function setUp(hours: { readonly n1: number; readonly n2: number; readonly relay: number }) {
  await using opened = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "expired-"));
  opened.defer(() => rmSync(folder, { recursive: true }));
  let relayTls = contextOf("client", [], hours.relay);
  const started = opened.use(await startTestRelay({ clientTls: () => relayTls }));
  const nodes = new Map<string, Replaceable>();
  for (const name of ["n1", "n2"] as const) {
    const serverName = tlsServerName("default", name);
    const tls = new Replaceable(contextOf("server", [serverName], hours[name]));
    const ring = new FlowRing({ capacity: 63, instance: new Uint8Array(9).fill(nodes.size) });
    ring.append(frameRecords(sampleEvents().slice(0, 3)));
    const tcp = { address: "127.0.0.1:0", tls };
    const context = sampleContext();
    const server = opened.use(await startHubble({ socketPath: join(folder, name), tcp, ring, context, version: "0.1.0" }));
    started.service.add(name, server.tcpAddress ?? "", serverName);
    nodes.set(name, tls);
  }
  const held = opened.move();
  return {
    ...started,
    renewNode: (name: string): void => nodes.get(name)?.replace(contextOf("server", [tlsServerName("default", name)], 24)),
    renewRelay: (): void => {
      relayTls = contextOf("client", [], 24);
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** Flows that came, and the nodes that could not be asked. */
async function flows({ clients }: Awaited<ReturnType<typeof setUp>>): Promise<{ count: number; unavailable: string[] }> {
  const told = { count: 0, unavailable: [] as string[] };
  for await (const { responseTypes } of clients.observer.getFlows({ number: 10n }, { timeoutMs: 10_000 })) {
    if (responseTypes.case === "flow") told.count += 1;
    if (responseTypes.case === "nodeStatus" && responseTypes.value.stateChange === relaypb.NodeState.NODE_UNAVAILABLE)
      told.unavailable.push(...responseTypes.value.nodeNames);
  }
  return told;
}

test("a node whose certificate has expired is left out by name, the others are served, and it comes back with a new one", async () => {
  await using world = await setUp({ n1: 24, n2: -1, relay: 24 });
  await eventually(async () => assert.deepEqual(await flows(world), { count: 3, unavailable: ["n2"] }));
  const { nodes } = await world.clients.observer.getNodes({});
  assert.deepEqual(
    nodes.map(({ name, state }) => [name, relaypb.NodeState[state]]),
    [
      ["n1", "NODE_CONNECTED"],
      ["n2", "NODE_UNAVAILABLE"],
    ],
  );
  world.renewNode("n2");
  await world.connected(2);
  assert.deepEqual(await flows(world), { count: 6, unavailable: [] });
});

test("a relay whose certificate has expired reaches no node, says so, and does with a new one", async () => {
  await using world = await setUp({ n1: 24, n2: 24, relay: -1 });
  await eventually(async () => assert.deepEqual(await flows(world), { count: 0, unavailable: ["n1", "n2"] }));
  world.renewRelay();
  await world.connected(2);
  assert.equal((await flows(world)).count, 6);
});

test("a relay's own expired certificate is what its clients are told of", async () => {
  const expired = contextOf("server", ["127.0.0.1", "localhost"], -1);
  await using started = await startTestRelay({ serverTls: new Replaceable(expired) });
  const { observer } = createObserverClients(started.relay.address, { pair: undefined, authorities: [authority.certificate] });
  await assert.rejects(observer.serverStatus({}, { timeoutMs: 5_000 }), /certificate has expired/);
});
