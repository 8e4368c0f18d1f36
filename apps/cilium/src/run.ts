import { addCompletion, runProgram, UsageError } from "@cilium-ts/command-line";
import { KubeconfigError, KubernetesError } from "@cilium-ts/kubernetes";
import { Command } from "commander";
import { addConnectivity } from "./connectivity/connectivity.ts";
import { Context, ciliumNamespace } from "./context.ts";
import { addPolicy } from "./policy/policy.ts";
import { addStatus } from "./status/status.ts";
import { addSysdump } from "./sysdump/sysdump.ts";
import { addVersion } from "./version.ts";
import type { World } from "./world.ts";

const groups = [addConnectivity, addPolicy, addStatus, addSysdump, addVersion];

/** Runs one command and returns the exit code. Aborting is a way to end, not a failure. */
export async function run(args: readonly string[], world: World, signal: AbortSignal): Promise<number> {
  const program = new Command("cilium")
    .description("See and test the Cilium of a cluster")
    .option("--kubeconfig <file>", "How to reach the cluster (KUBECONFIG, ~/.kube/config, or the pod's service account)")
    .option("--context <name>", "A context of that file other than the current one")
    .option("-n, --namespace <name>", "Where Cilium runs", ciliumNamespace)
    .option(
      "--exec-program <file>",
      "Called as FILE NAMESPACE POD CONTAINER [COMMAND...], where pods/exec does not work (CILIUM_EXEC_PROGRAM)",
    );
  program.allowExcessArguments().action((_options: unknown, command: Command) => {
    const [unknown] = command.args;
    if (unknown !== undefined) throw new UsageError(`there is no command ${JSON.stringify(unknown)}; --help lists them`);
    program.outputHelp();
  });
  await using context = new Context(world, signal, program);
  for (const add of groups) add(program, context);
  addCompletion(program, context);
  const isPlain = (cause: unknown): boolean => cause instanceof KubernetesError || cause instanceof KubeconfigError;
  return await runProgram(program, { args, stdout: world.stdout, stderr: world.stderr, isPlain, signal });
}
