import type { Family } from "@cilium-ts/net";
import type { Link, LinkReference } from "./link.ts";
import type { Operation, Outcome, Rows } from "./operation.ts";

/** What a watch reports. After `overflow` changes are missing: list again. */
export type Change<Row> = { readonly kind: "set" | "removed"; readonly row: Row } | { readonly kind: "overflow" };

export type Watchable = "link" | "address" | "route" | "neighbour";

/** What the real and the fake netlink each do in their own way; `createNetlink` makes the rest of it. */
export interface Backend {
  batch(operations: readonly Operation[]): Promise<readonly Outcome[]>;
  list<Kind extends keyof Rows>(kind: Kind, family: Family | undefined): Promise<readonly Rows[Kind][]>;
  findLink(link: LinkReference): Promise<Link | undefined>;
  watch<Kind extends Watchable>(kind: Kind, signal: AbortSignal): AsyncIterable<Change<Rows[Kind]>>;
  close(): void;
}
