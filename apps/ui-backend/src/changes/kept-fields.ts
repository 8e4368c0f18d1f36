import type { KubernetesObject } from "@cilium-ts/kubernetes";
import { isRecord } from "@cilium-ts/std";

type Fields = Readonly<Record<string, unknown>>;

/** What people write of an object: the rest is the server's. */
function writtenPart(object: KubernetesObject): Fields {
  const { spec, specs, metadata } = object as KubernetesObject & { readonly spec?: unknown; readonly specs?: unknown };
  const { "kubectl.kubernetes.io/last-applied-configuration": _applied, ...annotations } = metadata.annotations ?? {};
  return { spec, specs, metadata: { labels: metadata.labels, annotations } };
}

/** Fields that the object has, and the text does not: applying leaves them as others have set them. Paths such as `spec.egress`. */
export function keptFields(current: KubernetesObject, text: KubernetesObject): readonly (readonly string[])[] {
  return [...missingIn(writtenPart(current), writtenPart(text), [])];
}

function* missingIn(current: Fields, text: Fields, path: readonly string[]): Generator<readonly string[]> {
  for (const [name, value] of Object.entries(current)) {
    if (value === undefined) continue;
    const other = Object.hasOwn(text, name) ? text[name] : undefined;
    if (isRecord(value) && isRecord(other)) yield* missingIn(value, other, [...path, name]);
    else if (other === undefined && !(isRecord(value) && Object.keys(value).length === 0)) yield [...path, name];
  }
}

/** A merge patch that makes the object what the text says, and takes away what only the object has. */
export function replacingPatch(text: KubernetesObject, kept: readonly (readonly string[])[], resourceVersion: string): Fields {
  const patch = structuredClone(writtenPart(text)) as Record<string, unknown>;
  const metadata = (patch.metadata ?? {}) as Record<string, unknown>;
  patch.metadata = { ...metadata, resourceVersion };
  for (const path of kept) {
    let at = patch;
    for (const name of path.slice(0, -1)) {
      if (!isRecord(at[name])) at[name] = {};
      at = at[name] as Record<string, unknown>;
    }
    at[path.at(-1) ?? ""] = null;
  }
  return JSON.parse(JSON.stringify(patch)) as Fields;
}

/** Whether people would write both in the same way. */
export function isSameText(one: KubernetesObject, other: KubernetesObject): boolean {
  return keyed(writtenPart(one)) === keyed(writtenPart(other));
}

/** As text in which the order of fields does not matter. */
function keyed(value: unknown): string {
  return JSON.stringify(value, (_name, part: unknown) =>
    isRecord(part) ? Object.fromEntries(Object.entries(part).sort(([left], [right]) => (left < right ? -1 : 1))) : part,
  );
}
