import { randomBytes } from "node:crypto";
import type { Datapath } from "@cilium-ts/datapath";
import { EndpointIdAllocator, type EndpointRow, hostEndpointId } from "@cilium-ts/endpoint";
import { FlowRing } from "@cilium-ts/flow";
import { LocalIdentityAllocator, reservedIdentities, reservedPeers } from "@cilium-ts/identity";
import type { Kernel } from "@cilium-ts/kernel";
import type { KubernetesClient, KubernetesObject } from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { formatAddress, type Prefix, parsePrefix } from "@cilium-ts/net";
import type { Netlink } from "@cilium-ts/netlink";
import { CookieTable, PolicyEngine, type ResolvedPolicy } from "@cilium-ts/policy";
import { type Clock, errorMessage } from "@cilium-ts/std";
import { ApiServerAddresses } from "./cluster/api-server-addresses.ts";
import { CustomResourceIdentities } from "./cluster/custom-resource-identities.ts";
import { IdentitiesInUse } from "./cluster/identities-in-use.ts";
import { NodeIdentities } from "./cluster/node-identities.ts";
import { Pods } from "./cluster/pods.ts";
import { PublishedEndpoints } from "./cluster/published-endpoints.ts";
import { RemoteEndpoints } from "./cluster/remote-endpoints.ts";
import { RemoteNodes } from "./cluster/remote-nodes.ts";
import { ClusterWatch } from "./cluster/watch-cluster.ts";
import { NodeWatch } from "./cluster/watch-nodes.ts";
import { EndpointFiles } from "./endpoints/endpoint-files.ts";
import { Endpoints } from "./endpoints/endpoints.ts";
import { FlowHistory } from "./flow-history.ts";
import { HostEnforcement } from "./host-firewall/host-enforcement.ts";
import { HostFirewall, type HostFirewallOptions } from "./host-firewall/host-firewall.ts";
import type { HostFirewallGuard } from "./host-firewall-guard/host-firewall-guard.ts";
import { AgentEvents } from "./hubble/agent-events.ts";
import type { NodePool } from "./ipam/node-pool.ts";
import { IpcacheTable } from "./ipcache-table.ts";
import { DeviceNames } from "./network/device-names.ts";
import { HostAddresses } from "./network/host-addresses.ts";
import type { PodMtu } from "./network/node-network.ts";
import { createPodPlumbing } from "./network/pod-plumbing.ts";
import { AuditMode } from "./policy/audit-mode.ts";
import { FormerIdentities } from "./policy/former-identities.ts";
import { IdentitiesDirectory } from "./policy/identities-directory.ts";
import { PolicyUpdates } from "./policy/policy-updates.ts";
import { RealisedPolicies } from "./policy/realised-policies.ts";
import { AccessLog } from "./proxies/access-log.ts";
import { NodeProxies } from "./proxies/node-proxies.ts";
import type { Proxies } from "./proxies/proxies.ts";
import { ProxyPorts } from "./proxies/proxy-ports.ts";
import type { Readiness } from "./readiness.ts";
import type { AgentOptions } from "./settings.ts";

/** What the node's tables stand on. */
export interface Foundation {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Log;
  readonly options: AgentOptions;
  readonly datapath: Datapath;
  readonly netlink: Netlink;
  /** Of another namespace. */
  openNetlink(options: { readonly namespacePath: string }): Netlink;
  readonly client: KubernetesClient;
  readonly pool: NodePool;
  readonly readiness: Readiness;
  /** Undefined: whatever policies say of nodes is in force. */
  readonly guard: HostFirewallGuard | undefined;
  readonly signal: AbortSignal;
  readonly mtu: PodMtu;
  /** A policy was taken over, or refused because it is not valid. */
  onPolicy(outcome: "success" | "fail"): void;
  /** An endpoint's policy was brought into the kernel, or could not be. */
  onRegenerated(outcome: "success" | "fail"): void;
  /** The node's own addresses are other ones now. */
  onAddressesChanged(underlay: readonly string[]): void;
  onEndpointGone(id: number): void;
  /** This node's own object as it is now; undefined: it is gone. */
  onOwnNode(object: KubernetesObject | undefined): void;
}

/** Everything that the node keeps in memory. */
export interface Node extends PolicyPart {
  readonly endpoints: Endpoints;
  /** Undefined where policies about nodes are not enforced. */
  readonly hostFirewall: HostFirewall | undefined;
  readonly guard: HostFirewallGuard | undefined;
  readonly realised: RealisedPolicies;
  readonly proxies: NodeProxies;
  readonly accessLog: AccessLog;
  readonly ring: FlowRing;
  readonly pods: Pods;
  readonly cluster: ClusterWatch;
  readonly identities: CustomResourceIdentities;
  readonly identitiesInUse: IdentitiesInUse;
  readonly directory: IdentitiesDirectory;
  readonly published: PublishedEndpoints;
  readonly hostAddresses: HostAddresses;
  readonly deviceNames: DeviceNames;
  readonly remoteNodes: RemoteNodes;
  readonly apiServers: ApiServerAddresses;
  readonly remoteEndpoints: RemoteEndpoints;
  readonly nodeWatch: NodeWatch;
}

interface PolicyPart {
  readonly engine: PolicyEngine;
  readonly cookies: CookieTable;
  readonly updates: PolicyUpdates;
  readonly ipcache: IpcacheTable;
  readonly flows: FlowHistory;
  readonly agentEvents: AgentEvents;
  readonly localIdentities: LocalIdentityAllocator;
  readonly nodeIdentities: NodeIdentities;
}

/** Wires the tables to each other. Nothing runs yet. */
export function createNode(foundation: Foundation): Node {
  const { clock, log, options, datapath, netlink, client, pool, readiness, signal, guard } = foundation;
  const deviceNames = new DeviceNames(netlink);
  const policy = createPolicyPart(foundation, () => ({ endpoints, hostFirewall }), deviceNames);
  const podChanged = (namespace: string, name: string): void => void adopt(endpoints, log, namespace, name);
  const pods = new Pods({ client, clusterName: options.clusterName, onChange: podChanged });
  const identities: CustomResourceIdentities = new CustomResourceIdentities(client, () => cluster.synced("identities"));
  const identitiesInUse = new IdentitiesInUse({ identities, log, signal, inUse: () => endpoints.identitiesInUse() });
  const regenerate = (namespace: string): void => endpoints.regenerateNamespace(namespace);
  const audit = new AuditMode({ everywhere: options.policyAuditMode, log, onChange: regenerate });
  const cluster: ClusterWatch = new ClusterWatch({
    ...foundation,
    ...options,
    pods,
    identities,
    audit,
    keepIdentity: (id) => identitiesInUse.keep(id),
    onNodeLabels: (labels) => hostFirewall?.setLabels(labels),
    ...policy,
  });
  const hostAddresses: HostAddresses = new HostAddresses({
    netlink,
    rows: datapath.endpoints,
    ipcache: policy.ipcache,
    routers: [pool.routerIPv4, pool.routerIPv6],
    onChange() {
      foundation.onAddressesChanged(hostAddresses.underlay());
      hostFirewall?.setAddresses(hostAddresses.underlay());
      // Other nodes reach our pods by the address that their objects name.
      for (const row of endpoints.index.rows()) published.set(row);
    },
  });
  const published = createPublished(foundation, pods, hostAddresses);
  const remotePart = createRemotePart(foundation, policy, published, hostAddresses);
  const proxyPart = createProxyPart(foundation, policy, () => ({ endpoints, hostFirewall }));
  const onRegenerated = (row: EndpointRow, error: string): void => {
    policy.agentEvents.regenerated(row, error);
    foundation.onRegenerated(error === "" ? "success" : "fail");
  };
  const hostFirewall = createHostFirewall(foundation, policy, { hostAddresses, onRegenerated, ...proxyPart });
  const endpoints: Endpoints = new Endpoints({
    ...policy,
    ...proxyPart,
    datapath,
    plumbing: createPodPlumbing(foundation, plumbingWays(foundation)),
    addresses: pool,
    ids: new EndpointIdAllocator(),
    identities,
    pods,
    files: new EndpointFiles(options.stateDirectory),
    clock,
    log,
    signal,
    mtu: foundation.mtu.device,
    notReady: () => readiness.missing(),
    audits: (namespace) => audit.audits(namespace),
    onRegenerated,
    onChange(id, row, before) {
      if (row === undefined) {
        proxyPart.accessLog.forget(id);
        foundation.onEndpointGone(id);
      }
      tellOfEndpoint(policy, id, row, before);
      publish(published, endpoints, row, before);
    },
  });
  const directory = new IdentitiesDirectory(identities, policy.localIdentities);
  const clusterPart = { pods, cluster, identities, identitiesInUse, directory, published };
  return { ...policy, ...clusterPart, ...remotePart, ...proxyPart, endpoints, hostFirewall, guard, hostAddresses, deviceNames };
}

function createHostFirewall(
  { datapath, options, clock, log, guard }: Foundation,
  { engine, cookies, updates, flows }: PolicyPart,
  { hostAddresses, proxies, onRegenerated }: Pick<HostFirewallOptions, "onRegenerated"> & Pick<Node, "hostAddresses" | "proxies">,
): HostFirewall | undefined {
  if (!options.hostFirewall) return undefined;
  // Proxies have what the node asks. What it is asked cannot have one: it is dropped.
  const portFor: Proxies["portFor"] = (redirect, direction) => (direction === "egress" ? proxies.portFor(redirect, direction) : 0);
  const realised = new RealisedPolicies(datapath.policySets, cookies, { portFor });
  return new HostFirewall({
    engine,
    enforcement: new HostEnforcement({
      row: datapath.host,
      sets: datapath.policySets,
      realised,
      audit: options.policyAuditMode,
      onEnforce: (next, before) => guard?.judge(next, before),
    }),
    onLabels: (labels) => guard?.setLabels(labels),
    clock,
    log,
    revision: () => updates.revision,
    onChange: (row) => flows.setEndpoint(row, hostAddresses.all()),
    onRegenerated,
  });
}

function tellOfEndpoint(
  { agentEvents, flows }: PolicyPart,
  id: number,
  row: EndpointRow | undefined,
  before: EndpointRow | undefined,
): void {
  agentEvents.endpointChanged(row, before);
  if (row === undefined) flows.removeEndpoint(id);
  else flows.setEndpoint(row);
}

function publish(published: PublishedEndpoints, { index }: Endpoints, row: EndpointRow | undefined, before: EndpointRow | undefined): void {
  if (row !== undefined) published.set(row);
  else if (before !== undefined) {
    published.delete(before);
    // Another pod of that name may have come before this one's late end.
    for (const other of index.byPod(before.podNamespace, before.podName)) if (other.id !== before.id) published.set(other);
  }
}

function createProxyPart(
  { kernel, options, datapath }: Foundation,
  { cookies }: PolicyPart,
  subjects: () => Subjects,
): Pick<Node, "ring" | "accessLog" | "proxies" | "realised"> {
  const ring = new FlowRing({ capacity: options.flowCapacity, instance: randomBytes(16) });
  const { connections, policySets } = datapath;
  const ports = new ProxyPorts(options.stateDirectory);
  const policyOf = (id: number): ResolvedPolicy | undefined => {
    const { endpoints, hostFirewall } = subjects();
    return id === hostEndpointId ? hostFirewall?.policy : endpoints.policyOf(id);
  };
  const proxies = new NodeProxies({ kernel, ports, connections, policyOf });
  const accessLog = new AccessLog({ ring, nowNs: () => Number(kernel.monotonicNs()) });
  return { ring, accessLog, proxies, realised: new RealisedPolicies(policySets, cookies, proxies) };
}

function createPublished({ client, pool }: Foundation, pods: Pods, hostAddresses: HostAddresses): PublishedEndpoints {
  return new PublishedEndpoints({
    client,
    nodeAddress: () => hostAddresses.primary() ?? formatAddress(pool.routerIPv4),
    podLabels: (namespace, name) => pods.pod(namespace, name)?.labels ?? {},
    isCurrentPod: async ({ namespace, name, uid }, signal) => (await pods.find(namespace, name, uid, signal))?.uid === uid,
  });
}

async function adopt(endpoints: Endpoints, log: Log, namespace: string, name: string): Promise<void> {
  try {
    await endpoints.podChanged(namespace, name);
  } catch (cause) {
    log.error(`pod ${namespace}/${name}: its new labels are not in force: ${errorMessage(cause)}`);
  }
}

function plumbingWays({ pool, mtu }: Foundation): Parameters<typeof createPodPlumbing>[1] {
  const { routerIPv4, routerIPv6 } = pool;
  return { routerIPv4, routerIPv6, routeMtu: mtu.route, podPrefixes: () => pool.prefixes() };
}

/** Policies know the identity before the ipcache gives it to an address. */
function createApiServerAddresses(
  { log }: Foundation,
  { ipcache, flows, updates, localIdentities }: PolicyPart,
  remoteNodes: RemoteNodes,
  hostAddresses: HostAddresses,
): ApiServerAddresses {
  const addresses = new ApiServerAddresses({
    ipcache,
    localIdentities,
    onIdentity(id, labels) {
      if (labels === undefined) updates.removeIdentity(id);
      else updates.upsertIdentity(id, labels);
      if (labels !== undefined) flows.setIdentity(id, labels);
      updates.flush();
    },
    onProblem: (message) => log.error(message),
    placeOf(address) {
      if (hostAddresses.underlay().includes(address)) return "host";
      return remoteNodes.hasAddress(address) ? "remote-node" : "outside";
    },
  });
  hostAddresses.watch(() => addresses.refresh());
  return addresses;
}

function createRemotePart(
  foundation: Foundation,
  policy: PolicyPart,
  published: PublishedEndpoints,
  hostAddresses: HostAddresses,
): Pick<Node, "remoteNodes" | "remoteEndpoints" | "nodeWatch" | "apiServers"> {
  const { client, clock, log, options, onOwnNode } = foundation;
  const { ipcache, flows, updates, nodeIdentities: identities } = policy;
  const remoteNodes = new RemoteNodes({ ipcache, localName: options.nodeName, mode: options.routingMode, identities });
  const remoteEndpoints = new RemoteEndpoints({
    ipcache,
    tunnelEndpointOf: (address) => remoteNodes.tunnelEndpointOf(address),
    onOwner: (prefix, pod) => flows.setRemotePod(prefix, pod),
    onNamedPorts: (pod, identity, ports) => updates.setNamedPorts(pod, identity, ports),
  });
  const apiServers = createApiServerAddresses(foundation, policy, remoteNodes, hostAddresses);
  return {
    remoteNodes,
    remoteEndpoints,
    apiServers,
    nodeWatch: new NodeWatch({
      client,
      clock,
      log,
      nodes: remoteNodes,
      endpoints: remoteEndpoints,
      apiServers,
      published,
      nodeName: options.nodeName,
      onOwnNode,
      slices: options.endpointSlices,
    }),
  };
}

type Subjects = Pick<Node, "endpoints" | "hostFirewall">;

function createPolicyPart(foundation: Foundation, subjects: () => Subjects, deviceNames: DeviceNames): PolicyPart {
  const { kernel, log, options, datapath, guard } = foundation;
  const { clusterName, nodeName, policyMode, allowLocalhost } = options;
  const cookies = new CookieTable();
  const engine = new PolicyEngine({ mode: policyMode, allowLocalhost, clusterName, families: [4, 6] });
  const flows: FlowHistory = new FlowHistory({
    nodeName,
    clusterName,
    cookies,
    monotonicNs: () => Number(kernel.monotonicNs()),
    interfaceName: (ifindex) => subjects().endpoints.index.byIfindex(ifindex)?.hostDeviceName ?? deviceNames.nameOf(ifindex),
    ipTraceOption: options.ipTraceOption,
  });
  const former = new FormerIdentities(datapath.ipcache.rows());
  const agentEvents = new AgentEvents(() => Number(kernel.monotonicNs()));
  const ipcache = new IpcacheTable(datapath.ipcache, (change) => {
    const { key, after } = change;
    agentEvents.ipcacheChanged(change);
    if (after === undefined) flows.removePrefix(prefixOf(key));
    else flows.setPrefix(after.prefix, after.identity);
  });
  const localIdentities = new LocalIdentityAllocator({ families: [4, 6] });
  const updates: PolicyUpdates = new PolicyUpdates({
    engine,
    localIdentities,
    names: options.dns,
    wantedIdentity: (prefix) => former.wanted(prefix),
    claimPrefix(prefix, { id, labels }) {
      flows.setIdentity(id, labels);
      ipcache.upsert(prefix, "generated", id);
    },
    releasePrefix: (prefix) => ipcache.remove(prefix, "generated"),
    claimAddress(address, { id, labels }) {
      flows.setIdentity(id, labels);
      ipcache.upsert(hostPrefixOf(address), "names", id);
    },
    releaseAddress: (address) => ipcache.remove(hostPrefixOf(address), "names"),
    regenerate(affected) {
      const { endpoints, hostFirewall } = subjects();
      endpoints.regenerate(affected);
      hostFirewall?.regenerate(affected);
    },
    onCarriedOut(revision) {
      flows.setPolicyRevision(revision);
      guard?.carriedOut();
    },
    onProblem: (message) => log.error(message),
  });
  for (const [id, labels] of reservedPeers()) updates.upsertIdentity(id, labels);
  const nodeIdentities = new NodeIdentities({
    byLabels: options.nodeSelectorLabels,
    byAddresses: options.cidrsMatchNodes,
    formerIdentity: (prefix) => former.identityOf(prefix),
    onIdentity(id, labels) {
      if (labels === undefined) {
        updates.removeIdentity(id);
        return;
      }
      flows.setIdentity(id, labels);
      updates.upsertIdentity(id, labels);
      updates.flush(); // Every policy knows it before an address has it.
    },
    onProblem: (message) => log.warn(message),
  });
  // Whatever nobody else claims is the world.
  ipcache.upsert("0.0.0.0/0", "restored", reservedIdentities.worldIPv4);
  ipcache.upsert("::/0", "restored", reservedIdentities.worldIPv6);
  return { engine, cookies, updates, ipcache, flows, agentEvents, localIdentities, nodeIdentities };
}

function hostPrefixOf(address: string): Prefix {
  return prefixOf(`${address}/${address.includes(":") ? 128 : 32}`);
}

function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new RangeError(`${text} is no prefix`);
  return prefix;
}
