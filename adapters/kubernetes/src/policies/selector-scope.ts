import { clusterLabelKey, namespaceLabelKey, namespaceMetaLabelPrefix, type Selector } from "@cilium-ts/labels";

export interface SelectorScope {
  /** Of the policy; empty for a cluster-wide one. */
  readonly namespace: string;
  /** Peers without a cluster of their own are of this one. Undefined: of any. */
  readonly clusterName: string | undefined;
  /** The policy is about endpoints that have no labels yet; its peers may have none either. */
  readonly aboutInit: boolean;
}

/**
 * Peers are of the policy's namespace unless the selector speaks of namespaces, or of reserved labels. In a cluster-wide policy they are
 * of any namespace: pods, and not whatever else has an identity.
 */
export function scopePeer(selector: Selector, scope: SelectorScope): Selector {
  if (selector.requirements.some(({ source }) => source === "reserved")) return selector;
  const speaksOfNamespaces = selector.requirements.some(
    ({ source, key }) => (source === "k8s" || source === "any") && (key === namespaceLabelKey || key.startsWith(namespaceMetaLabelPrefix)),
  );
  const scoped = speaksOfNamespaces ? selector : inScope(selector, scope);
  return inCluster(scoped, scope.clusterName);
}

/** Unless it names a cluster itself. */
export function inCluster(selector: Selector, clusterName: string | undefined): Selector {
  if (clusterName === undefined || selector.hasKey("k8s", clusterLabelKey)) return selector;
  return selector.with({ source: "k8s", key: clusterLabelKey, operator: "In", values: [clusterName] });
}

export function inNamespace(selector: Selector, namespace: string): Selector {
  return selector.with({ source: "k8s", key: namespaceLabelKey, operator: "In", values: [namespace] });
}

export function inAnyNamespace(selector: Selector): Selector {
  return selector.with({ source: "k8s", key: namespaceLabelKey, operator: "Exists", values: [] });
}

function inScope(selector: Selector, { namespace, aboutInit }: SelectorScope): Selector {
  if (namespace !== "") return inNamespace(selector, namespace);
  return aboutInit ? selector : inAnyNamespace(selector);
}
