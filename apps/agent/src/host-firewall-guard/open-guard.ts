import type { Datapath } from "@cilium-ts/datapath";
import type { Kernel } from "@cilium-ts/kernel";
import { type KubernetesClient, parseCiliumClusterwideNetworkPolicy } from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { parseAddress } from "@cilium-ts/net";
import type { Clock } from "@cilium-ts/std";
import { setRules } from "../cluster/policy-objects.ts";
import type { Node } from "../node.ts";
import type { AgentOptions } from "../settings.ts";
import { type GuardedParts, HostFirewallGuard } from "./host-firewall-guard.ts";
import { LifelineSources } from "./lifeline-sources.ts";

/**
 * Undefined where nothing is to be guarded. Opened before anything that may have to wait for an API server: a policy of this node may have
 * cut that off, and the time counts from now on.
 */
export function openGuard(
  { kernel, clock, log }: { readonly kernel: Kernel; readonly clock: Clock; readonly log: Log },
  options: AgentOptions,
  client: KubernetesClient,
): HostFirewallGuard | undefined {
  const { hostFirewallRevertAfterMs: revertAfterMs, bpfRoot, stateDirectory, nodeName, clusterName, nodeSelectorLabels } = options;
  // Where policy only audits nothing is cut off.
  if (!options.hostFirewall || options.policyAuditMode || revertAfterMs === 0) return undefined;
  return new HostFirewallGuard({
    ...{ kernel, clock, log, client, revertAfterMs, bpfRoot, stateDirectory, nodeName },
    rulesOf: (object) => parseCiliumClusterwideNetworkPolicy(object, { clusterName, nodeSelectorLabels }).rules,
  });
}

/** What it needs of a node whose start has come so far. */
export function guardedParts(
  { sshPorts, kubeconfigPath }: AgentOptions,
  { server }: Pick<KubernetesClient, "server">,
  datapath: Datapath,
  { updates, agentEvents, apiServers, hostAddresses, remoteNodes, ipcache }: Node,
): GuardedParts {
  const sources = new LifelineSources({
    sshPorts,
    server: kubeconfigPath === undefined ? undefined : server,
    apiServers: () => apiServers.servers(),
    ownAddresses: () => hostAddresses.underlay(),
    nodeAddresses: () => remoteNodes.nodes().flatMap(({ addresses }) => addresses.map(({ ip }) => ip)),
    identityOf: (address) => ipcache.identityOf(parseAddress(address) ?? new Uint8Array(4)),
  });
  return {
    datapath,
    sources,
    applyRules(policies) {
      for (const [key, rules] of policies) setRules(updates, key, rules);
    },
    onAgentEvent: (type, message) => agentEvents.other(type, message),
  };
}
