import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createSecureServer, createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { issueCertificate, knownIssuer } from "@cilium-ts/certificates";
import { eventually } from "@cilium-ts/testing";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { RetryInfoSchema } from "../gen/google/rpc/retry_pb.js";
import { type ExportLogsServiceRequest, ExportLogsServiceRequestSchema, LogsService } from "../gen/opentelemetry/logs_service_pb.js";
import { drop, openLogs } from "./testing.ts";

type Answer = { readonly code: Code; readonly retryAfterMs?: number } | { readonly rejected: bigint };

interface Received {
  readonly request: ExportLogsServiceRequest;
  readonly headers: Headers;
  /** Common name of the client's certificate. */
  readonly client: string | undefined;
}

const validity = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
const subjectOf = (commonName: string) => ({ commonName, organizations: [] });

function authority() {
  const pair = issueCertificate({ subject: subjectOf("ca"), use: "authority", names: [], ...validity }, undefined);
  const issuer = knownIssuer(subjectOf("ca"), pair);
  const issue = (use: "server" | "client", name: string) =>
    issueCertificate({ subject: subjectOf(name), use, names: ["127.0.0.1", "localhost"], ...validity }, issuer);
  return { certificate: pair.certificate, issue };
}

/** A collector that speaks gRPC, answers as it is told, and takes all after that. */
async function startCollector(answers: Answer[] = [], tls?: { readonly cert: string; readonly key: string; readonly ca: string }) {
  const received: Received[] = [];
  const sessions = new Set<ServerHttp2Session>();
  let lastClient: string | undefined;
  const handler = connectNodeAdapter({
    routes: (router) =>
      router.service(LogsService, {
        export(request, { requestHeader }) {
          received.push({ request, headers: requestHeader, client: lastClient });
          const answer = answers.shift() ?? { rejected: 0n };
          if ("rejected" in answer) return { partialSuccess: { rejectedLogRecords: answer.rejected } };
          const details =
            answer.retryAfterMs === undefined
              ? []
              : [{ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(answer.retryAfterMs) } }];
          throw new ConnectError("not now", answer.code, undefined, details);
        },
      }),
  });
  const server: Http2Server =
    tls === undefined ? createServer(handler) : createSecureServer({ ...tls, requestCert: true, rejectUnauthorized: true }, handler);
  server.on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    if (tls !== undefined) lastClient = (session.socket as TLSSocket).getPeerCertificate().subject?.CN as string | undefined;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    received,
    sessions,
    address: `${tls === undefined ? "grpc" : "grpcs"}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

test("flows arrive by gRPC as log records with time, severity, what collectors select by, and the headers that were asked for", async () => {
  await using collector = await startCollector();
  const { logs, problems } = openLogs(collector.address, { headers: { authorization: "Bearer abc", "x-tenant": "blue" } });
  logs.append('{"flow":{}}', drop);
  logs.append('{"lost_events":{}}');
  await eventually(() => assert.equal(logs.written, 2));
  await logs[Symbol.asyncDispose]();
  const [first] = collector.received;
  assert.deepEqual(problems, []);
  assert.deepEqual([first?.headers.get("authorization"), first?.headers.get("x-tenant")], ["Bearer abc", "blue"]);
  const [resourceLogs] = first?.request.resourceLogs ?? [];
  const texts = (attributes: Array<{ key: string; value?: { value: { value?: unknown } } | undefined }> = []): string[] =>
    attributes.map(({ key, value }) => `${key}=${String(value?.value.value)}`);
  assert.deepEqual(texts(resourceLogs?.resource?.attributes), ["service.name=hubble", "k8s.node.name=n1"]);
  const [scopeLogs] = resourceLogs?.scopeLogs ?? [];
  assert.deepEqual([scopeLogs?.scope?.name, scopeLogs?.scope?.version], ["cilium-ts", "0.1.0"]);
  const [flow, lost] = scopeLogs?.logRecords ?? [];
  assert.deepEqual(
    [flow?.timeUnixNano, flow?.observedTimeUnixNano, flow?.severityNumber, flow?.severityText, flow?.body?.value.value],
    [1_767_225_602_000_000_000n, 1_767_225_605_000_000_000n, 13, "WARN", '{"flow":{}}'],
  );
  assert.ok(texts(flow?.attributes).includes("source.pod=client"));
  assert.equal(lost?.body?.value.value, '{"lost_events":{}}');
  await eventually(() => assert.equal(collector.sessions.size, 0, "the connection ends with the exporter"));
});

test("the request on the wire is that of the protocol", () => {
  const attributes = [{ key: "k", value: { value: { case: "stringValue" as const, value: "v" } } }];
  const logRecords = [{ timeUnixNano: 1n, observedTimeUnixNano: 2n, severityNumber: 9, severityText: "I", attributes }];
  const request = create(ExportLogsServiceRequestSchema, { resourceLogs: [{ resource: { attributes }, scopeLogs: [{ logRecords }] }] });
  const keyValue = "0a016b12030a0176"; // 1: "k", 2: { 1: "v" }
  const record = `090100000000000000${"1009"}${"1a0149"}${`3208${keyValue}`}${"590200000000000000"}`;
  const resourceLogs = `0a0a0a08${keyValue}` + `1223${`1221${record}`}`;
  assert.equal(Buffer.from(toBinary(ExportLogsServiceRequestSchema, request)).toString("hex"), `0a31${resourceLogs}`);
});

for (const [name, answers, expected] of [
  ["is not available", [{ code: Code.Unavailable }, { code: Code.Aborted }], { written: 1, lost: 0, sleeps: [1_000, 1_000, 2_000] }],
  ["says when", [{ code: Code.ResourceExhausted, retryAfterMs: 7_000 }], { written: 1, lost: 0, sleeps: [1_000, 7_000] }],
  ["says that in a day", [{ code: Code.Unavailable, retryAfterMs: 86_400_000 }], { written: 1, lost: 0, sleeps: [1_000, 30_000] }],
  ["is full, and does not say for how long", [{ code: Code.ResourceExhausted }], { written: 0, lost: 1, sleeps: [1_000] }],
  ["does not let us in", [{ code: Code.Unauthenticated }], { written: 0, lost: 1, sleeps: [1_000] }],
  ["is none", [{ code: Code.Unimplemented }], { written: 0, lost: 1, sleeps: [1_000] }],
  [
    "never has time",
    Array.from({ length: 5 }, () => ({ code: Code.Unavailable })),
    { written: 0, lost: 1, sleeps: [1_000, 1_000, 2_000, 4_000, 8_000] },
  ],
  ["takes a part", [{ rejected: 1n }], { written: 0, lost: 1, sleeps: [1_000] }],
] as ReadonlyArray<readonly [string, Answer[], { written: number; lost: number; sleeps: number[] }]>) {
  test(`a collector that ${name}: ${JSON.stringify(expected)}`, async () => {
    await using collector = await startCollector([...answers]);
    const { logs, sleeps, problems } = openLogs(collector.address);
    logs.append("{}", drop);
    await eventually(() => assert.deepEqual({ written: logs.written, lost: logs.lost, sleeps }, expected));
    assert.equal(problems.length, "rejected" in (answers[0] ?? {}) ? 0 : new Set(answers.map((one) => JSON.stringify(one))).size);
    await logs[Symbol.asyncDispose]();
  });
}

test("a collector that is away costs what does not fit in, and what is told names the reason", async () => {
  const { address } = await (async () => {
    await using gone = await startCollector();
    return gone;
  })();
  const { logs, problems } = openLogs(address);
  for (let count = 0; count < 10_000; count += 1) logs.append("{}", drop);
  await logs[Symbol.asyncDispose]();
  assert.deepEqual([logs.written, logs.lost], [0, 10_000]);
  assert.match(problems[0] ?? "", /^flows cannot be sent to the collector at grpc:.*ECONNREFUSED/);
});

test("by TLS both sides show certificates, and replaced ones are used from the next request on", async () => {
  const folder = mkdtempSync(join(tmpdir(), "otlp-"));
  try {
    const ca = authority();
    const server = ca.issue("server", "collector");
    await using collector = await startCollector([], { cert: server.certificate, key: server.key, ca: ca.certificate });
    const files = { caFile: join(folder, "ca.crt"), certFile: join(folder, "tls.crt"), keyFile: join(folder, "tls.key") };
    const place = (name: string): void => {
      const pair = ca.issue("client", name);
      writeFileSync(files.certFile, pair.certificate);
      writeFileSync(files.keyFile, pair.key);
    };
    place("first");
    const { logs, problems } = openLogs(collector.address, files);
    logs.append("{}", drop);
    await eventually(() => assert.match(problems[0] ?? "", /ENOENT.*ca\.crt/));
    writeFileSync(files.caFile, ca.certificate);
    await eventually(() => assert.equal(logs.written + logs.lost, 1));
    logs.append("{}", drop);
    await eventually(() => assert.ok(logs.written >= 1));
    place("second");
    logs.append("{}", drop);
    await eventually(() => assert.equal(collector.received.at(-1)?.client, "second"));
    assert.ok(collector.received.some(({ client }) => client === "first"));
    await logs[Symbol.asyncDispose]();
    const strangers = openLogs(collector.address, { ...files, caFile: files.certFile });
    strangers.logs.append("{}", drop);
    await strangers.logs[Symbol.asyncDispose]();
    assert.deepEqual([strangers.logs.written, strangers.logs.lost], [0, 1]);
    assert.match(strangers.problems[0] ?? "", /certificate|CERT/i);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
