import { setTimeout as delay } from "node:timers/promises";
import { builtinResources } from "../resources/builtin.ts";
import { textAt } from "../resources/column.ts";
import { keyPrefix } from "../resources/resource.ts";
import type { Store } from "../store/store.ts";
import { ApiError } from "./api-error.ts";
import { decodeObject } from "./object-text.ts";
import type { Objects } from "./objects.ts";

/** As long as Kubernetes keeps events by default. */
export const eventLifeMs = 3_600_000;
const intervalMs = 300_000;
const pageSize = 500;

/** Deletes events that nobody has repeated for an hour, every five minutes until aborted. */
export async function expireEvents(store: Store, objects: Objects, nowMs: () => number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await deleteOldEvents(store, objects, nowMs() - eventLifeMs);
    try {
      await delay(intervalMs, undefined, { signal, ref: false });
    } catch {
      return;
    }
  }
}

/** Returns how many were deleted. */
export async function deleteOldEvents(store: Store, objects: Objects, beforeMs: number): Promise<number> {
  const resource = builtinResources.find(({ kind }) => kind === "Event");
  if (resource === undefined) return 0;
  let after: string | undefined;
  let deleted = 0;
  for (;;) {
    const page = store.list({ prefix: keyPrefix(resource), limit: pageSize, ...(after !== undefined && { after }) });
    if (page.outcome !== "listed") return deleted;
    const deletions: Promise<unknown>[] = [];
    for (const { key, text } of page.items) {
      after = key;
      const event = decodeObject(text);
      const times = ["lastTimestamp", "eventTime"]
        .map((name) => textAt(event, name))
        .concat(textAt(event, "metadata", "creationTimestamp"));
      const lastMs = Math.max(...times.map((time) => Date.parse(time)).filter((timeMs) => !Number.isNaN(timeMs)));
      if (lastMs >= beforeMs) continue;
      const target = { resource, namespace: textAt(event, "metadata", "namespace"), name: textAt(event, "metadata", "name") };
      deletions.push(objects.delete(target, { isDryRun: false, uid: undefined, resourceVersion: undefined, propagation: undefined }));
      deleted += 1;
    }
    // Another server on the same store may have been faster.
    for (const result of await Promise.allSettled(deletions))
      if (result.status === "rejected" && !(result.reason instanceof ApiError)) throw result.reason;
    if (page.remaining === 0) return deleted;
  }
}
