import { keyPrefix } from "../../resources/resource.ts";
import { matchesFields, matchesLabels } from "../../resources/selector.ts";
import type { Mutable } from "../../schema/schema.ts";
import { decodeObject, textInVersion } from "../object-text.ts";
import { listEnvelope, partialMetadata, tableRow } from "../table.ts";
import type { Occurrence } from "./occurrence.ts";
import type { WatchRequest } from "./watch-request.ts";

/** Events as they are sent: complete lines, in pieces of some size. */
export interface Told {
  readonly pieces: readonly Buffer[];
  readonly events: number;
}

/** Who is told. */
export interface Member {
  /** Everything up to here has been told. */
  readonly cursor: number;
  /** It has caught up: what happens now is for it. */
  readonly isLive: boolean;
  /** What happens now. `until`: the revision that it is up to date with afterwards. */
  tell(told: Told, until: number): void;
  bookmark(revision: number, endsInitialEvents: boolean): void;
  end(): void;
}

/** What is written at a time; a single event may be larger. */
const pieceSizeBytes = 256 * 1024;

/** The watchers that are told the same: what happened is judged and written down once for all of them. */
export class Audience {
  readonly members = new Set<Member>();
  /** Of the kind's objects that the members watch. */
  readonly prefix: string;
  /** Equal for audiences that are told the same. */
  readonly key: string;
  readonly #request: WatchRequest;
  readonly #hasSelectors: boolean;

  /** `request`: of any of the members, which differ in nothing that decides what is told. */
  constructor(request: WatchRequest) {
    this.#request = request;
    this.prefix = keyPrefix(request.resource, request.namespace);
    this.key = keyOf(request);
    this.#hasSelectors = request.query.labels.length + request.query.fields.length > 0;
  }

  /** Whether who asks so is told what the members are told. A kind that was defined anew is another. */
  admits(request: WatchRequest): boolean {
    return request.resource === this.#request.resource && keyOf(request) === this.key;
  }

  /** Tells all members what happened since; the occurrences are in order. */
  tell(occurrences: readonly Occurrence[]): void {
    const first = occurrences[0]?.change.revision ?? 0;
    const last = occurrences.at(-1)?.change.revision ?? 0;
    let shared: Told | undefined;
    for (const watcher of this.members) {
      if (!watcher.isLive) continue;
      // Who has just caught up may know the beginning already.
      const isWhole = watcher.cursor < first;
      if (isWhole) shared ??= this.write(occurrences);
      watcher.tell(isWhole && shared !== undefined ? shared : this.write(occurrences.filter(isAfter(watcher.cursor))), last);
    }
  }

  write(occurrences: readonly Occurrence[]): Told {
    const pieces: Buffer[] = [];
    let events = 0;
    let text = "";
    for (const occurrence of occurrences) {
      const type = this.#eventType(occurrence);
      if (type === undefined) continue;
      text += this.#line(type, occurrence);
      events += 1;
      if (text.length < pieceSizeBytes) continue;
      pieces.push(Buffer.from(text));
      text = "";
    }
    if (text !== "") pieces.push(Buffer.from(text));
    return { pieces, events };
  }

  /** How the members see the change: an object that their selectors no longer match is gone for them. */
  #eventType(occurrence: Occurrence): string | undefined {
    const { change } = occurrence;
    if (!change.key.startsWith(this.prefix)) return undefined;
    const isThere = !change.deleted && this.#matches(change.key, () => occurrence.object);
    const wasThere = change.previous !== undefined && this.#matches(change.key, () => occurrence.previous ?? {});
    if (isThere) return wasThere ? "MODIFIED" : "ADDED";
    return wasThere ? "DELETED" : undefined;
  }

  #matches(key: string, object: () => Mutable): boolean {
    if (!this.#hasSelectors) return true;
    const { labels, fields } = this.#request.query;
    // The commonest watch, on one object by its name, needs no parsing.
    const [only] = fields;
    if (labels.length === 0 && fields.length === 1 && only?.key === "metadata.name" && only.operator === "=") {
      return key.endsWith(`/${only.values[0]}`);
    }
    return matchesLabels(labels, object()) && matchesFields(fields, object());
  }

  #line(type: string, occurrence: Occurrence): string {
    const { resource, form, query } = this.#request;
    const { change, nowMs } = occurrence;
    const hasDeparted = type === "DELETED" && !change.deleted;
    const text = hasDeparted ? occurrence.departed : change.text;
    if (form === "object") return `{"type":"${type}","object":${textInVersion(resource, text)}}\n`;
    const object = hasDeparted ? decodeObject(text) : occurrence.object;
    if (form === "metadata") return `{"type":"${type}","object":${JSON.stringify(partialMetadata(object))}}\n`;
    const { head } = listEnvelope(resource, "table");
    const row = tableRow(resource, text, object, query.includeObject, nowMs);
    return `{"type":"${type}","object":${head}"metadata":{"resourceVersion":"${change.revision}"},"rows":[${row}]}}\n`;
  }
}

function keyOf({ resource, namespace, query, form }: WatchRequest): string {
  return JSON.stringify([keyPrefix(resource, namespace), resource.version, form, query.includeObject, query.labels, query.fields]);
}

function isAfter(revision: number): (occurrence: Occurrence) => boolean {
  return ({ change }) => change.revision > revision;
}
