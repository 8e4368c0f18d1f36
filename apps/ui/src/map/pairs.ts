import type { Service } from "@cilium-ts/service-map/view";
import type { Address } from "../state/address.ts";
import type { ShownLink } from "../state/view-store.ts";
import type { LayoutInput, LayoutService } from "./layout.ts";

/** All links between two services: one line on the map. */
export interface Pair {
  readonly source: string;
  readonly destination: string;
  readonly links: readonly ShownLink[];
}

/** How a line looks: what all of its flows came to. */
export type PairState = "forwarded" | "mixed" | "dropped" | "audit" | "error";

export interface VisibleMap {
  readonly services: readonly Service[];
  readonly pairs: readonly Pair[];
  /** Services that the address hides. */
  readonly hiddenCount: number;
}

export type VisibleChoice = Pick<Address, "focus" | "hidden" | "policyStates">;

/** What the map shows of all that is known. */
export function visibleMap(
  services: ReadonlyMap<string, Service>,
  links: Iterable<ShownLink>,
  { focus, hidden, policyStates }: VisibleChoice,
): VisibleMap {
  const isHidden = new Set(hidden);
  const isWanted = wantedByPolicy(services, policyStates);
  const all = new Map<string, { source: string; destination: string; links: ShownLink[] }>();
  for (const link of links) {
    const { source, destination } = link;
    if (isHidden.has(source) || isHidden.has(destination)) continue;
    if (focus !== undefined && source !== focus && destination !== focus) continue;
    if (!isWanted(source) && !isWanted(destination)) continue;
    const key = `${source} ${destination}`;
    const known = all.get(key);
    if (known === undefined) all.set(key, { source, destination, links: [link] });
    else known.links.push(link);
  }
  const pairs = [...all.values()];
  const isAll = focus === undefined && policyStates.length === 0;
  const linked = new Set(pairs.flatMap(({ source, destination }) => [source, destination]));
  const isChosen = (id: string): boolean => isAll || linked.has(id) || (focus === undefined ? isWanted(id) : id === focus);
  const visible = [...services.values()].filter(({ id }) => !isHidden.has(id) && isChosen(id));
  return { services: visible, pairs, hiddenCount: [...isHidden].filter((id) => services.has(id)).length };
}

function wantedByPolicy(services: ReadonlyMap<string, Service>, states: VisibleChoice["policyStates"]): (id: string) => boolean {
  if (states.length === 0) return () => true;
  return (id) => {
    const policy = services.get(id)?.policy;
    return policy != null && (states.includes(policy.ingress) || states.includes(policy.egress));
  };
}

export function pairState({ links }: Pair): PairState {
  let [forwarded, dropped, audit, error] = [0, 0, 0, 0];
  for (const { counts } of links) {
    forwarded += counts[0];
    dropped += counts[1];
    audit += counts[2];
    error += counts[3];
  }
  if (dropped > 0) return forwarded + audit > 0 ? "mixed" : "dropped";
  if (error > 0) return "error";
  return audit > 0 ? "audit" : "forwarded";
}

/** Flows a second, of all verdicts. */
export function pairRate({ links }: Pair): number {
  let sum = 0;
  for (const { rates } of links) sum += rates[0] + rates[1] + rates[2] + rates[3];
  return sum;
}

/** Less than that is nothing. */
export const quietRate = 0.05;

/** `12/s`, `0.3/s`. */
export function rateText(rate: number): string {
  if (rate < quietRate) return "quiet";
  return `${rate < 10 ? rate.toFixed(1) : Math.round(rate).toLocaleString()}/s`;
}

export function pairCounts({ links }: Pair): readonly [forwarded: number, dropped: number, audit: number, error: number] {
  const sum: [number, number, number, number] = [0, 0, 0, 0];
  for (const { counts } of links) for (const [index, count] of counts.entries()) sum[index as 0] += count;
  return sum;
}

/** Names of the islands that are no namespaces begin with a blank, which no namespace does. */
export const outsideIslands = { left: " callers outside", right: " outside of the cluster", nodes: " nodes" } as const;

export function layoutInputOf({ services, pairs }: Pick<VisibleMap, "services" | "pairs">): LayoutInput {
  const called = new Set(pairs.map(({ destination }) => destination));
  return {
    services: services.map((service) => islandOf(service, called)),
    pairs: pairs.map(({ source, destination }) => [source, destination]),
  };
}

function islandOf({ id, kind, namespace }: Service, called: ReadonlySet<string>): LayoutService {
  if (kind === "workload" || namespace !== "") return { id, island: namespace === "" ? " no namespace" : namespace, side: "inside" };
  if (kind === "world" || kind === "unknown")
    return called.has(id) ? { id, island: outsideIslands.right, side: "right" } : { id, island: outsideIslands.left, side: "left" };
  return { id, island: outsideIslands.nodes, side: "left" };
}

/** `8080 TCP`, and `ICMPv4` for what has no ports. */
export function portText({ port, protocol }: Pick<ShownLink, "port" | "protocol">): string {
  return port === 0 ? protocol : `${port} ${protocol}`;
}
