import type { Drawing, Highlight, Theme } from "./draw.ts";
import { type Box, cardHeight, cardWidth, type Point } from "./layout.ts";
import { type CardShape, cardAt, cardBeside, edgeAt, fit, scaleMax, scaleMin, type Viewport } from "./scene.ts";

export interface MapEvents {
  onSelectCard(id: string): void;
  onSelectPair(source: string, destination: string): void;
  onSelectNothing(): void;
  /** Where the keyboard is. */
  onFocusCard(card: CardShape | undefined): void;
}

const zoomStep = 1.25;
const clickDistance = 4;
const edgeReach = 7;
const glideMs = 260;

/** The canvas: draws when something changed, and turns what people do into events. */
export class MapView {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #events: MapEvents;
  readonly #stop = new AbortController();
  readonly #observer: ResizeObserver;
  readonly #pointers = new Map<number, Point>();
  #drawing: Drawing | undefined;
  #theme: Theme | undefined;
  #bounds: Box = { x: 0, y: 0, width: 0, height: 0 };
  #viewport: Viewport = { x: 0, y: 0, scale: 1 };
  #glide: { readonly from: Viewport; readonly to: Viewport; readonly startMs: number } | undefined;
  #highlight: Highlight = {
    selectedCard: undefined,
    hoveredCard: undefined,
    focusedCard: undefined,
    selectedPair: undefined,
    hoveredPair: undefined,
  };
  #size = { width: 0, height: 0, ratio: 1 };
  #frame = 0;
  #movedDistance = 0;
  /** People who moved the map do not want it moved for them. */
  #isUntouched = true;

  /** `keys` is what has the focus. */
  constructor(canvas: HTMLCanvasElement, keys: HTMLElement, events: MapEvents) {
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("this browser cannot draw on a canvas");
    this.#canvas = canvas;
    this.#context = context;
    this.#events = events;
    const { signal } = this.#stop;
    canvas.addEventListener("pointerdown", (event) => this.#onDown(event), { signal });
    canvas.addEventListener("pointermove", (event) => this.#onMove(event), { signal });
    canvas.addEventListener("pointerup", (event) => this.#onUp(event), { signal });
    canvas.addEventListener("pointercancel", ({ pointerId }) => void this.#pointers.delete(pointerId), { signal });
    canvas.addEventListener("pointerleave", () => this.#hover(undefined, undefined), { signal });
    canvas.addEventListener("wheel", (event) => this.#onWheel(event), { signal, passive: false });
    keys.addEventListener("keydown", (event) => this.#onKey(event), { signal });
    keys.addEventListener("blur", () => this.#focusCard(undefined), { signal });
    this.#observer = new ResizeObserver(() => this.#resize());
    this.#observer.observe(canvas);
  }

  dispose(): void {
    this.#stop.abort();
    this.#observer.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  show(drawing: Drawing, bounds: Box): void {
    this.#drawing = drawing;
    this.#bounds = bounds;
    if (this.#isUntouched) this.#viewport = fit(bounds, this.#size.width, this.#size.height);
    this.#redraw();
  }

  /** What lines say changed: how often they are used. */
  refresh(): void {
    this.#redraw();
  }

  setTheme(theme: Theme): void {
    this.#theme = theme;
    this.#redraw();
  }

  select(selection: Pick<Highlight, "selectedCard" | "selectedPair">): void {
    this.#highlight = { ...this.#highlight, ...selection };
    this.#redraw();
  }

  fit(): void {
    this.#isUntouched = true;
    this.#glideTo(fit(this.#bounds, this.#size.width, this.#size.height));
  }

  zoom(factor: number): void {
    this.#isUntouched = false;
    const { x, y, scale } = this.#glide?.to ?? this.#viewport;
    this.#glideTo({ x, y, scale: clampScale(scale * factor) });
  }

  zoomIn(): void {
    this.zoom(zoomStep);
  }

  zoomOut(): void {
    this.zoom(1 / zoomStep);
  }

  /** Brings a card to the middle. */
  reveal(id: string): void {
    const card = this.#drawing?.scene.cards.find(({ service }) => service.id === id);
    if (card === undefined) return;
    this.#isUntouched = false;
    this.#glideTo({ x: card.x + cardWidth / 2, y: card.y + cardHeight / 2, scale: Math.max(this.#viewport.scale, 0.8) });
  }

  #redraw(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame((nowMs) => {
      this.#frame = 0;
      this.#draw(nowMs);
    });
  }

  #draw(nowMs: number): void {
    if (this.#glide !== undefined) {
      const { from, to, startMs } = this.#glide;
      const part = Math.min(1, (nowMs - startMs) / glideMs);
      const eased = 1 - (1 - part) ** 3;
      const between = (start: number, end: number): number => start + (end - start) * eased;
      this.#viewport = { x: between(from.x, to.x), y: between(from.y, to.y), scale: between(from.scale, to.scale) };
      if (part === 1) this.#glide = undefined;
      else this.#redraw();
    }
    if (this.#drawing === undefined || this.#theme === undefined || this.#size.width === 0) return;
    this.#drawing.draw(this.#context, this.#size, this.#viewport, this.#theme, this.#highlight);
    this.#canvas.dataset.drawn = String(Number(this.#canvas.dataset.drawn ?? 0) + 1);
  }

  #resize(): void {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const ratio = Math.min(window.devicePixelRatio, 2);
    this.#size = { width, height, ratio };
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    if (this.#isUntouched) this.#viewport = fit(this.#bounds, width, height);
    // At once: a canvas whose size was set is empty.
    this.#draw(performance.now());
  }

  #glideTo(to: Viewport): void {
    const isStill = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (isStill) this.#viewport = to;
    else this.#glide = { from: this.#viewport, to, startMs: performance.now() };
    this.#redraw();
  }

  #toMap({ x, y }: Point): Point {
    const { width, height } = this.#size;
    const { x: middleX, y: middleY, scale } = this.#viewport;
    return { x: middleX + (x - width / 2) / scale, y: middleY + (y - height / 2) / scale };
  }

  #onDown(event: PointerEvent): void {
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.#movedDistance = 0;
    this.#glide = undefined;
  }

  #onMove(event: PointerEvent): void {
    const at = { x: event.offsetX, y: event.offsetY };
    const before = this.#pointers.get(event.pointerId);
    if (before === undefined) {
      this.#hoverAt(at);
      return;
    }
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId);
    const [dx, dy] = [at.x - before.x, at.y - before.y];
    this.#movedDistance += Math.abs(dx) + Math.abs(dy);
    this.#pointers.set(event.pointerId, at);
    if (this.#movedDistance < clickDistance) return;
    this.#isUntouched = false;
    const { x, y, scale } = this.#viewport;
    const other = others[0]?.[1];
    if (other === undefined) this.#viewport = { x: x - dx / scale, y: y - dy / scale, scale };
    else {
      const factor = Math.hypot(at.x - other.x, at.y - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y));
      this.#zoomAt({ x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 }, factor);
    }
    this.#redraw();
  }

  #onUp(event: PointerEvent): void {
    const isClick = this.#pointers.delete(event.pointerId) && this.#movedDistance < clickDistance;
    if (!isClick || this.#drawing === undefined) return;
    const { scene } = this.#drawing;
    const at = this.#toMap({ x: event.offsetX, y: event.offsetY });
    const card = cardAt(scene, at);
    const edge = card === undefined ? edgeAt(scene, at, edgeReach / this.#viewport.scale) : undefined;
    if (card !== undefined) this.#events.onSelectCard(card.service.id);
    else if (edge !== undefined) this.#events.onSelectPair(edge.pair.source, edge.pair.destination);
    else this.#events.onSelectNothing();
  }

  #onWheel(event: WheelEvent): void {
    event.preventDefault();
    this.#isUntouched = false;
    this.#glide = undefined;
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
    if (event.ctrlKey || !event.shiftKey) this.#zoomAt({ x: event.offsetX, y: event.offsetY }, Math.exp((-event.deltaY * lines) / 500));
    else {
      const { x, y, scale } = this.#viewport;
      this.#viewport = { x: x + ((event.deltaX || event.deltaY) * lines) / scale, y, scale };
    }
    this.#redraw();
  }

  /** What is under the pointer stays under it. */
  #zoomAt(at: Point, factor: number): void {
    const before = this.#toMap(at);
    this.#viewport = { ...this.#viewport, scale: clampScale(this.#viewport.scale * factor) };
    const after = this.#toMap(at);
    const { x, y, scale } = this.#viewport;
    this.#viewport = { x: x + before.x - after.x, y: y + before.y - after.y, scale };
  }

  #hoverAt(at: Point): void {
    if (this.#drawing === undefined) return;
    const point = this.#toMap(at);
    const card = cardAt(this.#drawing.scene, point);
    const edge = card === undefined ? edgeAt(this.#drawing.scene, point, edgeReach / this.#viewport.scale) : undefined;
    this.#hover(card?.service.id, edge === undefined ? undefined : `${edge.pair.source} ${edge.pair.destination}`);
  }

  #hover(hoveredCard: string | undefined, hoveredPair: string | undefined): void {
    if (hoveredCard === this.#highlight.hoveredCard && hoveredPair === this.#highlight.hoveredPair) return;
    this.#highlight = { ...this.#highlight, hoveredCard, hoveredPair };
    this.#canvas.style.cursor = hoveredCard === undefined && hoveredPair === undefined ? "grab" : "pointer";
    this.#redraw();
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || this.#drawing === undefined) return;
    const direction = ({ ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" } as const)[event.key];
    if (direction !== undefined) this.#moveFocus(direction);
    else if (event.key === "Enter" || event.key === " ") {
      if (this.#highlight.focusedCard !== undefined) this.#events.onSelectCard(this.#highlight.focusedCard);
    } else if (event.key === "+" || event.key === "=") this.zoomIn();
    else if (event.key === "-") this.zoomOut();
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
  }

  #moveFocus(direction: "left" | "right" | "up" | "down"): void {
    const { scene } = this.#drawing ?? {};
    const focused = scene?.cards.find(({ service }) => service.id === this.#highlight.focusedCard);
    if (scene === undefined) return;
    const next = focused === undefined ? scene.cards[0] : cardBeside(scene, focused, direction);
    if (next === undefined) return;
    this.#focusCard(next);
    this.#isUntouched = false;
    this.#glideTo({ ...this.#viewport, x: next.x + cardWidth / 2, y: next.y + cardHeight / 2 });
  }

  #focusCard(card: CardShape | undefined): void {
    if (card?.service.id === this.#highlight.focusedCard) return;
    this.#highlight = { ...this.#highlight, focusedCard: card?.service.id };
    this.#events.onFocusCard(card);
    this.#redraw();
  }
}

function clampScale(scale: number): number {
  return Math.max(scaleMin, Math.min(scaleMax, scale));
}
