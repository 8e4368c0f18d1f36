import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type ClientHttp2Session, connect as connectHttp2, constants, type IncomingHttpHeaders } from "node:http2";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { FlowRing } from "@cilium-ts/flow";
import { buildDrop, buildPacket, buildTrace, frameRecords, sampleContext } from "@cilium-ts/flow/testing";
import { eventually } from "@cilium-ts/testing";
import { Code, ConnectError } from "@connectrpc/connect";
import { Verdict } from "./gen/flow/flow_pb.js";
import { HealthCheckResponse_ServingStatus as ServingStatus } from "./gen/grpc/health/v1/health_pb.js";
import { GetFlowsRequestSchema, type GetFlowsResponse, GetFlowsResponseSchema } from "./gen/observer/observer_pb.js";
import { createObserverClients } from "./grpc/client.ts";
import { type HubbleOptions, type HubbleServer, startHubble } from "./server.ts";

const bootMs = 1_767_225_600_000; // Of the sample context.
const packet = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", tcp: { sourcePort: 40000, destinationPort: 80, flags: 2 } });
type Request = MessageInitShape<typeof GetFlowsRequestSchema>;

/** Every third event is a drop; event n happens at n seconds. */
function record(n: number): Uint8Array {
  const common = { timeNs: n * 1e9, reporter: 11, sourceIdentity: 1001, destinationIdentity: 1002, packet };
  return n % 3 === 0 ? buildDrop({ ...common, reason: 133 }) : buildTrace({ ...common, point: 0, reason: 0, ifindex: n });
}

const records = (from: number, to: number): Uint8Array =>
  frameRecords(Array.from({ length: to - from + 1 }, (_, index) => record(from + index)));

interface Setup extends AsyncDisposable {
  readonly ring: FlowRing;
  readonly server: HubbleServer;
  readonly socketPath: string;
  readonly clients: ReturnType<typeof createObserverClients>;
}

async function setUp(options: Partial<HubbleOptions> & { readonly capacity?: number } = {}): Promise<Setup> {
  const folder = mkdtempSync(join(tmpdir(), "hubble-"));
  const socketPath = join(folder, "run", "hubble.sock");
  const ring =
    options.ring ?? new FlowRing({ capacity: options.capacity ?? 63, instance: Uint8Array.from({ length: 9 }, (_, index) => index) });
  const server = await startHubble({ socketPath, ring, context: sampleContext(), version: "0.1.0", ...options });
  return {
    ring,
    server,
    socketPath,
    clients: createObserverClients(`unix://${socketPath}`),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Seconds after boot of each flow, `lost N` for losses. */
function told(responses: readonly GetFlowsResponse[]): Array<number | string> {
  return responses.map(({ responseTypes }) => {
    if (responseTypes.case === "flow") return Number(responseTypes.value.time?.seconds ?? 0) - bootMs / 1000;
    return responseTypes.case === "lostEvents" ? `lost ${responseTypes.value.numEventsLost}` : String(responseTypes.case);
  });
}

async function getFlows(setup: Setup, request: Request): Promise<Array<number | string>> {
  const responses: GetFlowsResponse[] = [];
  for await (const response of setup.clients.observer.getFlows(request, { timeoutMs: 10_000 })) responses.push(response);
  return told(responses);
}

const at = (second: number): { since: ReturnType<typeof timestampFromMs> } => ({ since: timestampFromMs(bootMs + second * 1000) });
const until = (second: number): { until: ReturnType<typeof timestampFromMs> } => ({ until: timestampFromMs(bootMs + second * 1000) });
const drops = { verdict: [Verdict.DROPPED] };

for (const [name, request, expected] of [
  ["nothing asked for is the whole ring", {}, [1, 2, 3, 4, 5, 6, 7, 8, 9]],
  ["the last", { number: 2n }, [8, 9]],
  ["the last of more than there are", { number: 2n ** 64n - 1n }, [1, 2, 3, 4, 5, 6, 7, 8, 9]],
  ["the first", { number: 2n, first: true }, [1, 2]],
  ["the last that match", { number: 2n, whitelist: [drops] }, [6, 9]],
  ["the first that match", { number: 1n, first: true, whitelist: [drops] }, [3]],
  ["all but", { blacklist: [{ eventType: [{ type: 4 }] }] }, [3, 6, 9]],
  ["since", at(7), [7, 8, 9]],
  ["since, with a number: the oldest", { ...at(4), number: 2n }, [4, 5]],
  ["until", until(3), [1, 2, 3]],
  ["since and until", { ...at(3), ...until(5) }, [3, 4, 5]],
  ["since the future", at(100), []],
  ["first with until", { first: true, number: 5n, ...until(2) }, [1, 2]],
] satisfies ReadonlyArray<readonly [string, Request, readonly number[]]>) {
  test(`GetFlows: ${name}`, async () => {
    await using setup = await setUp();
    setup.ring.append(records(1, 9));
    assert.deepEqual(await getFlows(setup, request), expected);
  });
}

test("GetFlows: follow begins now, or with the last, and goes on until the client leaves", async () => {
  await using setup = await setUp();
  setup.ring.append(records(1, 3));
  for (const [number, expected] of [
    [0n, [4, 5, 6]],
    [2n, [5, 6, 7, 8]],
  ] as const) {
    const leave = new AbortController();
    const seen: GetFlowsResponse[] = [];
    const reading = (async () => {
      for await (const response of setup.clients.observer.getFlows({ follow: true, number }, { signal: leave.signal })) seen.push(response);
    })();
    await eventually(() => assert.equal(setup.server.streamCount, 1));
    const next = setup.ring.nextSequence + 1;
    setup.ring.append(records(next, next + 1));
    if (number === 0n) setup.ring.append(records(next + 2, next + 2));
    await eventually(() => assert.deepEqual(told(seen), expected));
    leave.abort();
    await assert.rejects(reading, (error) => error instanceof ConnectError && error.code === Code.Canceled);
    await eventually(() => assert.equal(setup.server.streamCount, 0));
  }
});

test("GetFlows: until ends a client that follows", async () => {
  await using setup = await setUp();
  const reading = getFlows(setup, { follow: true, ...until(3) });
  await eventually(() => assert.equal(setup.server.streamCount, 1));
  setup.ring.append(records(1, 5));
  assert.deepEqual(await reading, [1, 2, 3]);
});

test("GetFlows: losses in the kernel are told in their place, whatever the filter", async () => {
  await using setup = await setUp();
  setup.ring.append(records(1, 2));
  setup.ring.appendLost(1, 5, 2e9);
  setup.ring.append(records(3, 3));
  assert.deepEqual(await getFlows(setup, {}), [1, 2, "lost 5", 3]);
  assert.deepEqual(await getFlows(setup, { whitelist: [drops] }), ["lost 5", 3]);
  assert.deepEqual(await getFlows(setup, { number: 2n }), [2, "lost 5", 3]);
});

test("GetFlows: a field mask holds for the flow and for what is copied from it", async () => {
  await using setup = await setUp();
  setup.ring.append(records(1, 1));
  const responses = await Array.fromAsync(setup.clients.observer.getFlows({ fieldMask: { paths: ["verdict", "source.pod_name"] } }));
  const [response] = responses;
  assert.ok(response?.responseTypes.case === "flow");
  assert.deepEqual([response.nodeName, response.time], ["", undefined]);
  assert.equal(response.responseTypes.value.source?.podName, "client");
  assert.equal(response.responseTypes.value.IP, undefined);
});

for (const [name, request, message] of [
  ["first and follow", { first: true, follow: true }, /first cannot be combined with follow/],
  ["a wrong address", { whitelist: [{ sourceIp: ["nowhere"] }] }, /invalid filter: IP "nowhere" is neither/],
  ["a regular expression that RE2 does not know", { blacklist: [{ httpPath: ["a(?=b)"] }] }, /regular expression "a\(\?=b\)"/],
  ["a selector that is none", { whitelist: [{ sourceLabel: ["a in"] }] }, /label selector "a in"/],
  ["a mask of nothing", { fieldMask: { paths: ["no.such"] } }, /no field "no" in flow.Flow/],
  ["wrong CEL", { whitelist: [{ experimental: { celExpression: ["_flow.verdict =="] } }] }, /CEL expression "_flow.verdict =="/],
] satisfies ReadonlyArray<readonly [string, Request, RegExp]>) {
  test(`GetFlows refuses ${name}`, async () => {
    await using setup = await setUp();
    await assert.rejects(getFlows(setup, request), (error) => {
      assert.ok(error instanceof ConnectError);
      assert.equal(error.code, Code.InvalidArgument);
      assert.match(error.rawMessage, message);
      return true;
    });
  });
}

test("GetFlows: a deadline ends the call with DeadlineExceeded", async () => {
  await using setup = await setUp();
  const reading = Array.fromAsync(setup.clients.observer.getFlows({ follow: true }, { timeoutMs: 50 }));
  await assert.rejects(reading, (error) => error instanceof ConnectError && error.code === Code.DeadlineExceeded);
  await eventually(() => assert.equal(setup.server.streamCount, 0));
});

test("a server that stops tells its readers, and leaves no socket", async () => {
  const setup = await setUp();
  const reading = Array.fromAsync(setup.clients.observer.getFlows({ follow: true }));
  const watching = Array.fromAsync(setup.clients.health.watch({}));
  reading.catch(() => {});
  watching.catch(() => {});
  await eventually(() => assert.equal(setup.server.streamCount, 1));
  await setup[Symbol.asyncDispose]();
  await assert.rejects(reading, (error) => error instanceof ConnectError && error.code === Code.Unavailable);
  await watching.catch((error: unknown) => assert.ok(error instanceof ConnectError));
  assert.ok(!existsSync(setup.socketPath));
});

test("readers beyond the limit are turned away with the reason", async () => {
  await using setup = await setUp({ streamCountMax: 1 });
  const leave = new AbortController();
  const reading = Array.fromAsync(setup.clients.observer.getFlows({ follow: true }, { signal: leave.signal }));
  await eventually(() => assert.equal(setup.server.streamCount, 1));
  await assert.rejects(getFlows(setup, {}), (error) => error instanceof ConnectError && error.code === Code.ResourceExhausted);
  assert.equal(setup.server.refused, 1);
  leave.abort();
  await assert.rejects(reading);
});

test("a reader that is too slow costs no memory, and every flow is received or counted as lost", async () => {
  await using setup = await setUp({ capacity: 255 });
  await using raw = openRaw(setup.socketPath);
  const call = raw.call({ follow: true });
  call.stream.pause();
  await eventually(() => assert.equal(setup.server.streamCount, 1));
  const total = 20_000;
  for (let n = 1; n <= total; n += 100) {
    setup.ring.append(records(n, n + 99));
    await new Promise((resolve) => setImmediate(resolve));
  }
  call.stream.resume();
  const received = (): number => call.messages.filter(({ responseTypes }) => responseTypes.case === "flow").length;
  const lost = (): number =>
    call.messages.reduce(
      (sum, { responseTypes }) => sum + (responseTypes.case === "lostEvents" ? Number(responseTypes.value.numEventsLost) : 0),
      0,
    );
  await eventually(() => assert.equal(received() + lost(), total));
  assert.ok(lost() > 0 && received() > 0, `received ${received()}, lost ${lost()}`);
});

test("ServerStatus tells what the ring holds", async () => {
  let nowNs = 100e9;
  await using setup = await setUp({ capacity: 7, nowNs: () => nowNs });
  setup.ring.append(records(91, 102));
  nowNs = 103e9;
  const status = await setup.clients.observer.serverStatus({});
  assert.deepEqual(
    [status.numFlows, status.maxFlows, status.seenFlows, status.uptimeNs, status.version, status.flowsRate],
    [7n, 7n, 12n, 3_000_000_000n, "0.1.0", 0.2],
  );
  assert.equal(status.numConnectedNodes, undefined);
});

test("GetNamespaces lists those of the last hour's flows", async () => {
  let nowNs = 10e9;
  await using setup = await setUp({ nowNs: () => nowNs });
  setup.ring.append(records(1, 1));
  const list = async (): Promise<string[]> => {
    const { namespaces } = await setup.clients.observer.getNamespaces({});
    return namespaces.map(({ cluster, namespace }) => `${cluster}/${namespace}`);
  };
  assert.deepEqual(await list(), ["default/default", "default/shop"]);
  nowNs = 4_000e9;
  assert.deepEqual(await list(), []);
});

test("GetNodes is the relay's", async () => {
  await using setup = await setUp();
  await assert.rejects(setup.clients.observer.getNodes({}), (error) => error instanceof ConnectError && error.code === Code.Unimplemented);
});

test("agent and debug events end, or wait for those who follow", async () => {
  await using setup = await setUp();
  assert.deepEqual(await Array.fromAsync(setup.clients.observer.getAgentEvents({ number: 5n })), []);
  assert.deepEqual(await Array.fromAsync(setup.clients.observer.getDebugEvents({})), []);
  const following = Array.fromAsync(setup.clients.observer.getAgentEvents({ follow: true }, { timeoutMs: 50 }));
  await assert.rejects(following, (error) => error instanceof ConnectError && error.code === Code.DeadlineExceeded);
});

test("health knows the server under its two names", async () => {
  await using setup = await setUp();
  for (const service of ["", "hubble.server.Observer"]) {
    assert.equal((await setup.clients.health.check({ service })).status, ServingStatus.SERVING);
    for await (const { status } of setup.clients.health.watch({ service })) {
      assert.equal(status, ServingStatus.SERVING);
      break;
    }
  }
  const unknown = setup.clients.health.check({ service: "observer.Observer" });
  await assert.rejects(unknown, (error) => error instanceof ConnectError && error.code === Code.NotFound);
});

test("the socket is for root and its group only", async () => {
  await using setup = await setUp();
  assert.equal(statSync(setup.socketPath).mode & 0o777, 0o660);
});

test("a socket left behind is replaced; one that is served, and a file, are not", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hubble-"));
  const socketPath = join(folder, "hubble.sock");
  const ring = new FlowRing({ capacity: 7, instance: new Uint8Array(9) });
  const start = (): Promise<HubbleServer> => startHubble({ socketPath, ring, context: sampleContext(), version: "0" });
  {
    await using _first = await start();
    await assert.rejects(start, /hubble.sock is served by another process/);
  }
  const { createServer } = await import("node:net");
  const stale = createServer().listen(socketPath);
  await new Promise((resolve) => stale.once("listening", resolve));
  // Closing a listening socket by its descriptor alone leaves the file, as a killed process does.
  await promisify(execFile)("ln", [socketPath, `${socketPath}.kept`]);
  await new Promise((resolve) => stale.close(resolve));
  await promisify(execFile)("mv", [`${socketPath}.kept`, socketPath]);
  {
    await using _second = await start();
  }
  writeFileSync(socketPath, "");
  await assert.rejects(start, /exists and is no socket/);
  rmSync(folder, { recursive: true });
});

/** gRPC as bytes: what an HTTP/2 client without any library sees. */
interface RawCall {
  readonly stream: ReturnType<ClientHttp2Session["request"]>;
  readonly messages: GetFlowsResponse[];
  readonly ended: Promise<{ headers: IncomingHttpHeaders; trailers: IncomingHttpHeaders }>;
}

function openRaw(
  socketPath: string,
): AsyncDisposable & { call(request: Request, headers?: Record<string, string>, body?: Buffer): RawCall } {
  const session = connectHttp2("http://localhost", {
    createConnection: () => connectSocket(socketPath),
    settings: { initialWindowSize: 65_535 },
  });
  session.on("error", () => {});
  return {
    call(request, extraHeaders = {}, body = frame(toBinary(GetFlowsRequestSchema, create(GetFlowsRequestSchema, request)))) {
      const stream = session.request({
        ":method": "POST",
        ":path": "/observer.Observer/GetFlows",
        "content-type": "application/grpc",
        "user-agent": "grpc-go/1.76.0",
        te: "trailers",
        ...extraHeaders,
      });
      stream.on("error", () => {});
      stream.end(body);
      const messages: GetFlowsResponse[] = [];
      let headers: IncomingHttpHeaders = {};
      let trailers: IncomingHttpHeaders = {};
      let rest = Buffer.alloc(0);
      stream.on("response", (received) => {
        headers = received;
      });
      stream.on("trailers", (received) => {
        trailers = received;
      });
      stream.on("data", (part: Buffer) => {
        rest = Buffer.concat([rest, part]);
        while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
          const end = 5 + rest.readUInt32BE(1);
          messages.push(fromBinary(GetFlowsResponseSchema, rest.subarray(5, end)));
          rest = rest.subarray(end);
        }
      });
      return { stream, messages, ended: new Promise((resolve) => stream.on("close", () => resolve({ headers, trailers }))) };
    },
    async [Symbol.asyncDispose]() {
      session.destroy();
    },
  };
}

function frame(message: Uint8Array, flag = 0): Buffer {
  const header = Buffer.alloc(5);
  header[0] = flag;
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

test("on the wire: headers, framed messages, status in trailers", async () => {
  await using setup = await setUp();
  setup.ring.append(records(1, 3));
  await using raw = openRaw(setup.socketPath);
  const call = raw.call({}, { "grpc-timeout": "5S", "grpc-accept-encoding": "gzip" });
  const { headers, trailers } = await call.ended;
  assert.equal(headers[":status"], 200);
  assert.equal(headers["content-type"], "application/grpc+proto");
  assert.equal(headers["hubble-server-version"], "0.1.0");
  assert.equal(headers["grpc-status"], undefined);
  assert.equal(trailers["grpc-status"], "0");
  assert.deepEqual(told(call.messages), [1, 2, 3]);
});

for (const [name, headers, body, status, message] of [
  ["a compressed request", { "grpc-encoding": "gzip" }, frame(new Uint8Array(3), 1), "12", /compressed/],
  ["no message", {}, Buffer.alloc(0), "13", /no message/],
  ["two messages", {}, Buffer.concat([frame(new Uint8Array(0)), frame(new Uint8Array(0))]), "13", /one message/],
  ["bytes that are no request", {}, frame(Uint8Array.from([0xff, 0xff])), "3", /no GetFlowsRequest/],
  ["a request of 2 MB", {}, frame(new Uint8Array(2_000_000)), "8", /larger than/],
] as const) {
  test(`on the wire: ${name} is answered with status ${status}`, async () => {
    await using setup = await setUp();
    await using raw = openRaw(setup.socketPath);
    const answer = await raw.call({}, headers, body).ended;
    assert.equal(answer.headers["grpc-status"], status);
    assert.match(decodeURIComponent(String(answer.headers["grpc-message"])), message);
    assert.equal(setup.server.streamCount, 0);
  });
}

test("on the wire: what is not gRPC is answered as HTTP, and an unknown method as unimplemented", async () => {
  await using setup = await setUp();
  await using raw = openRaw(setup.socketPath);
  assert.equal((await raw.call({}, { "content-type": "text/plain" }).ended).headers[":status"], 415);
  const unknown = await raw.call({}, { ":path": "/observer.Observer/Nothing" }).ended;
  assert.ok(Number(unknown.headers[":status"]) === 404 || unknown.headers["grpc-status"] === "12");
});

test("on the wire: a client that resets its call is forgotten", async () => {
  await using setup = await setUp();
  await using raw = openRaw(setup.socketPath);
  const call = raw.call({ follow: true });
  await eventually(() => assert.equal(setup.server.streamCount, 1));
  call.stream.close(constants.NGHTTP2_CANCEL);
  await eventually(() => assert.equal(setup.server.streamCount, 0));
  setup.ring.append(records(1, 1));
});

/** A client of another make: buf's, which is written in Go. */
const buf = join(import.meta.dirname, "../../../node_modules/.bin/buf");
const protoFolder = join(import.meta.dirname, "../../../proto");

async function bufCurl(setup: Setup, method: string, data: unknown): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    buf,
    "curl",
    "--schema",
    protoFolder,
    "--protocol",
    "grpc",
    "--http2-prior-knowledge",
    "--unix-socket",
    setup.socketPath,
    "--data",
    JSON.stringify(data),
    `http://localhost/${method}`,
  ]);
  return stdout;
}

test("a Go client reads flows, status and health", async () => {
  await using setup = await setUp();
  setup.ring.append(records(1, 9));
  const flows = JSON.parse(
    `[${(await bufCurl(setup, "observer.Observer/GetFlows", { number: 2, whitelist: [drops] })).replaceAll(/^}$\n(?=.)/gm, "},")}]`,
  );
  assert.deepEqual(
    flows.map((response: { flow: { verdict: string; dropReasonDesc: string; source: { podName: string } }; nodeName: string }) => [
      response.flow.verdict,
      response.flow.dropReasonDesc,
      response.flow.source.podName,
      response.nodeName,
    ]),
    [
      ["DROPPED", "POLICY_DENIED", "client", "default/n1"],
      ["DROPPED", "POLICY_DENIED", "client", "default/n1"],
    ],
  );
  assert.equal(JSON.parse(await bufCurl(setup, "observer.Observer/ServerStatus", {})).seenFlows, "9");
  assert.equal(JSON.parse(await bufCurl(setup, "grpc.health.v1.Health/Check", {})).status, "SERVING");
  await assert.rejects(bufCurl(setup, "observer.Observer/GetFlows", { whitelist: [{ source_ip: ["x"] }] }), /invalid filter: IP \\"x\\"/);
});
