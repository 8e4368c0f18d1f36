import {
  type NetworkPolicyOptions,
  parseCiliumClusterwideNetworkPolicy,
  parseCiliumNetworkPolicy,
} from "../policies/cilium-network-policy.ts";
import { parseAdminNetworkPolicy, parseBaselineAdminNetworkPolicy, parseClusterNetworkPolicy } from "../policies/cluster-network-policy.ts";
import { parseNetworkPolicy } from "../policies/network-policy.ts";
import type { ParsedPolicy } from "../policies/policy-object.ts";
import { type Resource, resources } from "../resource.ts";

/** Kinds of objects that hold rules. */
export const policyKinds: ReadonlyArray<{
  readonly resource: Resource;
  /** A cluster need not serve it; then there are none. */
  readonly optional?: true;
  readonly parse: (object: unknown, options: NetworkPolicyOptions) => ParsedPolicy;
}> = [
  { resource: resources.ciliumNetworkPolicies, parse: parseCiliumNetworkPolicy },
  { resource: resources.ciliumClusterwideNetworkPolicies, parse: parseCiliumClusterwideNetworkPolicy },
  { resource: resources.networkPolicies, parse: parseNetworkPolicy },
  { resource: resources.clusterNetworkPolicies, parse: parseClusterNetworkPolicy, optional: true },
  { resource: resources.adminNetworkPolicies, parse: parseAdminNetworkPolicy, optional: true },
  { resource: resources.baselineAdminNetworkPolicies, parse: parseBaselineAdminNetworkPolicy, optional: true },
];

/** `CiliumNetworkPolicy/shop/web`, `CiliumClusterwideNetworkPolicy/web`: what a policy is called in its cluster. */
export function policyKey(
  resource: Resource,
  { namespace = "", name = "" }: { readonly namespace?: string; readonly name?: string },
): string {
  if (!resource.namespaced) return `${resource.kind}/${name}`;
  return `${resource.kind}/${namespace === "" ? "default" : namespace}/${name}`;
}
