import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import { drop, openLogs } from "./testing.ts";

interface Received {
  readonly path: string | undefined;
  readonly type: string | undefined;
  readonly body: {
    resourceLogs: Array<{ resource: unknown; scopeLogs: Array<{ scope: unknown; logRecords: Array<Record<string, unknown>> }> }>;
  };
}

/** A collector that answers as it is told, and 200 after that. */
async function startCollector(answers: Array<{ status: number; body?: string; retryAfter?: string }> = []) {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (part) => {
      text += String(part);
    });
    request.on("end", () => {
      const { status, body = "{}", retryAfter } = answers.shift() ?? { status: 200 };
      received.push({ path: request.url, type: request.headers["content-type"], body: JSON.parse(text) });
      response
        .writeHead(status, { "content-type": "application/json", ...(retryAfter === undefined ? {} : { "retry-after": retryAfter }) })
        .end(body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    received,
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/logs`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

test("flows arrive as log records with time, severity and what collectors select by", async () => {
  await using collector = await startCollector();
  const { logs, problems } = openLogs(collector.endpoint);
  logs.append('{"flow":{}}', drop);
  logs.append('{"lost_events":{}}');
  await eventually(() => assert.equal(logs.written, 2));
  await logs[Symbol.asyncDispose]();
  const [request] = collector.received;
  assert.deepEqual([request?.path, request?.type, problems], ["/v1/logs", "application/json", []]);
  const [resourceLogs] = request?.body.resourceLogs ?? [];
  assert.deepEqual(resourceLogs?.resource, {
    attributes: [
      { key: "service.name", value: { stringValue: "hubble" } },
      { key: "k8s.node.name", value: { stringValue: "n1" } },
    ],
  });
  assert.deepEqual(resourceLogs?.scopeLogs[0]?.scope, { name: "cilium-ts", version: "0.1.0" });
  const [flow, lost] = resourceLogs?.scopeLogs[0]?.logRecords ?? [];
  assert.deepEqual(
    [flow?.timeUnixNano, flow?.observedTimeUnixNano, flow?.severityNumber, flow?.severityText, flow?.body],
    ["1767225602000000000", "1767225605000000000", 13, "WARN", { stringValue: '{"flow":{}}' }],
  );
  assert.deepEqual(
    ((flow?.attributes ?? []) as Array<{ key: string; value: { stringValue: string } }>).map(
      ({ key, value }) => `${key}=${value.stringValue}`,
    ),
    [
      "event.name=hubble.flow",
      "hubble.verdict=2",
      "hubble.event_type=1",
      "source.namespace=default",
      "source.pod=client",
      "destination.namespace=shop",
      "destination.pod=web",
    ],
  );
  assert.deepEqual([lost?.body, lost?.attributes], [{ stringValue: '{"lost_events":{}}' }, []]);
});

test("a collector that is busy is asked again, after as long as it says, and said once", async () => {
  await using collector = await startCollector([{ status: 503 }, { status: 429, retryAfter: "7" }]);
  const { logs, problems, sleeps } = openLogs(collector.endpoint);
  logs.append("{}", drop);
  await eventually(() => assert.equal(logs.written, 1));
  assert.deepEqual([collector.received.length, logs.lost, sleeps], [3, 0, [1_000, 1_000, 7_000]]);
  assert.deepEqual(
    problems.map((problem) => /HTTP \d+/.exec(problem)?.[0]),
    ["HTTP 503", "HTTP 429"],
  );
});

test("what a collector refuses is counted: all of a request that it does not understand, a part of one that it takes in part", async () => {
  await using collector = await startCollector([
    { status: 400 },
    { status: 200, body: '{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}' },
  ]);
  const { logs } = openLogs(collector.endpoint);
  logs.append("{}", drop);
  await eventually(() => assert.equal(logs.lost, 1));
  for (let count = 0; count < 3; count += 1) logs.append("{}", drop);
  await eventually(() => assert.deepEqual([logs.written, logs.lost], [1, 3]));
});

test("a collector that is away costs what does not fit in, and its end is waited for no longer than once", async () => {
  const { endpoint } = await (async () => {
    await using gone = await startCollector();
    return gone;
  })();
  const { logs, problems } = openLogs(endpoint);
  for (let count = 0; count < 10_000; count += 1) logs.append("{}", drop);
  await logs[Symbol.asyncDispose]();
  assert.deepEqual([logs.written, logs.lost], [0, 10_000]);
  assert.match(problems[0] ?? "", /^flows cannot be sent to the collector at http:.*ECONNREFUSED/);
  assert.equal(problems.length, 1);
});
