import { addOutputFlag, checkOutput, ExitCode, type OutputOptions, show, UsageError, unlessInterrupted } from "@cilium-ts/command-line";
import { parseDuration } from "@cilium-ts/std";
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { type ClusterStatus, collectStatus } from "./collect-status.ts";
import { statusJson, statusText } from "./status-text.ts";

interface StatusOptions extends OutputOptions {
  readonly wait?: boolean;
  readonly waitDuration: string;
  readonly ignoreWarnings?: boolean;
}

const waitMsMax = 24 * 3_600_000;
const pollIntervalMs = 1_000;

export function addStatus(program: Command, context: Context): void {
  const command = program
    .command("status")
    .description("Show whether Cilium works: its programs, its nodes, its pods")
    .option("--wait", "Wait until nothing is wrong")
    .option("--wait-duration <duration>", "How long to wait", "5m")
    .option("--ignore-warnings", "Do not wait for warnings to go");
  addOutputFlag(command).action(async (options: StatusOptions) => {
    checkOutput(options);
    const look = (): Promise<ClusterStatus> =>
      options.wait === true ? waitForStatus(context, options) : collect(context, context.stopped);
    const status = await unlessInterrupted(context.stopped, look);
    show(context, options, statusJson(status), () => statusText(status));
    if (isWorking(status, options)) return;
    if (options.wait === true)
      context.world.stderr.write(`cilium: Cilium is not well after ${options.waitDuration}; --wait-duration gives it longer\n`);
    if (options.wait === true || status.errors.length > 0) throw new ExitCode(1);
  });
}

function isWorking({ errors, warnings }: ClusterStatus, { ignoreWarnings }: StatusOptions): boolean {
  return errors.length === 0 && (ignoreWarnings === true || warnings.length === 0);
}

async function collect(context: Context, signal: AbortSignal): Promise<ClusterStatus> {
  const nowMs = context.world.clock.nowMs();
  return collectStatus(await context.cluster(), { namespace: context.namespace, nowMs, executor: await context.executor(), signal });
}

/** The last one that there was time for. A server that cannot be asked yet is waited for as well. */
async function waitForStatus(context: Context, options: StatusOptions): Promise<ClusterStatus> {
  const { clock } = context.world;
  const durationMs = parseDuration(options.waitDuration);
  if (durationMs === undefined || durationMs > waitMsMax)
    throw new UsageError(`--wait-duration ${JSON.stringify(options.waitDuration)} is no duration such as 5m, of a day at most`);
  await context.cluster(); // What is wrong with the kubeconfig does not go by waiting.
  const endMs = clock.nowMs() + durationMs;
  for (;;) {
    const found = await collect(context, context.stopped).catch((cause: unknown) => ({ cause }));
    if (!("cause" in found) && isWorking(found, options)) return found;
    if (clock.nowMs() >= endMs || context.stopped.aborted) {
      if ("cause" in found) throw found.cause;
      return found;
    }
    await clock.sleep(Math.max(1, Math.min(pollIntervalMs, endMs - clock.nowMs())), context.stopped);
  }
}
