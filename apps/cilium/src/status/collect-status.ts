import type { KubernetesClient } from "@cilium-ts/kubernetes";
import { listAgentPods } from "../pods/agents.ts";
import type { Executor } from "../pods/executor.ts";
import { type AgentAnswer, agentErrors, agentWarnings, askAgents } from "./agent-answers.ts";
import { countNodes, countPods, type Leader, type NodeCounts, type PodCounts, readLeader } from "./cluster-objects.ts";
import { type ComponentState, components, readComponent } from "./components.ts";
import type { Trouble } from "./trouble.ts";

export interface ClusterStatus {
  readonly components: readonly ComponentState[];
  readonly nodes: NodeCounts;
  readonly pods: PodCounts;
  readonly leader: Leader | undefined;
  readonly agents: readonly AgentAnswer[];
  readonly errors: readonly Trouble[];
  readonly warnings: readonly Trouble[];
}

export interface StatusScope {
  /** Where Cilium runs. */
  readonly namespace: string;
  readonly nowMs: number;
  readonly executor: Executor;
  readonly signal: AbortSignal;
}

/** Reads all of it at once; rejects when the server cannot be asked. */
export async function collectStatus(cluster: KubernetesClient, scope: StatusScope): Promise<ClusterStatus> {
  const { signal } = scope;
  const [states, nodes, pods, leader, agents] = await Promise.all([
    Promise.all(components.map((component) => readComponent(cluster, component, scope))),
    countNodes(cluster, signal),
    countPods(cluster, signal),
    readLeader(cluster, scope),
    listAgentPods(cluster, scope).then((found) => askAgents(scope.executor, found, signal)),
  ]);
  return {
    components: states,
    nodes,
    pods,
    leader,
    agents,
    errors: [...states.flatMap((state) => componentErrors(state, scope.namespace)), ...agentErrors(agents)],
    warnings: [...nodeWarnings(nodes), ...podWarnings(pods), ...leaderWarnings(leader, scope.nowMs), ...agentWarnings(agents)],
  };
}

function componentErrors({ component, replicas, pods }: ComponentState, namespace: string): Trouble[] {
  const { name, kind, required } = component;
  if (replicas === undefined && !required) return [];
  if (replicas === undefined)
    return [
      {
        component: name,
        part: name,
        message: `there is no ${kind} ${name} in the namespace ${namespace}; --namespace says where Cilium runs`,
      },
    ];
  const { desired, ready } = replicas;
  const missing = desired - ready;
  return [
    ...(missing > 0 ? [{ component: name, part: name, message: `${missing} of ${desired} pods of ${kind} ${name} are not ready` }] : []),
    ...pods.flatMap((pod) => pod.troubles.map((message) => ({ component: name, part: pod.name, message }))),
  ];
}

function nodeWarnings({ withoutAgent }: NodeCounts): Trouble[] {
  return withoutAgent.map((node) => ({
    component: "cilium",
    part: node,
    message: "no agent has made itself known on this node: it has no CiliumNode",
  }));
}

function podWarnings({ unmanaged, all, managed }: PodCounts): Trouble[] {
  if (unmanaged.length === 0) return [];
  const names = `${unmanaged.slice(0, 5).join(", ")}${all - managed > 5 ? ", ..." : ""}`;
  return [
    {
      component: "cilium",
      part: "pods",
      message: `${all - managed} pods are not managed by Cilium, and policies do not protect them: ${names}`,
    },
  ];
}

/** By the clocks of two machines: a leader is called silent only when it is far beyond doubt. */
function leaderWarnings(leader: Leader | undefined, nowMs: number): Trouble[] {
  if (leader === undefined)
    return [{ component: "cilium-operator", part: "lease", message: "no operator has ever taken up the cluster's duties" }];
  const silentMs = nowMs - leader.renewedAtMs;
  if (silentMs < 4 * Math.max(leader.leaseMs, 15_000)) return [];
  return [
    { component: "cilium-operator", part: leader.holder, message: `the leader has been silent for ${Math.round(silentMs / 1000)} s` },
  ];
}
