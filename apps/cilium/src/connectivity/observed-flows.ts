import { flowpb, parseFlowLine } from "@cilium-ts/observer";
import type { AgentPod } from "../pods/agents.ts";
import { type Executor, outputOf } from "../pods/executor.ts";
import { type Attempt, attemptText } from "./attempt.ts";

/** The last so many flows of each node, of the test's pods. */
const flowCountMax = 3_000;

/** What Hubble on each of the nodes has seen of the pods of these namespaces lately. */
export async function readFlows(
  executor: Executor,
  agents: readonly AgentPod[],
  namespaces: readonly string[],
  signal: AbortSignal,
): Promise<flowpb.Flow[]> {
  const filters = namespaces.flatMap((namespace) => ["--namespace", namespace]);
  const command = ["hubble", "observe", "--last", String(flowCountMax), "--output", "jsonpb", ...filters];
  const outputs = await Promise.all(agents.map((agent) => outputOf(executor, agent, command, signal)));
  return outputs.flatMap((output) =>
    output
      .split("\n")
      .filter((line) => line !== "")
      .flatMap((line) => {
        const { responseTypes } = parseFlowLine(line);
        return responseTypes.case === "flow" ? [responseTypes.value] : [];
      }),
  );
}

/** One sentence for each attempt of which Hubble does not show what became of it. */
export function missingFlows(attempts: readonly Attempt[], flows: readonly flowpb.Flow[], sinceMs: number): string[] {
  return attempts
    .filter((attempt) => isSeen(attempt) && !flows.some((flow) => isFlowOf(attempt, flow, sinceMs)))
    .map(
      (attempt) =>
        `${attemptText(attempt)}, and Hubble shows no flow ${attempt.row.verdict === "allowed" ? "forwarded" : "dropped by policy"}`,
    );
}

/** Between nodes there is nothing to see: at least one of the two must be a pod with a network of its own. */
function isSeen({ from, to }: Attempt): boolean {
  return [from, to].some(({ pod }) => pod !== undefined && !pod.hostNetwork);
}

function isFlowOf({ row, family, from, to, port, localPort }: Attempt, flow: flowpb.Flow, sinceMs: number): boolean {
  const wanted = row.verdict === "allowed" ? flowpb.Verdict.FORWARDED : flowpb.Verdict.DROPPED;
  if (flow.verdict !== wanted || (flow.time !== undefined && Number(flow.time.seconds) * 1000 < sinceMs - 2_000)) return false;
  if (flow.isReply === true || !isAddressOf(flow.IP?.source, from, family) || flow.IP?.destination !== to[family]) return false;
  if (row.verdict === "dropped" && !isPolicyDrop(flow)) return false;
  const l4 = flow.l4?.protocol;
  if (row.protocol === "icmp") return l4?.case === "ICMPv4" || l4?.case === "ICMPv6";
  if (l4?.case !== (row.protocol === "tcp" ? "TCP" : "UDP")) return false;
  return l4.value.destinationPort === port && (localPort === 0 || l4.value.sourcePort === localPort);
}

/** A node has many addresses, and chooses one by its routes. */
function isAddressOf(source: string | undefined, from: Attempt["from"], family: Attempt["family"]): boolean {
  return from.pod?.hostNetwork === true || source === from[family];
}

function isPolicyDrop({ dropReasonDesc }: flowpb.Flow): boolean {
  return dropReasonDesc === flowpb.DropReason.POLICY_DENIED || dropReasonDesc === flowpb.DropReason.POLICY_DENY;
}
