import { createHash } from "node:crypto";
import { type KubernetesObject, textMapAt } from "@cilium-ts/kubernetes";
import { type Labels, Selector } from "@cilium-ts/labels";
import type { Rule } from "@cilium-ts/policy";

/** On a policy of nodes, `true`: whoever wrote it knows what it cuts off. */
export const confirmAnnotation = "policy.cilium.io/host-firewall-confirmed";

/** A policy of which some rules are about nodes. */
export interface HostPolicy {
  readonly object: KubernetesObject;
  /** Only those about nodes; of policies by their keys (`HostPolicies`), only those about this one. */
  readonly rules: readonly Rule[];
  readonly content: string;
  readonly isConfirmed: boolean;
}

/** Of one node. */
export type HostPolicies = ReadonlyMap<string, HostPolicy>;

/** Undefined: no rule of the object is about nodes. Managed fields and the like are not kept. */
export function hostPolicyOf({ apiVersion, kind, metadata, spec, specs }: KubernetesObject, all: readonly Rule[]): HostPolicy | undefined {
  const rules = all.filter(({ ofNodes }) => ofNodes === true);
  if (rules.length === 0) return undefined;
  const { name = "", uid = "", annotations = {} } = metadata;
  const object = {
    ...(apiVersion !== undefined && { apiVersion }),
    ...(kind !== undefined && { kind }),
    metadata: { name, uid, annotations },
  };
  return {
    object: { ...object, ...(spec !== undefined && { spec }), ...(specs !== undefined && { specs }) },
    rules,
    content: "",
    isConfirmed: textMapAt({ annotations }, "annotations")[confirmAnnotation] === "true",
  };
}

/** What it says of the node with these labels. Undefined: nothing. */
export function aboutNode(policy: HostPolicy, labels: Labels): HostPolicy | undefined {
  const rules = policy.rules.filter(({ endpointSelector }) => endpointSelector.matches(labels));
  return rules.length === 0 ? undefined : { ...policy, rules, content: JSON.stringify(rules) };
}

/** The same rules, about this node whatever its labels are now. */
export function whateverItsLabels(rules: readonly Rule[]): Rule[] {
  return rules.map((rule) => ({ ...rule, endpointSelector: Selector.everything }));
}

/** Keys of policies that are not the same in both. */
export function differences(before: HostPolicies, after: HostPolicies): string[] {
  const keys = new Set([...before.keys(), ...after.keys()]);
  return [...keys].filter((key) => before.get(key)?.content !== after.get(key)?.content);
}

/** Whether each of the changed policies says itself that it is meant; one that is gone, what it said last. */
export function isConfirmedInAdvance(before: HostPolicies, after: HostPolicies): boolean {
  const changed = differences(before, after);
  return changed.length > 0 && changed.every((key) => (after.get(key) ?? before.get(key))?.isConfirmed === true);
}

/** Equal for equal rules, whatever else is written beside them. */
export function digestOf(policies: HostPolicies): string {
  const hash = createHash("sha256");
  for (const [key, { content }] of [...policies].sort(([a], [b]) => (a < b ? -1 : 1))) hash.update(`${key}\n${content}\n`);
  return hash.digest("hex");
}
