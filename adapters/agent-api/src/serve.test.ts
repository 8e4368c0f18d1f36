import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmod, mkdtemp, rename, rm, stat, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createRandom, eventually } from "@cilium-ts/testing";
import { openAgentSocket } from "./agent-socket.ts";
import { AgentApiError, AgentClient } from "./client.ts";
import type { AgentOperations } from "./operations.ts";
import { agentRoutes } from "./routes.ts";
import { scriptedOperations } from "./scripted-operations.ts";
import { ApiActivity, serveAgentApi } from "./serve.ts";

const never = new AbortController().signal;
let folder = "";
let count = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "agent-api-"));
});
after(() => rm(folder, { recursive: true }));

interface Served {
  readonly socketPath: string;
  readonly client: AgentClient;
  readonly asked: unknown[];
  readonly activity: ApiActivity;
  readonly failures: string[];
  stop(): Promise<void>;
}

async function served(body: (api: Served) => Promise<void>, own: Partial<AgentOperations> = {}): Promise<void> {
  count += 1;
  const socketPath = join(folder, `${count}.sock`);
  await using socket = await openAgentSocket({ socketPath });
  using client = new AgentClient({ socketPath });
  const stop = new AbortController();
  const asked: unknown[] = [];
  const failures: string[] = [];
  const activity = new ApiActivity();
  const onFailure = (request: string, failure: unknown): void => void failures.push(`${request}: ${failure}`);
  const serving = serveAgentApi({ socket, routes: agentRoutes(scriptedOperations(asked, own)), signal: stop.signal, activity, onFailure });
  const end = async (): Promise<void> => {
    stop.abort();
    await serving;
  };
  try {
    await body({ socketPath, client, asked, activity, failures, stop: end });
  } finally {
    await end();
  }
}

/** A request as it is, and its answer as it is. */
function raw(
  socketPath: string,
  method: string,
  path: string,
  options: { body?: string | Buffer; headers?: Record<string, string> } = {},
): Promise<{ status: number; text: string; headers: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const { body, headers = {} } = options;
    // Without a length, node:http sends the body of a GET or DELETE without any framing.
    const framing = body === undefined || "transfer-encoding" in headers ? {} : { "content-length": Buffer.byteLength(body) };
    const signal = AbortSignal.timeout(60_000); // An answer that never comes is the failure of one test, not of the whole file.
    const sent = httpRequest({ socketPath, method, path, headers: { ...framing, ...headers }, signal }, async (response) => {
      let text = "";
      try {
        for await (const chunk of response) text += chunk;
        resolve({ status: response.statusCode ?? 0, text, headers: response.headers });
      } catch (error) {
        reject(error);
      }
    });
    sent.once("error", reject);
    sent.end(body);
  });
}

const answers: { method: string; path: string; body?: string; headers?: Record<string, string>; status: number; text: string }[] = [
  { method: "GET", path: "/v1/healthz", headers: { brief: "true" }, status: 200, text: '{"cilium":{"state":"Ok","msg":""}}\n' },
  { method: "GET", path: "/v1/endpoint/7", status: 200, text: '{"id":7,"status":{"state":"ready"}}\n' },
  { method: "GET", path: "/v1/endpoint/8", status: 404, text: '"there is no endpoint 8"\n' },
  { method: "GET", path: "/v1/endpoint/cep-name:default%2Fclient", status: 404, text: '"there is no endpoint cep-name:default/client"\n' },
  { method: "DELETE", path: "/v1/endpoint/7", status: 206, text: "2\n" },
  { method: "DELETE", path: "/v1/endpoint/8", status: 200, text: "" },
  { method: "GET", path: "/v1/endpoint/7/log", status: 200, text: '[{"message":"created"}]\n' },
  { method: "GET", path: "/v1/endpoint/7/config", status: 200, text: '{"realized":{"options":{"PolicyAuditMode":"Disabled"}}}\n' },
  { method: "GET", path: "/v1/node/ids", status: 200, text: '[{"id":3,"ips":["192.0.2.3"]}]\n' },
  { method: "GET", path: "/v1/debuginfo", status: 200, text: '{"cilium-version":"1"}\n' },
  { method: "GET", path: "/v1/bgp/peers", status: 501, text: '"this agent does not speak BGP yet"\n' },
  { method: "GET", path: "/v1/endpoint/7/healthz", status: 200, text: '{"overallHealth":"OK"}\n' },
  { method: "GET", path: "/v1/endpoint/7/labels", status: 200, text: '{"status":{"security-relevant":["k8s:app=web"]}}\n' },
  { method: "PUT", path: "/v1/endpoint/7", body: '{"state":"ready"}', status: 409, text: '"endpoint 7 exists"\n' },
  { method: "PUT", path: "/v1/endpoint/0", body: '{"state":"ready"}', status: 201, text: '{"id":7,"status":{"state":"ready"}}\n' },
  { method: "PUT", path: "/v1/endpoint/0", status: 400, text: '"the body must be an endpoint, as a JSON object"\n' },
  {
    method: "PUT",
    path: "/v1/endpoint/0",
    body: '{"state":"happy"}',
    status: 400,
    text: '"state must be one of waiting-for-identity, not-ready, waiting-to-regenerate, regenerating, restoring, ready, disconnecting, disconnected, invalid"\n',
  },
  {
    method: "PUT",
    path: "/v1/endpoint/0",
    body: '{"state":"ready","interface-index":"x"}',
    status: 400,
    text: '"interface-index must be a whole number"\n',
  },
  {
    method: "PUT",
    path: "/v1/endpoint/0",
    body: '{"state":"ready","labels":[1]}',
    status: 400,
    text: '"labels must be a list of strings"\n',
  },
  { method: "DELETE", path: "/v1/endpoint", body: '{"container-id":"c"}', status: 200, text: "" },
  { method: "DELETE", path: "/v1/endpoint", status: 400, text: '"the body must be {\\"container-id\\": \\"…\\"}"\n' },
  {
    method: "POST",
    path: "/v1/ipam?family=ipv4&owner=default/client",
    status: 201,
    text: '{"address":{"ipv4":"10.0.0.5"},"host-addressing":{"ipv4":{"enabled":true,"ip":"10.0.0.1"}}}\n',
  },
  { method: "POST", path: "/v1/ipam?family=ipv5", status: 400, text: '"family is ipv4, ipv6, or left out for both, not \\"ipv5\\""\n' },
  { method: "POST", path: "/v1/ipam?owner=full", status: 502, text: '"10.0.0.0/24 is full"\n' },
  { method: "POST", path: "/v1/ipam/10.0.0.9?owner=x", status: 200, text: "" },
  { method: "DELETE", path: "/v1/ipam/fd00::1", status: 200, text: "" },
  { method: "DELETE", path: "/v1/ipam/router", status: 400, text: '"\\"router\\" is no IP address"\n' },
  { method: "GET", path: "/v1/identity/1", status: 200, text: '{"id":1,"labels":["reserved:host"]}\n' },
  { method: "GET", path: "/v1/identity/2", status: 404, text: '"there is no identity 2"\n' },
  { method: "GET", path: "/v1/identity/x", status: 400, text: '"\\"x\\" is no identity: it is a number up to 4294967295"\n' },
  { method: "GET", path: "/v1/identity/endpoints", status: 200, text: '[{"identity":{"id":1},"refCount":1}]\n' },
  { method: "GET", path: "/v1/policy", status: 200, text: '{"revision":3,"policy":"[]"}\n' },
  { method: "GET", path: "/v1/policy", body: '["k8s:a=b"]', status: 404, text: '"no policy has the labels k8s:a=b"\n' },
  { method: "GET", path: "/v1/policy", body: '{"a":1}', status: 400, text: '"the body must be a list of labels, as strings"\n' },
  { method: "GET", path: "/v1/policy/selectors", status: 200, text: "[]\n" },
  { method: "GET", path: "/v1/policy/explain?from=7&to=world", status: 400, text: '"port is a number up to 65535, not \\"\\""\n' },
  { method: "GET", path: "/v1/policy/explain?from=7&to=world&port=80", status: 404, text: '"there is no such party"\n' },
  {
    method: "GET",
    path: "/v1/policy/explain?from=identity:4294967296&port=80",
    status: 400,
    text: '"from: \\"identity:4294967296\\": an identity is a number up to 4294967295"\n',
  },
  {
    method: "GET",
    path: "/v1/policy/explain?from=7&to=world&port=80&protocol=gre",
    status: 400,
    text: '"protocol is one of TCP, UDP, SCTP, ICMP, ICMPv6, not \\"gre\\""\n',
  },
  {
    method: "GET",
    path: "/v1/cluster/nodes",
    status: 200,
    text: '{"self":"default/n1","nodes-added":[{"name":"default/n1","source":"local"}]}\n',
  },
  { method: "GET", path: "/v1/ip", status: 200, text: '[{"cidr":"10.0.0.5/32","identity":300}]\n' },
  { method: "GET", path: "/v1/ip?cidr=192.0.2.0/24", status: 404, text: '"no address in 192.0.2.0/24 is known"\n' },
  { method: "PATCH", path: "/v1/config", body: '{"policy-enforcement":"always"}', status: 200, text: "" },
  {
    method: "PATCH",
    path: "/v1/config",
    body: '{"policy-enforcement":"sometimes"}',
    status: 400,
    text: '"policy-enforcement is one of default, always, never, not \\"sometimes\\""\n',
  },
  {
    method: "PATCH",
    path: "/v1/config",
    body: '{"options":{"Debug":"enabled"},"policy-enforcement":"always"}',
    status: 400,
    text: '"Debug cannot be changed while the agent runs; policy-enforcement can"\n',
  },
  { method: "GET", path: "/v1/map/x", status: 200, text: '{"path":"/sys/fs/bpf/tc/globals/x"}\n' },
  { method: "GET", path: "/v1/map/y", status: 404, text: '"there is no BPF map \\"y\\""\n' },
  { method: "GET", path: "/v1/nowhere", status: 404, text: '{"code":404,"message":"path /v1/nowhere was not found"}\n' },
  { method: "GET", path: "/", status: 404, text: '{"code":404,"message":"path / was not found: this API is under /v1"}\n' },
  {
    method: "GET",
    path: "/v1beta/status",
    status: 404,
    text: '{"code":404,"message":"path /v1beta/status was not found: this API is under /v1"}\n',
  },
  {
    method: "POST",
    path: "/v1/endpoint/7",
    status: 405,
    text: '{"code":405,"message":"method POST is not allowed on /v1/endpoint/7, only GET, PUT, DELETE, PATCH"}\n',
  },
  {
    method: "GET",
    path: "/v1/endpoint/%zz",
    status: 400,
    text: '{"code":400,"message":"path /v1/endpoint/%zz has a % that is not followed by two hexadecimal digits"}\n',
  },
];

for (const { method, path, body, headers, status, text } of answers) {
  test(`${method} ${path} ${body ?? ""} is answered ${status} ${text.trim()}`, async () => {
    await served(async ({ socketPath }) => {
      const answer = await raw(socketPath, method, path, {
        ...(body !== undefined && { body }),
        ...(headers !== undefined && { headers }),
      });
      assert.deepEqual({ status: answer.status, text: answer.text }, { status, text });
      if (status === 405) assert.equal(answer.headers.allow, "GET, PUT, DELETE, PATCH");
      if (text !== "") assert.equal(answer.headers["content-type"], "application/json");
    });
  });
}

test("what is asked reaches the operation whole", async () => {
  await served(async ({ socketPath, asked }) => {
    await raw(socketPath, "GET", "/v1/healthz", { headers: { brief: "true", "require-k8s-connectivity": "false" } });
    await raw(socketPath, "POST", "/v1/ipam?owner=default/client&pool=blue", { headers: { expiration: "true" } });
    await raw(socketPath, "PUT", "/v1/endpoint/container-id:abc", { body: '{"state":"ready","sync-build-endpoint":true}' });
    assert.deepEqual(asked, [
      ["health", { brief: true, requireKubernetes: false }],
      ["allocate", { owner: "default/client", pool: "blue", expiration: true, family: undefined }],
      [
        "create",
        [
          { kind: "container-id", containerId: "abc" },
          { state: "ready", "sync-build-endpoint": true },
        ],
      ],
    ]);
  });
});

test("the CNI plugin's call and its result pass through unread", async () => {
  const result = { cniVersion: "0.4.0", code: 11, msg: "try again later", details: "" };
  const cni = async (): Promise<{ status: number; body: unknown }> => ({ status: 500, body: result });
  await served(
    async ({ client }) => {
      assert.deepEqual(await client.cni({ command: "ADD" }, never), { status: 500, body: result });
    },
    { cni },
  );
});

const cniProblems: { name: string; body: string; cni?: AgentOperations["cni"]; status: number; code: number; msg: RegExp }[] = [
  { name: "that is no JSON", body: "{", status: 400, code: 6, msg: /the body is not JSON/ },
  {
    name: "whose handler throws",
    body: "{}",
    cni: async () => {
      throw new Error("no veth", { cause: new Error("EEXIST") });
    },
    status: 500,
    code: 999,
    msg: /^no veth: EEXIST$/,
  },
];

for (const { name, body, cni, status, code, msg } of cniProblems) {
  test(`a call of the CNI plugin ${name} is answered with an error of CNI`, async () => {
    await served(
      async ({ socketPath }) => {
        const answer = await raw(socketPath, "POST", "/v1/cni", { body });
        const error = JSON.parse(answer.text);
        assert.deepEqual([answer.status, error.code, error.cniVersion], [status, code, "1.1.0"]);
        assert.match(error.msg, msg);
      },
      cni === undefined ? {} : { cni },
    );
  });
}

const badBodies: { name: string; body: string | Buffer; headers?: Record<string, string>; status: number; message: RegExp }[] = [
  { name: "no JSON", body: "{nope", status: 400, message: /the body is not JSON/ },
  { name: "more than the limit, announced", body: Buffer.alloc(1024 * 1024 + 1, " "), status: 413, message: /larger than 1048576 bytes/ },
  {
    name: "more than the limit, in chunks",
    body: Buffer.alloc(2 * 1024 * 1024, " "),
    headers: { "transfer-encoding": "chunked" },
    status: 413,
    message: /larger than 1048576 bytes/,
  },
];

for (const { name, body, headers, status, message } of badBodies) {
  test(`a body with ${name} is answered ${status} and nothing is done`, async () => {
    await served(async ({ socketPath, asked }) => {
      const options = { body, ...(headers !== undefined && { headers }) };
      const answer = await raw(socketPath, "PUT", "/v1/endpoint/0", options).catch((error: NodeJS.ErrnoException) => error);
      // The rest of a body that is too large is not read: the caller may see its connection close before it reads the answer.
      if (answer instanceof Error) assert.match(String(answer.code), /EPIPE|ECONNRESET/);
      else {
        assert.equal(answer.status, status);
        assert.match(JSON.parse(answer.text).message, message);
      }
      assert.deepEqual(asked, []);
      assert.equal((await raw(socketPath, "GET", "/v1/healthz")).status, 200);
    });
  });
}

test("an operation that throws is answered 500 with its message, and reported", async () => {
  const maps = async (): Promise<never> => {
    throw new Error("maps cannot be listed", { cause: new Error("EPERM") });
  };
  await served(
    async ({ client, failures }) => {
      await assert.rejects(
        client.maps(never),
        (error) => error instanceof AgentApiError && error.status === 500 && error.message === "maps cannot be listed: EPERM",
      );
      assert.deepEqual(failures, ["GET /map: Error: maps cannot be listed"]);
    },
    { maps },
  );
});

test("an answer that is no JSON is reported and costs only its own caller", async () => {
  const maps = async (): Promise<never> => ({ maps: 1n }) as never;
  await served(
    async ({ client, failures }) => {
      await assert.rejects(client.maps(never), /socket hang up/);
      assert.match(failures[0] ?? "", /GET \/v1\/map: TypeError: Do not know how to serialize a BigInt/);
      assert.equal((await client.health(never)).cilium?.state, "Ok");
    },
    { maps },
  );
});

test("a hundred calls at once are all served, and reads do not wait behind them", async () => {
  const gate = Promise.withResolvers<void>();
  const cni: AgentOperations["cni"] = async () => {
    await gate.promise;
    return { status: 200, body: {} };
  };
  await served(
    async ({ socketPath, activity, client }) => {
      const calls = Array.from({ length: 100 }, () => raw(socketPath, "POST", "/v1/cni", { body: "{}" }));
      await eventually(() => assert.deepEqual([activity.work.running, activity.work.waiting], [64, 36]));
      assert.equal((await client.health(never)).cilium?.state, "Ok");
      gate.resolve();
      for (const answer of await Promise.all(calls)) assert.equal(answer.status, 200);
      assert.deepEqual([activity.work.running, activity.work.waiting, activity.work.turnedAway], [0, 0, 0]);
      assert.deepEqual(activity.requests.all(), [
        { method: "GET", path: "/healthz", status: 200, count: 1 },
        { method: "POST", path: "/cni", status: 200, count: 100 },
      ]);
    },
    { cni },
  );
});

test("an operation learns that its caller has gone away", async () => {
  const gone = Promise.withResolvers<string>();
  const begun = Promise.withResolvers<void>();
  const cni: AgentOperations["cni"] = (_request, signal) =>
    new Promise((_resolve, reject) => {
      begun.resolve();
      signal.addEventListener("abort", () => {
        gone.resolve(String(signal.reason));
        reject(signal.reason);
      });
    });
  await served(
    async ({ client, activity, failures }) => {
      const stop = new AbortController();
      const call = client.cni({}, stop.signal);
      await begun.promise;
      stop.abort(new Error("enough"));
      await assert.rejects(call, /enough/);
      assert.match(await gone.promise, /the caller has gone away/);
      await eventually(() => assert.deepEqual(activity.requests.all(), [{ method: "POST", path: "/cni", status: 499, count: 1 }]));
      assert.deepEqual(failures, []);
    },
    { cni },
  );
});

test("stopping tells requests under way and waits for them", async () => {
  const begun = Promise.withResolvers<void>();
  const cni: AgentOperations["cni"] = (_request, signal) =>
    new Promise((_resolve, reject) => {
      begun.resolve();
      signal.addEventListener("abort", () => setImmediate(() => reject(signal.reason)));
    });
  await served(
    async ({ client, stop }) => {
      const call = client.cni({}, never);
      await begun.promise;
      await stop();
      assert.deepEqual(await call, {
        status: 503,
        body: { cniVersion: "1.1.0", code: 11, msg: "the agent is stopping: try again later", details: "" },
      });
    },
    { cni },
  );
});

test("requests that come before anybody serves are served then", async () => {
  const socketPath = join(folder, "early.sock");
  await using socket = await openAgentSocket({ socketPath });
  using client = new AgentClient({ socketPath });
  const asking = client.health(never);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const stop = new AbortController();
  const serving = serveAgentApi({ socket, routes: agentRoutes(scriptedOperations([])), signal: stop.signal });
  assert.equal((await asking).cilium?.state, "Ok");
  stop.abort();
  await serving;
});

test("the socket's file is for its owner and group from its first moment, and goes with it", async () => {
  const socketPath = join(folder, "new", "folder", "cilium.sock");
  const umask = process.umask(0);
  try {
    await using socket = await openAgentSocket({ socketPath });
    assert.equal((await stat(socket.socketPath)).mode & 0o777, 0o660);
    assert.equal(process.umask(), 0);
  } finally {
    process.umask(umask);
  }
  await assert.rejects(stat(socketPath), /ENOENT/);
});

test("a socket that another agent serves cannot be taken, and it goes on serving", async () => {
  await served(async ({ socketPath, client }) => {
    await assert.rejects(
      openAgentSocket({ socketPath }),
      (error) =>
        error instanceof Error &&
        error.message === `another cilium-agent is already serving on ${socketPath}: stop it first, or choose another path`,
    );
    assert.equal((await client.health(never)).cilium?.state, "Ok");
  });
});

test("the socket of an agent that was killed is replaced", async () => {
  const socketPath = join(folder, "killed.sock");
  const child = spawn(
    process.execPath,
    ["-e", `require("node:net").createServer().listen(${JSON.stringify(socketPath)}, () => console.log("ready"))`],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  await new Promise((resolve) => child.stdout.once("data", resolve));
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  assert.ok((await stat(socketPath)).isSocket());
  await using socket = await openAgentSocket({ socketPath });
  const connection = connect(socket.socketPath);
  await new Promise((resolve, reject) => connection.once("connect", resolve).once("error", reject));
  connection.destroy();
});

/** A server removes the file it made when it closes, but not one that has moved. */
async function leaveDeadSocket(socketPath: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${socketPath}.living`, resolve));
  await rename(`${socketPath}.living`, socketPath);
  await new Promise((resolve) => server.close(resolve));
  assert.ok((await stat(socketPath)).isSocket());
}

test("of many agents that start over a dead socket at once, one gets it", async () => {
  const socketPath = join(folder, "raced.sock");
  for (let round = 0; round < 20; round += 1) {
    await leaveDeadSocket(socketPath);
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => openAgentSocket({ socketPath })));
    const taken = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    assert.equal(taken.length, 1, `round ${round}`);
    await taken[0]?.[Symbol.asyncDispose]();
  }
});

test("what is no socket is not removed", async () => {
  const socketPath = join(folder, "file");
  await writeFile(socketPath, "precious");
  await assert.rejects(openAgentSocket({ socketPath }), /file exists and is no socket: remove it, or choose another path/);
  assert.equal((await stat(socketPath)).size, 8);
});

const badPaths: { name: string; path: () => string; message: RegExp }[] = [
  { name: "too long", path: () => join(folder, "x".repeat(120)), message: /is longer than 107 bytes: choose a shorter one/ },
  { name: "below a file", path: () => join(folder, "plain", "cilium.sock"), message: /the folder of .* cannot be made: E/ },
];

for (const { name, path, message } of badPaths) {
  test(`a path that is ${name} gives a clear error`, async () => {
    await writeFile(join(folder, "plain"), "");
    await chmod(join(folder, "plain"), 0o600);
    await assert.rejects(openAgentSocket({ socketPath: path() }), message);
  });
}

test("a client without an agent says where it looked and what to do", async () => {
  using client = new AgentClient({ socketPath: join(folder, "absent.sock") });
  await assert.rejects(
    client.health(never),
    (error) =>
      error instanceof AgentApiError &&
      error.status === 0 &&
      /cannot be reached on .*absent.sock: connect ENOENT .*: is it running, and are you root\?/.test(error.message),
  );
});

test("every method of the client asks for what it is named after", async () => {
  await served(async ({ client }) => {
    assert.deepEqual((await client.configuration(never)).status?.addressing?.ipv4?.ip, "10.0.0.1");
    await client.changeConfiguration({ "policy-enforcement": "never" }, never);
    assert.equal((await client.allocateAddresses({ owner: "a/b", family: "ipv4" }, never)).address.ipv4, "10.0.0.5");
    await client.releaseAddress("fd00::1", never);
    assert.equal((await client.endpoints(never)).length, 1);
    assert.equal((await client.endpoint("7", never)).id, 7);
    assert.equal((await client.createEndpoint("cep-name:a/b", { state: "waiting-for-identity" }, never)).id, 7);
    assert.equal(await client.deleteEndpoint("7", never), 2);
    assert.equal(await client.deleteEndpoints("c", never), 0);
    assert.equal((await client.endpointHealth("7", never)).overallHealth, "OK");
    assert.equal((await client.endpointLog("7", never)).length, 1);
    assert.ok((await client.endpointLabels("7", never)).status);
    assert.equal((await client.identities(never)).length, 1);
    assert.equal((await client.identity(1, never)).id, 1);
    assert.equal((await client.identityEndpoints(never)).length, 1);
    assert.equal((await client.policy(never)).revision, 3);
    assert.deepEqual(await client.policySelectors(never), []);
    const explained = await client.explainPolicy({ from: "7", to: "identity:2", protocol: "udp", port: 53 }, never);
    assert.deepEqual([explained.to.identity, explained.protocol, explained.port, explained.verdict], [2, "UDP", 53, "allowed"]);
    assert.equal((await client.clusterNodes(never)).self, "default/n1");
    assert.equal((await client.addresses(never, { cidr: "10.0.0.0/8" })).length, 1);
    assert.equal((await client.nameCache(never, { endpoint: "7", matchpattern: "*.test" })).length, 1);
    await client.forgetNames({ matchpattern: "*.test" }, never);
    assert.equal((await client.names(never)).FQDNPolicySelectors?.length, 1);
    assert.equal((await client.maps(never)).maps?.length, 1);
    assert.ok((await client.map("x", never)).path);
  });
});

test("policies of the node are confirmed once", async () => {
  await served(async ({ client }) => {
    await client.confirmHostPolicies(never);
    await assert.rejects(client.confirmHostPolicies(never), (error) => error instanceof AgentApiError && error.status === 404);
  });
});

test("garbage, halves and sudden ends on the socket harm nobody else", async () => {
  const request =
    'PUT /v1/endpoint/cilium-local:0 HTTP/1.1\r\nHost: agent\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{"state":"ready"}';
  await served(async ({ socketPath, client, failures }) => {
    for (let seed = 0; seed < 300; seed += 1) {
      const random = createRandom(seed);
      let text = request;
      for (let changes = random.below(4); changes > 0; changes -= 1) {
        const at = random.below(text.length);
        text =
          text.slice(0, at) + random.pick(["", "\r\n", "\u0000", "{", "%", " ", "9999999999", "\u00ff"]) + text.slice(at + random.below(9));
      }
      await new Promise<void>((resolve) => {
        const connection = connect(socketPath, () => {
          connection.write(text.slice(0, random.chance(0.3) ? random.below(text.length) : text.length), () =>
            setImmediate(() => connection.destroy()),
          );
        });
        connection.on("error", () => {}).once("close", () => resolve());
      });
    }
    assert.equal((await client.health(never)).cilium?.state, "Ok");
    assert.deepEqual(failures, []);
  });
});
