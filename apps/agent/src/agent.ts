import type { AgentOperations } from "@cilium-ts/agent-api";
import { type Datapath, readEvents } from "@cilium-ts/datapath";
import { LostEventSource } from "@cilium-ts/flow";
import type { Kernel } from "@cilium-ts/kernel";
import type { KubernetesClient, KubernetesObject } from "@cilium-ts/kubernetes";
import { formatAddress, formatPrefix } from "@cilium-ts/net";
import type { Table, Target } from "@cilium-ts/state";
import { errorMessage, TaskGroup } from "@cilium-ts/std";
import { LocalNode } from "./cluster/local-node.ts";
import { CniHandler } from "./cni/cni-handler.ts";
import type { Routers } from "./cni/cni-result.ts";
import { serveDeleteQueue } from "./cni/delete-queue.ts";
import { Controllers } from "./controllers.ts";
import type { NodeDns } from "./dns/node-dns.ts";
import { knownNames, openNodeDns } from "./dns/open-node-dns.ts";
import { NodeHealth, type NodeHealthOptions } from "./health/node-health.ts";
import { guardedParts, openGuard } from "./host-firewall-guard/open-guard.ts";
import { startNodeHubble } from "./hubble/node-hubble.ts";
import { followPools } from "./ipam/follow-pools.ts";
import { MultiPool } from "./ipam/multi-pool.ts";
import type { NodePool } from "./ipam/node-pool.ts";
import { openNodePool } from "./ipam/open-node-pool.ts";
import { AgentMetrics } from "./metrics/agent-metrics.ts";
import { processMetrics } from "./metrics/process-metrics.ts";
import { sampledMetrics } from "./metrics/sampled-metrics.ts";
import { NativeDevices } from "./network/native-devices.ts";
import { type NodeNetwork, openNodeNetwork } from "./network/open-node-network.ts";
import { createNode, type Node } from "./node.ts";
import { Readiness } from "./readiness.ts";
import { requireTcx } from "./require-tcx.ts";
import { openApiDoor } from "./serve/api-door.ts";
import { createOperations } from "./serve/operations.ts";
import { openOutside } from "./serve/outside.ts";
import type { AgentOptions } from "./settings.ts";
import { unlessAborted } from "./unless-aborted.ts";
import { agentVersion } from "./version.ts";
import type { World } from "./world.ts";

const sweepMs = 10_000;
const expireMs = 60_000;
const expireNamesMs = 5_000;
const retryFailedMs = 30_000;
const forgetFlowsMs = 5_000;
const learnNodeMs = 30_000;
const ensureHealthMs = 1_000;

/**
 * The agent, from top to bottom: what it opens, what it keeps, and one task for each thing it does. Ends when the signal is aborted;
 * what is in the kernel stays, and traffic goes on.
 */
export async function runAgent(bare: World, options: AgentOptions, parent: AbortSignal): Promise<void> {
  const metrics = new AgentMetrics(() => bare.clock.nowMs());
  const world = { ...bare, log: metrics.countedLog(bare.log) };
  const { kernel, clock, log } = world;
  const controllers = new Controllers({ clock, log, onRun: (outcome, seconds) => metrics.ran(outcome, seconds) });
  requireTcx(kernel);
  const readiness = new Readiness(clock);
  // The socket first: it tells a second agent from the first before anything is touched.
  await using door = await (world.openApiDoor?.() ?? openApiDoor(options.socketPath));
  readiness.reached("api");

  await using client = metrics.countedClient(await world.openClient());
  await using guard = openGuard(world, options, client);
  await using netlink = world.openNetlink();
  const localNode = new LocalNode({ client, name: options.nodeName, podCIDRs: ownPodCIDRs(options) });
  const pool = await openNodePool({ ...world, options, client, localNode, netlink, signal: parent });
  const routers = { ipv4: formatAddress(pool.routerIPv4), ipv6: formatAddress(pool.routerIPv6) };
  using network = await openNodeNetwork(world, netlink, options, pool);
  const { datapath, mtu, devices } = network;

  // Opened last and so closed first: no task outlives what it uses.
  await using tasks = new TaskGroup(parent);
  const onAddressesChanged = (underlay: readonly string[]): void => {
    localNode.publish(underlay, routers);
    network.tunnelFrom(underlay);
    nativeDevices.addressesChanged();
  };
  const onOwnNode = (object: KubernetesObject | undefined): void => {
    if (object === undefined) localNode.gone();
    if (pool instanceof MultiPool) pool.takeNode(object);
  };
  const given = { ...world, options, datapath, netlink, client, pool, readiness, mtu, guard };
  const onEndpointGone = (id: number): void => dns.endpointGone(id);
  const events = { onAddressesChanged, onOwnNode, onEndpointGone };
  const node = createNode({ ...given, ...metrics.nodeObserver, ...events, signal: tasks.signal });
  await using dns = openNodeDns({ ...world, options, node, datapath, observer: metrics.dnsObserver });
  const nativeDevices = new NativeDevices({ ...given, remoteNodes: node.remoteNodes, devices, podPrefixes: () => pool.prefixes() });
  pool.watchPrefixes(() => nativeDevices.addressesChanged());
  await beginHost(node, nativeDevices);
  await node.endpoints.restore();
  dns.restore(knownNames(options.dns, log));
  await using hubble = await (world.startHubble ?? startNodeHubble)({ node, options, client, clock, log });
  const cni = new CniHandler(node.endpoints, routers);
  const sampled = { node, dns, datapath, pool, controllers, readiness };
  const asked = { nodeHealth: () => health, nativeDevices: () => nativeDevices.names };
  const operations = createOperations({ ...sampled, ...asked, hubble, options, routers, cni, mtu });
  const probing = { kernel, clock, options, node, readiness, metrics };
  await using health = options.healthChecking ? await openHealth(probing, localNode, operations, tasks.signal) : undefined;
  await using _outside = await openOutside({
    options,
    readiness,
    failure: () => node.cluster.failure(),
    metrics: () => metrics.text() + sampledMetrics(sampled) + processMetrics(clock.nowMs()) + (health?.sampledMetrics() ?? ""),
  });
  readiness.reached("datapath");

  const onFailure = (request: string, failure: unknown): void => log.error(`${request}: ${errorMessage(failure)}`);
  tasks.run("serve the API", (signal) => door.serve(operations, signal, { onFailure, onServed: (request) => metrics.served(request) }));
  if (options.masquerade || options.hostFirewall) tasks.run("follow native devices", (signal) => nativeDevices.run(signal));
  if (health !== undefined) startHealth(tasks, health, controllers, onFailure);
  const parts = { world, options, client, node, dns, network, localNode, pool, routers, controllers, readiness };
  startFollowing(tasks, parts);
  startKeeping(tasks, parts);
  startRepeating(tasks, parts);
  tasks.run("serve the delete queue", (signal) =>
    serveDeleteQueue({ directory: options.deleteQueueDirectory, clock, signal, handle: (body) => cni.handle(body), onProblem: log.warn }),
  );
  log.info(`cilium-agent ${agentVersion} serves node ${options.nodeName} on ${options.socketPath}`);
  await tasks.join();
}

/** The datapath knows the node's addresses; with a firewall it looks at its devices, before the next connection that a policy could cut off. */
async function beginHost({ hostAddresses, hostFirewall }: Node, nativeDevices: NativeDevices): Promise<void> {
  await hostAddresses.refresh();
  if (hostFirewall === undefined) return;
  hostFirewall.begin();
  await nativeDevices.attach();
}

function openHealth(
  probing: Omit<NodeHealthOptions, "publish" | "status">,
  localNode: LocalNode,
  operations: Pick<AgentOperations, "health">,
  signal: AbortSignal,
): Promise<NodeHealth> {
  return NodeHealth.open({
    ...probing,
    publish: (addresses) => localNode.setHealth(addresses ?? { ipv4: "", ipv6: "" }),
    status: () => operations.health({ brief: false, requireKubernetes: false }, signal),
  });
}

function startHealth(
  tasks: TaskGroup,
  health: NodeHealth,
  controllers: Controllers,
  onFailure: (request: string, failure: unknown) => void,
): void {
  tasks.run("serve the health API", (signal) => health.serve(signal, onFailure));
  tasks.run("probe nodes", (signal) => health.probe(signal));
  const ensure = (): Promise<void> => health.ensureEndpoint();
  tasks.run("keep the health endpoint", (signal) => controllers.every("keep the health endpoint", ensureHealthMs, signal, ensure));
}

interface AgentParts {
  readonly world: World;
  readonly options: AgentOptions;
  readonly client: KubernetesClient;
  readonly node: Node;
  readonly dns: NodeDns;
  readonly network: NodeNetwork;
  readonly localNode: LocalNode;
  readonly pool: NodePool;
  readonly routers: Routers;
  readonly controllers: Controllers;
  readonly readiness: Readiness;
}

/** What others tell. */
function startFollowing(tasks: TaskGroup, { world, options, client, node, dns, network, pool, readiness }: AgentParts): void {
  const { datapath } = network;
  const { nodeName } = options;
  node.guard?.attach(guardedParts(options, client, datapath, node));
  if (pool instanceof MultiPool) tasks.run("follow pools", (signal) => followPools({ ...world, client, nodeName, pool }, signal));
  tasks.run("watch the cluster", (signal) => node.cluster.run(signal));
  tasks.run("watch other nodes", (signal) => node.nodeWatch.run(signal));
  tasks.run("enforce what was restored", (signal) => enforceOnceSynced(world, node, datapath, readiness, signal));
  tasks.run("serve DNS", (signal) => dns.serve(signal));
  tasks.run("read events", (signal) => pumpEvents(world, datapath, node, signal));
  tasks.run("follow the node's addresses", (signal) => node.hostAddresses.follow(signal));
  tasks.run("follow the node's devices", (signal) => node.deviceNames.follow(signal));
}

/** What is made equal to our tables. */
function startKeeping(tasks: TaskGroup, { node, network, localNode, controllers }: AgentParts): void {
  const keep = <Row>(task: string, what: string, table: Table<string, Row>, target: Target<string, Row>): void =>
    tasks.run(task, (signal) => controllers.keep(what, table, target, signal));
  keep("publish the node", "CiliumNode", localNode.table, localNode.target);
  keep("route to other nodes", "route", node.remoteNodes.routes, network.remoteRoutes);
  keep("route to nobody", "route of our own", network.ownRoutes.table, network.ownRoutes.target);
  keep("publish endpoints", "CiliumEndpoint", node.published.table, node.published.target);
  keep("program the ipcache", "ipcache", node.ipcache.table, node.ipcache.target);
}

/** What is done again and again. */
function startRepeating(
  tasks: TaskGroup,
  { world, node, dns, network, localNode, pool, routers, controllers, readiness }: AgentParts,
): void {
  const { datapath } = network;
  const every = (task: string, intervalMs: number, work: (signal: AbortSignal) => void | Promise<void>): void =>
    tasks.run(task, (signal) => controllers.every(task, intervalMs, signal, () => work(signal)));
  every("learn about the node", learnNodeMs, (signal) => learnNode(localNode, node, routers, signal));
  every("sweep connections", sweepMs, () => void datapath.sweepConntrack());
  every("forget names", expireNamesMs, () => dns.expire());
  every("sweep policies", sweepMs, () => {
    node.realised.sweep();
    node.hostFirewall?.sweep();
  });
  every("retry endpoints", retryFailedMs, () => retryEndpoints(node, datapath, readiness));
  every("take back addresses", expireMs, () => pool.expire());
  every("forget old flow context", forgetFlowsMs, () => forgetOldContext(world.kernel, node));
}

/** Its labels and uid; nobody depends on them at once, so a server that is away is asked again. */
async function learnNode(localNode: LocalNode, node: Node, routers: Routers, signal: AbortSignal): Promise<void> {
  const found = await localNode.find(signal).catch(() => undefined);
  if (found !== undefined) node.flows.setNodeLabels(found.labels);
  localNode.publish(node.hostAddresses.underlay(), routers);
}

/** The ranges that this node tells the cluster; undefined where the cluster tells them. */
function ownPodCIDRs({ ipam, ipv4Range, ipv6Range }: AgentOptions): string[] | undefined {
  return ipam === "host-scope" ? [formatPrefix(ipv4Range), formatPrefix(ipv6Range)] : undefined;
}

/** Until every source has spoken, what an earlier run enforced stays in force; then the difference is applied. */
async function enforceOnceSynced({ log }: World, node: Node, datapath: Datapath, readiness: Readiness, signal: AbortSignal): Promise<void> {
  const { cluster, endpoints, nodeWatch, hostFirewall } = node;
  await unlessAborted(cluster.synced("identities"), signal);
  readiness.reached("identities");
  const rest = [...(["policies", "pods", "namespaces", "node"] as const).map((name) => cluster.synced(name)), nodeWatch.synced()];
  await unlessAborted(Promise.all(rest), signal);
  readiness.reached("policies");
  await endpoints.prepareRestored();
  node.guard?.open();
  let all = true;
  node.updates.open(() => {
    all = endpoints.enforceRestored();
    if (hostFirewall?.open() === false) all = false;
  });
  const pruned = all ? datapath.policySets.prune() : 0;
  datapath.removeOldPrograms();
  node.ipcache.table.markSynced("agent");
  node.published.table.markSynced("endpoints");
  readiness.reached("endpoints");
  log.info(`policy is enforced on ${endpoints.index.size} endpoints; ${pruned} policy sets of an earlier run were removed`);
  await retryEndpoints(node, datapath, readiness).catch((cause) => log.error(`${errorMessage(cause)}; it is tried again`));
}

async function retryEndpoints(node: Node, datapath: Datapath, readiness: Readiness): Promise<void> {
  if (readiness.missing() !== undefined) return;
  // An endpoint that could not get its policy has a set of an earlier run as long as that lasts.
  const all = [node.endpoints.retryFailed(), node.hostFirewall?.retryFailed() ?? true].every(Boolean);
  if (all) datapath.policySets.prune();
  await node.identitiesInUse.ensureAll();
  await node.endpoints.adoptPods(); // One that cannot become what its pod is now stays what it was, and is looked at again.
}

function pumpEvents({ kernel }: World, datapath: Datapath, { ring }: Node, signal: AbortSignal): Promise<void> {
  return readEvents({
    kernel,
    events: datapath.maps.events,
    lost: datapath.maps.events_lost,
    signal,
    onRecords: (bytes, count) => ring.appendDrained(bytes, count, Number(kernel.monotonicNs())),
    onLost: (count) => ring.appendLost(LostEventSource.perfEventRingBuffer, Number(count), Number(kernel.monotonicNs())),
  });
}

/** Nothing older than the oldest event in the ring, or than a minute where the ring is empty, can still be asked for. */
function forgetOldContext(kernel: Kernel, { ring, flows, accessLog }: Node): void {
  accessLog.settle();
  const nowNs = Number(kernel.monotonicNs());
  const oldestNs = ring.size === 0 ? nowNs : ring.timeNsOf(ring.firstSequence);
  flows.context.forgetBefore(Math.min(oldestNs, nowNs - 60e9));
}
