import { type Patch, resources } from "@cilium-ts/kubernetes";
import type { Cluster } from "../cluster/cluster.ts";
import { upReason } from "../cluster/read-rows.ts";
import type { NodeRow } from "../cluster/rows.ts";
import type { OperatorOptions } from "../settings.ts";
import { areSynced, type DutyWorld, keep } from "./duty.ts";

type Options = Pick<OperatorOptions, "removesTaints" | "setsTaints" | "setsCondition" | "taintKey">;

/** How soon a node whose agent has become ready is found. */
const lookIntervalMs = 1_000;

/**
 * Lets workloads onto nodes whose agent is ready: removes the taint that kept them away, and says NetworkUnavailable=False. A node whose
 * agent ends later keeps both, as its datapath goes on without the agent; unless the taint is wanted there too, for pods yet to come.
 */
export async function markReadyNodes(world: DutyWorld, options: Options, signal: AbortSignal): Promise<void> {
  const { nodes, ciliumNodes, agentPods } = world.cluster;
  if (!(await areSynced([nodes, ciliumNodes, agentPods], signal))) return;
  /** The version of each node on which we acted last: until we hear of what came of it, there is nothing more to do. */
  const actedOn = new Map<string, string>();
  const target = {
    async apply(row: Readonly<NodeRow>) {
      if (actedOn.get(row.name) === row.resourceVersion) return;
      if (await settle(world, options, row, signal)) actedOn.set(row.name, row.resourceVersion);
    },
    async remove(name: string) {
      actedOn.delete(name);
    },
    realised: async () => {
      const agents = agentsByNode(world.cluster);
      return [...nodes.rows()]
        .filter((row) => {
          const isPodReady = agents.get(row.name);
          return !lacksTaint(options, row, isPodReady) && (isSettled(options, row) || !isAgentReady(world.cluster, row, isPodReady));
        })
        .map(({ name }) => name);
    },
  };
  await keep(world, { what: "the readiness of node", desired: nodes, target, resyncIntervalMs: lookIntervalMs, signal });
}

/** False when there was nothing to do. */
async function settle(world: DutyWorld, options: Options, row: Readonly<NodeRow>, signal: AbortSignal): Promise<boolean> {
  const { cluster, writer, clock, log } = world;
  const { name } = row;
  let { resourceVersion } = row;
  const isPodReady = agentsByNode(cluster, name).get(name);
  if (lacksTaint(options, row, isPodReady)) {
    await writer.patch(resources.nodes, { name }, addTaintPatch(row, options.taintKey), { signal });
    log.warn(`node ${name} takes no pods: its agent is there, but not ready`);
    return true;
  }
  if (isSettled(options, row) || !isAgentReady(cluster, row, isPodReady)) return false;
  if (options.setsCondition && !row.isUp) {
    const patch = conditionPatch(row, new Date(clock.nowMs()).toISOString().replace(/\.\d+Z$/, "Z"));
    const written = await writer.patch(resources.nodes, { name }, patch, { signal, subresource: "status" });
    resourceVersion = written.metadata.resourceVersion ?? "";
    log.info(`node ${name} has a network: its agent is ready`);
  }
  if (!options.removesTaints || row.taintIndexes.length === 0) return true;
  await writer.patch(resources.nodes, { name }, { type: "json", body: taintPatch(row, resourceVersion) }, { signal });
  log.info(`node ${name} takes pods: its agent is ready, and its taint was removed`);
  return true;
}

/** Only where an agent is meant to run: a node without any is somebody else's. */
function lacksTaint({ setsTaints }: Options, { taintIndexes }: Readonly<NodeRow>, isPodReady: boolean | undefined): boolean {
  return setsTaints && isPodReady === false && taintIndexes.length === 0;
}

function isSettled({ removesTaints, setsCondition }: Options, row: Readonly<NodeRow>): boolean {
  return (!removesTaints || row.taintIndexes.length === 0) && (!setsCondition || row.isUp);
}

/** Whether there is a ready one among the agents' pods, by node: of all nodes that have any, or of one. */
function agentsByNode({ agentPods }: Cluster, only?: string): ReadonlyMap<string, boolean> {
  const agents = new Map<string, boolean>();
  for (const { nodeName, isReady } of agentPods.rows())
    if (only === undefined || nodeName === only) agents.set(nodeName, isReady || agents.get(nodeName) === true);
  return agents;
}

/**
 * Where the agent runs as a pod, the pod's readiness tells. Elsewhere the CiliumNode does: the agent writes its own address into it,
 * and the number of the boot in which it is set up, when its datapath is loaded. So a CiliumNode from before a reboot does not count.
 */
function isAgentReady({ ciliumNodes }: Cluster, node: Readonly<NodeRow>, isPodReady: boolean | undefined): boolean {
  if (isPodReady !== undefined) return isPodReady;
  const ciliumNode = ciliumNodes.get(node.name);
  if (ciliumNode === undefined || !ciliumNode.hasInternalAddress) return false;
  return node.bootId === "" || ciliumNode.bootId === "" || ciliumNode.bootId === node.bootId;
}

type Operation = Readonly<Record<string, unknown>>;

/** Positions are those of this very version of the object. */
function conditionPatch({ resourceVersion, conditionIndex, hasConditions }: Readonly<NodeRow>, now: string): Patch {
  const condition = {
    type: "NetworkUnavailable",
    status: "False",
    reason: upReason,
    message: "Cilium is running on this node",
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  };
  // A node that nobody has told anything of yet has no status to put it into.
  if (!hasConditions) return { type: "merge", body: { metadata: { resourceVersion }, status: { conditions: [condition] } } };
  const change =
    conditionIndex >= 0
      ? { op: "replace", path: `/status/conditions/${conditionIndex}`, value: condition }
      : { op: "add", path: "/status/conditions/-", value: condition };
  return { type: "json", body: [{ op: "test", path: "/metadata/resourceVersion", value: resourceVersion }, change] };
}

function addTaintPatch({ resourceVersion, hasTaints }: Readonly<NodeRow>, key: string): Patch {
  const taint = { key, effect: "NoSchedule" };
  if (!hasTaints) return { type: "merge", body: { metadata: { resourceVersion }, spec: { taints: [taint] } } };
  const test = { op: "test", path: "/metadata/resourceVersion", value: resourceVersion };
  return { type: "json", body: [test, { op: "add", path: "/spec/taints/-", value: taint }] };
}

function taintPatch(row: Readonly<NodeRow>, resourceVersion: string): Operation[] {
  // From the last to the first, as each removal moves those behind it.
  const removals = row.taintIndexes.toReversed().map((index) => ({ op: "remove", path: `/spec/taints/${index}` }));
  return [{ op: "test", path: "/metadata/resourceVersion", value: resourceVersion }, ...removals];
}
