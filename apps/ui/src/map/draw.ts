import { type Box, cardHeight, cardWidth, type Point } from "./layout.ts";
import { type PairState, pairRate, quietRate, rateText } from "./pairs.ts";
import { policyColour, policyDirections, policyFills, policyRing } from "./policy-marks.ts";
import { type CardShape, type EdgeShape, pointOf, type Scene, type Viewport } from "./scene.ts";

/** Colours, from the page's style sheet. */
export interface Theme {
  readonly text: string;
  readonly muted: string;
  readonly surface: string;
  readonly card: string;
  readonly island: string;
  readonly border: string;
  readonly accent: string;
  readonly states: Readonly<Record<PairState, string>>;
}

export interface Highlight {
  readonly selectedCard: string | undefined;
  readonly hoveredCard: string | undefined;
  readonly focusedCard: string | undefined;
  /** `SOURCE DESTINATION`. */
  readonly selectedPair: string | undefined;
  readonly hoveredPair: string | undefined;
}

/** Dashes, so that nobody needs to tell red from green. */
export const dashes: Readonly<Record<PairState, readonly number[]>> = {
  forwarded: [],
  mixed: [10, 6],
  dropped: [],
  audit: [2, 5],
  error: [14, 4, 2, 4],
};
export const lineWidths: Readonly<Record<PairState, number>> = { forwarded: 1.5, mixed: 2.5, dropped: 2.5, audit: 2, error: 2 };
/** Below this zoom lines between namespaces stand for those between services. */
const overviewScale = 0.15;
const states: readonly PairState[] = ["forwarded", "audit", "error", "mixed", "dropped"];
const font = "system-ui, sans-serif";
/** Below these zooms texts could not be read, and lines are enough. */
const detailScale = 0.42;
const titleScale = 0.2;
/** More numbers than that nobody reads. */
const ratesMax = 300;

/** Draws the same scene again and again; the curves are made once. */
export class Drawing {
  readonly scene: Scene;
  readonly #paths = new Map<PairState, Path2D>();
  readonly #heads = new Map<PairState, Path2D>();
  readonly #islandEdges: readonly IslandEdge[];

  constructor(scene: Scene) {
    this.scene = scene;
    for (const edge of scene.edges) {
      addCurve(pathOf(this.#paths, edge.state), edge);
      addHead(pathOf(this.#heads, edge.state), edge.to);
    }
    this.#islandEdges = islandEdgesOf(scene);
  }

  draw(
    context: CanvasRenderingContext2D,
    { width, height, ratio }: { width: number; height: number; ratio: number },
    viewport: Viewport,
    theme: Theme,
    highlight: Highlight,
  ): void {
    const { x, y, scale } = viewport;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width * ratio, height * ratio);
    context.setTransform(scale * ratio, 0, 0, scale * ratio, (width / 2 - x * scale) * ratio, (height / 2 - y * scale) * ratio);
    const seen = { left: x - width / 2 / scale, right: x + width / 2 / scale, top: y - height / 2 / scale, bottom: y + height / 2 / scale };
    const isOverview = scale < overviewScale && this.scene.islands.length > 3;
    this.#drawIslands(context, scale, theme);
    const active = highlight.hoveredCard ?? highlight.selectedCard ?? highlight.focusedCard;
    const activePair = highlight.hoveredPair ?? highlight.selectedPair;
    const isDimmed = active !== undefined || activePair !== undefined;
    if (isOverview) drawIslandEdges(context, this.#islandEdges, theme, scale, isDimmed);
    else this.#drawEdges(context, theme, scale, isDimmed);
    const isActive = ({ pair: { source, destination } }: EdgeShape): boolean =>
      source === active || destination === active || `${source} ${destination}` === activePair;
    for (const edge of this.scene.edges) {
      if (isActive(edge)) drawActiveEdge(context, edge, theme);
      else if (scale >= detailScale && (edge.isAuthenticated || edge.isEncrypted)) drawMarks(context, edge, theme);
    }
    if (isDimmed || scale >= detailScale) this.#drawRates(context, { scale, seen, theme, isShown: isDimmed ? isActive : () => true });
    for (const card of this.scene.cards) {
      if (card.x > seen.right || card.x + cardWidth < seen.left || card.y > seen.bottom || card.y + cardHeight < seen.top) continue;
      drawCard(context, card, scale, theme, highlight);
    }
    if (isOverview) this.#drawIslandNames(context, scale, theme);
  }

  /** Flows a second, beside the middle of a line; read anew each time, because they change without another scene. */
  #drawRates(
    context: CanvasRenderingContext2D,
    options: { readonly scale: number; readonly seen: Seen; readonly theme: Theme; readonly isShown: (edge: EdgeShape) => boolean },
  ): void {
    const { scale, seen, theme, isShown } = options;
    context.font = `${Math.max(11, 10 / scale)}px ${font}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 4;
    context.strokeStyle = theme.surface;
    let count = 0;
    for (const edge of this.scene.edges) {
      if (!isShown(edge)) continue;
      const rate = pairRate(edge.pair);
      const { x, y } = pointOf(edge, 0.5);
      if (rate < quietRate || x < seen.left || x > seen.right || y < seen.top || y > seen.bottom) continue;
      count += 1;
      if (count > ratesMax) return;
      const text = rateText(rate);
      context.strokeText(text, x, y - 8);
      context.fillStyle = theme.states[edge.state];
      context.fillText(text, x, y - 8);
    }
  }

  #drawIslandNames(context: CanvasRenderingContext2D, scale: number, theme: Theme): void {
    const size = 14 / scale;
    context.font = `600 ${size}px ${font}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    for (const { name, x, y, width, height } of this.scene.islands) {
      context.strokeStyle = theme.card;
      context.lineWidth = size / 3;
      context.strokeText(name.trim(), x + width / 2, y + height / 2);
      context.fillStyle = theme.text;
      context.fillText(name.trim(), x + width / 2, y + height / 2);
    }
  }

  #drawIslands(context: CanvasRenderingContext2D, scale: number, theme: Theme): void {
    for (const island of this.scene.islands) {
      context.fillStyle = theme.island;
      context.strokeStyle = theme.border;
      context.lineWidth = 1 / scale;
      context.beginPath();
      context.roundRect(island.x, island.y, island.width, island.height, 14);
      context.fill();
      context.stroke();
      const size = Math.min(Math.max(16, 13 / scale), 90);
      context.fillStyle = theme.muted;
      context.font = `600 ${size}px ${font}`;
      context.textBaseline = "middle";
      context.textAlign = "left";
      if (scale >= overviewScale || this.scene.islands.length <= 3)
        context.fillText(island.name.trim(), island.x + 16, island.y + Math.max(22, size * 0.7), island.width - 32);
    }
  }

  #drawEdges(context: CanvasRenderingContext2D, theme: Theme, scale: number, isDimmed: boolean): void {
    context.globalAlpha = isDimmed ? 0.18 : 0.8;
    for (const state of states) {
      const path = this.#paths.get(state);
      const heads = this.#heads.get(state);
      if (path === undefined || heads === undefined) continue;
      context.strokeStyle = theme.states[state];
      context.fillStyle = theme.states[state];
      // Hair lines at small scale, so that a whole cluster does not become one blot.
      context.lineWidth = Math.max(lineWidths[state], 0.7 / scale);
      // Thousands of dashes that nobody can see take most of a frame.
      context.setLineDash(scale < titleScale ? [] : [...dashes[state]]);
      context.stroke(path);
      context.setLineDash([]);
      if (scale >= titleScale) context.fill(heads);
    }
    context.globalAlpha = 1;
  }
}

/** What of the map is on the screen. */
interface Seen {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

interface IslandEdge {
  readonly from: Point;
  readonly to: Point;
  readonly state: PairState;
  readonly count: number;
}

/** All lines between two islands as one, of the worst state among them. */
function islandEdgesOf({ islands, cards, edges }: Scene): readonly IslandEdge[] {
  const islandOf = new Map<string, (typeof islands)[number]>();
  for (const { x, y, service } of cards) {
    const island = islands.find((box) => x >= box.x && x < box.x + box.width && y >= box.y && y < box.y + box.height);
    if (island !== undefined) islandOf.set(service.id, island);
  }
  const sums = new Map<string, { from: Point; to: Point; state: PairState; count: number }>();
  for (const { pair, state } of edges) {
    const [source, destination] = [islandOf.get(pair.source), islandOf.get(pair.destination)];
    if (source === undefined || destination === undefined || source === destination) continue;
    const key = `${source.name}/${destination.name}`;
    const sum = sums.get(key) ?? { from: middleOf(source), to: middleOf(destination), state, count: 0 };
    sum.count += 1;
    if (states.indexOf(state) > states.indexOf(sum.state)) sum.state = state;
    sums.set(key, sum);
  }
  return [...sums.values()];
}

function middleOf({ x, y, width, height }: Box): Point {
  return { x: x + width / 2, y: y + height / 2 };
}

function drawIslandEdges(
  context: CanvasRenderingContext2D,
  edges: readonly IslandEdge[],
  theme: Theme,
  scale: number,
  isDimmed: boolean,
): void {
  context.globalAlpha = isDimmed ? 0.15 : 0.55;
  for (const { from, to, state, count } of edges) {
    context.strokeStyle = theme.states[state];
    context.lineWidth = (0.8 + Math.log2(1 + count) * 0.6) / scale;
    context.setLineDash(dashes[state].map((length) => length / scale));
    context.beginPath();
    // A slight bow, so that both directions can be seen.
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    context.moveTo(from.x, from.y);
    context.quadraticCurveTo((from.x + to.x) / 2 + dy * 0.12, (from.y + to.y) / 2 - dx * 0.12, to.x, to.y);
    context.stroke();
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

function pathOf(paths: Map<PairState, Path2D>, state: PairState): Path2D {
  let path = paths.get(state);
  if (path === undefined) {
    path = new Path2D();
    paths.set(state, path);
  }
  return path;
}

function addCurve(path: Path2D | CanvasRenderingContext2D, { from, to, bendFrom, bendTo }: EdgeShape): void {
  path.moveTo(from.x, from.y);
  path.bezierCurveTo(bendFrom.x, bendFrom.y, bendTo.x, bendTo.y, to.x - 6, to.y);
}

function addHead(path: Path2D | CanvasRenderingContext2D, { x, y }: Point): void {
  path.moveTo(x, y);
  path.lineTo(x - 9, y - 5);
  path.lineTo(x - 9, y + 5);
  path.closePath();
}

function drawActiveEdge(context: CanvasRenderingContext2D, edge: EdgeShape, theme: Theme): void {
  context.strokeStyle = theme.states[edge.state];
  context.fillStyle = theme.states[edge.state];
  context.lineWidth = lineWidths[edge.state] + 1.5;
  context.setLineDash([...dashes[edge.state]]);
  context.beginPath();
  addCurve(context, edge);
  context.stroke();
  context.setLineDash([]);
  context.beginPath();
  addHead(context, edge.to);
  context.fill();
  drawMarks(context, edge, theme);
}

/** A padlock for authenticated, and a ring for encrypted traffic. */
function drawMarks(context: CanvasRenderingContext2D, { from, to, isAuthenticated, isEncrypted }: EdgeShape, theme: Theme): void {
  if (!isAuthenticated && !isEncrypted) return;
  const [x, y] = [(from.x + to.x) / 2, (from.y + to.y) / 2];
  context.fillStyle = theme.card;
  context.strokeStyle = theme.states.forwarded;
  context.lineWidth = 2;
  context.beginPath();
  context.arc(x, y, 9, 0, Math.PI * 2);
  context.fill();
  if (isEncrypted) context.stroke();
  if (!isAuthenticated) return;
  context.fillStyle = theme.text;
  context.fillRect(x - 4, y - 1, 8, 6);
  context.beginPath();
  context.arc(x, y - 1, 3, Math.PI, 0);
  context.strokeStyle = theme.text;
  context.lineWidth = 1.5;
  context.stroke();
}

function drawCard(context: CanvasRenderingContext2D, card: CardShape, scale: number, theme: Theme, highlight: Highlight): void {
  const { id } = card.service;
  const isSelected = id === highlight.selectedCard;
  const isActive = isSelected || id === highlight.hoveredCard || id === highlight.focusedCard;
  context.fillStyle = theme.card;
  context.strokeStyle = isActive || card.isPinned ? theme.accent : card.hasDrops ? theme.states.dropped : theme.border;
  context.lineWidth = isActive ? 3 : card.isPinned || card.hasDrops ? 2 : Math.max(1, 0.6 / scale);
  context.beginPath();
  context.roundRect(card.x, card.y, cardWidth, cardHeight, 9);
  context.fill();
  context.stroke();
  if (scale < titleScale) return;
  context.textBaseline = "alphabetic";
  context.textAlign = "left";
  context.fillStyle = theme.text;
  const isDetailed = scale >= detailScale;
  context.font = isDetailed ? `600 15px ${font}` : `600 26px ${font}`;
  context.fillText(card.title, card.x + 14, card.y + (isDetailed ? 25 : 66), cardWidth - 28);
  if (!isDetailed) return;
  context.fillStyle = theme.muted;
  context.font = `12px ${font}`;
  context.fillText(card.subtitle, card.x + 14, card.y + 42, cardWidth - 28);
  context.font = `11px ${font}`;
  context.fillText(card.labels, card.x + 14, card.y + 58, cardWidth - 28);
  context.fillText(card.requests, card.x + 14, card.y + 105, 134);
  drawChips(context, card, theme);
  drawPolicy(context, card, theme);
}

function drawChips(context: CanvasRenderingContext2D, { chips, x, y }: CardShape, theme: Theme): void {
  let left = x + 14;
  context.font = `11px ${font}`;
  for (const chip of chips) {
    const width = chip.length * 6.4 + 12;
    context.fillStyle = theme.island;
    context.beginPath();
    context.roundRect(left, y + 66, width, 19, 5);
    context.fill();
    context.fillStyle = theme.text;
    context.fillText(chip, left + 6, y + 79.5, width - 8);
    left += width + 6;
  }
}

/** Made once: a path is the same for all cards. */
const ringPath = lazyPath(() => policyRing);
const fillPaths = {
  enforced: lazyPath(() => policyFills.enforced),
  partly: lazyPath(() => policyFills.partly),
  audit: lazyPath(() => policyFills.audit),
  none: lazyPath(() => policyFills.none),
} as const;

/** Not before it is drawn: tests without a browser have no paths. */
function lazyPath(data: () => string): () => Path2D {
  let path: Path2D | undefined;
  return () => {
    path ??= new Path2D(data());
    return path;
  };
}

function drawPolicy(context: CanvasRenderingContext2D, { service: { policy }, x, y }: CardShape, theme: Theme): void {
  if (policy === null) return;
  context.lineWidth = 1.6;
  for (const { direction, text, x: left } of policyDirections) {
    const state = policy[direction];
    const colour = policyColour(theme, state);
    context.translate(x + left, y + 101);
    context.strokeStyle = colour;
    context.fillStyle = colour;
    context.stroke(ringPath());
    context.fill(fillPaths[state]());
    context.fillStyle = theme.text;
    context.fillText(text, 8, 4);
    context.translate(-x - left, -y - 101);
  }
}
