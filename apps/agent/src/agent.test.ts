import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { AgentApiError, AgentClient } from "@cilium-ts/agent-api";
import { emptyDatapathObjects, fakeDatapathObjects } from "@cilium-ts/datapath/testing";
import { type FakeKernel, FakeMachine, openFakeKernel } from "@cilium-ts/kernel/testing";
import { type KubernetesClient, openKubernetes, resources } from "@cilium-ts/kubernetes";
import { startTestServer } from "@cilium-ts/kubernetes-server/testing";
import { FakeNetworks } from "@cilium-ts/netlink/testing";
import { createObserverClients, flowpb } from "@cilium-ts/observer";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { runAgent } from "./agent.ts";
import { parseSettings } from "./settings.ts";
import type { World } from "./world.ts";

const { signal } = new AbortController();

/** A node: what stays when its agent ends. */
class TestNode implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "cilium-ts-agent-"));
  readonly machine = new FakeMachine();
  readonly networks = new FakeNetworks();
  readonly log: string[] = [];
  readonly api = new AgentClient({ socketPath: join(this.directory, "cilium.sock") });
  readonly #serverUrl: string;

  readonly #more: readonly string[];

  constructor(serverUrl: string, ...more: readonly string[]) {
    this.#serverUrl = serverUrl;
    this.#more = more;
    for (const name of ["web", "client"]) this.networks.createNamespace(`/run/netns/${name}`);
  }

  start(): RunningAgent {
    const kubeconfig = join(this.directory, "kubeconfig");
    const cluster = { clusters: [{ name: "c", cluster: { server: this.#serverUrl } }], users: [{ name: "u", user: {} }] };
    const contexts = [{ name: "x", context: { cluster: "c", user: "u" } }];
    writeFileSync(kubeconfig, JSON.stringify({ apiVersion: "v1", kind: "Config", ...cluster, contexts, "current-context": "x" }));
    const paths: Readonly<Record<string, string>> = {
      "k8s-kubeconfig-path": "kubeconfig",
      "state-dir": "state",
      "socket-path": "cilium.sock",
      "hubble-socket-path": "hubble.sock",
      "hubble-history-dir": "hubble-history",
      "bpf-root": "bpf",
      "delete-queue-dir": "queue",
    };
    const parsed = parseSettings(
      [
        ...Object.entries(paths).map(([name, path]) => `--${name}=${join(this.directory, path)}`),
        ...[
          "--node-name=n1",
          "--ipv4-range=10.0.1.0/24",
          "--ipv6-range=fd00::/112",
          "--routing-mode=native",
          "--hubble-listen-address=",
          "--agent-health-port=0",
          "--enable-health-checking=false",
          ...this.#more,
        ],
      ],
      {},
      () => undefined,
    );
    assert.ok(parsed.kind === "options", JSON.stringify(parsed));
    const kernel = openFakeKernel({ machine: this.machine, objects: fakeDatapathObjects() });
    const line = (message: string): void => void this.log.push(message);
    const log = { error: line, warn: line, info: line, debug: line };
    const world: World = {
      kernel,
      clock: systemClock,
      log,
      objects: emptyDatapathObjects(),
      openNetlink: (options) => this.networks.open(options),
      openClient: () => openKubernetes({ kubeconfigPath: parsed.options.kubeconfigPath ?? "" }),
    };
    const stop = new AbortController();
    return new RunningAgent(kernel, stop, runAgent(world, parsed.options, stop.signal));
  }

  ready(): Promise<void> {
    return eventually(async () => {
      const { cilium } = await this.api.health(signal);
      assert.equal(cilium?.state, "Ok", cilium?.msg ?? "");
    });
  }

  cni(command: string, name: string, change: object = {}): Promise<{ status: number; body: unknown }> {
    const config = { cniVersion: "1.0.0", name: "cilium", type: "cilium-cni" };
    const args = `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name};K8S_POD_UID=`;
    return this.api.cni(
      { command, containerId: `c-${name}`, netns: `/run/netns/${name}`, ifname: "eth0", args, config, ...change },
      signal,
    );
  }

  /** What the Hubble server tells of the agent, a line each. */
  async agentEvents(): Promise<string[]> {
    const { observer } = createObserverClients(`unix://${join(this.directory, "hubble.sock")}`);
    const events: string[] = [];
    for await (const { agentEvent } of observer.getAgentEvents({})) {
      if (agentEvent === undefined) continue;
      const { case: kind, value } = agentEvent.notification;
      const type = flowpb.AgentEventType[agentEvent.type] ?? "";
      if (kind === "endpointUpdate") events.push(`${type} ${value.id} ${value.namespace}/${value.podName}`);
      else if (kind === "endpointRegenerate") events.push(`${type} ${value.id} ${value.error}`);
      else if (kind === "policyUpdate") events.push(`${type} ${value.labels.join()}`);
      else if (kind === "ipcacheUpdate") events.push(`${type} ${value.cidr} ${value.identity}`);
      else events.push(type);
    }
    return events;
  }

  /** What is attached, and which program runs there. */
  links(): string[] {
    return [...this.machine.links].map(({ id, ifindex, programId }) => `${id}: ${programId} on ${ifindex}`).sort();
  }

  [Symbol.dispose](): void {
    this.api[Symbol.dispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

class RunningAgent implements AsyncDisposable {
  readonly kernel: FakeKernel;
  readonly ended: Promise<void>;
  readonly #stop: AbortController;

  constructor(kernel: FakeKernel, stop: AbortController, ended: Promise<void>) {
    this.kernel = kernel;
    this.#stop = stop;
    this.ended = ended;
    ended.catch(() => {}); // Whoever awaits it is told.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the test has ended"));
    await this.ended;
    this.kernel.exit();
  }
}

async function createPod(client: KubernetesClient, name: string): Promise<void> {
  const metadata = { namespace: "default", name, labels: { app: name } };
  await client.create(resources.pods, { metadata, spec: { nodeName: "n1", containers: [{ name: "main", image: "none" }] } }, { signal });
}

/** A policy for web that lets only the apps in. */
async function applyPolicy(client: KubernetesClient, ...apps: string[]): Promise<void> {
  const fromEndpoints = apps.map((app) => ({ matchLabels: { app } }));
  const spec = { endpointSelector: { matchLabels: { app: "web" } }, ingress: [{ fromEndpoints }] };
  const name = { namespace: "default", name: "p" };
  await client.patch(resources.ciliumNetworkPolicies, name, { type: "apply", body: { metadata: name, spec }, force: true }, { signal });
}

async function allowedIn(node: TestNode, name: string): Promise<readonly number[]> {
  const endpoint = await node.api.endpoint(`pod-name:default/${name}`, signal);
  return endpoint.status?.policy?.realized?.["allowed-ingress-identities"] ?? [];
}

test("an agent serves pods, and the one after it takes everything up as it is", async () => {
  await using server = await startTestServer();
  await using client = await openKubernetes({ server: server.url });
  using node = new TestNode(server.url);
  for (const name of ["web", "client"]) await createPod(client, name);
  let links: string[];
  let pins: string[];
  let identity: number | undefined;
  {
    await using _agent = node.start();
    await node.ready();
    for (const name of ["web", "client"]) assert.equal((await node.cni("ADD", name)).status, 200);
    const again = await node.cni("ADD", "web");
    assert.deepEqual([again.status, (await node.api.endpoints(signal)).length], [200, 2]);
    identity = (await node.api.endpoint("pod-name:default/client", signal)).status?.identity?.id;
    assert.ok(identity !== undefined && identity >= 256);
    await applyPolicy(client, "client");
    await eventually(async () => assert.deepEqual(await allowedIn(node, "web"), [1, identity]));
    await eventually(async () => assert.equal((await client.list(resources.ciliumEndpoints, { signal })).items.length, 2));
    await assert.rejects(node.start().ended, /another cilium-agent is already serving/);
    links = node.links();
    pins = [...node.machine.pins.keys()].sort();
    assert.equal(links.length, 5);
  }
  await applyPolicy(client, "web"); // While no agent is there.
  {
    await using agent = node.start();
    await node.ready();
    assert.deepEqual([node.links(), [...node.machine.pins.keys()].sort()], [links, pins], "nothing is loaded or attached anew");
    const web = (await node.api.endpoint("pod-name:default/web", signal)).status?.identity?.id;
    assert.deepEqual(await allowedIn(node, "web"), [1, web], "what changed meanwhile is in force");
    assert.equal((await node.api.endpoint("pod-name:default/client", signal)).status?.identity?.id, identity);
    for (const name of ["web", "client", "client"]) assert.equal((await node.cni("DEL", name)).status, 200);
    assert.deepEqual(
      [node.links().length, (await node.api.endpoints(signal)).length],
      [1, 0],
      "the node's own device has its program still",
    );
    await eventually(async () => assert.equal((await client.list(resources.ciliumEndpoints, { signal })).items.length, 0));
    assert.ok(agent.kernel.descriptorCount > 0);
  }
  assert.deepEqual(server.errors, []);
});

test("what the agent does can be read from its Hubble server", async () => {
  await using server = await startTestServer();
  await using client = await openKubernetes({ server: server.url });
  using node = new TestNode(server.url);
  await createPod(client, "web");
  await using _agent = node.start();
  await node.ready();
  await node.cni("ADD", "web");
  await applyPolicy(client, "client");
  await eventually(async () => assert.match((await node.agentEvents()).join("\n"), /POLICY_UPDATED [\s\S]*ENDPOINT_REGENERATE_SUCCESS 1 /));
  await client.delete(resources.ciliumNetworkPolicies, { namespace: "default", name: "p" }, { signal });
  await node.cni("DEL", "web");
  await eventually(async () => {
    const events = await node.agentEvents();
    assert.equal(events[0], "AGENT_STARTED");
    const kinds = events.map((text) => text.split(" ")[0]);
    for (const kind of ["ENDPOINT_CREATED", "ENDPOINT_DELETED", "POLICY_DELETED", "IPCACHE_UPSERTED", "IPCACHE_DELETED"])
      assert.ok(kinds.includes(kind), `no ${kind} in ${kinds.join()}`);
    assert.ok(events.includes("ENDPOINT_CREATED 1 default/web"), events.join("\n"));
  });
});

test("a caller of the API is told what is wrong, in a sentence", async () => {
  await using server = await startTestServer();
  await using client = await openKubernetes({ server: server.url });
  using node = new TestNode(server.url);
  await createPod(client, "web");
  await using _agent = node.start();
  await node.ready();
  await node.cni("ADD", "web");
  const { api } = node;
  const [endpoint] = await api.endpoints(signal);
  const own = endpoint?.status?.networking?.addressing?.[0]?.ipv4 ?? "";
  const refusals: ReadonlyArray<readonly [() => Promise<unknown>, number, RegExp]> = [
    [() => api.releaseAddress(own, signal), 400, /belongs to endpoint 1: delete the endpoint/],
    [() => api.releaseAddress("10.0.1.77", signal), 404, /10\.0\.1\.77 is not in use/],
    [() => api.call("POST", "/ipam/10.0.9.9", signal, { query: { owner: "x" } }), 400, /does not lie in the pod CIDR/],
    [() => api.call("POST", `/ipam/${own}`, signal, { query: { owner: "x" } }), 409, /belongs to default\/web already/],
    [() => api.deleteEndpoint("99", signal), 404, /no such endpoint|404/],
    [() => api.createEndpoint("7", { "container-id": "c7", state: "waiting-for-identity" }, signal), 403, /made by the CNI plugin/],
  ];
  for (const [call, status, message] of refusals) {
    await assert.rejects(
      call,
      (cause) => cause instanceof AgentApiError && cause.status === status && message.test(cause.message),
      String(message),
    );
  }
  const { body } = await node.cni("ADD", "web", { containerId: "c2", netns: "/run/netns/missing" });
  assert.match((body as { msg: string }).msg, /\/run\/netns\/missing/);
  assert.equal((await api.endpoints(signal)).length, 1);
  assert.equal((await node.cni("CHECK", "web")).status, 200);
  const pair = await api.allocateAddresses({ owner: "router" }, signal);
  assert.ok(pair.address?.ipv4 !== undefined && pair.address.ipv6 !== undefined);
  await api.releaseAddress(pair.address.ipv4, signal);
  const listed = await api.addresses(signal, { cidr: `${own}/32` });
  assert.deepEqual([listed[0]?.identity, listed[0]?.metadata?.name], [endpoint?.status?.identity?.id, "web"]);
  assert.equal((await api.identity(1, signal)).labels?.[0], "reserved:host");
  assert.equal((await api.identityEndpoints(signal))[0]?.refCount, 1);
  assert.equal((await api.endpointHealth("1", signal)).overallHealth, "OK");
  assert.ok((await api.endpointLog("1", signal)).length > 0);
  assert.ok(((await api.map("ipcache", signal)).cache ?? []).length > 0);
  await api.deleteEndpoint("1", signal);
  assert.equal((await node.cni("CHECK", "web")).status, 400);
});

test("without its API server an agent says what it waits for, keeps what is in force, and stops when told to", async () => {
  let url: string;
  using node = await (async () => {
    await using server = await startTestServer();
    url = server.url;
    await using client = await openKubernetes({ server: url });
    const started = new TestNode(url);
    await createPod(client, "web");
    await using _agent = started.start();
    await started.ready();
    assert.equal((await started.cni("ADD", "web")).status, 200);
    return started;
  })();
  const links = node.links();
  await using agent = node.start();
  await eventually(async () => {
    const { cilium, kubernetes } = await node.api.health(signal);
    assert.deepEqual([cilium?.state, cilium?.msg], ["Warning", "waiting for the API server's list of identities"]);
    assert.equal(kubernetes?.state, "Failure");
  });
  assert.deepEqual(node.links(), links);
  assert.equal((await node.api.endpoints(signal))[0]?.status?.state, "restoring");
  const { status, body } = await node.cni("ADD", "client");
  assert.deepEqual([status, (body as { code: number }).code], [400, 11]);
  await agent[Symbol.asyncDispose]();
  assert.deepEqual(node.links(), links);
});

test("probes and Prometheus are answered from the start, under the names that dashboards know", async () => {
  await using server = await startTestServer();
  await using client = await openKubernetes({ server: server.url });
  const [healthPort, metricsPort] = [await freePort(), await freePort()];
  using node = new TestNode(server.url, `--agent-health-port=${healthPort}`, `--prometheus-serve-addr=127.0.0.1:${metricsPort}`);
  await createPod(client, "web");
  await using _agent = node.start();
  await node.ready();
  const probe = async (headers: Record<string, string>): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${healthPort}/healthz`, { headers: { brief: "true", ...headers } });
    return `${answer.status} ${await answer.text()}`;
  };
  assert.equal(await probe({}), "200 ok\n");
  assert.equal((await node.cni("ADD", "web")).status, 200);
  await applyPolicy(client, "web");
  const scrape = async (): Promise<string> => await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  await eventually(async () => assert.match(await scrape(), /^cilium_policy 1$/m));
  const text = await scrape();
  for (const expected of [
    /^cilium_endpoint 1$/m,
    /^cilium_endpoint_state\{endpoint_state="ready"\} 1$/m,
    /^cilium_policy_endpoint_enforcement_status\{enforcement="ingress"\} 1$/m,
    /^cilium_policy_change_total\{outcome="success"\} 1$/m,
    /^cilium_identity\{type="cluster_local"\} 1$/m,
    /^cilium_bpf_map_pressure\{map_name="policy"\} 0\.0/m,
    /^cilium_bpf_map_ops_total\{map_name="endpoints",operation="update",outcome="success"\} [1-9]/m,
    /^cilium_k8s_client_api_calls_total\{host="127\.0\.0\.1:[0-9]+",method="GET",return_code="200"\} [1-9]/m,
    /^cilium_kubernetes_events_total\{action="create",scope="CiliumNetworkPolicy",status="success"\} 1$/m,
    /^cilium_agent_api_process_time_seconds_count\{method="POST",path="\/v1\/cni",return_code="200"\} 1$/m,
    /^cilium_event_ts\{source="api"\} 1\.?[0-9]/m,
    /^cilium_controllers_runs_total\{status="success"\} [1-9]/m,
    /^cilium_controllers_failing [0-9]/m,
    /^cilium_agent_bootstrap_seconds\{outcome="success",scope="endpoints"\} /m,
    /^cilium_ip_addresses\{family="ipv4"\} 1$/m,
    /^cilium_process_resident_memory_bytes [1-9]/m,
    /^cilium_process_open_fds [1-9]/m,
    /^cilium_version\{.*\} 1$/m,
  ])
    assert.match(text, expected);
  const names = text.split("\n").flatMap((line) => /^# TYPE (\S+)/.exec(line)?.[1] ?? []);
  assert.deepEqual(names, [...new Set(names)], "each metric is told once");
});

test("a kubelet that wants the API server to answer is told when it does not", async () => {
  const server = await startTestServer();
  const healthPort = await freePort();
  using node = new TestNode(server.url, `--agent-health-port=${healthPort}`);
  await using _agent = node.start();
  await node.ready();
  await server[Symbol.asyncDispose]();
  const probe = async (required: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${healthPort}/healthz`, { headers: { "require-k8s-connectivity": required } })).status;
  await eventually(async () => assert.equal(await probe("true"), 503));
  assert.equal(await probe("false"), 200);
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
