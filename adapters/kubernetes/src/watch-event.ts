import { isRecord } from "@cilium-ts/std";
import { errorFromStatus, KubernetesError } from "./kubernetes-error.ts";
import { asKubernetesObject, type KubernetesObject } from "./kubernetes-object.ts";

/** A bookmark's object has nothing but a resourceVersion: all before it has been seen. */
export type WatchEvent =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: KubernetesObject }
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string };

/** One line of a watch. Throws KubernetesError for an event of type ERROR, and with the reason `Malformed` for what is no event. */
export function parseWatchEvent(line: string, request: string): WatchEvent {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch (cause) {
    throw malformed(request, `a line that is not JSON: ${JSON.stringify(line.slice(0, 80))}`, cause);
  }
  if (!isRecord(event) || !isRecord(event.object)) throw malformed(request, `no event: ${JSON.stringify(line.slice(0, 80))}`);
  switch (event.type) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED": {
      const object = asKubernetesObject(event.object);
      if (object === undefined || typeof object.metadata.resourceVersion !== "string") {
        throw malformed(request, `an object without a name or a resourceVersion: ${JSON.stringify(line.slice(0, 80))}`);
      }
      return { type: event.type, object };
    }
    case "BOOKMARK": {
      const resourceVersion = isRecord(event.object.metadata) ? event.object.metadata.resourceVersion : undefined;
      if (typeof resourceVersion !== "string" || resourceVersion === "") throw malformed(request, "a bookmark without a resourceVersion");
      return { type: "BOOKMARK", resourceVersion };
    }
    case "ERROR":
      throw errorFromStatus(event.object, { request });
    default:
      throw malformed(request, `an event of the unknown type ${JSON.stringify(event.type)}`);
  }
}

export function malformed(request: string, what: string, cause?: unknown): KubernetesError {
  return new KubernetesError({ message: `${request}: the server sent ${what}`, status: 0, reason: "Malformed", cause });
}
