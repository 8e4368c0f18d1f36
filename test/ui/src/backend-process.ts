import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface BackendOptions {
  /** The checkout. */
  readonly root: string;
  readonly hubbleAddress: string;
  /** 0: any. */
  readonly port: number;
  readonly environment?: Readonly<Record<string, string>>;
}

const startTimeoutMs = 20_000;

/** `hubble-ui-backend` with the page, as a process of its own. */
export class BackendProcess implements AsyncDisposable {
  readonly url: string;
  readonly #process: ChildProcess;

  /** Throws with what the program said when it does not start. */
  static async start({ root, hubbleAddress, port, environment = {} }: BackendOptions): Promise<BackendProcess> {
    const child = spawn(process.execPath, [join(root, "apps/ui-backend/build/bin/main.js")], {
      env: {
        ...process.env,
        EVENTS_SERVER_PORT: String(port),
        UI_LISTEN_HOST: "127.0.0.1",
        FLOWS_API_ADDR: hubbleAddress,
        UI_STATIC_DIR: join(root, "apps/ui/build/page"),
        ...environment,
      },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const said: string[] = [];
    const found = Promise.withResolvers<number>();
    const timer = setTimeout(() => found.reject(new Error("it says nothing")), startTimeoutMs);
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (said.length < 100) said.push(line);
      const match = /on port (\d+)/.exec(line);
      if (match !== null) found.resolve(Number(match[1]));
    });
    child.once("exit", () => found.reject(new Error(said.join("\n"))));
    try {
      return new BackendProcess(child, `http://127.0.0.1:${await found.promise}/`);
    } catch (cause) {
      child.kill("SIGKILL");
      throw new Error(`hubble-ui-backend did not start: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  private constructor(child: ChildProcess, url: string) {
    this.#process = child;
    this.url = url;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill("SIGTERM");
    await once(this.#process, "exit");
  }
}
