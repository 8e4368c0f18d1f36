import { Labels, namespaceLabelKey, parseSourcedKey } from "@cilium-ts/labels";
import { isRecord } from "@cilium-ts/std";
import { textMapAt } from "./fields.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";

/** A number for a set of labels, the same on all nodes. */
export interface CiliumIdentity {
  readonly id: number;
  readonly labels: Labels;
}

/** Above this stand the numbers that mean something on one node only. */
const clusterIdentityMax = 0xff_ffff;

/**
 * The object's name is the number in decimal, and `security-labels`, on the top level, maps `source:key` to the value. Undefined when
 * the object is not of this form, as one that somebody made by hand may be.
 */
export function ciliumIdentityFrom(object: KubernetesObject): CiliumIdentity | undefined {
  const name = object.metadata.name ?? "";
  if (!/^[1-9][0-9]{0,7}$/.test(name) || Number(name) > clusterIdentityMax || !isRecord(object["security-labels"])) return undefined;
  const entries = Object.entries(textMapAt(object, "security-labels"));
  return { id: Number(name), labels: Labels.of(entries.map(([key, value]) => ({ ...parseSourcedKey(key, "unspec"), value }))) };
}

export function ciliumIdentityObject({ id, labels }: CiliumIdentity): KubernetesObject {
  const namespace = labels.get("k8s", namespaceLabelKey);
  return {
    metadata: { name: String(id), ...(namespace !== undefined && { labels: { [namespaceLabelKey]: namespace } }) },
    "security-labels": Object.fromEntries(labels.all.map(({ source, key, value }) => [`${source}:${key}`, value])),
  };
}
