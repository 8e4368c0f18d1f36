import { execFile, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

export interface Finished {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end; what it said comes back with its status, whatever that is. Output is bounded to 16 MiB. */
export function runToEnd(
  command: string,
  args: readonly string[],
  options: { input?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Finished> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { maxBuffer: 16 << 20, env: options.env ?? process.env }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
      resolve({ status, stdout, stderr: stderr === "" && error !== null ? error.message : stderr });
    });
    child.stdin?.on("error", () => {}); // The command may end without reading its input.
    child.stdin?.end(options.input ?? "");
  });
}

/** Like runToEnd, for commands that must succeed: throws with what the command said. */
export async function runOrThrow(
  command: string,
  args: readonly string[],
  options: { input?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const result = await runToEnd(command, args, options);
  if (result.status !== 0)
    throw new Error(`${command} ${args.join(" ")} failed (${result.status}): ${(result.stderr || result.stdout).trim()}`);
  return result.stdout;
}

/** A process that outlives the one that started it. The start time tells it from a later process with the same number. */
export interface Daemon {
  readonly name: string;
  readonly pid: number;
  readonly startedAtTicks: string;
  readonly logPath: string;
  /** What it was started by, and can be started by again. */
  readonly command: string;
  readonly args: readonly string[];
}

export function startDaemon(options: {
  name: string;
  command: string;
  args: readonly string[];
  logPath: string;
  env?: NodeJS.ProcessEnv;
}): Daemon {
  const log = openSync(options.logPath, "a");
  const child = spawn(options.command, options.args, { detached: true, stdio: ["ignore", log, log], env: options.env ?? process.env });
  closeSync(log);
  child.on("error", () => {}); // Reported below: there is no pid.
  child.unref();
  if (child.pid === undefined) throw new Error(`${options.name}: ${options.command} cannot be started; is it installed?`);
  const { name, logPath, command, args } = options;
  return { name, pid: child.pid, startedAtTicks: startTicks(child.pid) ?? "", logPath, command, args };
}

export function isRunning(daemon: Daemon): boolean {
  return startTicks(daemon.pid) === daemon.startedAtTicks && daemon.startedAtTicks !== "";
}

/** SIGTERM, then after the grace SIGKILL. Resolves when the process is gone. */
export async function stopDaemon(daemon: Daemon, options: { graceMs?: number; signal?: NodeJS.Signals } = {}): Promise<void> {
  const end = Date.now() + (options.graceMs ?? 5_000);
  signalDaemon(daemon, options.signal ?? "SIGTERM");
  while (isRunning(daemon)) {
    if (Date.now() > end) signalDaemon(daemon, "SIGKILL");
    await delay(10);
  }
}

function signalDaemon(daemon: Daemon, signal: NodeJS.Signals): void {
  if (!isRunning(daemon)) return;
  try {
    process.kill(daemon.pid, signal);
  } catch {
    // It ended between the look and the signal.
  }
}

/** Field 22 of /proc/PID/stat; undefined when there is no such process, or only its zombie. */
function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
