import type { FlowEndpoint } from "../context/context.ts";
import type { EventView } from "../event.ts";
import { EventType } from "../event-layout.ts";
import { Verdict } from "../flow.ts";
import { reservedIdentityNames } from "../names.ts";
import { PacketLayer } from "../packet.ts";

/** One side of traffic: a workload, a pod without one, or whoever has a reserved identity or an address range. */
export interface TrafficParty {
  readonly clusterName: string;
  readonly namespace: string;
  readonly name: string;
  /** Empty for what is no workload. */
  readonly kind: string;
}

/** Flows and bytes of one kind between two parties. The client is who asked; answers count with their questions. */
export interface Traffic {
  readonly client: TrafficParty;
  readonly server: TrafficParty;
  readonly protocol: string;
  /** The server's; 0 where there are no ports. */
  readonly port: number;
  readonly verdict: number;
  readonly dropReason: number;
  readonly flows: number;
  readonly bytes: number;
}

/** Parties by their number, and rows of client, server, protocol, port, verdict, drop reason, flows, bytes. */
export interface TrafficTable {
  readonly parties: readonly TrafficParty[];
  readonly rows: readonly TrafficRow[];
}

type TrafficRow = readonly [
  client: number,
  server: number,
  layer: number,
  port: number,
  verdict: number,
  reason: number,
  flows: number,
  bytes: number,
];

const partiesMax = 4_096;
const rowsMax = 16_384;
const layerNames = ["", "", "", "", "TCP", "UDP", "SCTP", "ICMPv4", "ICMPv6", "VRRP", "IGMP"] as const;
const toOverlay = 4;
const lastArrival = 4;
const toNetwork = 11;
const others: TrafficParty = { clusterName: "", namespace: "", name: "others", kind: "" };

/**
 * Sums up events. A packet is counted once in the cluster: where it is dropped, by the node of the pod that it is for, or by the node
 * where it leaves the pods. What is too different to be listed is counted between "others".
 */
export class TrafficCounter {
  readonly #parties: TrafficParty[] = [others];
  readonly #numbers = new Map<string, number>();
  #ofEndpoint = new WeakMap<FlowEndpoint, number>();
  /** By the two parties, then by everything else. */
  readonly #pairs = new Map<number, Map<number, { flows: number; bytes: number }>>();
  #rowCount = 0;

  add(event: EventView): void {
    if (!counts(event)) return;
    const { packet, verdict, dropReason, packetBytes } = event;
    const [source, destination] = [this.#partyOf(event.source), this.#partyOf(event.destination)];
    const hasPorts = packet.layer >= PacketLayer.tcp && packet.layer <= PacketLayer.sctp;
    const turned = event.isReply === true;
    const port = !hasPorts ? 0 : turned ? packet.sourcePort : packet.destinationPort;
    const [client, server] = turned ? [destination, source] : [source, destination];
    this.#count(client * partiesMax + server, ((port * 16 + packet.layer) * 8 + verdict) * 256 + dropReason, packetBytes);
  }

  get isEmpty(): boolean {
    return this.#pairs.size === 0;
  }

  /** Everything since it was cleared. */
  table(): TrafficTable {
    const rows: TrafficRow[] = [];
    for (const [pair, kinds] of this.#pairs) {
      for (const [kind, { flows, bytes }] of kinds) {
        const [reason, verdict, layer] = [kind % 256, Math.floor(kind / 256) % 8, Math.floor(kind / 2_048) % 16];
        rows.push([Math.floor(pair / partiesMax), pair % partiesMax, layer, Math.floor(kind / 32_768), verdict, reason, flows, bytes]);
      }
    }
    return { parties: [...this.#parties], rows };
  }

  clear(): void {
    this.#parties.length = 1;
    this.#numbers.clear();
    this.#ofEndpoint = new WeakMap();
    this.#pairs.clear();
    this.#rowCount = 0;
  }

  #count(pair: number, kind: number, bytes: number): void {
    const kinds = this.#pairs.get(pair);
    const known = kinds?.get(kind);
    if (known !== undefined) {
      known.flows += 1;
      known.bytes += bytes;
      return;
    }
    if (this.#rowCount >= rowsMax && pair !== 0) {
      this.#count(0, kind % 2_048, bytes);
      return;
    }
    this.#rowCount += 1;
    const row = { flows: 1, bytes };
    if (kinds === undefined) this.#pairs.set(pair, new Map([[kind, row]]));
    else kinds.set(kind, row);
  }

  #partyOf(endpoint: FlowEndpoint | undefined): number {
    if (endpoint === undefined) return 0;
    const known = this.#ofEndpoint.get(endpoint);
    if (known !== undefined) return known;
    const party = trafficParty(endpoint);
    const key = `${party.clusterName}/${party.namespace}/${party.kind}/${party.name}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#parties.length < partiesMax ? this.#parties.push(party) - 1 : 0;
      if (number !== 0) this.#numbers.set(key, number);
    }
    this.#ofEndpoint.set(endpoint, number);
    return number;
  }
}

function counts(event: EventView): boolean {
  if (event.type === EventType.drop) return true;
  if (event.type === EventType.policyVerdict) return event.verdict === Verdict.audit;
  if (event.type !== EventType.trace || (event.subType > lastArrival && event.subType !== toNetwork)) return false;
  if (event.subType === 0) return true;
  const { destination } = event;
  return event.subType !== toOverlay && (destination === undefined || destination.id !== 0 || destination.podName === "");
}

function trafficParty({ clusterName, namespace, podName, workloads, labels, identity }: FlowEndpoint): TrafficParty {
  const [workload] = workloads;
  if (workload !== undefined) return { clusterName, namespace, name: workload.name, kind: workload.kind };
  if (podName !== "") return { clusterName, namespace, name: podName, kind: "Pod" };
  const cidr = labels.find((label) => label.startsWith("cidr:"));
  return { clusterName: "", namespace: "", name: cidr?.slice(5) ?? reservedIdentityNames[identity] ?? `identity ${identity}`, kind: "" };
}

/** Adds tables up. What is beyond the bound is summed up as a whole. */
export class TrafficSum {
  readonly #countMax: number;
  readonly #rows = new Map<string, { -readonly [Name in keyof Traffic]: Traffic[Name] }>();
  others = { flows: 0, bytes: 0 };

  constructor(countMax = 100_000) {
    this.#countMax = countMax;
  }

  /** `wanted` says which rows count. */
  addTable({ parties, rows }: TrafficTable, wanted: (client: TrafficParty, server: TrafficParty) => boolean): void {
    for (const [client, server, layer, port, verdict, dropReason, flows, bytes] of rows) {
      const [one, other] = [parties[client] ?? others, parties[server] ?? others];
      if (!wanted(one, other)) continue;
      this.add({ client: one, server: other, protocol: layerNames[layer] ?? "", port, verdict, dropReason, flows, bytes });
    }
  }

  add(row: Traffic): void {
    const { client, server, protocol, port, verdict, dropReason } = row;
    const key = `${partyKey(client)}|${partyKey(server)}|${protocol}|${port}|${verdict}|${dropReason}`;
    const known = this.#rows.get(key);
    const sum = known ?? (this.#rows.size < this.#countMax ? undefined : this.others);
    if (sum === undefined) this.#rows.set(key, { ...row });
    else {
      sum.flows += row.flows;
      sum.bytes += row.bytes;
    }
  }

  /** The largest first; the rest is added to the others. */
  take(by: "flows" | "drops" | "bytes", countMax: number): Traffic[] {
    const size = (row: Traffic): number => (by === "bytes" ? row.bytes : by === "flows" || row.verdict === Verdict.dropped ? row.flows : 0);
    const rows = [...this.#rows.values()].sort((one, other) => size(other) - size(one) || other.flows - one.flows);
    for (const row of rows.slice(countMax)) {
      this.others.flows += row.flows;
      this.others.bytes += row.bytes;
    }
    return rows.slice(0, countMax);
  }
}

function partyKey({ clusterName, namespace, name, kind }: TrafficParty): string {
  return `${clusterName}/${namespace}/${kind}/${name}`;
}
