import type { DatapathObjects } from "@cilium-ts/datapath";
import type { Kernel } from "@cilium-ts/kernel";
import type { KubernetesClient } from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import type { Netlink } from "@cilium-ts/netlink";
import type { Clock } from "@cilium-ts/std";
import type { NodeHubble } from "./hubble/node-hubble.ts";
import type { NodeHubbleOptions } from "./hubble/node-hubble-options.ts";
import type { ApiDoor } from "./serve/api-door.ts";

/** What the agent takes from outside; tests bring their own. */
export interface World {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Log;
  readonly objects: DatapathObjects;
  /** Of the namespace at the path, or of our own. */
  openNetlink(options?: { readonly namespacePath: string }): Netlink;
  /** The API server. */
  openClient(): Promise<KubernetesClient>;
  /** Where the agent's API is asked; the settings' unix socket when absent. */
  openApiDoor?(): Promise<ApiDoor>;
  /** The node's Hubble server; on the settings' sockets when absent. */
  startHubble?(options: NodeHubbleOptions): Promise<NodeHubble>;
}
