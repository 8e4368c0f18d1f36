import type { StatusResponse } from "@cilium-ts/agent-api";
import { errorMessage } from "@cilium-ts/std";
import type { AgentPod } from "../pods/agents.ts";
import { type Executor, outputOf } from "../pods/executor.ts";
import type { Trouble } from "./trouble.ts";

/** What an agent says of itself, or why it could not be asked. */
export type AgentAnswer =
  | { readonly pod: string; readonly node: string; readonly status: StatusResponse }
  | { readonly pod: string; readonly node: string; readonly failure: string };

const answerTimeoutMs = 20_000;

/** Of agents that are not ready nothing is asked: that they are not is known already. */
export function askAgents(executor: Executor, agents: readonly AgentPod[], signal: AbortSignal): Promise<AgentAnswer[]> {
  return Promise.all(agents.filter(({ ready }) => ready).map((agent) => askAgent(executor, agent, signal)));
}

async function askAgent(executor: Executor, agent: AgentPod, signal: AbortSignal): Promise<AgentAnswer> {
  const { pod, node } = agent;
  try {
    const soon = AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)]);
    const status: StatusResponse = JSON.parse(await outputOf(executor, agent, ["cilium-dbg", "status", "-o", "json"], soon));
    return { pod, node, status };
  } catch (cause) {
    signal.throwIfAborted();
    return { pod, node, failure: errorMessage(cause) };
  }
}

/** An agent that does not do its work. */
export function agentErrors(answers: readonly AgentAnswer[]): Trouble[] {
  return answers.flatMap((answer) => {
    if (!("status" in answer)) return [];
    const { cilium, kubernetes } = answer.status;
    const at = (message: string): Trouble => ({ component: "cilium", part: answer.pod, message });
    return [
      ...(cilium?.state === "Ok" ? [] : [at(`the agent is not well: ${cilium?.msg ?? "it says nothing of itself"}`)]),
      ...(kubernetes?.state === "Failure" ? [at(`the agent does not reach the API server: ${kubernetes.msg ?? ""}`)] : []),
    ];
  });
}

export function agentWarnings(answers: readonly AgentAnswer[]): Trouble[] {
  const failed = answers.filter((answer) => "failure" in answer);
  const [first] = failed;
  const unasked =
    first === undefined
      ? []
      : [{ component: "cilium", part: first.pod, message: `${failed.length} agents could not be asked: ${first.failure}` }];
  return [...unasked, ...answers.flatMap((answer) => ("status" in answer ? partWarnings(answer.pod, answer.status) : []))];
}

function partWarnings(pod: string, { hubble, controllers = [], stale = {} }: StatusResponse): Trouble[] {
  const at = (message: string): Trouble => ({ component: "cilium", part: pod, message });
  const isFailing = (state: string | undefined): boolean => state === "Warning" || state === "Failure";
  return [
    ...(isFailing(hubble?.state) ? [at(`Hubble: ${hubble?.msg ?? ""}`)] : []),
    ...controllers
      .filter(({ status }) => (status?.["consecutive-failure-count"] ?? 0) > 0)
      .map(({ name = "", status }) =>
        at(`${name} has failed ${status?.["consecutive-failure-count"]} times in a row: ${status?.["last-failure-msg"] ?? ""}`),
      ),
    ...Object.entries(stale).map(([name, since]) => at(`${name} has not been looked at since ${since}`)),
  ];
}
