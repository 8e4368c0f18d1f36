import type { LinkRequest, Service } from "@cilium-ts/service-map/view";
import { type Box, cardHeight, cardWidth, type Island, type Point } from "./layout.ts";
import { type Pair, type PairState, pairState, portText, type VisibleMap } from "./pairs.ts";

export interface CardShape extends Point {
  readonly service: Service;
  readonly title: string;
  readonly subtitle: string;
  readonly labels: string;
  /** Ports at which it is called. */
  readonly chips: readonly string[];
  /** What is asked of it most often, such as `GET /orders`, and how much else. */
  readonly requests: string;
  readonly hasDrops: boolean;
  readonly isPinned: boolean;
}

/** A curve from the right of the caller to the left of who is called. */
export interface EdgeShape {
  readonly pair: Pair;
  readonly state: PairState;
  readonly from: Point;
  readonly to: Point;
  readonly bendFrom: Point;
  readonly bendTo: Point;
  readonly isAuthenticated: boolean;
  readonly isEncrypted: boolean;
}

export interface Scene {
  readonly islands: readonly Island[];
  readonly cards: readonly CardShape[];
  readonly edges: readonly EdgeShape[];
}

const chipsMax = 3;
const titleLengthMax = 24;
const subtitleLengthMax = 32;
const labelsLengthMax = 38;
const requestLengthMax = 20;

export function buildScene(
  { services, pairs }: VisibleMap,
  cards: ReadonlyMap<string, Point>,
  islands: readonly Island[],
  pinned: readonly string[],
): Scene {
  const called = new Map<string, Set<string>>();
  const requests = new Map<string, LinkRequest[]>();
  const dropped = new Set<string>();
  const edges: EdgeShape[] = [];
  for (const pair of pairs) {
    const { source, destination, links } = pair;
    const ports = called.get(destination) ?? new Set();
    for (const link of links) {
      ports.add(portText(link));
      if (link.requests.length > 0) requests.set(destination, [...(requests.get(destination) ?? []), ...link.requests]);
    }
    called.set(destination, ports);
    const state = pairState(pair);
    if (state === "dropped" || state === "mixed") dropped.add(source).add(destination);
    const [from, to] = [cards.get(source), cards.get(destination)];
    if (from === undefined || to === undefined) continue;
    edges.push({
      pair,
      state,
      ...curve(from, to),
      isAuthenticated: links.some(({ authentication }) => authentication !== ""),
      isEncrypted: links.some(({ isEncrypted }) => isEncrypted),
    });
  }
  const isPinned = new Set(pinned);
  const shapes: CardShape[] = [];
  for (const service of services) {
    const at = cards.get(service.id);
    if (at === undefined) continue;
    shapes.push({
      ...at,
      service,
      title: shorten(service.name, titleLengthMax),
      subtitle: shorten(subtitleOf(service), subtitleLengthMax),
      labels: shorten(labelsText(service.labels), labelsLengthMax),
      chips: chipsOf(called.get(service.id)),
      requests: requestsText(requests.get(service.id) ?? []),
      hasDrops: dropped.has(service.id),
      isPinned: isPinned.has(service.id),
    });
  }
  return { islands, cards: shapes, edges };
}

function curve(from: Point, to: Point): Pick<EdgeShape, "from" | "to" | "bendFrom" | "bendTo"> {
  const start = { x: from.x + cardWidth, y: from.y + cardHeight / 2 };
  const end = { x: to.x, y: to.y + cardHeight / 2 };
  // Backward and upward lines swing out wider, so that they can be told from those that go forward.
  const bend = Math.max(50, Math.min(300, Math.abs(end.x - start.x) / 2));
  return { from: start, to: end, bendFrom: { x: start.x + bend, y: start.y }, bendTo: { x: end.x - bend, y: end.y } };
}

/** What stands under the name. */
export function subtitleOf({ kind, namespace, workloads, cluster, identity }: Service): string {
  if (kind === "workload")
    return [workloads[0] ?? namespace, cluster].filter((text) => text !== "" && text !== "default").join(" · ") || namespace;
  if (kind === "world") return "outside of the cluster";
  return identity === 0 ? "" : `identity ${identity}`;
}

/** Without what says where it is, which the card says already. */
function labelsText(labels: readonly string[]): string {
  return labels
    .map((label) => label.slice(label.indexOf(":") + 1))
    .filter((label) => !/^(io\.kubernetes|io\.cilium|pod-template-hash)/.test(label))
    .join(", ");
}

function requestsText(requests: readonly LinkRequest[]): string {
  const counts = new Map<string, number>();
  for (const { method, target, count } of requests) counts.set(`${method} ${target}`, (counts.get(`${method} ${target}`) ?? 0) + count);
  const [most] = [...counts].sort((left, right) => right[1] - left[1] || (left[0] < right[0] ? -1 : 1));
  if (most === undefined) return "";
  const others = counts.size - 1;
  return others === 0 ? shorten(most[0], requestLengthMax) : `${shorten(most[0], requestLengthMax - 4)} +${others}`;
}

function chipsOf(ports: ReadonlySet<string> | undefined): readonly string[] {
  if (ports === undefined) return [];
  const chips = [...ports].sort((left, right) => Number.parseInt(left, 10) - Number.parseInt(right, 10) || (left < right ? -1 : 1));
  return chips.length <= chipsMax ? chips : [...chips.slice(0, chipsMax - 1), `+${chips.length - chipsMax + 1}`];
}

export function shorten(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax - 1)}…`;
}

export function cardAt({ cards }: Scene, { x, y }: Point): CardShape | undefined {
  return cards.findLast((card) => x >= card.x && x <= card.x + cardWidth && y >= card.y && y <= card.y + cardHeight);
}

/** The line that passes within `distance` of the point. */
export function edgeAt({ edges }: Scene, point: Point, distance: number): EdgeShape | undefined {
  let nearest: EdgeShape | undefined;
  let least = distance * distance;
  for (const edge of edges) {
    if (!isNear(edge, point, distance)) continue;
    for (let step = 0; step <= 24; step += 1) {
      const at = pointOf(edge, step / 24);
      const square = (at.x - point.x) ** 2 + (at.y - point.y) ** 2;
      if (square < least) [nearest, least] = [edge, square];
    }
  }
  return nearest;
}

function isNear({ from, to, bendFrom, bendTo }: EdgeShape, { x, y }: Point, distance: number): boolean {
  return (
    x >= Math.min(from.x, bendTo.x, to.x) - distance &&
    x <= Math.max(from.x, bendFrom.x, to.x) + distance &&
    y >= Math.min(from.y, to.y) - distance &&
    y <= Math.max(from.y, to.y) + distance
  );
}

/** A point of the curve, from 0 at its start to 1 at its end. */
export function pointOf({ from, to, bendFrom, bendTo }: EdgeShape, part: number): Point {
  const rest = 1 - part;
  const [first, second, third, fourth] = [rest ** 3, 3 * rest * rest * part, 3 * rest * part * part, part ** 3];
  return {
    x: first * from.x + second * bendFrom.x + third * bendTo.x + fourth * to.x,
    y: first * from.y + second * bendFrom.y + third * bendTo.y + fourth * to.y,
  };
}

/** The nearest card in a direction, for the arrow keys. */
export function cardBeside({ cards }: Scene, from: CardShape, direction: "left" | "right" | "up" | "down"): CardShape | undefined {
  let best: CardShape | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const card of cards) {
    const [dx, dy] = [card.x - from.x, card.y - from.y];
    const [along, across] = direction === "left" ? [-dx, dy] : direction === "right" ? [dx, dy] : direction === "up" ? [-dy, dx] : [dy, dx];
    if (along <= 0) continue;
    const cost = along + Math.abs(across) * 2;
    if (cost < least) [best, least] = [card, cost];
  }
  return best;
}

export interface Viewport {
  /** What stands at the middle of the screen. */
  readonly x: number;
  readonly y: number;
  readonly scale: number;
}

export const scaleMin = 0.05;
export const scaleMax = 2;

/** A viewport that shows all of a box, between the tools above it and the legend below. */
export function fit(box: Box, width: number, height: number): Viewport {
  const [beside, above] = [32, Math.min(52, height * 0.12)];
  const scale = Math.min((width - beside * 2) / Math.max(1, box.width), (height - above * 2) / Math.max(1, box.height), 1.2);
  return { x: box.x + box.width / 2, y: box.y + box.height / 2, scale: Math.max(scaleMin, Math.min(scaleMax, scale)) };
}
