import type { Resource } from "../../resources/resource.ts";
import type { ListQuery } from "../request.ts";

export interface WatchRequest {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly query: ListQuery;
  readonly form: "object" | "table" | "metadata";
  /** Who watches: for the limit per client. */
  readonly client: string;
  /** Tell what is there first, then what changes. */
  readonly startsWithState: boolean;
  /** Changes after this revision are told. */
  readonly after: number;
}

export interface WatchLimits {
  readonly watchersMax: number;
  readonly watchersPerClientMax: number;
  /** What may wait in front of one slow client before it is sent away to list again. */
  readonly bufferedBytesMax: number;
  readonly bookmarkIntervalMs: number;
}

export const defaultWatchLimits: WatchLimits = {
  watchersMax: 4_000,
  watchersPerClientMax: 1_000,
  bufferedBytesMax: 8 * 1024 * 1024,
  bookmarkIntervalMs: 30_000,
};
