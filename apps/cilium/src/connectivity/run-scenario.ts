import type { KubernetesObject } from "@cilium-ts/kubernetes";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { AgentPod } from "../pods/agents.ts";
import { type Executor, outputOf } from "../pods/executor.ts";
import { type Attempt, type AttemptOptions, attemptText, isAsExpected, possibleAttempts, tryRows } from "./attempt.ts";
import type { Deployment } from "./deployment.ts";
import { missingFlows, readFlows } from "./observed-flows.ts";
import type { Scenario, TestNames } from "./scenario.ts";

export interface ScenarioResult {
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
  /** Connections tried, each with its own verdict. */
  readonly attempts: number;
  /** Those whose flow was looked for and found. */
  readonly flows: number;
  readonly durationMs: number;
  readonly problems: readonly string[];
}

export interface ScenarioWorld extends AttemptOptions {
  readonly executor: Executor;
  readonly clock: Clock;
  readonly deployment: Deployment;
  readonly names: TestNames;
  /** Of the nodes that take part. */
  readonly agents: readonly AgentPod[];
  readonly checksFlows: boolean;
  /** How long a policy may take to be in force everywhere. */
  readonly patienceMs: number;
}

const retryDelayMs = 200;

/** Puts the policies in force, tries every row until all are as they should be or time is up, and takes the policies back. */
export async function runScenario(scenario: Scenario, world: ScenarioWorld, signal: AbortSignal): Promise<ScenarioResult> {
  const startedAtMs = world.clock.nowMs();
  const result = (outcome: ScenarioResult["outcome"], attempts: number, flows: number, problems: readonly string[]): ScenarioResult => {
    return { name: scenario.name, outcome, attempts, flows, durationMs: world.clock.nowMs() - startedAtMs, problems };
  };
  if (possibleAttempts(scenario.rows, world).length === 0)
    return result("skipped", 0, 0, ["the cluster has not the nodes or addresses for it"]);
  const objects = scenario.objects(world.names);
  const tried = await withPolicies(objects, world, signal, () => tryUntilRight(scenario, world, signal));
  return result(tried.problems.length === 0 ? "passed" : "failed", tried.attempts, tried.flows, tried.problems);
}

/** With the policies in force, and afterwards without. Whatever goes wrong is a problem of this scenario, and the next one may do better. */
async function withPolicies(
  objects: readonly KubernetesObject[],
  world: ScenarioWorld,
  signal: AbortSignal,
  use: () => Promise<Tried>,
): Promise<Tried> {
  let tried: Tried = { attempts: 0, flows: 0, problems: [] };
  const note = (cause: unknown): void => {
    signal.throwIfAborted();
    tried = { ...tried, problems: [...tried.problems, errorMessage(cause)] };
  };
  try {
    await world.deployment.apply(objects, signal);
    await waitForPolicies(objects, "present", world, signal);
    tried = await use();
  } catch (cause) {
    note(cause);
  }
  try {
    await world.deployment.withdraw(objects, signal);
    await waitForPolicies(objects, "absent", world, signal);
  } catch (cause) {
    note(cause);
  }
  return tried;
}

interface Tried {
  readonly attempts: number;
  readonly flows: number;
  readonly problems: readonly string[];
}

async function tryUntilRight(scenario: Scenario, world: ScenarioWorld, signal: AbortSignal): Promise<Tried> {
  const { clock } = world;
  const endMs = clock.nowMs() + world.patienceMs;
  for (;;) {
    const startedAtMs = clock.nowMs();
    const attempts = await tryRows(scenario.rows, world, signal);
    const wrong = attempts.filter((attempt) => !isAsExpected(attempt));
    if (wrong.length === 0) return await withFlows(attempts, startedAtMs, world, signal);
    if (clock.nowMs() >= endMs) return { attempts: attempts.length, flows: 0, problems: wrong.map(attemptText) };
    await clock.sleep(retryDelayMs, signal);
  }
}

/** Hubble is asked until it shows all of them: a flow is seen a moment after its packet. */
async function withFlows(attempts: readonly Attempt[], sinceMs: number, world: ScenarioWorld, signal: AbortSignal): Promise<Tried> {
  if (!world.checksFlows) return { attempts: attempts.length, flows: 0, problems: [] };
  const { clock, executor, agents, names } = world;
  const endMs = clock.nowMs() + world.patienceMs;
  for (;;) {
    const flows = await readFlows(executor, agents, [names.namespace, names.otherNamespace], signal);
    const problems = missingFlows(attempts, flows, sinceMs);
    if (problems.length === 0 || clock.nowMs() >= endMs)
      return { attempts: attempts.length, flows: attempts.length - problems.length, problems };
    await clock.sleep(retryDelayMs, signal);
  }
}

/** Until every agent has them among its rules, or none of them any more. Until then an attempt would say nothing about them. */
async function waitForPolicies(
  objects: readonly KubernetesObject[],
  wanted: "present" | "absent",
  world: ScenarioWorld,
  signal: AbortSignal,
): Promise<void> {
  const names = objects
    .filter(({ kind }) => kind?.endsWith("NetworkPolicy") || kind === "NetworkPolicy")
    .map(({ metadata }) => metadata.name ?? "");
  if (names.length === 0) return;
  const endMs = world.clock.nowMs() + world.patienceMs;
  for (const agent of world.agents) {
    for (;;) {
      const rules = await outputOf(world.executor, agent, ["cilium-dbg", "policy", "get"], signal);
      const has = (name: string): boolean => rules.includes(`"${name}"`) || rules.includes(`=${name}"`);
      const missing = names.filter((name) => has(name) !== (wanted === "present"));
      if (missing.length === 0) break;
      if (world.clock.nowMs() >= endMs)
        throw new Error(
          `${missing.join(", ")} ${wanted === "present" ? "is not among" : "is still among"} the rules of the agent on ${agent.node}`,
        );
      await world.clock.sleep(retryDelayMs, signal);
    }
  }
}
