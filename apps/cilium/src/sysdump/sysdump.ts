import { UsageError, unlessInterrupted } from "@cilium-ts/command-line";
import type { KubernetesClient } from "@cilium-ts/kubernetes";
import { errorMessage } from "@cilium-ts/std";
import type { Command } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import type { Context } from "../context.ts";
import { type AgentPod, listAgentPods } from "../pods/agents.ts";
import { type Executor, outputOf } from "../pods/executor.ts";
import { collectStatus } from "../status/collect-status.ts";
import { components, readComponent } from "../status/components.ts";
import { statusText } from "../status/status-text.ts";
import { agentCommands } from "./agent-dump.ts";
import { Archive } from "./archive.ts";
import { dumpConfiguration, dumpedResources, dumpObjects } from "./cluster-dump.ts";

interface SysdumpOptions {
  readonly outputFilename: string;
  readonly nodeList: string;
  readonly hubbleFlowsCount: string;
  readonly logsLimitBytes: string;
  readonly quick?: boolean;
}

const limits = { fileSizeBytesMax: 64 * 1024 * 1024, totalSizeBytesMax: 1024 * 1024 * 1024 };
/** For one command in one pod. */
const answerTimeoutMs = 30_000;
const logLineCountMax = 100_000;
const wholeMax = 1_000_000_000;

export function addSysdump(program: Command, context: Context): void {
  program
    .command("sysdump")
    .description("Gather what helps to find out what is wrong, into a ZIP file; secrets stay out of it")
    .option("--output-filename <name>", "Without its ending; <ts> stands for the time", "cilium-sysdump-<ts>")
    .option("--node-list <names>", "Only the agents of these nodes, separated by commas", "")
    .option("--hubble-flows-count <n>", "The last so many flows of each node", "10000")
    .option("--logs-limit-bytes <n>", "The end of each log, so long", String(16 * 1024 * 1024))
    .option("--quick", "Leave out flows and what may be large")
    .action((options: SysdumpOptions) => unlessInterrupted(context.stopped, () => dump(context, options)));
}

async function dump(context: Context, options: SysdumpOptions): Promise<void> {
  const flowCount = whole("hubble-flows-count", options.hubbleFlowsCount);
  const logSizeBytes = whole("logs-limit-bytes", options.logsLimitBytes);
  const cluster = await context.cluster();
  const executor = await context.executor();
  const now = new Date(context.world.clock.nowMs()).toISOString();
  const name = options.outputFilename.replace("<ts>", now.replaceAll(/[-:]|\.\d+Z/g, "").replace("T", "-"));
  const agents = await chooseAgents(context, cluster, options.nodeList);
  const archive = new Archive(`${name}.zip`, name.split("/").at(-1) ?? name, limits);
  try {
    const collection = new Collection(archive, context);
    await collection.add(
      "about.json",
      async () => `${JSON.stringify({ takenAt: now, by: `cilium-cli ${packageJson.version}`, server: cluster.server }, null, 2)}\n`,
    );
    const scope = { namespace: context.namespace, nowMs: context.world.clock.nowMs(), executor, signal: context.stopped };
    await collection.add("status.txt", async () => statusText(await collectStatus(cluster, scope)));
    await addObjects(collection, cluster, context);
    for (const agent of agents) await addAgent(collection, executor, agent, { flowCount, quick: options.quick === true, logSizeBytes });
    await addLogs(collection, cluster, executor, context, logSizeBytes);
    await archive.close();
  } catch (cause) {
    await archive.discard();
    throw cause;
  }
  const count = archive.problems.length;
  context.write(`${name}.zip${count === 0 ? "" : `: ${count} things are not in it, and problems.txt in it says why`}\n`);
}

function whole(flag: string, text: string): number {
  if (!/^[0-9]{1,9}$/.test(text)) throw new UsageError(`--${flag} is a whole number below ${wholeMax}, not ${JSON.stringify(text)}`);
  return Number(text);
}

async function chooseAgents(context: Context, cluster: KubernetesClient, nodeList: string): Promise<AgentPod[]> {
  const agents = await listAgentPods(cluster, { namespace: context.namespace, signal: context.stopped });
  const wanted = nodeList.split(",").filter((name) => name !== "");
  const unknown = wanted.find((name) => !agents.some(({ node }) => node === name));
  if (unknown !== undefined) throw new UsageError(`--node-list: there is no agent on a node ${JSON.stringify(unknown)}`);
  return wanted.length === 0 ? agents : agents.filter(({ node }) => wanted.includes(node));
}

/** Adds one thing after the other. What cannot be had is noted, and the rest goes on: a cluster that needs a dump is rarely well. */
class Collection {
  readonly #archive: Archive;
  readonly #context: Context;

  constructor(archive: Archive, context: Context) {
    this.#archive = archive;
    this.#context = context;
  }

  async add(fileName: string, read: () => Promise<string | undefined>): Promise<void> {
    this.#context.stopped.throwIfAborted();
    let text: string | undefined;
    try {
      text = await read();
    } catch (cause) {
      this.#context.stopped.throwIfAborted();
      this.note(`${fileName}: ${errorMessage(cause)}`);
    }
    if (text !== undefined) await this.#archive.add(fileName, text);
  }

  note(problem: string): void {
    this.#archive.problems.push(problem);
  }

  /** Aborted when the user has had enough, or this one thing takes too long. */
  signal(): AbortSignal {
    return AbortSignal.any([this.#context.stopped, AbortSignal.timeout(answerTimeoutMs)]);
  }
}

async function addObjects(collection: Collection, cluster: KubernetesClient, context: Context): Promise<void> {
  const { stopped: signal, namespace } = context;
  await collection.add("objects/cilium-config.json", () => dumpConfiguration(cluster, namespace, signal));
  for (const resource of await dumpedResources(cluster, signal)) {
    await collection.add(`objects/${resource.plural}.json`, async () => {
      const { text, problem } = await dumpObjects(cluster, resource, signal);
      if (problem !== undefined) collection.note(problem);
      return text;
    });
  }
}

interface AgentLimits {
  readonly flowCount: number;
  readonly quick: boolean;
  readonly logSizeBytes: number;
}

async function addAgent(collection: Collection, executor: Executor, agent: AgentPod, { flowCount, quick }: AgentLimits): Promise<void> {
  for (const [fileName, command] of agentCommands(flowCount, quick))
    await collection.add(`agents/${agent.node}/${fileName}`, () => outputOf(executor, agent, command, collection.signal()));
}

/** Of every pod of every component. */
async function addLogs(
  collection: Collection,
  cluster: KubernetesClient,
  executor: Executor,
  { namespace, stopped: signal }: Context,
  sizeBytes: number,
): Promise<void> {
  for (const component of components) {
    const { pods } = await readComponent(cluster, component, { namespace, signal });
    for (const pod of pods) {
      for (const container of pod.containers) {
        const target = { namespace, pod: pod.name, container };
        const log = { lines: logLineCountMax, sizeBytes };
        await collection.add(`logs/${pod.name}-${container}.log`, () => executor.log(target, log, collection.signal()));
      }
    }
  }
}
