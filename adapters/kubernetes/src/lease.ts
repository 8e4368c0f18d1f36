import { recordAt, textAt } from "./fields.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";

/** Who holds a duty. The times in a Lease are of the holder's clock and told to people only: nobody else reckons with them. */
export interface Lease {
  /** Empty when nobody holds it. */
  readonly holder: string;
  /** How long after a renewal it holds; 0 when the object does not say. */
  readonly durationMs: number;
  /** How often it has changed hands. */
  readonly transitions: number;
  /** RFC 3339 with microseconds. */
  readonly acquiredAt: string;
}

export function leaseFrom(object: KubernetesObject): Lease {
  const spec = recordAt(object, "spec");
  const { leaseDurationSeconds, leaseTransitions } = spec;
  return {
    holder: textAt(spec, "holderIdentity"),
    durationMs: typeof leaseDurationSeconds === "number" && leaseDurationSeconds > 0 ? leaseDurationSeconds * 1000 : 0,
    transitions: typeof leaseTransitions === "number" ? leaseTransitions : 0,
    acquiredAt: textAt(spec, "acquireTime"),
  };
}

/** `base` is the object as last read, with the version that must still be the newest; undefined for one that is to be made. */
export function leaseObject(
  lease: Lease,
  options: {
    readonly name: { readonly namespace: string; readonly name: string };
    readonly nowMs: number;
    readonly base: KubernetesObject | undefined;
  },
): KubernetesObject {
  const { name, nowMs, base } = options;
  return {
    metadata: base?.metadata ?? { ...name },
    spec: {
      holderIdentity: lease.holder,
      leaseDurationSeconds: Math.max(1, Math.round(lease.durationMs / 1000)),
      leaseTransitions: lease.transitions,
      renewTime: formatMicroTime(nowMs),
      ...(lease.acquiredAt !== "" && { acquireTime: lease.acquiredAt }),
    },
  };
}

/** `2026-01-31T10:00:00.123000Z`: the API's MicroTime. */
export function formatMicroTime(timeMs: number): string {
  return new Date(timeMs).toISOString().replace("Z", "000Z");
}
