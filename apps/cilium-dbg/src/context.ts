import { AgentClient } from "@cilium-ts/agent-api";
import { DatapathInspection } from "@cilium-ts/datapath";
import type { Kernel } from "@cilium-ts/kernel";
import type { Command } from "commander";
import { UsageError } from "./usage-error.ts";
import type { World } from "./world.ts";

export const agentSocketDefault = "unix:///var/run/cilium/cilium.sock";
export const bpfRootDefault = "/sys/fs/bpf/cilium";

/** What every command has at hand. */
export class Context implements Disposable {
  readonly world: World;
  readonly signal: AbortSignal;
  readonly #program: Command;
  #agent: AgentClient | undefined;
  #kernel: Promise<Kernel> | undefined;

  constructor(world: World, signal: AbortSignal, program: Command) {
    this.world = world;
    this.signal = signal;
    this.#program = program;
  }

  /** Where `--host` says, or `CILIUM_SOCK`. */
  get agent(): AgentClient {
    this.#agent ??= new AgentClient({ socketPath: socketPathOf(this.#options().host) });
    return this.#agent;
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
  }

  #options(): { host: string; bpfRoot: string } {
    return this.#program.opts();
  }
}

/** `unix:///path`, or the path alone. */
function socketPathOf(host: string): string {
  const path = /^(?:unix:(?:\/\/)?)?(\/.+)$/.exec(host)?.[1];
  if (path === undefined)
    throw new UsageError(`--host ${JSON.stringify(host)} is no socket of an agent: write unix:///path/to/cilium.sock`);
  return path;
}
