import { type Datapath, type DatapathObjects, type DatapathOptions, datapathDefaults, openDatapath, readEvents } from "@cilium-ts/datapath";
import { LostEventSource } from "@cilium-ts/flow";
import type { Kernel } from "@cilium-ts/kernel";
import type { KubernetesClient } from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { formatAddress, formatPrefix } from "@cilium-ts/net";
import type { Netlink } from "@cilium-ts/netlink";
import { reconcile, type Table, type Target } from "@cilium-ts/state";
import { type Clock, errorMessage, TaskGroup } from "@cilium-ts/std";
import { LocalNode } from "./cluster/local-node.ts";
import { resolvePodRanges } from "./cluster/pod-ranges.ts";
import { CniHandler } from "./cni/cni-handler.ts";
import type { Routers } from "./cni/cni-result.ts";
import { serveDeleteQueue } from "./cni/delete-queue.ts";
import { createNodePool, type NodePool } from "./endpoints/node-pool.ts";
import { type NodeHubble, type NodeHubbleOptions, startNodeHubble } from "./hubble/node-hubble.ts";
import { findDirectDevice } from "./network/direct-device.ts";
import { Masquerading } from "./network/masquerading.ts";
import { applyNodeNetwork, findUplinkMtu, podMtu } from "./network/node-network.ts";
import { createRemoteRoutes } from "./network/remote-routes.ts";
import { openTunnel, removeTunnel } from "./network/tunnel.ts";
import { createNode, type Node } from "./node.ts";
import { Readiness } from "./readiness.ts";
import { requireTcx } from "./require-tcx.ts";
import { type ApiDoor, openApiDoor } from "./serve/api-door.ts";
import { createOperations } from "./serve/operations.ts";
import type { AgentOptions } from "./settings.ts";
import { unlessAborted } from "./unless-aborted.ts";
import { agentVersion } from "./version.ts";

/** What the agent takes from outside; tests bring their own. */
export interface World {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Log;
  readonly objects: DatapathObjects;
  /** Of the namespace at the path, or of our own. */
  openNetlink(options?: { readonly namespacePath: string }): Netlink;
  /** The API server. */
  openClient(): Promise<KubernetesClient>;
  /** Where the agent's API is asked; the settings' unix socket when absent. */
  openApiDoor?(): Promise<ApiDoor>;
  /** The node's Hubble server; on the settings' sockets when absent. */
  startHubble?(options: NodeHubbleOptions): Promise<NodeHubble>;
}

const sweepMs = 10_000;
const expireMs = 60_000;
const retryFailedMs = 30_000;
const resyncMs = 60_000;
const forgetFlowsMs = 5_000;
const learnNodeMs = 30_000;

/**
 * The agent, from top to bottom: what it opens, what it keeps, and one task for each thing it does. Ends when the signal is aborted;
 * what is in the kernel stays, and traffic goes on.
 */
export async function runAgent(world: World, options: AgentOptions, parent: AbortSignal): Promise<void> {
  const { kernel, clock, log } = world;
  requireTcx(kernel);
  const readiness = new Readiness(clock);
  // The socket first: it tells a second agent from the first before anything is touched.
  await using door = await (world.openApiDoor?.() ?? openApiDoor(options.socketPath));
  readiness.reached("api");

  await using client = await world.openClient();
  await using netlink = world.openNetlink();
  const localNode = new LocalNode({ client, name: options.nodeName, podCIDRs: ownPodCIDRs(options) });
  const pool = createNodePool(await resolvePodRanges({ ...world, options, client, localNode, netlink, signal: parent }), clock);
  const routers = { ipv4: formatAddress(pool.routerIPv4), ipv6: formatAddress(pool.routerIPv6) };
  const uplinkMtu = await findUplinkMtu(netlink);
  const tunnelIfindex = await applyTunnel(kernel, netlink, options, uplinkMtu);
  const mtu = podMtu(options.mtu === 0 ? uplinkMtu : options.mtu, options.routingMode);
  const directDevice = options.routingMode === "native" ? await findDirectDevice(netlink, options.directRoutingDevice) : 0;
  const ways = { tunnelIfindex, tunnelMtu: mtu.route, directRoutingIfindex: directDevice };
  using datapath = openDatapath(kernel, datapathOptions(world, options, pool, ways));
  const { routerIPv4, routerIPv6 } = pool;
  const podPrefixes = [pool.pools.ipv4.prefix, pool.pools.ipv6.prefix];
  const { hostDevice } = await applyNodeNetwork({ kernel, netlink, routerIPv4, routerIPv6, podPrefixes, mtu: mtu.route });
  const native = directDevice === 0 ? [] : [directDevice];
  const devices = tunnelIfindex === 0 ? { native } : { vxlan: tunnelIfindex, host: hostDevice };
  if (!options.masquerade) datapath.deviceLinks.apply(devices);

  // Opened last and so closed first: no task outlives what it uses.
  await using tasks = new TaskGroup(parent);
  const onAddressesChanged = (underlay: readonly string[]): void => {
    localNode.publish(underlay, routers);
    masquerading.addressesChanged();
  };
  const node = createNode({ ...world, options, datapath, netlink, client, pool, readiness, mtu, onAddressesChanged, signal: tasks.signal });
  const masquerading = new Masquerading({ netlink, datapath, remoteNodes: node.remoteNodes, devices, podPrefixes });
  await node.hostAddresses.refresh();
  await node.endpoints.restore();
  await using hubble = await (world.startHubble ?? startNodeHubble)({ node, options, clock, log });
  const cni = new CniHandler(node.endpoints, routers);
  const operations = createOperations({ node, hubble, options, routers, pool, datapath, cni, readiness, mtu });
  readiness.reached("datapath");

  const onFailure = (request: string, failure: unknown): void => log.error(`${request}: ${errorMessage(failure)}`);
  tasks.run("serve the API", (signal) => door.serve(operations, signal, onFailure));
  tasks.run("watch the cluster", (signal) => node.cluster.run(signal));
  tasks.run("watch other nodes", (signal) => node.nodeWatch.run(signal));
  tasks.run("learn about the node", (signal) => every(world, learnNodeMs, signal, () => learnNode(localNode, node, routers, signal)));
  tasks.run("publish the node", (signal) => keep(world, localNode.table, localNode.target, "CiliumNode", signal));
  const remoteRoutes = createRemoteRoutes({ netlink, mode: options.routingMode, routerIPv4, routerIPv6, hostDevice, mtu: mtu.route });
  tasks.run("route to other nodes", (signal) => keep(world, node.remoteNodes.routes, remoteRoutes, "route", signal));
  if (options.masquerade) tasks.run("masquerade", (signal) => masquerading.run(signal));
  tasks.run("enforce what was restored", (signal) => enforceOnceSynced(world, node, datapath, readiness, signal));
  tasks.run("publish endpoints", (signal) => keep(world, node.published.table, node.published.target, "CiliumEndpoint", signal));
  tasks.run("program the ipcache", (signal) => keep(world, node.ipcache.table, node.ipcache.target, "ipcache", signal));
  tasks.run("read events", (signal) => pumpEvents(world, datapath, node, signal));
  tasks.run("follow the node's addresses", (signal) => node.hostAddresses.follow(signal));
  tasks.run("follow the node's devices", (signal) => node.deviceNames.follow(signal));
  tasks.run("sweep connections", (signal) => every(world, sweepMs, signal, () => void datapath.sweepConntrack()));
  tasks.run("sweep policies", (signal) => every(world, sweepMs, signal, () => void node.realised.sweep()));
  tasks.run("retry endpoints", (signal) => every(world, retryFailedMs, signal, () => retryEndpoints(node, datapath, readiness)));
  tasks.run("take back addresses", (signal) => every(world, expireMs, signal, () => pool.expire()));
  tasks.run("forget old flow context", (signal) => every(world, forgetFlowsMs, signal, () => forgetOldContext(kernel, node)));
  tasks.run("serve the delete queue", (signal) =>
    serveDeleteQueue({ directory: options.deleteQueueDirectory, clock, signal, handle: (body) => cni.handle(body), onProblem: log.warn }),
  );
  log.info(`cilium-agent ${agentVersion} serves node ${options.nodeName} on ${options.socketPath}`);
  await tasks.join();
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

/** The index of the tunnel's device; 0 where nodes reach each other's pods natively. */
async function applyTunnel(kernel: Kernel, netlink: Netlink, { routingMode, tunnelPort }: AgentOptions, mtu: number): Promise<number> {
  if (routingMode === "tunnel") return openTunnel({ kernel, netlink, port: tunnelPort, mtu });
  await removeTunnel(netlink);
  return 0;
}

function datapathOptions(
  { objects }: World,
  options: AgentOptions,
  { routerIPv4, routerIPv6 }: NodePool,
  ways: Pick<DatapathOptions, "tunnelIfindex" | "tunnelMtu" | "directRoutingIfindex">,
): DatapathOptions {
  const { bpfRoot, traceIntervalS, conntrackEntriesMax, masquerade } = options;
  const tunnelPort = ways.tunnelIfindex === 0 ? 0 : options.tunnelPort;
  const chosen = { objects, bpfRoot, routerIPv4, routerIPv6, traceIntervalS, conntrackEntriesMax, masquerade };
  return { ...datapathDefaults, ...chosen, ...ways, tunnelPort };
}

/** Until every source has spoken, what an earlier run enforced stays in force; then the difference is applied. */
async function enforceOnceSynced({ log }: World, node: Node, datapath: Datapath, readiness: Readiness, signal: AbortSignal): Promise<void> {
  const { cluster, endpoints, nodeWatch } = node;
  await unlessAborted(cluster.synced("identities"), signal);
  readiness.reached("identities");
  const rest = [cluster.synced("policies"), cluster.synced("pods"), cluster.synced("namespaces"), nodeWatch.synced()];
  await unlessAborted(Promise.all(rest), signal);
  readiness.reached("policies");
  let all = true;
  node.updates.open(() => {
    all = endpoints.enforceRestored();
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
  if (node.endpoints.retryFailed()) datapath.policySets.prune();
  await node.identitiesInUse.ensureAll();
  await node.endpoints.adoptPods(); // One that cannot become what its pod is now stays what it was, and is looked at again.
}

/** Keeps a target equal to its table; each failure is said once until it is over. */
function keep<Row>(
  world: World,
  desired: Table<string, Row>,
  target: Target<string, Row>,
  what: string,
  signal: AbortSignal,
): Promise<void> {
  const failing = new Set<string>();
  return reconcile({
    desired,
    target,
    clock: world.clock,
    signal,
    retryDelayMs: (attempt) => Math.min(100 * 2 ** attempt, 30_000),
    resyncIntervalMs: resyncMs,
    onResult(key, failure) {
      const name = `${what} ${key ?? "(list)"}`;
      if (failure === undefined) failing.delete(name);
      else if (!failing.has(name)) {
        failing.add(name);
        world.log.warn(`${name} is not as it should be, and is tried again: ${errorMessage(failure)}`);
      }
    },
  });
}

function pumpEvents({ kernel }: World, datapath: Datapath, { ring }: Node, signal: AbortSignal): Promise<void> {
  return readEvents({
    kernel,
    events: datapath.maps.events,
    lost: datapath.maps.events_lost,
    signal,
    onRecords: (bytes) => ring.append(bytes),
    onLost: (count) => ring.appendLost(LostEventSource.perfEventRingBuffer, Number(count), Number(kernel.monotonicNs())),
  });
}

/** Nothing older than the oldest event in the ring, or than a minute where the ring is empty, can still be asked for. */
function forgetOldContext(kernel: Kernel, { ring, flows }: Node): void {
  const nowNs = Number(kernel.monotonicNs());
  const oldestNs = ring.size === 0 ? nowNs : ring.timeNsOf(ring.firstSequence);
  flows.context.forgetBefore(Math.min(oldestNs, nowNs - 60e9));
}

/** Now and after each interval, until aborted. A failure is said once until it is over, and never ends the rest. */
async function every(world: World, intervalMs: number, signal: AbortSignal, work: () => void | Promise<void>): Promise<void> {
  let said = "";
  while (!signal.aborted) {
    try {
      await work();
      said = "";
    } catch (cause) {
      const message = errorMessage(cause);
      if (message !== said && !signal.aborted) world.log.error(`${message}; it is tried again in ${intervalMs / 1_000} s`);
      said = message;
    }
    await world.clock.sleep(intervalMs, signal).catch(() => {}); // Rejects only on abort.
  }
}
