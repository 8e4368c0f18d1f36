import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { flowpb } from "@cilium-ts/observer";
import { createRandom, type Random } from "@cilium-ts/testing";

export interface MadeClusterOptions {
  readonly seed: number;
  readonly services: number;
  readonly links: number;
  /** Services are spread over so many. */
  readonly namespaces: number;
}

type EndpointInit = Exclude<MessageInitShape<typeof flowpb.EndpointSchema>, flowpb.Endpoint>;

interface MadeService {
  readonly name: string;
  readonly namespace: string;
  readonly identity: number;
  readonly port: number;
  readonly index: number;
  readonly names: readonly string[];
  readonly labels: string[];
}

interface MadeLink {
  readonly from: MadeService;
  readonly to: MadeService;
  /** Of a hundred flows so many are dropped. */
  readonly dropPercent: number;
  readonly speaksHttp: boolean;
}

const { Verdict, DropReason, FlowType, L7FlowType, TrafficDirection } = flowpb;
const teams = ["shop", "pay", "search", "mail", "media", "stock", "ship", "users", "ads", "data", "ops", "edge"];
const parts = ["web", "api", "cart", "worker", "cache", "queue", "db", "auth", "batch", "gateway", "index", "report", "sync", "store"];
const ports = [80, 443, 8_080, 9_090, 5_432, 6_379, 9_092, 3_306];
const podsPerService = 3;

/** A cluster that does not exist: its services, who calls whom, and flows as a relay would give them. The same for the same seed. */
export class MadeCluster {
  readonly services: readonly MadeService[];
  readonly links: readonly MadeLink[];
  readonly #random: Random;
  #made = 0;

  constructor({ seed, services, links, namespaces }: MadeClusterOptions) {
    const random = createRandom(seed);
    this.#random = random;
    this.services = Array.from({ length: services }, (_, index) => madeService(index, namespaces));
    const seen = new Set<string>();
    const made: MadeLink[] = [];
    // Everybody is called or calls; the rest mostly within a namespace, as services do.
    for (let attempt = 0; made.length < links && attempt < links * 50; attempt += 1) {
      const from = this.services[attempt < services ? attempt : random.below(services)];
      const near = from === undefined || random.chance(0.7) ? (from?.index ?? 0) % namespaces : random.below(namespaces);
      const to = this.services[near + namespaces * random.below(Math.ceil(services / namespaces))];
      // Calls go from the front to the back, with few exceptions.
      if (from === undefined || to === undefined || from === to || (from.index > to.index && !random.chance(0.05))) continue;
      const key = `${from.index} ${to.index}`;
      if (seen.has(key)) continue;
      seen.add(key);
      const dropPercent = random.chance(0.03) ? 100 : random.chance(0.03) ? 20 : 0;
      made.push({ from, to, dropPercent, speaksHttp: random.chance(0.15) });
    }
    this.links = made;
  }

  /** The next flow, at a time in milliseconds. The first `links.length` flows are one of each link. */
  flow(timeMs: number): flowpb.Flow {
    const random = this.#random;
    const link = this.links[this.#made < this.links.length ? this.#made : skewed(random, this.links.length)];
    if (link === undefined) throw new RangeError("a cluster without links has no flows");
    this.#made += 1;
    const uuid = `made-${this.#made.toString(36)}`;
    return create(flowpb.FlowSchema, flowOf(link, random, timeMs, uuid));
  }
}

function madeService(index: number, namespaces: number): MadeService {
  const namespaceIndex = index % namespaces;
  const round = Math.floor(index / namespaces);
  const team = teams[namespaceIndex % teams.length] ?? "team";
  const namespace = namespaceIndex < teams.length ? team : `${team}-${Math.floor(namespaceIndex / teams.length) + 1}`;
  const part = parts[round % parts.length] ?? "app";
  const name = round < parts.length ? part : `${part}-${Math.floor(round / parts.length) + 1}`;
  const isOutside = index > 0 && index % 97 === 0;
  const labels = isOutside
    ? ["reserved:world"]
    : [`k8s:app=${name}`, `k8s:io.kubernetes.pod.namespace=${namespace}`, "k8s:io.cilium.k8s.policy.cluster=default"];
  return {
    name,
    namespace: isOutside ? "" : namespace,
    identity: isOutside ? 2 : 10_000 + index,
    port: ports[index % ports.length] ?? 80,
    index,
    names: isOutside ? [`${name}.${namespace}.example.com`] : [],
    labels,
  };
}

/** Few links carry most of what flows. */
function skewed(random: Random, count: number): number {
  const part = random.below(1_000) / 1_000;
  return Math.min(count - 1, Math.floor(part * part * count));
}

function flowOf(
  { from, to, dropPercent, speaksHttp }: MadeLink,
  random: Random,
  timeMs: number,
  uuid: string,
): MessageInitShape<typeof flowpb.FlowSchema> {
  const isDrop = random.below(100) < dropPercent;
  const isHttp = speaksHttp && !isDrop && random.chance(0.5);
  const isReply = !isDrop && !isHttp && random.chance(0.4);
  const [source, destination] = isReply ? [to, from] : [from, to];
  const clientPort = 32_768 + random.below(28_000);
  const [sourcePort, destinationPort] = isReply ? [to.port, clientPort] : [clientPort, to.port];
  const value = { sourcePort, destinationPort, flags: isReply ? { SYN: true, ACK: true } : { SYN: true } };
  const policy = { kind: "CiliumNetworkPolicy", namespace: to.namespace, name: `${to.name}-ingress` };
  return {
    uuid,
    time: timestampFromMs(Math.floor(timeMs)),
    verdict: isDrop ? Verdict.DROPPED : Verdict.FORWARDED,
    dropReasonDesc: isDrop ? DropReason.POLICY_DENIED : DropReason.DROP_REASON_UNKNOWN,
    Type: isHttp ? FlowType.L7 : FlowType.L3_L4,
    IP: { source: addressOf(source, random), destination: addressOf(destination, random) },
    l4: { protocol: { case: "TCP", value } },
    source: endpointOf(source, random),
    destination: endpointOf(destination, random),
    sourceNames: [...source.names],
    destinationNames: [...destination.names],
    isReply,
    trafficDirection: isDrop ? TrafficDirection.INGRESS : TrafficDirection.EGRESS,
    nodeName: `node${1 + (source.index % 10)}`,
    Summary: isHttp ? "HTTP/1.1 GET" : isDrop ? "TCP Flags: SYN" : "TCP Flags: ACK",
    ...(isDrop ? { ingressDeniedBy: [policy] } : { ingressAllowedBy: [policy] }),
    ...(isHttp
      ? {
          l7: {
            type: L7FlowType.REQUEST,
            record: { case: "http", value: { method: "GET", url: `/v1/${parts[random.below(parts.length)]}`, protocol: "HTTP/1.1" } },
          },
        }
      : {}),
  };
}

function addressOf({ index, names }: MadeService, random: Random): string {
  if (names.length > 0) return `198.51.100.${1 + (index % 250)}`;
  return `10.${index >> 8}.${index & 255}.${1 + random.below(podsPerService)}`;
}

function endpointOf({ identity, namespace, name, labels, names }: MadeService, random: Random): EndpointInit {
  if (names.length > 0) return { identity, labels };
  return {
    identity,
    namespace,
    labels,
    podName: `${name}-${random.below(podsPerService)}`,
    clusterName: "default",
    workloads: [{ kind: "Deployment", name }],
  };
}
