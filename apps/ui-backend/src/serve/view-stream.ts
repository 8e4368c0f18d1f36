import type { ServerResponse } from "node:http";
import type { Clock } from "@cilium-ts/std";
import type { OpenView, Views } from "../views/views.ts";

/** How often a browser is told, at most: a drop shows within a second of the packet. */
const beatMs = 250;
/** What happened in each namespace is told less often. */
const namespaceBeats = 8;
/** An empty line, so that proxies and browsers know that the connection lives. */
const aliveBeats = 40;
/** A browser that took nothing for so long is gone. */
const stallBeatsMax = 240;

interface Reader {
  readonly response: ServerResponse;
  readonly view: OpenView;
  /** When the browser must come again, and show who it is. */
  readonly untilMs: number;
  position: string;
  state: unknown;
  isBlocked: boolean;
  silentBeats: number;
  stalledBeats: number;
  namespaceCountdown: number;
  namespaceCount: number;
}

/**
 * Pushes views to browsers: lines of JSON on answers that do not end. A browser that does not take what it was sent is sent nothing more until it has; then it
 * gets what changed since, in one message.
 */
export class ViewStreams {
  readonly #views: Views;
  readonly #clock: Clock;
  readonly #readers = new Set<Reader>();
  readonly #timer: NodeJS.Timeout;
  #beats = 0;
  /** Browsers that were let go because they took nothing. */
  stalled = 0;
  bytesSent = 0;

  constructor(views: Views, clock: Clock) {
    this.#views = views;
    this.#clock = clock;
    this.#timer = setInterval(() => this.#beat(), beatMs);
  }

  get count(): number {
    return this.#readers.size;
  }

  /** Takes over an answer that has not begun. `position` is what the browser has, empty for nothing. */
  add(
    response: ServerResponse,
    view: OpenView,
    { position, untilMs }: { readonly position: string; readonly untilMs?: number | undefined },
  ): void {
    // Proxies that collect answers would make a stream useless.
    response.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-store", "x-accel-buffering": "no" });
    const reader: Reader = {
      response,
      view,
      position,
      untilMs: untilMs ?? Number.POSITIVE_INFINITY,
      state: undefined,
      isBlocked: false,
      silentBeats: 0,
      stalledBeats: 0,
      namespaceCountdown: 0,
      namespaceCount: -1,
    };
    this.#readers.add(reader);
    response.on("drain", () => {
      reader.isBlocked = false;
    });
    response.once("close", () => this.#remove(reader));
    this.#tell(reader);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const reader of this.#readers) {
      reader.response.end();
      this.#remove(reader);
    }
  }

  #beat(): void {
    this.#beats += 1;
    this.#views.beat();
    if (this.#beats % 40 === 0) this.#views.clean();
    const nowMs = this.#clock.nowMs();
    for (const reader of this.#readers) {
      if (reader.untilMs <= nowMs) reader.response.end();
      else this.#tell(reader);
    }
  }

  #tell(reader: Reader): void {
    if (reader.isBlocked) {
      reader.stalledBeats += 1;
      if (reader.stalledBeats < stallBeatsMax) return;
      this.stalled += 1;
      reader.response.destroy();
      return;
    }
    reader.stalledBeats = 0;
    const { view } = reader;
    const { state, namespaceCount } = this.#views;
    const { position } = view;
    const hasNewNamespaces = namespaceCount !== reader.namespaceCount;
    if (position === reader.position && state === reader.state && !hasNewNamespaces) {
      reader.silentBeats += 1;
      if (reader.silentBeats >= aliveBeats) this.#write(reader, "\n");
      return;
    }
    const withNamespaces = hasNewNamespaces || reader.namespaceCountdown <= 0;
    reader.namespaceCountdown = withNamespaces ? namespaceBeats : reader.namespaceCountdown - 1;
    this.#write(reader, `${view.textSince(reader.position, { withNamespaces })}\n`);
    reader.position = position;
    reader.state = state;
    reader.namespaceCount = namespaceCount;
  }

  #write(reader: Reader, text: string): void {
    reader.silentBeats = 0;
    this.bytesSent += Buffer.byteLength(text);
    reader.isBlocked = !reader.response.write(text);
  }

  #remove(reader: Reader): void {
    if (!this.#readers.delete(reader)) return;
    reader.view.close();
  }
}
