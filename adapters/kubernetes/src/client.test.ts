import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type KubernetesClient, type KubernetesOptions, openKubernetes } from "./client.ts";
import { KubernetesError } from "./kubernetes-error.ts";
import { resources } from "./resource.ts";
import { statusText } from "./scripted-server.ts";

const signal = new AbortController().signal;
const pod = { metadata: { namespace: "default", name: "client" } };

interface Request {
  readonly line: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
}

/** A server that gives one answer to everything, and what it was asked. */
async function answering(
  answer: { status?: number; body?: string; headers?: Record<string, string> } | ((response: ServerResponse) => void),
  body: (client: KubernetesClient, requests: Request[], url: string) => Promise<void>,
  options: Partial<KubernetesOptions> = {},
): Promise<void> {
  const requests: Request[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    requests.push({ line: `${request.method} ${request.url}`, headers: request.headers, body: text === "" ? undefined : JSON.parse(text) });
    if (typeof answer === "function") {
      answer(response);
      return;
    }
    response.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers });
    response.end(answer.body ?? JSON.stringify(pod));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = await openKubernetes({ server: `${url}/prefix/`, fieldManager: "tests", ...options });
  try {
    await body(client, requests, url);
  } finally {
    await client[Symbol.asyncDispose]();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const root = "/prefix/api/v1";
const cilium = "/prefix/apis/cilium.io/v2";
const calls: { name: string; call: (client: KubernetesClient) => Promise<unknown>; line: string; body?: unknown; contentType?: string }[] =
  [
    {
      name: "get",
      call: (c) => c.get(resources.pods, { namespace: "default", name: "client" }, { signal }),
      line: `GET ${root}/namespaces/default/pods/client`,
    },
    {
      name: "get of something without a namespace",
      call: (c) => c.get(resources.ciliumIdentities, { name: "300" }, { signal }),
      line: `GET ${cilium}/ciliumidentities/300`,
    },
    {
      name: "create",
      call: (c) => c.create(resources.ciliumEndpoints, pod, { signal }),
      line: `POST ${cilium}/namespaces/default/ciliumendpoints?fieldManager=tests`,
      body: { ...pod, apiVersion: "cilium.io/v2", kind: "CiliumEndpoint" },
    },
    {
      name: "replace",
      call: (c) => c.replace(resources.pods, pod, { signal }),
      line: `PUT ${root}/namespaces/default/pods/client?fieldManager=tests`,
      body: { ...pod, apiVersion: "v1", kind: "Pod" },
    },
    {
      name: "replace of the status",
      call: (c) => c.replace(resources.pods, pod, { signal, subresource: "status" }),
      line: `PUT ${root}/namespaces/default/pods/client/status?fieldManager=tests`,
      body: { ...pod, apiVersion: "v1", kind: "Pod" },
    },
    {
      name: "merge patch of the status",
      call: (c) =>
        c.patch(
          resources.pods,
          { namespace: "default", name: "client" },
          { type: "merge", body: { status: { phase: "Running" } } },
          { signal, subresource: "status" },
        ),
      line: `PATCH ${root}/namespaces/default/pods/client/status?fieldManager=tests`,
      body: { status: { phase: "Running" } },
      contentType: "application/merge-patch+json",
    },
    {
      name: "JSON patch",
      call: (c) =>
        c.patch(resources.nodes, { name: "n/1" }, { type: "json", body: [{ op: "remove", path: "/spec/taints/0" }] }, { signal }),
      line: `PATCH ${root}/nodes/n%2F1?fieldManager=tests`,
      body: [{ op: "remove", path: "/spec/taints/0" }],
      contentType: "application/json-patch+json",
    },
    {
      name: "server-side apply",
      call: (c) => c.patch(resources.pods, { namespace: "default", name: "client" }, { type: "apply", body: pod, force: true }, { signal }),
      line: `PATCH ${root}/namespaces/default/pods/client?fieldManager=tests&force=true`,
      body: { ...pod, apiVersion: "v1", kind: "Pod" },
      contentType: "application/apply-patch+yaml",
    },
    {
      name: "delete of one very object",
      call: (c) => c.delete(resources.pods, { namespace: "default", name: "client" }, { signal, uid: "u1", propagation: "Background" }),
      line: `DELETE ${root}/namespaces/default/pods/client`,
      body: { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid: "u1" }, propagationPolicy: "Background" },
    },
  ];

for (const { name, call, line, body, contentType } of calls) {
  test(`${name} asks ${line}`, async () => {
    await answering({}, async (client, requests) => {
      await call(client);
      assert.equal(requests.length, 1);
      assert.equal(requests[0]?.line, line);
      assert.deepEqual(requests[0]?.body, body);
      if (contentType !== undefined) assert.equal(requests[0]?.headers["content-type"], contentType);
    });
  });
}

test("list takes a namespace, selectors and pages, and gives items and the next page", async () => {
  const body = JSON.stringify({ metadata: { resourceVersion: "9", continue: "next" }, items: [pod] });
  await answering({ body }, async (client, requests) => {
    const list = await client.list(resources.pods, {
      signal,
      namespace: "default",
      selector: { labels: "app=web", fields: "spec.nodeName=n1" },
      limit: 10,
      continueToken: "here",
    });
    assert.equal(
      requests[0]?.line,
      `GET ${root}/namespaces/default/pods?labelSelector=app%3Dweb&fieldSelector=spec.nodeName%3Dn1&limit=10&continue=here`,
    );
    assert.deepEqual(list, { resourceVersion: "9", continueToken: "next", items: [pod] });
  });
});

test("what is not there is undefined to get, and false to delete", async () => {
  const body = JSON.stringify({
    ...JSON.parse(statusText(404, "NotFound", 'pods "client" not found')),
    details: { name: "client", kind: "pods" },
  });
  await answering({ status: 404, body }, async (client) => {
    assert.equal(await client.get(resources.pods, { namespace: "default", name: "client" }, { signal }), undefined);
    assert.equal(await client.delete(resources.pods, { namespace: "default", name: "client" }, { signal }), false);
  });
});

test("a server that does not know the resource is an error, not an absent object", async () => {
  await answering(
    { status: 404, body: statusText(404, "NotFound", "the server could not find the requested resource") },
    async (client) => {
      await assert.rejects(
        client.get(resources.ciliumIdentities, { name: "300" }, { signal }),
        /ciliumidentities\/300: the server could not find the requested resource/,
      );
    },
  );
});

test("an error carries the server's status, reason, message and details", async () => {
  const status = {
    ...JSON.parse(statusText(422, "Invalid", "spec.port: Invalid value: 70000")),
    details: { causes: [{ field: "spec.port" }] },
  };
  await answering({ status: 422, body: JSON.stringify(status), headers: { "retry-after": "3" } }, async (client) => {
    await assert.rejects(client.create(resources.pods, pod, { signal }), (error) => {
      assert.ok(error instanceof KubernetesError);
      assert.equal(error.message, "POST /api/v1/namespaces/default/pods: spec.port: Invalid value: 70000");
      assert.deepEqual([error.status, error.reason, error.retryAfterMs], [422, "Invalid", 3000]);
      assert.deepEqual(error.details, { causes: [{ field: "spec.port" }] });
      return true;
    });
  });
});

const failures: { name: string; answer: (response: ServerResponse) => void; reason: string; message: RegExp; requestTimeoutMs?: number }[] =
  [
    { name: "silence", answer: () => {}, reason: "Timeout", message: /did not answer in time/, requestTimeoutMs: 300 },
    { name: "a dropped connection", answer: (r) => r.destroy(), reason: "Unreachable", message: /cannot be reached: socket hang up/ },
    {
      name: "half an answer",
      answer: (r) => r.writeHead(200, { "content-length": "100" }).write("{"),
      reason: "Timeout",
      message: /in time/,
      requestTimeoutMs: 300,
    },
    {
      name: "an answer without end",
      answer: (r) => r.end(Buffer.alloc(65 * 1024 * 1024, " ")),
      reason: "TooLarge",
      message: /larger than 67108864 bytes/,
    },
    { name: "no JSON", answer: (r) => r.end("<html>"), reason: "Malformed", message: /no JSON: "<html>"/ },
    { name: "another kind of JSON", answer: (r) => r.end("[1]"), reason: "Malformed", message: /no object/ },
    {
      name: "an error that is no Status",
      answer: (r) => r.writeHead(503).end("upstream\nis away"),
      reason: "ServiceUnavailable",
      message: /upstream is away/,
    },
    { name: "an error without a word", answer: (r) => r.writeHead(401).end(), reason: "Unauthorized", message: /the server answered 401/ },
  ];

for (const { name, answer, reason, message, requestTimeoutMs = 20_000 } of failures) {
  test(`${name} is an error of reason ${reason}`, async () => {
    await answering(
      answer,
      async (client) => {
        const getting = client.get(resources.pods, { namespace: "default", name: "client" }, { signal });
        await assert.rejects(
          getting,
          (error) => error instanceof KubernetesError && error.reason === reason && message.test(error.message),
        );
      },
      { requestTimeoutMs },
    );
  });
}

test("a connection that the server closed while it was idle costs a GET nothing", async () => {
  let count = 0;
  const answer = (response: ServerResponse): void => {
    count += 1;
    if (count === 2) response.destroy();
    else response.end(JSON.stringify(pod));
  };
  await answering(answer, async (client) => {
    for (let round = 0; round < 3; round += 1) await client.get(resources.pods, { namespace: "default", name: "client" }, { signal });
    assert.equal(count, 4);
  });
});

test("a server that is not there is named", async () => {
  let gone = "";
  await answering({}, async (_client, _requests, url) => {
    gone = url;
  });
  await using client = await openKubernetes({ server: gone });
  await assert.rejects(
    client.list(resources.pods, { signal }),
    (error) => error instanceof Error && error.message.includes(`${gone} cannot be reached: connect ECONNREFUSED`),
  );
});

test("an aborted request rejects with the signal's reason", async () => {
  await answering(
    () => {},
    async (client) => {
      const stop = new AbortController();
      const getting = client.get(resources.pods, { namespace: "default", name: "client" }, { signal: stop.signal });
      stop.abort(new Error("enough"));
      await assert.rejects(getting, /enough/);
      await assert.rejects(client.list(resources.pods, { signal: stop.signal }), /enough/);
    },
  );
});

test("a token file is sent without its line end, and a missing one is named", async () => {
  const tokenPath = join(tmpdir(), `kubernetes-token-${process.pid}`);
  await writeFile(tokenPath, "secret\n");
  await answering(
    {},
    async (client, requests) => {
      await client.get(resources.nodes, { name: "n" }, { signal });
      assert.equal(requests[0]?.headers.authorization, "Bearer secret");
    },
    { tokenPath },
  );
  await answering(
    {},
    async (client) => {
      await assert.rejects(client.get(resources.nodes, { name: "n" }, { signal }), /the token file \/nowhere cannot be read: ENOENT/);
    },
    { tokenPath: "/nowhere" },
  );
});

test("more requests than connections wait their turn", async () => {
  let open = 0;
  let most = 0;
  const answer = (response: ServerResponse): void => {
    open += 1;
    most = Math.max(most, open);
    setTimeout(() => {
      open -= 1;
      response.end(JSON.stringify(pod));
    }, 2);
  };
  await answering(
    answer,
    async (client) => {
      await Promise.all(Array.from({ length: 40 }, () => client.get(resources.nodes, { name: "n" }, { signal })));
      assert.equal(most, 3);
    },
    { connectionsMax: 3 },
  );
});

test("a name or namespace that is missing is our own mistake, found before the server is asked", async () => {
  await answering({}, async (client, requests) => {
    await assert.rejects(client.get(resources.pods, { name: "client" }, { signal }), /the Pod client needs a namespace/);
    await assert.rejects(client.get(resources.nodes, { name: "" }, { signal }), /a Node needs a name/);
    assert.equal(requests.length, 0);
  });
});

test("no server and no kubeconfig is a clear error", async () => {
  await assert.rejects(openKubernetes({}), /no Kubernetes API server is given/);
});
