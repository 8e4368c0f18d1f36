import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { repositoryRoot } from "@cilium-ts/tools/repository";

/** The program as a process of its own, for tests. */
export interface RunningServer extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly url: string;
  readonly kubeconfig: string;
  /** Ends it with the signal, and returns its exit code, null when it was killed. */
  stop(signal: NodeJS.Signals): Promise<number | null>;
}

export interface Ended {
  readonly code: number | null;
  readonly errors: string;
}

const program = join(repositoryRoot, "apps", "apiserver", "src", "main.ts");
const startDeadlineMs = 20_000;

/** Starts the program on a free port and waits until it serves. */
export async function startProgram(stateDir: string, flags: readonly string[] = []): Promise<RunningServer> {
  const child = spawn(process.execPath, [program, "--state-dir", stateDir, "--listen", "127.0.0.1:0", ...flags], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const serving = Promise.withResolvers<string>();
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk.toString();
    const [, url] = /"url":"([^"]+)"/.exec(errors) ?? [];
    if (url !== undefined) serving.resolve(url);
  });
  child.once("exit", () => serving.reject(new Error(`cilium-apiserver ended: ${errors}`)));
  const deadline = setTimeout(() => serving.reject(new Error(`cilium-apiserver does not serve: ${errors}`)), startDeadlineMs);
  const stop = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await once(child, "exit");
    }
    return child.exitCode;
  };
  try {
    const url = await serving.promise;
    return {
      process: child,
      url,
      kubeconfig: join(stateDir, "admin.kubeconfig"),
      stop,
      [Symbol.asyncDispose]: async () => void (await stop("SIGKILL")),
    };
  } catch (cause) {
    await stop("SIGKILL");
    throw cause;
  } finally {
    clearTimeout(deadline);
  }
}

/** Runs the program where it is expected to end by itself. */
export async function runProgram(flags: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [program, ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk.toString();
  });
  await once(child, "close");
  return { code: child.exitCode, errors };
}
