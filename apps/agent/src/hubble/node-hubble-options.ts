import type { KubernetesClient } from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import type { Clock } from "@cilium-ts/std";
import type { Node } from "../node.ts";
import type { AgentOptions } from "../settings.ts";

/** What the node's Hubble server is made of. */
export interface NodeHubbleOptions {
  readonly node: Node;
  readonly options: AgentOptions;
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly log: Log;
}
