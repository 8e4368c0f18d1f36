import {
  type KubernetesObject,
  listAt,
  parseCiliumCidrGroup,
  type policyKinds,
  type Resource,
  recordAt,
  resources,
  textAt,
} from "@cilium-ts/kubernetes";
import { type Rule, unmetNeeds } from "@cilium-ts/policy";
import { approval, type PolicyVerdict, refusal } from "./policy-verdict.ts";

/** A policy, or a group of prefixes that policies name: whether it is valid, and what its status says of that. */
export interface PolicyRow {
  /** `Kind/namespace/name`. */
  readonly key: string;
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Of its own; whether the groups that it names are there is seen by who tells. */
  readonly verdict: PolicyVerdict;
  /** What a valid one asks for in vain, a sentence each. */
  readonly needs: readonly string[];
  readonly groups: readonly GroupReference[];
  /** Undefined where its kind has no status. */
  readonly status: PolicyStatus | undefined;
}

export interface GroupReference {
  /** Of the section that names it: `ingress[0]`. */
  readonly path: string;
  readonly name: string;
}

export interface PolicyStatus {
  /** Undefined when it says nothing about validity. */
  readonly said: (PolicyVerdict & { readonly lastTransitionTime: string; readonly observedGeneration: number | undefined }) | undefined;
  /** What its condition has to name; undefined where conditions of this kind name none. */
  readonly generation: number | undefined;
  /** Conditions of other types, as they are. */
  readonly otherConditions: readonly unknown[];
}

type PolicyKind = (typeof policyKinds)[number];

export function policyRow(object: KubernetesObject, { resource, parse }: PolicyKind, clusterName: string): PolicyRow {
  const { rules, problems } = parse(object, { clusterName, nodeSelectorLabels: true });
  const needs = unmetNeeds(rules);
  const verdict = problems.length > 0 ? refusal(problems) : approval(needs);
  const status = resource === resources.networkPolicies ? undefined : statusOf(object, resource);
  return { ...nameOf(object, resource), resource, verdict, needs, groups: rules.flatMap(groupsOf), status };
}

export function cidrGroupRow(object: KubernetesObject): PolicyRow {
  const { problems } = parseCiliumCidrGroup(object);
  const resource = resources.ciliumCidrGroups;
  const verdict = problems.length > 0 ? refusal(problems) : approval([]);
  return { ...nameOf(object, resource), resource, verdict, needs: [], groups: [], status: undefined };
}

export function policyRowKey(resource: Resource, namespace: string, name: string): string {
  return `${resource.kind}/${namespace}/${name}`;
}

function nameOf({ metadata }: KubernetesObject, resource: Resource) {
  const { namespace = "", name = "", uid = "", resourceVersion = "" } = metadata;
  return { key: policyRowKey(resource, namespace, name), namespace, name, uid, resourceVersion };
}

function statusOf(object: KubernetesObject, resource: Resource): PolicyStatus {
  const conditions = listAt(recordAt(object, "status"), "conditions");
  const valid = conditions.find((condition) => textAt(condition, "type") === "Valid");
  const { observedGeneration } = (valid ?? {}) as { readonly observedGeneration?: unknown };
  return {
    said:
      valid === undefined
        ? undefined
        : {
            status: textAt(valid, "status") === "True" ? "True" : "False",
            message: textAt(valid, "message"),
            lastTransitionTime: textAt(valid, "lastTransitionTime"),
            observedGeneration: typeof observedGeneration === "number" ? observedGeneration : undefined,
          },
    generation: resource.group === "cilium.io" ? undefined : object.metadata.generation,
    otherConditions: conditions.filter((condition) => condition !== valid),
  };
}

function groupsOf({ ingress, ingressDeny, egress, egressDeny }: Rule): GroupReference[] {
  return [...ingress, ...ingressDeny, ...egress, ...egressDeny].flatMap(({ path, peers = [] }) =>
    peers.flatMap((peer) => (peer.kind === "cidrGroups" && "name" in peer ? [{ path, name: peer.name }] : [])),
  );
}
