/** Requests recorded as text, with what must come back; and a node that has seen what they speak of. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type DescMessage, fromJsonString, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";
import { FieldMaskSchema, type Timestamp } from "@bufbuild/protobuf/wkt";
import { AgentEventRing, FlowRing } from "@cilium-ts/flow";
import { sampleAgentEvents, sampleContext, sampleEvents } from "@cilium-ts/flow/testing";
import { eventually } from "@cilium-ts/testing";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Fixture, parseFixtures, type Sight } from "./fixtures/parse-fixtures.ts";
import {
  GetAgentEventsRequestSchema,
  GetAgentEventsResponseSchema,
  GetDebugEventsRequestSchema,
  GetDebugEventsResponseSchema,
  GetFlowsRequestSchema,
  GetFlowsResponseSchema,
  GetNamespacesRequestSchema,
  GetNamespacesResponseSchema,
  ServerStatusRequestSchema,
  ServerStatusResponseSchema,
} from "./gen/observer/observer_pb.js";
import type { ObserverClient } from "./grpc/client.ts";
import { type HubbleOptions, type HubbleServer, startHubble } from "./server.ts";

export type { Fixture, Sight };

const folder = join(import.meta.dirname, "../fixtures");
/** Of the sample context: event n happens n seconds later. */
const bootSeconds = 1_767_225_600n;

/** All cases, by the file's name without its ending. */
export function readFixtures(): Map<string, Fixture[]> {
  const files = readdirSync(folder).filter((name) => name.endsWith(".txt"));
  return new Map(files.map((name) => [name.replace(/\.txt$/, ""), parseFixtures(readFileSync(join(folder, name), "utf8"), name)]));
}

/** The node n1 of the sample context, served on a unix socket. */
export class SampleNode implements AsyncDisposable {
  readonly server: HubbleServer;
  readonly #rings: Rings;
  readonly #folder: string;
  readonly #events = sampleEvents();

  static async start(options: Partial<HubbleOptions> = {}): Promise<SampleNode> {
    const clock = { nowNs: 0 };
    const ring = new FlowRing({ capacity: 63, instance: new Uint8Array(9) });
    const agentEvents = new AgentEventRing(() => clock.nowNs, 15);
    const path = mkdtempSync(join(tmpdir(), "hubble-node-"));
    const socketPath = join(path, "hubble.sock");
    const server = await startHubble({ socketPath, ring, agentEvents, context: sampleContext(), version: "0.1.0", ...options });
    return new SampleNode({ clock, ring, agentEvents }, path, server);
  }

  private constructor(rings: Rings, path: string, server: HubbleServer) {
    this.#rings = rings;
    this.#folder = path;
    this.server = server;
  }

  /** Calls that have read what there was and wait for more. */
  get readerCount(): number {
    return this.#rings.ring.listenerCount + this.#rings.agentEvents.listenerCount;
  }

  get address(): string {
    return `unix://${this.server.socketPath}`;
  }

  see(sights: readonly Sight[]): void {
    const { ring } = this.#rings;
    for (const sight of sights) {
      if (sight.kind === "loss") ring.appendLost(sight.source, sight.count, ring.size === 0 ? 0 : ring.timeNsOf(ring.nextSequence - 1));
      else ring.appendRecord(this.#events[sight.number - 1] ?? assert.fail(`there is no sample event ${sight.number}`));
    }
  }

  /** The agent does what the sample events of these numbers tell. */
  act(numbers: readonly number[]): void {
    for (const number of numbers) {
      this.#rings.clock.nowNs = number * 1e9;
      this.#rings.agentEvents.append(sampleAgentEvents[number - 1] ?? assert.fail(`there is no sample agent event ${number}`));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

interface Rings {
  readonly clock: { nowNs: number };
  readonly ring: FlowRing;
  readonly agentEvents: AgentEventRing;
}

/** Whom a case is tried on: a node's server, or a relay before it. */
export interface FixtureStage {
  readonly observer: ObserverClient;
  readonly node: SampleNode;
  /** Rejects until a call that was begun reaches the node. */
  readonly callBegun: () => void;
}

/** Fails unless what comes back is what the case says. Word of the relay about its nodes is passed over. */
export async function checkFixture(fixture: Fixture, { observer, node, callBegun }: FixtureStage): Promise<void> {
  node.see(fixture.seen);
  node.act(fixture.agent);
  const call = callOf(fixture.method);
  const leave = new AbortController();
  const responses: unknown[] = [];
  const request = fromJsonString(call.request, fixture.request);
  if (fixture.mask.length > 0) Object.assign(request, { fieldMask: create(FieldMaskSchema, { paths: [...fixture.mask] }) });
  const ended = call.begin(observer, request as never, leave.signal, (response) => {
    if (!isNodeStatus(response)) responses.push(response);
  });
  const outcome = ended.then(
    () => ({ ended: true as const }),
    (error: unknown) => ({ error }),
  );
  try {
    if (fixture.later.length + fixture.agentLater.length > 0) {
      await eventually(callBegun);
      node.see(fixture.later);
      node.act(fixture.agentLater);
    }
    await eventually(() => checkResponses(fixture, call.response, responses));
    if (!fixture.staysOpen) checkOutcome(fixture, await outcome);
    checkResponses(fixture, call.response, responses); // Nothing came behind what was awaited.
  } finally {
    leave.abort();
    await outcome;
  }
}

function checkOutcome({ refusal }: Fixture, outcome: { readonly ended: true } | { readonly error: unknown }): void {
  if (refusal === undefined) {
    if ("error" in outcome) throw outcome.error;
    return;
  }
  assert.ok("error" in outcome, "the call was not refused");
  assert.ok(outcome.error instanceof ConnectError);
  assert.equal(Code[outcome.error.code], refusal.code);
  assert.ok(outcome.error.rawMessage.includes(refusal.text), `${outcome.error.rawMessage} does not say ${refusal.text}`);
}

function checkResponses({ gives, responses: wanted }: Fixture, schema: DescMessage, responses: readonly unknown[]): void {
  if (gives !== undefined) assert.deepEqual(responses.map(tokenOf), gives);
  const told = responses.slice(0, wanted.length).map((response) => toJson(schema, response as never, { useProtoFieldName: true }));
  assert.deepEqual(
    told,
    wanted.map((text) => JSON.parse(text) as JsonValue),
  );
}

interface Response {
  readonly time?: Timestamp;
  readonly responseTypes?: { readonly case: string | undefined; readonly value?: unknown };
}

function tokenOf(response: unknown): string {
  const { time, responseTypes } = response as Response;
  if (responseTypes?.case !== "lostEvents") return String((time?.seconds ?? 0n) - bootSeconds);
  const { source, numEventsLost } = responseTypes.value as { readonly source: number; readonly numEventsLost: bigint };
  return `lost:${source}:${numEventsLost}`;
}

function isNodeStatus(response: unknown): boolean {
  return (response as Response).responseTypes?.case === "nodeStatus";
}

interface Call {
  readonly request: DescMessage;
  readonly response: DescMessage;
  begin(observer: ObserverClient, request: never, signal: AbortSignal, onResponse: (response: unknown) => void): Promise<void>;
}

function stream<Request extends DescMessage>(
  request: Request,
  response: DescMessage,
  start: (observer: ObserverClient, message: MessageShape<Request>, options: { signal: AbortSignal }) => AsyncIterable<unknown>,
): Call {
  return {
    request,
    response,
    async begin(observer, message, signal, onResponse) {
      for await (const one of start(observer, message, { signal })) onResponse(one);
    },
  };
}

const calls: Readonly<Record<string, Call>> = {
  GetFlows: stream(GetFlowsRequestSchema, GetFlowsResponseSchema, (observer, message, options) => observer.getFlows(message, options)),
  GetAgentEvents: stream(GetAgentEventsRequestSchema, GetAgentEventsResponseSchema, (observer, message, options) =>
    observer.getAgentEvents(message, options),
  ),
  GetDebugEvents: stream(GetDebugEventsRequestSchema, GetDebugEventsResponseSchema, (observer, message, options) =>
    observer.getDebugEvents(message, options),
  ),
  GetNamespaces: stream(GetNamespacesRequestSchema, GetNamespacesResponseSchema, async function* (observer, message, options) {
    yield await observer.getNamespaces(message, options);
  }),
  ServerStatus: stream(ServerStatusRequestSchema, ServerStatusResponseSchema, async function* (observer, message, options) {
    yield await observer.serverStatus(message, options);
  }),
};

function callOf(method: string): Call {
  return calls[method] ?? assert.fail(`no method ${method} can be called`);
}
