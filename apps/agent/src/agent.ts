import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Datapath, openDatapath, readEvents } from "@cilium-ts/datapath";
import { EndpointIdAllocator } from "@cilium-ts/endpoint";
import { FlowRing, LostEventSource } from "@cilium-ts/flow";
import { LocalIdentityAllocator, reservedIdentities, reservedPeers } from "@cilium-ts/identity";
import type { Kernel } from "@cilium-ts/kernel";
import { type KubernetesClient, openKubernetes } from "@cilium-ts/kubernetes";
import { formatAddress } from "@cilium-ts/net";
import { type Netlink, openNetlink } from "@cilium-ts/netlink";
import { CookieTable, PolicyEngine } from "@cilium-ts/policy";
import { reconcile, type Table, type Target } from "@cilium-ts/state";
import { type Clock, errorMessage, TaskGroup } from "@cilium-ts/std";
import { randomBytes } from "node:crypto";
import { CustomResourceIdentities } from "./cluster/custom-resource-identities.ts";
import { Pods } from "./cluster/pods.ts";
import { PublishedEndpoints } from "./cluster/published-endpoints.ts";
import { ClusterWatch } from "./cluster/watch-cluster.ts";
import { CniHandler } from "./cni/cni-handler.ts";
import { serveDeleteQueue } from "./cni/delete-queue.ts";
import { createNodeAddresses } from "./endpoints/node-addresses.ts";
import { EndpointFiles } from "./endpoints/endpoint-files.ts";
import { Endpoints } from "./endpoints/endpoints.ts";
import { FlowHistory } from "./flow-history.ts";
import { IpcacheTable } from "./ipcache-table.ts";
import type { Log } from "./log.ts";
import { applyNodeNetwork, nodeAddresses } from "./network/node-network.ts";
import { createPodPlumbing } from "./network/pod-plumbing.ts";
import { IdentitiesDirectory } from "./policy/identities-directory.ts";
import { PolicyUpdates } from "./policy/policy-updates.ts";
import { RealisedPolicies } from "./policy/realised-policies.ts";
import { createOperations } from "./operations/operations.ts";
import { serveAgent } from "./serve.ts";
import type { AgentOptions } from "./settings.ts";

/** What the agent takes from outside; tests bring their own. */
export interface World {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Log;
  /** The compiled `pod.o`. */
  readonly object: Uint8Array;
}

/**
 * The agent, from top to bottom: what it opens, what it keeps, and one task for each thing it does. Resolves when the signal is aborted
 * and everything is closed; what is in the kernel stays, and traffic goes on.
 */
export async function runAgent(world: World, options: AgentOptions, parent: AbortSignal): Promise<void> {
  const { kernel, clock, log } = world;
  const startedAtMs = clock.nowMs();
  await using tasks = new TaskGroup(parent);
  const { signal } = tasks;
}
