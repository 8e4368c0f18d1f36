import { textMapAt } from "./fields.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";

/** What we keep of a namespace. */
export interface Namespace {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export function namespaceFrom(object: KubernetesObject): Namespace {
  const { metadata } = object;
  return { name: metadata.name ?? "", labels: textMapAt(metadata, "labels"), annotations: textMapAt(metadata, "annotations") };
}
