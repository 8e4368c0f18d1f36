/** A framed message on its way to the client. */
export interface Message {
  /** As it came: the five bytes of gRPC and the message. */
  readonly frame: Uint8Array;
  /** When it happened; when it came, for messages without a time and for those that claim to be of the future. Milliseconds. */
  readonly timeMs: number;
  /** 1: what was asked for, which alone counts; 2: a node status; 3: lost events. */
  readonly kind: number;
}

/**
 * Messages of many nodes, held for a moment so that those that were under way a little longer find their place. A message leaves when
 * its time is so long past as the delay: it is never held longer than that, whatever else comes or does not come, and one that comes
 * late leaves at once.
 */
export class HeldMessages {
  /** A heap by time; messages of one time keep the order in which they came. */
  readonly #heap: Array<Message & { readonly order: number }> = [];
  #order = 0;
  #sizeBytes = 0;

  get size(): number {
    return this.#heap.length;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Time of the earliest message; Infinity when there is none. */
  get firstTimeMs(): number {
    return this.#heap[0]?.timeMs ?? Number.POSITIVE_INFINITY;
  }

  add(message: Message): void {
    const heap = this.#heap;
    const entry = { ...message, order: this.#order++ };
    this.#sizeBytes += message.frame.length;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBefore(entry, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = entry;
  }

  /** Removes and returns, in order, the messages that happened until the given time. */
  takeUntil(timeMs: number): Message[] {
    const taken: Message[] = [];
    while (this.firstTimeMs <= timeMs) {
      const first = this.#takeFirst();
      if (first === undefined) break;
      taken.push(first);
    }
    return taken;
  }

  #takeFirst(): Message | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined) return undefined;
    this.#sizeBytes -= first.frame.length;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = at * 2 + 1;
      let child = heap[below];
      const right = heap[below + 1];
      if (child !== undefined && right !== undefined && isBefore(right, child)) {
        child = right;
        below += 1;
      }
      if (child === undefined || !isBefore(child, last)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

interface Ordered {
  readonly timeMs: number;
  readonly order: number;
}

function isBefore(one: Ordered, other: Ordered): boolean {
  return one.timeMs < other.timeMs || (one.timeMs === other.timeMs && one.order < other.order);
}
