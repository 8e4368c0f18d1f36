import { type Labels, namespaceLabelKey } from "@cilium-ts/labels";
import {
  canonicalName,
  type Direction,
  type Entity,
  entities,
  type Peer,
  type PortGroup,
  type Rule,
  type RuleSection,
} from "@cilium-ts/policy";
import { KnownLabels } from "../flows/known-labels.ts";
import type { Observation, ObservedEnd, ObservedFlow } from "../flows/observed-flow.ts";
import { isOutside } from "../flows/packet-end.ts";
import { ObservedPorts } from "./observed-ports.ts";
import { workloadKey, workloadName, workloadSelector } from "./workload-selector.ts";

export interface SuggestOptions {
  /** Whose pods the policies are about. */
  readonly namespace: string;
  /** Addresses outside the cluster that one workload may be allowed by themselves; with more it is allowed all of the world. */
  readonly worldAddressesMax: number;
  /**
   * Addresses that flows tell a DNS name of are allowed by it, and DNS servers are asked through a proxy that learns the names. Where no
   * node has such a proxy, nothing is allowed by that.
   */
  readonly byNames?: boolean;
  /** Pods that are there, whether they were seen or not: a rule must not choose them by mistake. */
  readonly knownPods?: Iterable<Labels>;
}

export interface Suggestion {
  /** A rule for each workload of the namespace that was seen, in one order: the same flows give the same rules. */
  readonly rules: readonly Rule[];
  /** Flows that the rules are made of. */
  readonly flows: number;
  /** Why the others say nothing of what is needed. */
  readonly notUsed: ReadonlyArray<{ readonly reason: string; readonly count: number }>;
  /** Where a rule allows more than was seen. */
  readonly notes: readonly string[];
}

/** Distinct pairs of ends and ports that are kept; what is seen beyond is told as not used. */
export const needsMax = 200_000;

type Directed<T> = Record<Direction, T>;

/** What a workload was seen to need of one peer. */
interface Need {
  readonly peer: PeerKind;
  readonly ports: ObservedPorts;
}

type PeerKind =
  | { readonly kind: "pods"; readonly labels: Labels }
  | { readonly kind: "entity"; readonly entity: Entity }
  | { readonly kind: "address"; readonly address: string }
  | { readonly kind: "name"; readonly name: string };

interface Workload {
  readonly labels: Labels;
  name: string;
  readonly needs: Directed<Map<string, Need>>;
}

/** Gathers what the pods of a namespace do, and writes the policies that allow this and nothing else. */
export class PolicySuggestions {
  readonly #options: SuggestOptions;
  readonly #workloads = new Map<string, Workload>();
  /** Of every workload that is known, whatever its namespace. */
  readonly #pods = new Map<string, Labels>();
  readonly #labels = new KnownLabels();
  readonly #notUsed = new Map<string, number>();
  #flows = 0;
  #needs = 0;

  constructor(options: SuggestOptions) {
    this.#options = options;
    for (const labels of options.knownPods ?? []) this.#pods.set(workloadKey(labels), labels);
  }

  add(observation: Observation): void {
    const reason = observation.kind === "unusable" ? observation.reason : this.#take(observation.flow);
    if (reason === undefined) this.#flows += 1;
    else this.#notUsed.set(reason, (this.#notUsed.get(reason) ?? 0) + 1);
  }

  suggestion(): Suggestion {
    const notes: string[] = [];
    const names = new Set<string>();
    const workloads = [...this.#workloads].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, workload]) => workload);
    const rules = workloads.map((workload) => this.#ruleOf(workload, uniqueName(workload.name, names), notes));
    const notUsed = [...this.#notUsed].map(([reason, count]) => ({ reason, count })).sort((a, b) => b.count - a.count);
    return { rules, flows: this.#flows, notUsed, notes };
  }

  /** Why the flow is of no use; undefined when it is. */
  #take(flow: ObservedFlow): string | undefined {
    if (flow.verdict === "dropped") return "dropped by policy: what was not allowed is not taken for needed";
    const [from, to] = [peerOf(flow.from, this.#labels), peerOf(flow.to, this.#labels)];
    if (from === undefined) return "it is not known who the sender was";
    if (to === undefined) return "it is not known who the receiver was";
    for (const peer of [from, to]) if (peer.kind === "pods") this.#pods.set(workloadKey(peer.labels), peer.labels);
    const sender = this.#workloadOf(from, flow.from);
    const receiver = this.#workloadOf(to, flow.to);
    if (sender === undefined && receiver === undefined) return `not of the namespace ${this.#options.namespace}`;
    if (this.#needs >= needsMax) return `more than ${needsMax} different needs: look at a shorter time`;
    const added = [
      sender && this.#need(sender.needs.egress, this.#byName(to, flow.to), flow),
      receiver && this.#need(receiver.needs.ingress, from, flow),
    ];
    return added.includes(false) ? "its protocol or port is none that policies can name" : undefined;
  }

  /** Of several names always the same. */
  #byName(peer: PeerKind, { names }: ObservedEnd): PeerKind {
    const [name] = names.map(canonicalName).sort();
    return this.#options.byNames !== true || peer.kind !== "address" || name === undefined ? peer : { kind: "name", name };
  }

  #workloadOf(peer: PeerKind, end: ObservedEnd): Workload | undefined {
    if (peer.kind !== "pods" || peer.labels.get("k8s", namespaceLabelKey) !== this.#options.namespace) return undefined;
    const key = workloadKey(peer.labels);
    const name = workloadName(peer.labels, end.workload);
    const known = this.#workloads.get(key);
    if (known === undefined) {
      const workload = { labels: peer.labels, name, needs: { ingress: new Map(), egress: new Map() } };
      this.#workloads.set(key, workload);
      return workload;
    }
    // Whatever came first: of two names always the same.
    if (name < known.name) known.name = name;
    return known;
  }

  #need(needs: Map<string, Need>, peer: PeerKind, { protocol, port }: ObservedFlow): boolean {
    const key = keyOf(peer);
    let need = needs.get(key);
    if (need === undefined) {
      need = { peer, ports: new ObservedPorts() };
      needs.set(key, need);
      this.#needs += 1;
    }
    return need.ports.add(protocol, port);
  }

  #ruleOf(workload: Workload, name: string, notes: string[]): Rule {
    const sections = (direction: Direction): RuleSection[] => this.#sectionsOf(workload, direction, name, notes);
    return {
      policy: { kind: "CiliumNetworkPolicy", namespace: this.#options.namespace, name, uid: "", labels: [] },
      endpointSelector: workloadSelector(workload.labels, this.#pods.values()),
      ingress: sections("ingress"),
      ingressDeny: [],
      egress: sections("egress"),
      egressDeny: [],
      // Of a direction in which nothing was seen nothing is needed.
      enableDefaultDeny: { ingress: true, egress: true },
    };
  }

  /** Peers with equal ports share a section, as long as they are of one kind: a section may not mix them. */
  #sectionsOf(workload: Workload, direction: Direction, name: string, notes: string[]): RuleSection[] {
    const groups = new Map<string, { readonly peers: Peer[]; readonly ports: ObservedPorts; readonly isDns: boolean }>();
    const needs = this.#narrowed(workload.needs[direction], `${direction} of ${name}`, notes);
    const usesNames = needs.some(({ peer }) => peer.kind === "name");
    for (const { peer, ports } of needs.flatMap((need) => (usesNames ? splitNeed(need) : [need]))) {
      const written = this.#written(peer);
      const isDns = usesNames && peer.kind !== "name" && ports.split().rest.isEmpty;
      const key = `${written.kind} ${isDns} ${ports.key}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { peers: [written], ports, isDns });
      else group.peers.push(written);
    }
    if (usesNames && ![...groups.values()].some(({ isDns }) => isDns))
      notes.push(`${direction} of ${name}: no DNS server was seen, so no proxy learns the names that are allowed`);
    const path = `${direction}[]`;
    return [...groups.values()]
      .flatMap(({ peers, ports, isDns }) =>
        splitPorts({ path, peers, ports: ports.groups(path).map((group) => (isDns ? learning(group) : group)) }),
      )
      .map((section, index) => renumbered(section, `${direction}[${index}]`));
  }

  /** In one order. With too many addresses the world as a whole, which is said. */
  #narrowed(needs: ReadonlyMap<string, Need>, where: string, notes: string[]): Need[] {
    const sorted = [...needs].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, need]) => need);
    const addresses = sorted.filter(({ peer }) => peer.kind === "address");
    const { worldAddressesMax } = this.#options;
    if (addresses.length <= worldAddressesMax) return sorted;
    notes.push(`${where}: ${addresses.length} addresses outside the cluster were seen, and all of the world is allowed on their ports`);
    const world = new ObservedPorts();
    for (const { ports } of addresses) world.addAll(ports);
    return [...sorted.filter(({ peer }) => peer.kind !== "address"), { peer: { kind: "entity", entity: "world" }, ports: world }];
  }

  #written(peer: PeerKind): Peer {
    switch (peer.kind) {
      case "pods":
        return { kind: "endpoints", selector: workloadSelector(peer.labels, this.#pods.values()) };
      case "entity":
        return peer;
      case "name":
        return { kind: "fqdn", pattern: peer.name };
      case "address":
        return { kind: "cidr", cidr: `${peer.address}/${peer.address.includes(":") ? 128 : 32}`, except: [] };
    }
  }
}

/** Of a node that runs the API server too, the API server is meant. */
const entityOrder: readonly Entity[] = ["kube-apiserver", ...entities];

function peerOf(end: ObservedEnd, known: KnownLabels): PeerKind | undefined {
  if (end.labels.length === 0) return undefined;
  if (isOutside(end.labels)) return end.address === "" ? undefined : { kind: "address", address: end.address };
  const entity = entityOrder.find((name) => end.labels.includes(`reserved:${name}`));
  if (entity !== undefined) return { kind: "entity", entity };
  return { kind: "pods", labels: known.parse(end.labels) };
}

function keyOf(peer: PeerKind): string {
  switch (peer.kind) {
    case "pods":
      return workloadKey(peer.labels);
    case "entity":
      return `entity ${peer.entity}`;
    case "address":
      return `address ${peer.address}`;
    case "name":
      return `name ${peer.name}`;
  }
}

/** What may be DNS stands apart, for only that goes through the proxy. */
function splitNeed({ peer, ports }: Need): Need[] {
  const { dns, rest } = ports.split();
  return [dns, rest].filter((part) => !part.isEmpty).map((part) => ({ peer, ports: part }));
}

/** Every name may be asked for, and is learned. */
function learning(group: PortGroup): PortGroup {
  return { ...group, layer7: { parser: "dns", rules: [{ matchPattern: "*" }] } };
}

/** `toPorts` and `icmps` exclude each other in one section. */
function splitPorts(section: RuleSection): RuleSection[] {
  const isIcmp = ({ path }: { readonly path: string }): boolean => path.includes(".icmps");
  const { ports = [] } = section;
  return [ports.filter((group) => !isIcmp(group)), ports.filter(isIcmp)]
    .filter(({ length }) => length > 0)
    .map((groups) => ({ ...section, ports: groups }));
}

function renumbered(section: RuleSection, path: string): RuleSection {
  const ports = (section.ports ?? []).map((group, index) => {
    const list = group.path.includes(".icmps") ? "icmps" : "toPorts";
    return { ...group, path: `${path}.${list}[${index}]` };
  });
  return { ...section, path, ports };
}

function uniqueName(name: string, names: Set<string>): string {
  let unique = name;
  for (let count = 2; names.has(unique); count += 1) unique = `${name}-${count}`;
  names.add(unique);
  return unique;
}
