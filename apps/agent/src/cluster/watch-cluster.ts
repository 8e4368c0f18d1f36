import { clusterIdentityMin } from "@cilium-ts/identity";
import {
  ciliumIdentityFrom,
  type KubernetesClient,
  KubernetesError,
  namespaceFrom,
  nodeFrom,
  podFrom,
  type ReflectOptions,
  type Resource,
  reflect,
  resources,
} from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { DnsSettings } from "../dns/dns-settings.ts";
import type { FlowHistory } from "../flow-history.ts";
import type { HostFirewallGuard } from "../host-firewall-guard/host-firewall-guard.ts";
import type { AgentEvents } from "../hubble/agent-events.ts";
import type { AuditMode } from "../policy/audit-mode.ts";
import type { PolicyUpdates } from "../policy/policy-updates.ts";
import type { CustomResourceIdentities } from "./custom-resource-identities.ts";
import type { Pods } from "./pods.ts";
import { policyObjects } from "./policy-objects.ts";

export interface WatchClusterOptions {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly nodeName: string;
  readonly clusterName: string;
  readonly nodeSelectorLabels: boolean;
  readonly dns: Pick<DnsSettings, "enabled">;
  /** Where it is, this node's own object is followed, for its labels. */
  readonly hostFirewall: boolean;
  readonly pods: Pods;
  readonly identities: CustomResourceIdentities;
  readonly updates: PolicyUpdates;
  readonly audit: AuditMode;
  readonly flows: FlowHistory;
  readonly agentEvents: AgentEvents;
  readonly guard: HostFirewallGuard | undefined;
  onPolicy?(outcome: "success" | "fail"): void;
  /** This node's object has these labels. */
  onNodeLabels(labels: Readonly<Record<string, string>>): void;
  /** An identity's object was deleted. True: an endpoint of this node has it, so it stays. */
  keepIdentity(id: number): boolean;
}

const watched = ["namespaces", "pods", "identities", "policies", "node"] as const;
type Watched = (typeof watched)[number];
type Handlers = Pick<ReflectOptions, "onUpsert" | "onDelete" | "selector">;

/** What the API server says, brought to those who need it. */
export class ClusterWatch {
  readonly #options: WatchClusterOptions;
  readonly #synced = new Map<Watched, PromiseWithResolvers<void>>();
  /** Reasons why a watch does not run; empty when all do. */
  readonly #failures = new Map<string, string>();

  constructor(options: WatchClusterOptions) {
    this.#options = options;
    for (const name of watched) this.#synced.set(name, Promise.withResolvers());
  }

  synced(name: Watched): Promise<void> {
    return this.#synced.get(name)?.promise ?? Promise.resolve();
  }

  /** Undefined when the server answers; otherwise what is wrong. */
  failure(): string | undefined {
    return this.#failures.values().next().value;
  }

  /** Until aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { pods, identities, updates, audit, flows, nodeName } = this.#options;
    await Promise.all([
      this.#reflect("namespaces", resources.namespaces, signal, {
        onUpsert: (object) => {
          const namespace = namespaceFrom(object);
          audit.upsertNamespace(namespace);
          pods.upsertNamespace(namespace);
        },
        onDelete: ({ name }) => {
          audit.removeNamespace(name);
          pods.removeNamespace(name);
        },
      }),
      this.#reflect("pods", resources.pods, signal, {
        selector: { fields: `spec.nodeName=${nodeName}` },
        onUpsert: (object) => pods.upsertPod(podFrom(object)),
        onDelete: ({ namespace, name }) => pods.removePod(namespace, name),
      }),
      this.#reflect("identities", resources.ciliumIdentities, signal, {
        onListed: () => identities.listed(),
        onUpsert: (object) => {
          const identity = ciliumIdentityFrom(object);
          // Below stand the numbers that mean the same in every cluster: nobody may give them other labels.
          if (identity === undefined || identity.id < clusterIdentityMin) return;
          identities.upsert(identity);
          flows.setIdentity(identity.id, identity.labels);
          updates.upsertIdentity(identity.id, identity.labels);
        },
        onDelete: ({ name }) => {
          identities.remove(Number(name));
          if (this.#options.keepIdentity(Number(name))) return;
          flows.removeIdentity(Number(name));
          updates.removeIdentity(Number(name));
        },
      }),
      this.#reflectPolicies(signal),
      this.#reflectNode(signal),
    ]);
  }

  /** A node whose object is gone keeps its labels, and with them its policies. */
  async #reflectNode(signal: AbortSignal): Promise<void> {
    const { hostFirewall, nodeName, onNodeLabels } = this.#options;
    if (!hostFirewall) {
      this.#synced.get("node")?.resolve();
      return;
    }
    await this.#reflect("node", resources.nodes, signal, {
      selector: { fields: `metadata.name=${nodeName}` },
      onUpsert: (object) => onNodeLabels(nodeFrom(object).labels),
      onDelete() {},
    });
  }

  /** Policies are known when all kinds of them are, with all that they refer to. */
  async #reflectPolicies(signal: AbortSignal): Promise<void> {
    const watchedObjects = policyObjects(this.#options);
    const waiting = new Set(watchedObjects.map(({ resource }) => resource));
    await Promise.all(
      watchedObjects.map(({ resource, handlers, optional }) => {
        const known = (): void => {
          waiting.delete(resource);
          if (waiting.size === 0) this.#synced.get("policies")?.resolve();
        };
        return this.#reflectResource(resource.plural, resource, signal, handlers, known, optional);
      }),
    );
  }

  #reflect(name: Watched, resource: Resource, signal: AbortSignal, handlers: Handlers & { onListed?(): void }): Promise<void> {
    const { onListed, ...rest } = handlers;
    return this.#reflectResource(name, resource, signal, rest, () => {
      onListed?.();
      this.#synced.get(name)?.resolve();
    });
  }

  /** `optional`: where the server does not know the resource, there are no objects of it; it is asked again. */
  #reflectResource(
    name: string,
    resource: Resource,
    signal: AbortSignal,
    handlers: Handlers,
    onListed: () => void,
    optional?: true,
  ): Promise<void> {
    const { client, clock, log } = this.#options;
    return reflect({
      client,
      resource,
      signal,
      clock,
      ...handlers,
      onListed,
      onState: (state) => {
        if (state.kind === "watching") this.#failures.delete(name);
        if (state.kind !== "waiting") return;
        if (optional && state.failure instanceof KubernetesError && state.failure.status === 404) return onListed();
        const reason = `${resource.plural}: ${errorMessage(state.failure)}`;
        if (!this.#failures.has(name)) log.warn(`the API server does not serve ${reason}; what it last said stays in force`);
        this.#failures.set(name, reason);
      },
    });
  }
}
