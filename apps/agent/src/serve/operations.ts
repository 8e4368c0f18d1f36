import { createHash } from "node:crypto";
import { release } from "node:os";
import {
  type AgentOperations,
  type ControllerStatus,
  created,
  done,
  type EndpointConfigurationStatus,
  type EndpointId,
  endpointHealthShape,
  endpointLogShape,
  endpointShape,
  type HostFirewallStatus,
  type Identity as IdentityShape,
  type NodeAddressing,
  type Policy,
  refused,
  type Status,
  type StatusResponse,
} from "@cilium-ts/agent-api";
import { type Datapath, endpointFlags } from "@cilium-ts/datapath";
import { type EndpointRow, hostEndpointId } from "@cilium-ts/endpoint";
import { clusterIdentityMax, clusterIdentityMin, type Identity } from "@cilium-ts/identity";
import { type AllocationResult, allocatePair } from "@cilium-ts/ipam";
import { formatPrefix, parseAddress, parsePrefix, prefixContains } from "@cilium-ts/net";
import type { ResolvedPolicy } from "@cilium-ts/policy";
import type { CniHandler } from "../cni/cni-handler.ts";
import type { Routers } from "../cni/cni-result.ts";
import type { ControllerState, Controllers } from "../controllers.ts";
import type { NodeDns } from "../dns/node-dns.ts";
import { subjectOf } from "../endpoints/kernel-shape.ts";
import type { NodeHealth } from "../health/node-health.ts";
import type { NodeHubble } from "../hubble/node-hubble.ts";
import type { NodePool } from "../ipam/node-pool.ts";
import type { PodMtu } from "../network/node-network.ts";
import type { Node } from "../node.ts";
import type { Readiness } from "../readiness.ts";
import type { AgentOptions } from "../settings.ts";
import { agentVersion } from "../version.ts";
import { clusterNodesShape } from "./cluster-nodes.ts";
import { type ExplainOptions, explainPolicy } from "./explain-policy.ts";
import { mapList, mapShape } from "./map-shape.ts";
import { nameOperations } from "./name-operations.ts";
import { policyShape } from "./policy-shape.ts";
import { proxyStatisticsOf, proxyStatusOf } from "./proxy-shape.ts";
import { selectorMappings } from "./selector-shape.ts";

export interface OperationsOptions {
  readonly node: Node;
  readonly dns: NodeDns;
  readonly hubble: Pick<NodeHubble, "certificateExpiresMs">;
  readonly options: AgentOptions;
  readonly routers: Routers;
  readonly pool: NodePool;
  readonly datapath: Datapath;
  readonly cni: CniHandler;
  readonly readiness: Readiness;
  readonly controllers: Controllers;
  /** Undefined: nodes are not probed. */
  nodeHealth(): Pick<NodeHealth, "problem"> | undefined;
  readonly mtu: PodMtu;
  /** Names of those that lead out of the node and run our programs. */
  nativeDevices(): readonly string[];
}

/** An address that no endpoint claims comes back after this. */
const addressExpirationMs = 600_000;

/** What the agent's API does, over the agent's tables. */
export function createOperations(parts: OperationsOptions): AgentOperations {
  const { node, datapath, cni } = parts;
  const { index } = node.endpoints;
  const hostAddressing = addressing(parts);
  const shape = (row: EndpointRow): ReturnType<typeof endpointShape> => {
    const policy = policyOf(node, row);
    const proxyStatistics = proxyStatisticsOf(node, row);
    return endpointShape(row, { hostAddressing, proxyStatistics, ...(policy !== undefined && { policy: policyShape(policy) }) });
  };
  return {
    health: async (request) => healthOf(parts, request),
    configuration: async () => configurationOf(parts),
    async changeConfiguration({ policyEnforcement }) {
      node.updates.setMode(policyEnforcement);
      return done;
    },
    confirmHostPolicies: async () => confirmHostPolicies(node),
    clusterNodes: async () => nodesOf(parts),
    ...addressOperations(parts),
    endpoints: async ({ labels }) => rowsWith(node, labels).map(shape),
    endpoint: async (id) => rowsOf(node, id).map(shape)[0],
    createEndpoint: async () => refused(403, "endpoints are made by the CNI plugin: run cilium-cni ADD for the container"),
    async deleteEndpoint(id) {
      const rows = rowsOf(node, id);
      if (rows.some((row) => row.id === hostEndpointId)) return refused(403, "the node itself cannot be deleted");
      for (const row of rows) await node.endpoints.remove(row);
      return rows.length === 0 ? refused(404, "there is no such endpoint") : done;
    },
    async deleteEndpoints({ containerId }) {
      const rows = index.byContainerId(containerId);
      for (const row of rows) await node.endpoints.remove(row);
      return rows.length === 0 ? refused(404, `there is no endpoint of container ${containerId}`) : done;
    },
    endpointHealth: async (id) => rowsOf(node, id).map(endpointHealthShape)[0],
    endpointConfiguration: async (id) => rowsOf(node, id).map((row) => endpointConfigurationOf(parts, row))[0],
    endpointLog: async (id) => rowsOf(node, id).map(endpointLogShape)[0],
    endpointLabels: async (id) =>
      rowsOf(node, id).map(({ labels }) => ({ spec: {}, status: { realized: {}, "security-relevant": labels } }))[0],
    identities: async ({ labels }) =>
      [...node.directory.all()].map(identityShape).filter((identity) => hasAll(identity.labels ?? [], labels)),
    async identity(id) {
      const identity = node.directory.get(id);
      return identity === undefined ? undefined : identityShape(identity);
    },
    identityEndpoints: async () => identityEndpointsOf(node),
    policy: async ({ labels }) => (labels.length > 0 ? undefined : policyInForce(node)),
    policySelectors: async () => selectorMappings(node.engine.chosenPeers(), node.updates.rules()),
    explainPolicy: async (request) => explainPolicy(explainOptions(parts), request),
    addresses: async ({ cidr, labels }) => addressesOf(node, cidr, labels),
    ...nameOperations({
      dns: parts.dns,
      patterns: () => node.updates.names.patterns,
      endpointIdOf: (id) => rowsOf(node, id)[0]?.id,
      nowMs: Date.now,
    }),
    nodeIds: async () => [], // The datapath knows nodes by their addresses.
    debugInformation: async () => ({
      "cilium-version": `cilium-ts ${agentVersion}`,
      "kernel-version": release(),
      "cilium-status": statusOf(parts),
      "endpoint-list": rowsOfAll(node).map(shape),
      policy: policyInForce(node),
    }),
    maps: async () => mapList(parts.options.bpfRoot, datapath),
    map: async (name) => mapShape(parts.options.bpfRoot, datapath, name),
    cni: (request) => cni.handle(request),
  };
}

function confirmHostPolicies({ guard }: Node): Awaited<ReturnType<AgentOperations["confirmHostPolicies"]>> {
  if (guard === undefined) {
    return refused(501, "policies of nodes are not tried here: host-firewall-revert-after is 0, or there is no host firewall");
  }
  return guard.confirm() ? done : refused(404, "no policy of this node is on trial: it was confirmed, or taken back");
}

function hostFirewallOf({ options, nativeDevices, node: { guard } }: OperationsOptions): HostFirewallStatus {
  if (!options.hostFirewall) return { mode: "Disabled" };
  const enabled = { mode: "Enabled", devices: nativeDevices() } as const;
  const { trial = { kind: "settled" } } = guard ?? {};
  switch (trial.kind) {
    case "settled":
    case "watched":
      return enabled;
    case "tried":
      return { ...enabled, trial: { state: "tried", until: new Date(trial.untilMs).toISOString(), lost: trial.lost } };
    case "reverted":
      return { ...enabled, trial: { state: "reverted", at: new Date(trial.atMs).toISOString(), reason: trial.reason } };
  }
}

function policyInForce({ updates }: Node): Policy {
  return { revision: updates.revision, policy: JSON.stringify(updates.rules(), undefined, 2) };
}

function endpointConfigurationOf(parts: OperationsOptions, row: EndpointRow): EndpointConfigurationStatus {
  const audited = explainOptions(parts).sources.isAudited(row);
  return { realized: { options: { PolicyAuditMode: audited ? "Enabled" : "Disabled" } }, immutable: {} };
}

/** Brief is what probes need. Whoever cannot do without the API server says so, and a node without it is then not well. */
function healthOf(
  parts: OperationsOptions,
  { brief, requireKubernetes }: { readonly brief: boolean; readonly requireKubernetes: boolean },
): StatusResponse {
  const status = statusOf(parts);
  const { cilium, kubernetes, kvstore } = status;
  const isCut = requireKubernetes && cilium?.state === "Ok" && kubernetes?.state === "Failure";
  const told = isCut ? { cilium: { state: "Failure", msg: `the API server is away: ${kubernetes.msg}` } as const } : {};
  return brief
    ? { ...(cilium && { cilium }), ...(kubernetes && { kubernetes }), ...(kvstore && { kvstore }), ...told }
    : { ...status, ...told };
}

function addressOperations({
  node,
  pool,
  routers,
}: OperationsOptions): Pick<AgentOperations, "allocateAddresses" | "claimAddress" | "releaseAddress"> {
  const poolOf = (address: string): NodePool["pools"]["ipv4"] => (address.includes(":") ? pool.pools.ipv6 : pool.pools.ipv4);
  const status = (reason: Extract<AllocationResult, { ok: false }>["reason"]): 400 | 409 => (reason === "in-use" ? 409 : 400);
  return {
    async allocateAddresses({ family, owner, pool: name, expiration }) {
      const { ipv4, ipv6 } = pool.poolsNamed(name);
      const pools = { ...(family !== "ipv6" && { ipv4 }), ...(family !== "ipv4" && { ipv6 }) };
      const result = allocatePair(pools, owner, expiration ? { delayMs: addressExpirationMs } : undefined);
      if (!result.ok) return refused(502, result.problem);
      const { pair } = result;
      return created({
        address: { ...(pair.ipv4 && { ipv4: pair.ipv4.address }), ...(pair.ipv6 && { ipv6: pair.ipv6.address }) },
        ...(pair.ipv4 && { ipv4: { ip: pair.ipv4.address, gateway: routers.ipv4, "expiration-uuid": pair.ipv4.expirationId ?? "" } }),
        ...(pair.ipv6 && { ipv6: { ip: pair.ipv6.address, gateway: routers.ipv6, "expiration-uuid": pair.ipv6.expirationId ?? "" } }),
        "host-addressing": addressing({ pool, routers }),
      });
    },
    async claimAddress({ address, owner }) {
      const result = poolOf(address).allocate(address, owner);
      return result.ok ? done : refused(status(result.reason), result.problem);
    },
    async releaseAddress({ address }) {
      const endpoint = node.endpoints.index.byAddress(address);
      if (endpoint !== undefined) return refused(400, `${address} belongs to endpoint ${endpoint.id}: delete the endpoint`);
      return poolOf(address).release(address) ? done : refused(404, `${address} is not in use`);
    },
  };
}

/** The node itself is one where it has a firewall. */
function rowsOfAll({ endpoints, hostFirewall }: Node): EndpointRow[] {
  return [...endpoints.index.rows(), ...(hostFirewall === undefined ? [] : [hostFirewall.row])];
}

function rowsWith(node: Node, labels: readonly string[]): EndpointRow[] {
  return rowsOfAll(node).filter((row) => hasAll(row.labels, labels));
}

function policyOf({ endpoints, hostFirewall }: Node, { id }: EndpointRow): ResolvedPolicy | undefined {
  return id === hostEndpointId ? hostFirewall?.policy : endpoints.policyOf(id);
}

function rowsOf({ endpoints, hostFirewall }: Node, id: EndpointId): readonly EndpointRow[] {
  const { index } = endpoints;
  const one = (row: EndpointRow | undefined): readonly EndpointRow[] => (row === undefined ? [] : [row]);
  switch (id.kind) {
    case "id":
      return one(id.id === hostEndpointId ? hostFirewall?.row : index.byId(id.id));
    case "pod":
      return index.byPod(id.namespace, id.name);
    case "container-id":
      return index.byContainerId(id.containerId);
    case "container-name":
      return [];
    case "cni-attachment-id":
      return id.ifname === "" ? index.byContainerId(id.containerId) : one(index.byAttachmentId(`${id.containerId}:${id.ifname}`));
    case "address":
      return one(index.byAddress(id.address));
  }
}

function nodesOf({ node, options, pool }: OperationsOptions): Awaited<ReturnType<AgentOperations["clusterNodes"]>> {
  const { clusterName, nodeName } = options;
  const podRanges = { ipv4: formatPrefix(pool.pools.ipv4.prefix), ipv6: formatPrefix(pool.pools.ipv6.prefix) };
  return clusterNodesShape({
    clusterName,
    nodeName,
    podRanges,
    addresses: node.hostAddresses.underlay(),
    others: node.remoteNodes.nodes(),
  });
}

function explainOptions({ node, options, datapath }: OperationsOptions): ExplainOptions {
  const { engine, directory, ipcache, remoteEndpoints, updates } = node;
  return {
    engine,
    world: { allowLocalhost: options.allowLocalhost !== "policy", clusterName: options.clusterName, hostFirewall: options.hostFirewall },
    rules: () => updates.rules(),
    cidrGroups: () => updates.cidrGroups(),
    services: () => updates.services(),
    sources: {
      endpoints: () => rowsOfAll(node),
      endpointsOf: (id) => rowsOf(node, id),
      identityOfRemotePod: (namespace, name) => remoteEndpoints.identityOf(namespace, name),
      identities: () => directory.all(),
      labelsOf: (identity) => directory.get(identity)?.labels,
      identityOf: (address) => ipcache.identityOf(parseAddress(address) ?? new Uint8Array(4)),
      namedPortsOf: (row) => subjectOf(row).namedPorts ?? [],
      isAudited: ({ id }) =>
        id === hostEndpointId
          ? datapath.host.read()?.audit === true
          : ((datapath.endpoints.read(id)?.flags ?? 0) & endpointFlags.audit) !== 0,
    },
  };
}

function hasAll(labels: readonly string[], wanted: readonly string[]): boolean {
  return wanted.every((label) => labels.includes(label));
}

function identityShape({ id, labels }: Identity): IdentityShape {
  const texts = labels.format();
  return {
    id,
    labels: texts,
    labelsSHA256: createHash("sha256")
      .update(texts.map((text) => `${text};`).join(""))
      .digest("hex"),
  };
}

function identityEndpointsOf(node: Node): Array<{ identity: IdentityShape; refCount: number }> {
  const counts = new Map<number, number>();
  for (const { identity } of rowsOfAll(node)) counts.set(identity, (counts.get(identity) ?? 0) + 1);
  return [...counts].map(([id, refCount]) => {
    const identity = node.directory.get(id);
    return { identity: identity === undefined ? { id } : identityShape(identity), refCount };
  });
}

function addressesOf(node: Node, cidr: string | undefined, labels: readonly string[]): Awaited<ReturnType<AgentOperations["addresses"]>> {
  const outer = cidr === undefined ? undefined : parsePrefix(cidr);
  const entries = [];
  for (const row of node.ipcache.rows()) {
    if (outer !== undefined && !prefixContains(outer, row.prefix)) continue;
    if (labels.length > 0 && !hasAll(node.directory.get(row.identity)?.labels.format() ?? [], labels)) continue;
    const owner = row.source === "local" ? node.endpoints.index.byAddress(row.key.split("/")[0] ?? "") : undefined;
    const remote = row.source === "local" ? undefined : node.remoteEndpoints.ownerOf(row.key);
    const pod =
      owner === undefined
        ? { ...(remote !== undefined && { namespace: remote.namespace, name: remote.name }) }
        : { namespace: owner.podNamespace, name: owner.podName };
    const hostIP = remote?.nodeAddress ?? "";
    entries.push({ cidr: row.key, identity: row.identity, ...(hostIP !== "" && { hostIP }), metadata: { source: row.source, ...pod } });
  }
  return entries.length === 0 ? undefined : entries;
}

function addressing({ pool, routers }: Pick<OperationsOptions, "pool" | "routers">): NodeAddressing {
  return {
    ipv4: { enabled: true, ip: routers.ipv4, "alloc-range": formatPrefix(pool.pools.ipv4.prefix) },
    ipv6: { enabled: true, ip: routers.ipv6, "alloc-range": formatPrefix(pool.pools.ipv6.prefix) },
  };
}

function certificateText(expiresMs: number | undefined): string {
  return expiresMs === undefined ? "" : `certificate valid until ${new Date(expiresMs).toISOString()}`;
}

function statusOf(parts: OperationsOptions): StatusResponse {
  const { node, hubble, options, pool, datapath, readiness, controllers } = parts;
  const missing = readiness.missing();
  const failure = node.cluster.failure();
  const { ring } = node;
  const ipv4 = pool.pools.ipv4.snapshot();
  const ipv6 = pool.pools.ipv6.snapshot();
  return {
    cilium: missing === undefined ? { state: "Ok", msg: `cilium-ts ${agentVersion}` } : { state: "Warning", msg: missing },
    kubernetes: failure === undefined ? { state: "Ok", msg: "" } : { state: "Failure", msg: failure },
    kvstore: { state: "Disabled", msg: "" },
    hubble: {
      state: "Ok",
      msg: certificateText(hubble.certificateExpiresMs),
      observer: { "max-flows": ring.capacity, "current-flows": ring.size, "seen-flows": ring.seen },
    },
    "host-firewall": hostFirewallOf(parts),
    "datapath-mode": "veth",
    "attach-mode": "tcx",
    ipam: {
      allocations: Object.fromEntries([...ipv4, ...ipv6].map(({ address, owner }) => [address, owner])),
      ipv4: ipv4.map(({ address }) => address),
      ipv6: ipv6.map(({ address }) => address),
      status: `IPv4: ${ipv4.length}/${pool.pools.ipv4.capacity} allocated, IPv6: ${ipv6.length}/${pool.pools.ipv6.capacity} allocated${pool.problem() === undefined ? "" : `; ${pool.problem()}`}`,
    },
    cluster: { self: `${options.clusterName}/${options.nodeName}`, ciliumHealth: proberState(parts) },
    "identity-range": { "min-identity": clusterIdentityMin, "max-identity": clusterIdentityMax },
    "bpf-maps": { maps: Object.entries(datapath.maps).map(([name, map]) => ({ name, size: map.maxEntries })) },
    proxy: proxyStatusOf(node, parts.routers.ipv4),
    controllers: controllers.all().map(controllerShape),
  };
}

/** The prober is well when nodes are silent: what it says of them is what it is for. */
function proberState({ nodeHealth }: OperationsOptions): Status {
  const health = nodeHealth();
  return health === undefined ? { state: "Disabled", msg: "" } : { state: "Ok", msg: health.problem() ?? "" };
}

function controllerShape(state: ControllerState): ControllerStatus {
  const { name, successes, failures, consecutiveFailures, lastSuccessMs, lastFailureMs, lastFailure } = state;
  const time = (timeMs: number | undefined): string | undefined => (timeMs === undefined ? undefined : new Date(timeMs).toISOString());
  const [succeeded, failed] = [time(lastSuccessMs), time(lastFailureMs)];
  return {
    name,
    status: {
      "success-count": successes,
      "failure-count": failures,
      "consecutive-failure-count": consecutiveFailures,
      ...(succeeded !== undefined && { "last-success-timestamp": succeeded }),
      ...(failed !== undefined && { "last-failure-timestamp": failed }),
      ...(consecutiveFailures > 0 && { "last-failure-msg": lastFailure }),
    },
  };
}

function configurationOf(parts: OperationsOptions): Awaited<ReturnType<AgentOperations["configuration"]>> {
  const { node, options } = parts;
  const realized = { options: {}, "policy-enforcement": node.updates.mode };
  return {
    spec: realized,
    status: {
      realized,
      addressing: addressing(parts),
      deviceMTU: parts.mtu.device,
      routeMTU: parts.mtu.route,
      datapathMode: "veth",
      "ipam-mode": options.ipam,
      masquerade: options.masquerade,
      masqueradeProtocols: { ipv4: options.masquerade, ipv6: options.masquerade },
    },
  };
}
