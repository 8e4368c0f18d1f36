import type { Store } from "../../store/store.ts";
import type { Audience, Told } from "./audience.ts";
import { Occurrence } from "./occurrence.ts";

/** Objects of one page. */
const pageSize = 500;
/** Of pages that are kept for those who come just behind. */
const keptBytesMax = 16 * 1024 * 1024;

export interface StatePage extends Told {
  readonly outcome: "page";
  /** The key behind which the next page begins; undefined for the last page. */
  readonly next: string | undefined;
}

interface Place {
  readonly revision: number;
  /** The key behind which the page begins; undefined for the first. */
  readonly after: string | undefined;
}

/**
 * What there was at a revision, as events, page by page. Watchers that begin together, as all do when a server is started again, read
 * the same pages one shortly after the other, so the newest are kept.
 */
export class StatePages {
  readonly #store: Store;
  readonly #nowMs: () => number;
  readonly #kept = new Map<string, StatePage>();
  #keptBytes = 0;

  constructor(store: Store, nowMs: () => number) {
    this.#store = store;
    this.#nowMs = nowMs;
  }

  read(audience: Audience, place: Place): StatePage | { readonly outcome: "compacted"; readonly oldest: number } {
    const { revision, after } = place;
    const name = JSON.stringify([audience.key, revision, after ?? null]);
    const kept = this.#kept.get(name);
    if (kept !== undefined) return kept;
    const listed = this.#store.list({ prefix: audience.prefix, revision, limit: pageSize, ...(after !== undefined && { after }) });
    if (listed.outcome === "compacted") return listed;
    const nowMs = this.#nowMs();
    const told = audience.write(listed.items.map((item) => Occurrence.ofState(item, nowMs)));
    const page: StatePage = { outcome: "page", ...told, next: listed.remaining === 0 ? undefined : listed.items.at(-1)?.key };
    this.#keep(name, page);
    return page;
  }

  #keep(name: string, page: StatePage): void {
    this.#kept.set(name, page);
    this.#keptBytes += sizeOf(page);
    for (const [oldest, old] of this.#kept) {
      if (this.#keptBytes <= keptBytesMax) return;
      this.#kept.delete(oldest);
      this.#keptBytes -= sizeOf(old);
    }
  }
}

function sizeOf({ pieces }: StatePage): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}
