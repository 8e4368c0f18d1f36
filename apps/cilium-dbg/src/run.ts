import { AgentApiError } from "@cilium-ts/agent-api";
import { addCompletion, runProgram, UsageError } from "@cilium-ts/command-line";
import { DatapathNotFound } from "@cilium-ts/datapath";
import { Command } from "commander";
import { addBpf } from "./bpf/bpf.ts";
import { addConfig } from "./config.ts";
import { agentSocketDefault, bpfRootDefault, Context } from "./context.ts";
import { addDebugInformation, addNodeIds } from "./debuginfo.ts";
import { addEndpoint } from "./endpoint.ts";
import { addFqdn } from "./fqdn.ts";
import { addHealth } from "./health.ts";
import { addHostFirewall } from "./host-firewall.ts";
import { addIdentity } from "./identity.ts";
import { addIp } from "./ip.ts";
import { addMap } from "./map.ts";
import { addMonitor } from "./monitor/monitor.ts";
import { addNode } from "./node.ts";
import { addPolicy } from "./policy/policy.ts";
import { addStatus } from "./status.ts";
import { addVersion } from "./version.ts";
import type { World } from "./world.ts";

const groups = [
  addStatus,
  addEndpoint,
  addHealth,
  addHostFirewall,
  addIdentity,
  addFqdn,
  addIp,
  addNode,
  addNodeIds,
  addMap,
  addBpf,
  addPolicy,
  addMonitor,
  addConfig,
  addDebugInformation,
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
  program.allowExcessArguments().action((_options: unknown, command: Command) => {
    const [unknown] = command.args;
    if (unknown !== undefined) throw new UsageError(`there is no command ${JSON.stringify(unknown)}; --help lists them`);
    program.outputHelp();
  });
  using context = new Context(world, signal, program);
  for (const add of groups) add(program, context);
  const isPlain = (cause: unknown): boolean => cause instanceof AgentApiError || cause instanceof DatapathNotFound;
  return await runProgram(program, { args, stdout: world.stdout, stderr: world.stderr, isPlain, signal });
}
