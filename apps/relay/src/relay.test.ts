import assert from "node:assert/strict";
import { test } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createObserverClients, GrpcCode, GrpcError, healthpb, type observerpb, relaypb } from "@cilium-ts/observer";
import { eventually } from "@cilium-ts/testing";
import { Code, ConnectError } from "@connectrpc/connect";
import type { RelayOptions } from "./relay.ts";
import { flowFrame, ScriptedPeer, ScriptedPeerService, startTestRelay } from "./testing.ts";

async function setUp(names: readonly string[], options: Partial<RelayOptions> = {}) {
  const peers = new Map<string, ScriptedPeer>();
  for (const name of names) peers.set(name, await ScriptedPeer.start(name));
  const started = await startTestRelay({ healthListenAddress: "127.0.0.1:0", holdMs: 100, ...options });
  const { service, relay, clients } = started;
  for (const peer of peers.values()) service.add(peer.name, peer.address);
  await started.connected(names.length);
  const peer = (name: string): ScriptedPeer => {
    const found = peers.get(name);
    if (found === undefined) throw new Error(`there is no peer ${name}`);
    return found;
  };
  return {
    service,
    relay,
    clients,
    peer,
    async [Symbol.asyncDispose]() {
      await started[Symbol.asyncDispose]();
      for (const found of peers.values()) await found[Symbol.asyncDispose]();
    },
  };
}

type Setup = Awaited<ReturnType<typeof setUp>>;
type Request = Parameters<Setup["clients"]["observer"]["getFlows"]>[0];

/** Flows as `node-number`; states as `CONNECTED a b`, losses as `lost 5`. */
function told(responses: readonly observerpb.GetFlowsResponse[]): string[] {
  return responses.map(({ responseTypes: { case: kind, value } }) => {
    if (kind === "flow") return value.uuid;
    if (kind === "lostEvents") return `lost ${value.numEventsLost}`;
    if (kind !== "nodeStatus") return "nothing";
    const state = relaypb.NodeState[value.stateChange].replace("NODE_", "");
    return `${state} ${value.nodeNames.join(" ")}${value.message === "" ? "" : `: ${value.message}`}`;
  });
}

async function getFlows(setup: Setup, request: Request): Promise<string[]> {
  return told(await Array.fromAsync(setup.clients.observer.getFlows(request, { timeoutMs: 10_000 })));
}

function follow(setup: Setup, request: Request = {}) {
  const leave = new AbortController();
  const responses: observerpb.GetFlowsResponse[] = [];
  const reading = (async () => {
    for await (const response of setup.clients.observer.getFlows({ follow: true, ...request }, { signal: leave.signal }))
      responses.push(response);
  })();
  reading.catch(() => {});
  return {
    told: () => told(responses),
    flows: () => told(responses.filter(({ responseTypes }) => responseTypes.case === "flow")),
    async [Symbol.asyncDispose]() {
      leave.abort();
      await reading.catch(() => {});
    },
  };
}

async function opened(setup: Setup, ...names: string[]): Promise<void> {
  await eventually(() => {
    for (const name of names) assert.equal(setup.peer(name).streamCount, 1, name);
  });
}

/** Flow n of a and of b happens at 1,000 s and n * 10 ms, b's 5 ms later. */
function seeHistory(setup: Setup, count: number): void {
  for (let n = 1; n <= count; n += 1) {
    setup.peer("a").see(n, 1_000_000 + n * 10);
    setup.peer("b").see(n, 1_000_005 + n * 10);
  }
}

const connected = "CONNECTED a b";

for (const [name, request, expected] of [
  ["the last are those of all nodes together", { number: 3n }, ["b-4", "a-5", "b-5"]],
  ["so are the first", { number: 3n, first: true }, ["a-1", "b-1", "a-2"]],
  ["without a number it is everything, in order", {}, ["a-1", "b-1", "a-2", "b-2", "a-3", "b-3", "a-4", "b-4", "a-5", "b-5"]],
  ["since with a number is the oldest after it", { since: timestampFromMs(1_000_035), number: 3n }, ["b-3", "a-4", "b-4"]],
  ["more than there are", { number: 2n ** 64n - 1n, first: true }, ["a-1", "b-1", "a-2", "b-2", "a-3", "b-3", "a-4", "b-4", "a-5", "b-5"]],
] satisfies ReadonlyArray<readonly [string, Request, readonly string[]]>) {
  test(`GetFlows: ${name}`, async () => {
    await using setup = await setUp(["a", "b"]);
    seeHistory(setup, 5);
    assert.deepEqual(await getFlows(setup, request), [connected, ...expected]);
  });
}

test("GetFlows: a field mask is passed on with the time that order needs", async () => {
  await using setup = await setUp(["a"]);
  await getFlows(setup, { fieldMask: { paths: ["verdict"] }, number: 1n });
  assert.deepEqual(setup.peer("a").requests[0]?.fieldMask?.paths, ["verdict", "time"]);
});

test("GetFlows: what a client sends along reaches the nodes", async () => {
  await using setup = await setUp(["a"]);
  await Array.fromAsync(setup.clients.observer.getFlows({}, { headers: { authorization: "Basic x" } }));
  assert.equal(setup.peer("a").metadata[0]?.authorization, "Basic x");
});

test("GetFlows: first with follow is refused, and so is what a node refuses", async () => {
  await using setup = await setUp(["a", "b"]);
  const refused = (error: unknown): boolean => error instanceof ConnectError && error.code === Code.InvalidArgument;
  await assert.rejects(getFlows(setup, { first: true, follow: true }), refused);
  setup.peer("a").script = async () => {
    throw new GrpcError(GrpcCode.invalidArgument, "invalid filter: nonsense");
  };
  for (const request of [{}, { follow: true }]) {
    await assert.rejects(getFlows(setup, request), (error) => refused(error) && /nonsense/.test(String(error)));
  }
});

test("GetFlows: without any node it is an empty answer, or the wait for one", async () => {
  await using setup = await setUp([]);
  assert.deepEqual(await getFlows(setup, { number: 5n }), []);
  await using following = follow(setup);
  await using late = await ScriptedPeer.start("late");
  setup.service.add("late", late.address);
  await eventually(() => assert.deepEqual(following.told(), ["CONNECTED late"]));
  await eventually(() => assert.equal(late.streamCount, 1));
  late.see(1, Date.now());
  await eventually(() => assert.deepEqual(following.flows(), ["late-1"]));
});

test("follow: flows of all nodes come in order though they arrive out of it", async () => {
  await using setup = await setUp(["a", "b"], { holdMs: 250 });
  await using following = follow(setup);
  await opened(setup, "a", "b");
  const nowMs = Date.now();
  setup.peer("b").see(2, nowMs - 10);
  setup.peer("b").see(4, nowMs + 10_000); // A clock that is ahead.
  await new Promise((resolve) => setTimeout(resolve, 30));
  setup.peer("a").see(1, nowMs - 20);
  setup.peer("a").see(3, nowMs - 5);
  await eventually(() => assert.deepEqual(following.flows(), ["a-1", "b-2", "a-3", "b-4"]));
});

test("follow: the last of the past go before what is new, and none is told twice", async () => {
  await using setup = await setUp(["a", "b"]);
  seeHistory(setup, 5);
  await using following = follow(setup, { number: 3n });
  await eventually(() => assert.deepEqual(following.flows(), ["b-4", "a-5", "b-5"]));
  await opened(setup, "a", "b");
  setup.peer("a").see(6, Date.now());
  await eventually(() => assert.deepEqual(following.flows(), ["b-4", "a-5", "b-5", "a-6"]));
});

test("follow: a node that was away is told of, and goes on without loss or repetition", async () => {
  await using setup = await setUp(["a", "b"]);
  await using following = follow(setup);
  await opened(setup, "a", "b");
  const a = setup.peer("a");
  const startMs = Date.now();
  for (let n = 1; n <= 50; n += 1) a.see(n, startMs + n);
  await eventually(() => assert.equal(following.flows().length, 50));
  await a.stop();
  for (let n = 51; n <= 80; n += 1) a.see(n, startMs + n);
  await eventually(() => assert.ok(following.told().includes("UNAVAILABLE a")));
  setup.peer("b").see(1, Date.now());
  await eventually(() => assert.ok(following.flows().includes("b-1"), "the others go on"));
  await a.start();
  await eventually(() => assert.equal(following.flows().length, 81));
  for (let n = 81; n <= 90; n += 1) a.see(n, startMs + n);
  await eventually(() => assert.equal(following.flows().length, 91));
  const ofA = following.flows().filter((uuid) => uuid.startsWith("a-"));
  assert.deepEqual(
    ofA,
    Array.from({ length: 90 }, (_, index) => `a-${index + 1}`),
  );
  assert.deepEqual(
    following.told().filter((line) => /^[A-Z]{3}/.test(line) && !line.startsWith("ERROR")),
    [connected, "UNAVAILABLE a", "CONNECTED a"],
  );
});

test("follow: a stream that breaks while the node stays is told as its error, and taken up again", async () => {
  await using setup = await setUp(["a", "b"]);
  const a = setup.peer("a");
  let breaks = 2;
  const nowMs = Date.now();
  a.script = async (_request, call, signal) => {
    await call.write(Buffer.concat([flowFrame("a", 1, nowMs + 1), flowFrame("a", 2, nowMs + 2), flowFrame("a", 2, nowMs + 2)]));
    if (breaks-- > 0) throw new GrpcError(GrpcCode.internal, "out of order");
    await call.write(flowFrame("a", 3, nowMs + 3));
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  };
  await using following = follow(setup);
  await eventually(() => assert.deepEqual(following.flows(), ["a-1", "a-2", "a-3"]));
  await eventually(() => assert.ok(following.told().includes("ERROR a: out of order")));
  assert.equal(following.told().filter((line) => line.startsWith("ERROR")).length, 1);
});

test("garbage from one node is that node's error; the others are served", async () => {
  await using setup = await setUp(["a", "b"]);
  seeHistory(setup, 1);
  const garbage = [
    Buffer.from([0, 0, 0, 0, 3, 0xff, 0xff, 0xff]),
    Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]),
    Buffer.from([1, 0, 0, 0, 1, 0]),
  ];
  for (const bytes of garbage) {
    setup.peer("a").script = async (_request, call) => call.write(bytes);
    const lines = await getFlows(setup, {});
    assert.deepEqual(lines.slice(0, 2), [connected, "b-1"]);
    assert.match(lines[2] ?? "", /^ERROR a: the server (sends|compresses)/);
  }
});

test("a node that stalls is waited for no longer than others can bear", async () => {
  await using setup = await setUp(["a", "b"], { stallTimeoutMs: 50 });
  seeHistory(setup, 1);
  setup.peer("a").script = (_request, _call, signal) =>
    new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  assert.deepEqual(await getFlows(setup, { number: 5n }), [
    connected,
    "b-1",
    "ERROR a: it does not answer, or takes too long to search: others were not made to wait",
  ]);
  await eventually(() => assert.equal(setup.peer("a").streamCount, 0));
});

test("several clusters are served at once, and a node stays as long as one of their peer services names it", async () => {
  await using east = await ScriptedPeerService.start();
  await using west = await ScriptedPeerService.start();
  const peerServices = [east, west].map(({ address }) => () => ({ address }));
  await using setup = await setUp([], { peerServices });
  await using one = await ScriptedPeer.start("east/n1");
  await using other = await ScriptedPeer.start("west/n1");
  east.add("east/n1", one.address);
  west.add("west/n1", other.address);
  west.add("east/n1", one.address);
  one.see(1, 1_000_000);
  other.see(1, 1_000_005);
  const names = (): string[] => setup.relay.pool.peers().map(({ name, state }) => `${name} ${state.kind}`);
  await eventually(() => assert.deepEqual(names().sort(), ["east/n1 connected", "west/n1 connected"]));
  assert.deepEqual(await getFlows(setup, { number: 5n }), ["CONNECTED east/n1 west/n1", "east/n1-1", "west/n1-1"]);
  east.remove("east/n1");
  east.add("east/n2", one.address);
  await eventually(() => assert.equal(setup.relay.pool.peers().length, 3));
  assert.ok(setup.relay.pool.has("east/n1"));
  west.remove("east/n1");
  await eventually(() => assert.ok(!setup.relay.pool.has("east/n1")));
});

test("nodes that come and go during a follow are told of", async () => {
  await using setup = await setUp(["a"]);
  await using following = follow(setup);
  await opened(setup, "a");
  await using late = await ScriptedPeer.start("late");
  setup.service.add("late", late.address);
  await eventually(() => assert.equal(late.streamCount, 1));
  late.see(1, Date.now());
  await eventually(() => assert.deepEqual(following.flows(), ["late-1"]));
  setup.service.remove("late");
  await eventually(() => assert.deepEqual(following.told(), ["CONNECTED a", "CONNECTED late", "late-1", "GONE late"]));
  await eventually(() => assert.equal(late.streamCount, 0));
});

test("a client that does not read makes the nodes wait, and costs bounded memory", async () => {
  await using setup = await setUp(["a", "b"], { heldMax: 100 });
  const written = { a: 0, b: 0 };
  for (const name of ["a", "b"] as const) {
    setup.peer(name).script = async (_request, call, signal) => {
      while (!signal.aborted && written[name] < 100_000) {
        const from = written[name];
        await call.write(Buffer.concat(Array.from({ length: 100 }, (_, index) => flowFrame(name, from + index, Date.now()))));
        written[name] += 100;
      }
    };
  }
  const leave = new AbortController();
  const responses = setup.clients.observer.getFlows({ follow: true }, { signal: leave.signal })[Symbol.asyncIterator]();
  await responses.next();
  let before = -1;
  await eventually(async () => {
    const now = written.a + written.b;
    const still = now === before;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(still && now > 0, `${now} written`);
  });
  assert.ok(written.a + written.b < 60_000, `${written.a + written.b} flows are on the way to a client that does not read`);
  leave.abort();
  await responses.next().catch(() => {});
  await eventually(() => assert.equal(setup.relay.server.streamCount, 0));
});

test("until ends a follow when all nodes have passed it", async () => {
  await using setup = await setUp(["a"]);
  setup.peer("a").script = async (_request, call) => call.write(flowFrame("a", 1, Date.now()));
  assert.deepEqual(await getFlows(setup, { follow: true, until: timestampFromMs(Date.now() + 1) }), ["CONNECTED a", "a-1"]);
});

test("ServerStatus sums, GetNodes lists, GetNamespaces unites, and who fails is named", async () => {
  await using setup = await setUp(["a", "b", "c"]);
  const [a, b, c] = [setup.peer("a"), setup.peer("b"), setup.peer("c")];
  a.namespaces = [{ cluster: "default", namespace: "z" }];
  b.namespaces = [
    { cluster: "default", namespace: "z" },
    { cluster: "default", namespace: "a" },
  ];
  b.status = { ...b.status, uptimeNs: 9n };
  c.status = undefined;
  const status = await setup.clients.observer.serverStatus({});
  assert.deepEqual(
    [status.numFlows, status.maxFlows, status.seenFlows, status.uptimeNs, status.flowsRate, status.numConnectedNodes, status.version],
    [2n, 14n, 20n, 9n, 3, 2, "0.1.0"],
  );
  assert.deepEqual([status.numUnavailableNodes, status.unavailableNodes], [1, ["c"]]);
  const { nodes } = await setup.clients.observer.getNodes({});
  assert.deepEqual(
    nodes.map(({ name, state, maxFlows, address }) => [name, relaypb.NodeState[state], maxFlows, address]),
    [
      ["a", "NODE_CONNECTED", 7n, a.address],
      ["b", "NODE_CONNECTED", 7n, b.address],
      ["c", "NODE_ERROR", 0n, c.address],
    ],
  );
  await c.stop();
  await eventually(async () =>
    assert.equal((await setup.clients.observer.getNodes({})).nodes[2]?.state, relaypb.NodeState.NODE_UNAVAILABLE),
  );
  const { namespaces } = await setup.clients.observer.getNamespaces({});
  assert.deepEqual(
    namespaces.map(({ cluster, namespace }) => `${cluster}/${namespace}`),
    ["default/a", "default/z"],
  );
});

test("GetTraffic adds up what the nodes have, and names those that have none", async () => {
  await using setup = await setUp(["a", "b", "c"]);
  const row = (name: string, flows: bigint) => ({
    ...{ client: { namespace: "x", name, kind: "Pod" }, server: { namespace: "x", name: "web", kind: "Deployment" } },
    ...{ protocol: "TCP", port: 80, verdict: 1, flows, bytes: flows * 10n },
  });
  const at = timestampFromMs;
  setup.peer("a").traffic = { traffic: [row("one", 3n), row("two", 2n)], since: at(60_000), until: at(120_000), otherFlows: 1n };
  setup.peer("b").traffic = { traffic: [row("two", 5n)], since: at(30_000), until: at(90_000) };
  const answer = await setup.clients.history.getTraffic({ number: 1 });
  assert.deepEqual(
    answer.traffic.map(({ client, flows, bytes }) => [client?.name, flows, bytes]),
    [["two", 7n, 70n]],
  );
  assert.deepEqual([answer.otherFlows, answer.otherBytes, answer.unavailableNodes], [4n, 30n, ["c"]]);
  assert.deepEqual([answer.since?.seconds, answer.until?.seconds], [30n, 120n]);
  for (const wrong of [{ number: 10_001 }, { order: 9 as 0 }]) {
    await assert.rejects(setup.clients.history.getTraffic(wrong), (error) => error instanceof ConnectError && error.code === 3);
  }
});

test("health follows the nodes at once, on both ports", async () => {
  await using setup = await setUp(["a"]);
  const { SERVING, NOT_SERVING } = healthpb.HealthCheckResponse_ServingStatus;
  const probes = createObserverClients(setup.relay.healthAddress ?? "").health;
  for (const health of [setup.clients.health, probes]) {
    assert.equal((await health.check({ service: "hubble.server.Observer" })).status, SERVING);
    await assert.rejects(health.check({ service: "observer.Observer" }));
  }
  const seen: number[] = [];
  const leave = new AbortController();
  const watching = (async () => {
    for await (const { status } of probes.watch({}, { signal: leave.signal })) seen.push(status);
  })();
  await eventually(() => assert.deepEqual(seen, [SERVING]));
  await setup.peer("a").stop();
  await eventually(() => assert.deepEqual(seen, [SERVING, NOT_SERVING]));
  leave.abort();
  await assert.rejects(watching);
});
