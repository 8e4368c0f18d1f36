import type { Table } from "@cilium-ts/state";
import { KubernetesError } from "./kubernetes-error.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";
import { type ReflectOptions, reflect } from "./reflect.ts";

export interface ReflectIntoTableOptions<K, Row> extends Omit<ReflectOptions, "onUpsert" | "onDelete"> {
  readonly table: Table<K, Row>;
  /** One of the table's declared sources. It has delivered once the first list is complete. */
  readonly source: string;
  /** Where the server does not serve the resource, or not to us, there are no objects of it; it is asked again. */
  readonly optional?: true;
  /** What we keep of an object; undefined when it has no place in the table (any longer). */
  rowOf(object: KubernetesObject): Row | undefined;
}

/** Mirrors a collection as rows of a table until aborted. */
export async function reflectIntoTable<K, Row>(options: ReflectIntoTableOptions<K, Row>): Promise<void> {
  const { table, source, rowOf } = options;
  /** By namespace and name: a row's key may be something else, and the object is gone when its row must go. */
  const keys = new Map<string, K>();
  let synced = false;
  const markSynced = (): void => {
    if (!synced) table.markSynced(source);
    synced = true;
  };
  await reflect({
    ...options,
    onUpsert(object) {
      const name = `${object.metadata.namespace ?? ""}/${object.metadata.name}`;
      const row = rowOf(object);
      const before = keys.get(name);
      if (before !== undefined && (row === undefined || table.keyOf(row) !== before)) {
        keys.delete(name);
        table.delete(before);
      }
      if (row === undefined) return;
      keys.set(name, table.keyOf(row));
      table.upsert(row);
    },
    onDelete({ namespace, name }) {
      const key = keys.get(`${namespace}/${name}`);
      if (key === undefined) return;
      keys.delete(`${namespace}/${name}`);
      table.delete(key);
    },
    onListed(listed) {
      markSynced();
      options.onListed?.(listed);
    },
    onState(state) {
      if (options.optional && state.kind === "waiting" && isNotServed(state.failure)) return markSynced();
      options.onState?.(state);
    },
  });
}

function isNotServed(failure: Error): boolean {
  return failure instanceof KubernetesError && (failure.status === 404 || failure.status === 403);
}
