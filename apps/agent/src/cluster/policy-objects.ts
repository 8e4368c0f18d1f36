import {
  type KubernetesObject,
  type ParsedPolicy,
  type Problem,
  parseCiliumCidrGroup,
  policyKinds,
  policyServiceFrom,
  type ReflectOptions,
  type Resource,
  resources,
  serviceSliceFrom,
} from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { type Rule, unmetNeeds } from "@cilium-ts/policy";
import type { DnsSettings } from "../dns/dns-settings.ts";
import type { FlowHistory } from "../flow-history.ts";
import type { HostFirewallGuard } from "../host-firewall-guard/host-firewall-guard.ts";
import type { AgentEvents } from "../hubble/agent-events.ts";
import type { PolicyUpdates } from "../policy/policy-updates.ts";
import { PolicyServices } from "./policy-services.ts";
import { ServiceNames } from "./service-names.ts";

export interface PolicyObjectsOptions {
  readonly updates: PolicyUpdates;
  readonly flows: Pick<FlowHistory, "setService">;
  readonly agentEvents: Pick<AgentEvents, "policyUpdated" | "policyDeleted" | "serviceUpserted">;
  readonly clusterName: string;
  readonly nodeSelectorLabels: boolean;
  readonly dns: Pick<DnsSettings, "enabled">;
  readonly hostFirewall: boolean;
  /** Decides which rules about nodes are in force. */
  readonly guard: Pick<HostFirewallGuard, "take" | "drop"> | undefined;
  readonly log: Log;
  /** An object was taken over, or refused because it is not valid. */
  onPolicy?(outcome: "success" | "fail"): void;
}

export interface WatchedPolicyObjects {
  readonly resource: Resource;
  readonly handlers: Pick<ReflectOptions, "onUpsert" | "onDelete" | "selector">;
  /** A cluster need not serve it; then there are none. */
  readonly optional?: true | undefined;
}

/**
 * What rules are made of: policies of every kind and the groups that they name. An object that is not valid changes nothing: what it said
 * before, when it was, stays in force.
 */
export function policyObjects(options: PolicyObjectsOptions): WatchedPolicyObjects[] {
  const { updates, clusterName, nodeSelectorLabels } = options;
  const policies = policyKinds.map(({ resource, parse, optional }): WatchedPolicyObjects => {
    const upsert = (object: KubernetesObject, { rules, problems }: ParsedPolicy): void => {
      const valid = isValid(object, resource, problems, options.log);
      options.onPolicy?.(valid ? "success" : "fail");
      if (!valid) return;
      const key = keyOf(resource, object.metadata);
      const abilities = { hostFirewall: options.hostFirewall, dnsProxy: options.dns.enabled };
      for (const need of unmetNeeds(rules, abilities)) options.log.warn(`${key}: ${need}`);
      updates.upsertPolicy(key, options.guard?.take(key, object, rules) ?? rules);
      options.agentEvents.policyUpdated(rules, updates.revision);
    };
    return {
      resource,
      optional,
      handlers: {
        onUpsert: (object) => upsert(object, parse(object, { clusterName, nodeSelectorLabels })),
        onDelete(reference) {
          const key = keyOf(resource, reference);
          const rules = updates.rulesOf(key);
          setRules(updates, key, options.guard?.drop(key) ?? []);
          options.agentEvents.policyDeleted(rules, updates.revision);
        },
      },
    };
  });
  return [...policies, cidrGroups(options), ...services(options)];
}

/** Of no rules: the policy is gone. */
export function setRules(updates: Pick<PolicyUpdates, "upsertPolicy" | "removePolicy">, key: string, rules: readonly Rule[]): void {
  if (rules.length > 0) updates.upsertPolicy(key, rules);
  else updates.removePolicy(key);
}

function cidrGroups({ updates, log }: PolicyObjectsOptions): WatchedPolicyObjects {
  const resource = resources.ciliumCidrGroups;
  return {
    resource,
    handlers: {
      onUpsert(object) {
        const { group, problems } = parseCiliumCidrGroup(object);
        if (isValid(object, resource, problems, log) && group !== undefined) updates.upsertCidrGroup(group);
      },
      onDelete: ({ name }) => updates.removeCidrGroup(name),
    },
  };
}

/** Slices that Kubernetes keeps itself are of services with a selector, which say as much by that. */
const slicesWrittenByHand = { labels: "endpointslice.kubernetes.io/managed-by!=endpointslice-controller.k8s.io" };

function services({ updates, clusterName, flows, agentEvents }: PolicyObjectsOptions): WatchedPolicyObjects[] {
  const names = new ServiceNames({
    setService(frontend, service) {
      flows.setService(frontend, service);
      if (service !== undefined) agentEvents.serviceUpserted(service.name, service.namespace, frontend.address, frontend.port);
    },
  });
  const table = new PolicyServices({
    upsert: (service) => updates.upsertService(service),
    remove: (namespace, name) => updates.removeService(namespace, name),
  });
  return [
    {
      resource: resources.services,
      handlers: {
        onUpsert: (object) => {
          names.upsert(object);
          table.upsertService(policyServiceFrom(object, clusterName));
        },
        onDelete: (reference) => {
          names.remove(reference);
          table.removeService(reference.namespace, reference.name);
        },
      },
    },
    {
      resource: resources.endpointSlices,
      handlers: {
        selector: slicesWrittenByHand,
        onUpsert: (object) => table.upsertSlice(serviceSliceFrom(object)),
        onDelete: ({ namespace, name }) => table.removeSlice(namespace, name),
      },
    },
  ];
}

function isValid(object: KubernetesObject, resource: Resource, problems: readonly Problem[], log: Log): boolean {
  for (const { path, message } of problems) log.error(`${keyOf(resource, object.metadata)} is not applied: ${path}: ${message}`);
  return problems.length === 0;
}

/** `CiliumNetworkPolicy/shop/web`, `CiliumCIDRGroup/office`. */
function keyOf(resource: Resource, { namespace = "", name = "" }: { readonly namespace?: string; readonly name?: string }): string {
  return resource.namespaced ? `${resource.kind}/${namespace}/${name}` : `${resource.kind}/${name}`;
}
