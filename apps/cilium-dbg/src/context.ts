import { dirname, join } from "node:path";
import { AgentClient, healthBasePath } from "@cilium-ts/agent-api";
import { UsageError } from "@cilium-ts/command-line";
import { DatapathInspection } from "@cilium-ts/datapath";
import type { Kernel } from "@cilium-ts/kernel";
import type { Command } from "commander";
import type { World } from "./world.ts";

export const agentSocketDefault = "unix:///var/run/cilium/cilium.sock";
export const bpfRootDefault = "/sys/fs/bpf/cilium";

/** What every command has at hand. */
export class Context implements Disposable {
  readonly world: World;
  /** Aborted when the user has had enough. */
  readonly stopped: AbortSignal;
  readonly #program: Command;
  #agent: AgentClient | undefined;
  #health: AgentClient | undefined;
  #kernel: Promise<Kernel> | undefined;
  #signal: AbortSignal | undefined;

  constructor(world: World, signal: AbortSignal, program: Command) {
    this.world = world;
    this.stopped = signal;
    this.#program = program;
  }

  /** Where `--host` says, or `CILIUM_SOCK`. */
  get agent(): AgentClient {
    this.#agent ??= new AgentClient({ socketPath: socketPathOf(this.#options().host) });
    return this.#agent;
  }

  /** Where `CILIUM_HEALTH_SOCK` says; else beside the agent's own socket. */
  get health(): AgentClient {
    const { host } = this.#options();
    const socketPath = this.world.env.CILIUM_HEALTH_SOCK || join(dirname(socketPathOf(host)), "health.sock");
    this.#health ??= new AgentClient({ socketPath: socketPathOf(socketPath), basePath: healthBasePath });
    return this.#health;
  }

  /** For what the agent is asked: aborted as well when it does not answer in time, with a UsageError. */
  get signal(): AbortSignal {
    this.#signal ??= AbortSignal.any([this.stopped, this.#deadline()]);
    return this.#signal;
  }

  async inspection(): Promise<DatapathInspection> {
    return new DatapathInspection(await this.kernel(), this.#options().bpfRoot);
  }

  kernel(): Promise<Kernel> {
    this.#kernel ??= this.world.openKernel();
    return this.#kernel;
  }

  write(text: string): void {
    this.world.stdout.write(text);
  }

  [Symbol.dispose](): void {
    this.#agent?.[Symbol.dispose]();
    this.#health?.[Symbol.dispose]();
  }

  #deadline(): AbortSignal {
    const { timeout } = this.#options();
    const timeoutMs = parseTimeoutMs(timeout);
    const controller = new AbortController();
    const late = (): void => controller.abort(new UsageError(`the agent has not answered within ${timeout}; --timeout gives it longer`));
    setTimeout(late, timeoutMs).unref();
    return controller.signal;
  }

  #options(): { host: string; bpfRoot: string; timeout: string } {
    return this.#program.opts();
  }
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };
const timeoutMsMax = 3_600_000;

/** `30s`, `500ms`, `1m`. */
function parseTimeoutMs(text: string): number {
  const match = /^([0-9]{1,7})(ms|s|m)$/.exec(text);
  const timeoutMs = Number(match?.[1]) * (unitsMs[match?.[2] ?? ""] ?? 0);
  if (match === null || timeoutMs > timeoutMsMax)
    throw new UsageError(`--timeout ${JSON.stringify(text)} is no duration such as 30s, of an hour at most`);
  return timeoutMs;
}

/** `unix:///path`, or the path alone. */
function socketPathOf(host: string): string {
  const path = /^(?:unix:(?:\/\/)?)?(\/.+)$/.exec(host)?.[1];
  if (path === undefined)
    throw new UsageError(`--host ${JSON.stringify(host)} is no socket of an agent: write unix:///path/to/cilium.sock`);
  return path;
}
