import { clusterLabelKey, type Label, type Labels, namespaceLabelKey, type Requirement, Selector } from "@cilium-ts/labels";

/** What the user gave the pod. Labels that follow from where it runs say nothing that policies need. */
export function ownLabels(labels: Labels): readonly Label[] {
  return labels.all.filter(({ source, key }) => source !== "k8s" || !(key === namespaceLabelKey || key.startsWith("io.cilium.k8s.")));
}

const workloadKeys = new WeakMap<Labels, string>();

/** Pods that differ in nothing else are one workload: `shop k8s:app=web`. */
export function workloadKey(labels: Labels): string {
  let key = workloadKeys.get(labels);
  if (key === undefined) {
    key = `${labels.get("k8s", namespaceLabelKey) ?? ""} ${JSON.stringify(ownLabels(labels))}`;
    workloadKeys.set(labels, key);
  }
  return key;
}

/**
 * Selects the pods with these labels, and of the others that are known none. A pod that has more labels than these would be selected too:
 * of each such kind one of its labels must be missing.
 */
export function workloadSelector(labels: Labels, others: Iterable<Labels>): Selector {
  const own = ownLabels(labels);
  const place = labels.all.filter(({ source, key }) => source === "k8s" && (key === namespaceLabelKey || key === clusterLabelKey));
  const requirements: Requirement[] = [...own, ...place].map(({ source, key, value }) => ({
    source,
    key,
    operator: "In",
    values: [value],
  }));
  for (const other of others) {
    if (other.get("k8s", namespaceLabelKey) !== labels.get("k8s", namespaceLabelKey)) continue;
    if (!requirements.every(({ source, key, values }) => values.length === 0 || other.get(source, key) === values[0])) continue;
    const more = ownLabels(other).find(({ source, key }) => !labels.has(source, key));
    if (more !== undefined) requirements.push({ source: more.source, key: more.key, operator: "DoesNotExist", values: [] });
  }
  return Selector.ofRequirements(requirements);
}

const telling = ["app.kubernetes.io/name", "app", "k8s-app", "name"];

/** Letters that an object's name may have; of the workload, or else of the label that people name it by. */
export function workloadName(labels: Labels, workload: string): string {
  const named = workload.split("/")[1] ?? "";
  const label = telling.map((key) => labels.get("k8s", key)).find((value) => value !== undefined && value !== "");
  const text = named || label || ownLabels(labels)[0]?.value || "pods";
  const name = text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  return name.slice(0, 53).replace(/^-/, "").replace(/-$/, "") || "pods";
}
