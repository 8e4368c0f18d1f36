import { AgentApiError } from "@cilium-ts/agent-api";
import { DatapathNotFound } from "@cilium-ts/datapath";
import { errorMessage } from "@cilium-ts/std";
import { Command, CommanderError } from "commander";
import { addBpf } from "./bpf.ts";
import { addCompletion } from "./completion.ts";
import { addConfig } from "./config.ts";
import { agentSocketDefault, bpfRootDefault, Context } from "./context.ts";
import { addEndpoint } from "./endpoint.ts";
import { addIdentity } from "./identity.ts";
import { addIp } from "./ip.ts";
import { addMap } from "./map.ts";
import { addMonitor } from "./monitor.ts";
import { addNode } from "./node.ts";
import { addPolicy } from "./policy.ts";
import { addStatus } from "./status.ts";
import { UsageError } from "./usage-error.ts";
import { addVersion } from "./version.ts";
import type { World } from "./world.ts";

const groups = [
  addStatus,
  addEndpoint,
  addIdentity,
  addIp,
  addNode,
  addMap,
  addBpf,
  addPolicy,
  addMonitor,
  addConfig,
  addVersion,
  addCompletion,
];

/** Runs one command and returns the exit code. Aborting is a way to end, not a failure. */
export async function run(args: readonly string[], world: World, signal: AbortSignal): Promise<number> {
  const program = new Command("cilium-dbg")
    .description("Inspect the agent and the datapath of a node")
    .option("-H, --host <uri>", "Socket of the agent's API", world.env.CILIUM_SOCK || agentSocketDefault)
    .option("--timeout <duration>", "How long to wait for the agent's answers", "30s")
    .option("--bpf-root <directory>", "Where the datapath's maps are pinned", world.env.CILIUM_BPF_ROOT || bpfRootDefault);
  program.exitOverride().configureOutput({
    writeOut: (text) => void world.stdout.write(text),
    writeErr: (text) => void world.stderr.write(text),
  });
  program.allowExcessArguments().action((_options: unknown, command: Command) => {
    const [unknown] = command.args;
    if (unknown !== undefined) throw new UsageError(`there is no command ${JSON.stringify(unknown)}; --help lists them`);
    program.outputHelp();
  });
  using context = new Context(world, signal, program);
  for (const add of groups) add(program, context);
  inheritSettings(program);
  try {
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (cause) {
    if (signal.aborted) return 0;
    if (cause instanceof CommanderError) return cause.exitCode;
    const short = cause instanceof UsageError || cause instanceof AgentApiError || cause instanceof DatapathNotFound;
    world.stderr.write(`cilium-dbg: ${short ? cause.message : errorMessage(cause)}\n`);
    return 1;
  }
}

/** Commander gives a command what its parent had when it was made, and these are made before. */
function inheritSettings(parent: Command): void {
  for (const command of parent.commands) {
    command.exitOverride().copyInheritedSettings(parent);
    inheritSettings(command);
  }
}
