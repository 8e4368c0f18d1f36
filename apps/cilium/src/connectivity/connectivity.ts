import { writeFileSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";
import {
  addOutputFlag,
  checkOutput,
  ExitCode,
  type OutputOptions,
  show,
  tableText,
  UsageError,
  unlessInterrupted,
} from "@cilium-ts/command-line";
import { errorMessage, parseDuration } from "@cilium-ts/std";
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { type AgentPod, listAgentPods } from "../pods/agents.ts";
import type { Executor } from "../pods/executor.ts";
import { families } from "./attempt.ts";
import { Deployment } from "./deployment.ts";
import type { Places } from "./places.ts";
import { junitXml, resultText, summaryText } from "./report.ts";
import { runScenario, type ScenarioResult, type ScenarioWorld } from "./run-scenario.ts";
import type { Scenario, TestNames } from "./scenario.ts";
import { scenarios } from "./scenarios.ts";

interface TestOptions extends OutputOptions {
  readonly test: string[];
  readonly list?: boolean;
  readonly testNamespace: string;
  readonly image: string;
  readonly externalIp: string;
  readonly externalIpv6: string;
  readonly externalPort: string;
  readonly singleNode?: boolean;
  readonly flowValidation: string;
  readonly timeout: string;
  readonly junitFile?: string;
  readonly keep?: boolean;
}

const cleanUpTimeoutMs = 60_000;
const startTimeoutMs = 120_000;

export function addConnectivity(program: Command, context: Context): void {
  const { env } = context.world;
  const command = program
    .command("connectivity")
    .description("Try connections between pods, nodes and the world")
    .command("test")
    .description("Put policies in force one after another, and see that connections and Hubble's flows are as they should be")
    .option("--test <pattern>", "Only scenarios whose name matches; !pattern leaves some out", collect, [])
    .option("--list", "Only list the scenarios")
    .option("--test-namespace <name>", "Where the pods run; a second one is named NAME-other", "cilium-test")
    .option("--image <image>", "Of the pods: something with Node and ping", "docker.io/library/node:26-alpine")
    .option("--external-ip <address>", "A server outside of the cluster", env.CILIUM_TEST_EXTERNAL_IP ?? "1.1.1.1")
    .option("--external-ipv6 <address>", "The same over IPv6", env.CILIUM_TEST_EXTERNAL_IPV6 ?? "")
    .option("--external-port <port>", "Its TCP port", env.CILIUM_TEST_EXTERNAL_PORT ?? "443")
    .option("--single-node", "Leave out what needs a second node")
    .option("--flow-validation <mode>", "strict: Hubble must show each connection; disabled", "strict")
    .option("--timeout <duration>", "How long a policy may take to be in force everywhere", "20s")
    .option("--junit-file <file>", "Write the results there too, as build servers read them")
    .option("--keep", "Leave the pods behind");
  addOutputFlag(command).action((options: TestOptions) => unlessInterrupted(context.stopped, () => runTest(context, options)));
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, ...value.split(",")];
}

async function runTest(context: Context, options: TestOptions): Promise<void> {
  checkOutput(options);
  const chosen = choose(options.test);
  if (options.list === true) {
    const text = (): string => tableText([["NAME", "ABOUT"], ...chosen.map(({ name, about }) => [name, about])]);
    return show(
      context,
      options,
      chosen.map(({ name, about }) => ({ name, about })),
      text,
    );
  }
  const settings = parseSettings(options);
  const results = await withDeployment(context, options, settings, async (world) => {
    const found: ScenarioResult[] = [];
    for (const scenario of chosen) {
      const result = await runScenario(scenario, world, context.stopped);
      found.push(result);
      if (options.output === undefined) context.write(resultText(result, found.length, chosen.length));
    }
    return found;
  });
  if (options.junitFile !== undefined) writeReport(options.junitFile, junitXml(results));
  show(context, options, results, () => `\n${summaryText(results)}`);
  if (results.some(({ outcome }) => outcome === "failed")) throw new ExitCode(1);
}

function choose(patterns: readonly string[]): readonly Scenario[] {
  const parse = (text: string): RegExp => {
    try {
      return new RegExp(text);
    } catch (cause) {
      throw new UsageError(`--test ${JSON.stringify(text)} is no pattern: ${errorMessage(cause)}`);
    }
  };
  const wanted = patterns.filter((text) => !text.startsWith("!")).map(parse);
  const unwanted = patterns.filter((text) => text.startsWith("!")).map((text) => parse(text.slice(1)));
  const chosen = scenarios.filter(
    ({ name }) => (wanted.length === 0 || wanted.some((pattern) => pattern.test(name))) && !unwanted.some((pattern) => pattern.test(name)),
  );
  if (chosen.length === 0) throw new UsageError(`no scenario matches --test ${patterns.join(",")}; --list names them`);
  return chosen;
}

interface Settings {
  readonly names: TestNames;
  readonly worldPort: number;
  readonly patienceMs: number;
  readonly checksFlows: boolean;
}

function parseSettings(options: TestOptions): Settings {
  const { externalIp, externalIpv6, externalPort, testNamespace, flowValidation, timeout } = options;
  if (externalIp !== "" && !isIPv4(externalIp)) throw new UsageError(`--external-ip ${JSON.stringify(externalIp)} is no IPv4 address`);
  if (externalIpv6 !== "" && !isIPv6(externalIpv6))
    throw new UsageError(`--external-ipv6 ${JSON.stringify(externalIpv6)} is no IPv6 address`);
  const worldPort = Number(externalPort);
  if (!Number.isInteger(worldPort) || worldPort < 1 || worldPort > 65_535)
    throw new UsageError(`--external-port ${JSON.stringify(externalPort)} is no port`);
  if (!/^[a-z0-9](?:[-a-z0-9]{0,50}[a-z0-9])?$/.test(testNamespace))
    throw new UsageError(`--test-namespace ${JSON.stringify(testNamespace)} is no name for a namespace, of up to 52 characters`);
  if (flowValidation !== "strict" && flowValidation !== "disabled")
    throw new UsageError(`--flow-validation is strict or disabled, not ${JSON.stringify(flowValidation)}`);
  const patienceMs = parseDuration(timeout);
  if (patienceMs === undefined || patienceMs > 3_600_000)
    throw new UsageError(`--timeout ${JSON.stringify(timeout)} is no duration such as 20s, of an hour at most`);
  const names = { namespace: testNamespace, otherNamespace: `${testNamespace}-other`, worldIPv4: externalIp, worldIPv6: externalIpv6 };
  return { names, worldPort, patienceMs, checksFlows: flowValidation === "strict" };
}

/** Pods before, and none after: also when the user has had enough, or something failed. */
async function withDeployment<T>(
  context: Context,
  options: TestOptions,
  settings: Settings,
  use: (world: ScenarioWorld) => Promise<T>,
): Promise<T> {
  const { clock } = context.world;
  const cluster = await context.cluster();
  const executor = await context.executor();
  const agents = await chooseAgents(context, options);
  const nodes = agents.map(({ node }) => node);
  const { names } = settings;
  const deployment = new Deployment({ cluster, clock, names, image: options.image, nodes, startTimeoutMs });
  try {
    const places = await deployment.start(context.stopped);
    return await use(scenarioWorld({ executor, agents, places, deployment }, settings, context));
  } finally {
    if (options.keep !== true) {
      if (context.stopped.aborted) context.world.stderr.write("cilium: removing the test's pods and policies\n");
      await deployment.remove(AbortSignal.timeout(cleanUpTimeoutMs));
    }
  }
}

function scenarioWorld(
  found: { executor: Executor; agents: readonly AgentPod[]; places: Places; deployment: Deployment },
  { names, worldPort, patienceMs, checksFlows }: Settings,
  { world: { clock } }: Context,
): ScenarioWorld {
  return { ...found, clock, names, families, worldPort, patienceMs, checksFlows };
}

/** Of two nodes, the first by name, and the last. */
async function chooseAgents(context: Context, { singleNode }: TestOptions): Promise<AgentPod[]> {
  const { namespace, stopped: signal } = context;
  const ready = (await listAgentPods(await context.cluster(), { namespace, signal })).filter((agent) => agent.ready);
  const [first] = ready;
  if (first === undefined) throw new UsageError(`no agent is ready in the namespace ${namespace}: cilium status says more`);
  const last = ready.at(-1);
  return singleNode === true || last === undefined || last === first ? [first] : [first, last];
}

function writeReport(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw new UsageError(`--junit-file ${path} cannot be written: ${errorMessage(cause)}`);
  }
}
