import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import { KubernetesError } from "../kubernetes-error.ts";
import { type ForwardScript, startScriptedForward } from "./forward-server.ts";
import { PodForward } from "./pod-forward.ts";

const target = { namespace: "kube-system", pod: "relay-0", port: 4245 };

/** A pod that sends back what it gets, and ends with its client. */
async function startPod() {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}

async function setUp(script: ForwardScript) {
  const server = await startScriptedForward(script);
  const problems: string[] = [];
  const options = { localPort: 0, onProblem: (message: string) => void problems.push(message) };
  const forward = await PodForward.open({ server: `${server.url}/proxy/`, token: "secret" }, target, options);
  return {
    server,
    forward,
    problems,
    async [Symbol.asyncDispose]() {
      await forward[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Everything that comes back until the other side ends, or as much as was sent. */
async function exchange(port: number, bytes: Buffer): Promise<Buffer> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(bytes);
  const parts: Buffer[] = [];
  for await (const part of socket) {
    parts.push(part as Buffer);
    if (parts.reduce((sum, { length }) => sum + length, 0) >= bytes.length) break;
  }
  socket.destroy();
  return Buffer.concat(parts);
}

test("each connection is a tunnel to the pod, of any size, and ends with it", async () => {
  await using pod = await startPod();
  await using world = await setUp({ podPort: () => pod.port });
  const large = Buffer.alloc(3_000_000, "0123456789");
  const [short, long] = await Promise.all([exchange(world.forward.port, Buffer.from("hello")), exchange(world.forward.port, large)]);
  assert.equal(short.toString(), "hello");
  assert.ok(long.equals(large));
  await eventually(() => assert.equal(world.server.tunnels, 0));
  const [request] = world.server.requests;
  assert.equal(request?.url, "/proxy/api/v1/namespaces/kube-system/pods/relay-0/portforward?ports=4245");
  assert.deepEqual([request?.protocol, request?.authorization, world.problems], ["v4.channel.k8s.io", "Bearer secret", []]);
});

test("what the API server or the pod refuses is told, and the next connection is tried anew", async () => {
  await using pod = await startPod();
  let podPort: number | undefined;
  let status: number | undefined = 403;
  await using world = await setUp({ podPort: () => podPort, refuse: () => status });
  assert.equal((await exchange(world.forward.port, Buffer.from("x"))).length, 0);
  status = undefined;
  assert.equal((await exchange(world.forward.port, Buffer.from("x"))).length, 0);
  podPort = pod.port;
  assert.equal((await exchange(world.forward.port, Buffer.from("x"))).toString(), "x");
  assert.equal(world.problems.length, 2);
  assert.match(world.problems[0] ?? "", /^port 4245 of the pod kube-system\/relay-0 cannot be reached: .*does not let it be: /);
  assert.match(world.problems[1] ?? "", /cannot be reached: connection refused: port 4245 in the pod$/);
});

test("a local port that is taken is said to be", async () => {
  await using pod = await startPod();
  await assert.rejects(
    PodForward.open({ server: "http://127.0.0.1:1" }, target, { localPort: pod.port, onProblem: assert.fail }),
    (cause) => cause instanceof KubernetesError && /^port [0-9]+ of this machine cannot be had: .*EADDRINUSE/.test(cause.message),
  );
});
