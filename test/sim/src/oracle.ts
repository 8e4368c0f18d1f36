/**
 * What every kernel must hold once nothing goes wrong any more, computed from the API server's objects and the container runtimes as plainly
 * as possible: no caches, no events, no numbers of identities but those that the objects say.
 */
import type { InspectedEndpoint, IpcacheRow } from "@cilium-ts/datapath";
import {
  ciliumIdentityFrom,
  ciliumNodeFrom,
  type KubernetesObject,
  namespaceFrom,
  type ParsedPolicy,
  parseCiliumCidrGroup,
  parseCiliumClusterwideNetworkPolicy,
  parseCiliumNetworkPolicy,
  parseNetworkPolicy,
  podFrom,
  type Resource,
  resources,
} from "@cilium-ts/kubernetes";
import { Labels, labelsForPod } from "@cilium-ts/labels";
import { formatPrefix } from "@cilium-ts/net";
import type { CidrGroup, Rule } from "@cilium-ts/policy";
import { judge, type OracleEnd, type OracleSettings } from "@cilium-ts/policy/testing";
import type { Random } from "@cilium-ts/testing";
import type { SimulatedCluster } from "./cluster.ts";
import { identityOf, isAllowed } from "./kernel-verdict.ts";
import type { KernelState, SimulatedNode } from "./simulated-node.ts";

/** Local identities, of prefixes that policies name, have a bit above those of the cluster. */
const localIdentityMin = 1 << 24;
const remoteRouteProtocol = 201;

interface ExpectedPod {
  readonly uid: string;
  readonly name: string;
  readonly node: SimulatedNode;
  readonly labels: Labels;
  readonly addresses: readonly string[];
  /** Of its endpoint, as its own node's kernel has it. */
  readonly identity: number;
}

interface Truth {
  readonly pods: readonly ExpectedPod[];
  readonly rules: readonly Rule[];
  readonly settings: OracleSettings;
  /** Labels by number. */
  readonly identities: ReadonlyMap<number, Labels>;
  readonly nodes: ReadonlyArray<ReturnType<typeof ciliumNodeFrom>>;
}

/** Every difference between what the kernels hold and what they should, as sentences. */
export async function differences(cluster: SimulatedCluster, random: Random): Promise<string[]> {
  const kernels = new Map(cluster.nodes.map((node) => [node, node.inspect()]));
  const truth = readTruth(cluster, kernels);
  const found: string[] = [];
  for (const { uid, name } of truth.pods) checkPool(cluster, uid, (text) => found.push(`${name}: ${text}`));
  for (const pod of truth.pods)
    if (pod.addresses.length !== 2) found.push(`${pod.name} on ${pod.node.name} has no addresses: ADD never succeeded`);
  if (found.length > 0) return found;
  for (const [node, kernel] of kernels) {
    const say = (text: string): void => void found.push(`${node.name}: ${text}`);
    checkEndpoints(node, kernel, truth, say);
    checkIpcache(node, kernel, cluster, truth, say);
    checkVerdicts(node, kernel, cluster, truth, random, say);
    await checkRoutes(node, cluster, truth, say);
  }
  return found;
}

/** Addresses of a pod are of its pool. */
function checkPool(cluster: SimulatedCluster, uid: string, say: (text: string) => void): void {
  const pod = cluster.pods.get(uid);
  if (pod === undefined || cluster.shape.ipam !== "multi-pool") return;
  const expected = pod.pool === "blue" ? /^(10\.1\.|fd00:1::)/ : /^(10\.0\.|fd00::)/;
  for (const address of pod.node.sandboxes.get(uid)?.addresses ?? [])
    if (!expected.test(address)) say(`${address} is not of pool ${pod.pool}`);
}

function readTruth({ api, pods: placed, nodes }: SimulatedCluster, kernels: ReadonlyMap<SimulatedNode, KernelState>): Truth {
  const list = (resource: Resource): KubernetesObject[] => api.layer.list(resource).items as unknown as KubernetesObject[];
  const namespaces = new Map(list(resources.namespaces).map((object) => [object.metadata.name ?? "", namespaceFrom(object).labels]));
  const pods = list(resources.pods).flatMap((object): ExpectedPod[] => {
    const { uid, name, namespace, labels: podLabels, serviceAccount } = podFrom(object);
    const node = placed.get(uid)?.node;
    if (node === undefined || !nodes.includes(node)) return [];
    const sources = { namespace, podLabels, namespaceLabels: namespaces.get(namespace) ?? {}, cluster: "default" };
    const labels = labelsForPod({ ...sources, ...(serviceAccount === "" ? {} : { serviceAccount }) });
    const addresses = node.sandboxes.get(uid)?.addresses ?? [];
    const identity = rowOf(kernels.get(node)?.endpoints ?? [], addresses)?.identity ?? 0;
    return [{ uid, name: `${namespace}/${name}`, node, labels, addresses, identity }];
  });
  const rules = [
    ...rulesOf(list(resources.ciliumNetworkPolicies), parseCiliumNetworkPolicy),
    ...rulesOf(list(resources.ciliumClusterwideNetworkPolicies), parseCiliumClusterwideNetworkPolicy),
    ...rulesOf(list(resources.networkPolicies), parseNetworkPolicy),
  ];
  const cidrGroups = list(resources.ciliumCidrGroups)
    .map((object) => parseCiliumCidrGroup(object).group)
    .filter((group): group is CidrGroup => group !== undefined);
  const settings: OracleSettings = { mode: "default", allowLocalhost: true, clusterName: "default", cidrGroups, services: [] };
  const identities = new Map<number, Labels>();
  for (const object of list(resources.ciliumIdentities)) {
    const identity = ciliumIdentityFrom(object);
    if (identity !== undefined) identities.set(identity.id, identity.labels);
  }
  return { pods, rules, settings, identities, nodes: list(resources.ciliumNodes).map(ciliumNodeFrom) };
}

function rulesOf(
  objects: readonly KubernetesObject[],
  parse: (object: KubernetesObject, options: { clusterName: string }) => ParsedPolicy,
): Rule[] {
  return objects.flatMap((object) => {
    const { rules, problems } = parse(object, { clusterName: "default" });
    if (problems.length > 0) throw new Error(`the simulation made a policy that is not valid: ${JSON.stringify(problems)}`);
    return [...rules];
  });
}

/** One row for each pod of the node, with the identity that its labels have in the cluster, and nothing else. */
function checkEndpoints(
  node: SimulatedNode,
  { endpoints: rows, localAddresses: local }: KernelState,
  { pods, identities }: Truth,
  say: (text: string) => void,
): void {
  const own = pods.filter((pod) => pod.node === node);
  for (const pod of own) {
    const row = rowOf(rows, pod.addresses);
    if (row === undefined) {
      say(`${pod.name} has no endpoint row`);
      continue;
    }
    if (row.ipv6 === undefined || !pod.addresses.includes(row.ipv6)) say(`${pod.name} has another IPv6 address in the kernel: ${row.ipv6}`);
    const labels = identities.get(row.identity);
    if (labels?.key !== pod.labels.key)
      say(`${pod.name} has identity ${row.identity} of ${labels?.key ?? "nobody"}, not of ${pod.labels.key}`);
    if (row.policySet === 0) say(`${pod.name} has no policy set`);
  }
  if (rows.length !== own.length) say(`there are ${rows.length} endpoint rows for ${own.length} pods`);
  const wanted = own.flatMap(({ addresses }) => addresses).sort();
  const found = local.filter(({ host }) => !host).map(({ address }) => address);
  if (found.sort().join() !== wanted.join()) say(`local addresses are ${found.join()} and should be ${wanted.join()}`);
  const links = [...node.machine.links].filter(({ attachPoint }) => attachPoint.startsWith("tcx"));
  for (const row of rows) {
    const attached = links.filter(({ ifindex }) => ifindex === row.ifindex).length;
    if (attached !== 2) say(`endpoint ${row.id} has ${attached} programs on its device, not 2`);
  }
}

function rowOf(rows: readonly InspectedEndpoint[], addresses: readonly string[]): InspectedEndpoint | undefined {
  return rows.find(({ ipv4 }) => ipv4 !== undefined && addresses.includes(ipv4));
}

/** Everybody's addresses with everybody's identities; besides them only prefixes that policies have made identities for. */
function checkIpcache(
  node: SimulatedNode,
  { ipcache }: KernelState,
  cluster: SimulatedCluster,
  truth: Truth,
  say: (text: string) => void,
): void {
  const expected = new Map<string, string>([
    ["0.0.0.0/0", "9 -"],
    ["::/0", "10 -"],
  ]);
  const host = (address: string): string => `${address}/${address.includes(":") ? 128 : 32}`;
  const tunnelTo = (other: SimulatedNode): string =>
    other === node || cluster.shape.routingMode === "native" ? "-" : (other.underlay[0] ?? "");
  for (const { name, addresses, podCIDRs } of truth.nodes) {
    const other = cluster.nodes.find((candidate) => candidate.name === name);
    if (other === undefined) continue;
    // Behind a tunnel, whoever nobody has heard of yet is of the world.
    for (const cidr of podCIDRs) if (tunnelTo(other) !== "-") expected.set(cidr, `${cidr.includes(":") ? 10 : 9} ${tunnelTo(other)}`);
    for (const { type, ip } of addresses)
      expected.set(host(ip), other === node ? "1 -" : `6 ${type === "CiliumInternalIP" ? tunnelTo(other) : "-"}`);
  }
  for (const pod of truth.pods) {
    for (const address of pod.addresses) expected.set(host(address), `${pod.identity} ${tunnelTo(pod.node)}`);
  }
  const found = new Map(ipcache.map((row) => [row.prefix, row]));
  for (const [prefix, value] of expected) {
    const row = found.get(prefix);
    if (textOf(row) !== value) say(`the ipcache has ${textOf(row)} for ${prefix}, and should have ${value}`);
  }
  for (const row of found.values())
    if (!expected.has(row.prefix) && row.identity < localIdentityMin)
      say(`the ipcache has ${textOf(row)} for ${row.prefix}, which nobody has`);
}

function textOf(row: IpcacheRow | undefined): string {
  return row === undefined ? "nothing" : `${row.identity} ${row.tunnelEndpoint ?? "-"}`;
}

const outside = [
  "172.16.5.7",
  "172.16.5.8",
  "172.16.9.1",
  "172.31.0.1",
  "203.0.113.5",
  "198.51.100.4",
  "8.8.8.8",
  "2001:db8:ffff::1",
  "2620::1",
];
const packets = [
  { protocol: 6, port: 80 },
  { protocol: 6, port: 443 },
  { protocol: 6, port: 5_000 },
  { protocol: 17, port: 53 },
  { protocol: 17, port: 80 },
  { protocol: 1, port: 8 },
] as const;
const verdictsMax = 400;

/** Packets between the node's pods and everybody, by the naive evaluator and by the entries in the kernel. */
function checkVerdicts(
  node: SimulatedNode,
  { endpoints, policy, ipcache }: KernelState,
  cluster: SimulatedCluster,
  truth: Truth,
  random: Random,
  say: (text: string) => void,
): void {
  const own = truth.pods.filter((pod) => pod.node === node);
  if (own.length === 0) return;
  const peers: { readonly text: string; readonly address: string; readonly end: OracleEnd }[] = [];
  const add = (text: string, address: string, labels: Labels, isOutside = false): void =>
    void peers.push({ text, address, end: { labels, namedPorts: [], ...(isOutside && { address }) } });
  for (const pod of truth.pods) for (const address of pod.addresses) add(pod.name, address, pod.labels);
  for (const other of cluster.nodes)
    for (const address of other.underlay)
      add(other.name, address, Labels.parse([other === node ? "reserved:host" : "reserved:remote-node"]));
  for (const address of outside)
    add(address, address, Labels.parse([address.includes(":") ? "reserved:world-ipv6" : "reserved:world-ipv4"]), true);
  for (let count = 0; count < verdictsMax; count += 1) {
    const [pod, peer, packet] = [random.pick(own), random.pick(peers), random.pick(packets)];
    const direction = random.pick(["ingress", "egress"] as const);
    const row = rowOf(endpoints, pod.addresses);
    if (row === undefined) continue;
    const subject = { labels: pod.labels, namedPorts: [] };
    const { verdict } = judge({ subject, peer: peer.end, direction, ...packet }, truth.rules, truth.settings);
    const identity = identityOf(ipcache, peer.address);
    if (isAllowed(row, policy, { ...packet, direction, identity }) === (verdict === "allowed")) continue;
    const question = `${direction} of ${pod.name} with ${peer.text} (${peer.address}, identity ${identity}), protocol ${packet.protocol}, port ${packet.port}`;
    say(`the kernel ${verdict === "allowed" ? "drops" : "allows"} ${question}, which is ${verdict}`);
  }
}

/** A route for each pod CIDR of each other node. */
async function checkRoutes(node: SimulatedNode, cluster: SimulatedCluster, { nodes }: Truth, say: (text: string) => void): Promise<void> {
  await using netlink = node.networks.open();
  const routes = (await netlink.routes.list({ protocol: remoteRouteProtocol })).map(({ destination }) => formatPrefix(destination));
  const expected = nodes.filter(({ name }) => name !== node.name).flatMap(({ podCIDRs }) => [...podCIDRs]);
  if (routes.sort().join() !== expected.sort().join()) say(`routes lead to ${routes.join()}, and should to ${expected.join()}`);
  if (nodes.length !== cluster.nodes.length) say(`there are ${nodes.length} CiliumNodes of ${cluster.nodes.length} nodes`);
}
