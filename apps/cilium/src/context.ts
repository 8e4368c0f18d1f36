import { UsageError } from "@cilium-ts/command-line";
import { type ClusterAccess, findClusterAccess, type KubernetesClient, openKubernetes } from "@cilium-ts/kubernetes";
import { PodExec } from "@cilium-ts/kubernetes/exec";
import type { Command } from "commander";
import { BoundedExecutor, type Executor, ProgramExecutor } from "./pods/executor.ts";
import type { World } from "./world.ts";

/** Where Cilium runs unless --namespace says otherwise. */
export const ciliumNamespace = "kube-system";

/** Commands in pods that run at once. */
const execConcurrencyMax = 16;

/** What every command has at hand. */
export class Context implements AsyncDisposable {
  readonly world: World;
  /** Aborted when the user has had enough. */
  readonly stopped: AbortSignal;
  readonly #program: Command;
  #cluster: Promise<KubernetesClient> | undefined;
  #podExec: PodExec | undefined;

  constructor(world: World, signal: AbortSignal, program: Command) {
    this.world = world;
    this.stopped = signal;
    this.#program = program;
  }

  /** Where Cilium runs. */
  get namespace(): string {
    return this.#options().namespace;
  }

  /** The namespace, where the user named one: for commands that are about any namespace. */
  get chosenNamespace(): string | undefined {
    return this.#program.getOptionValueSource("namespace") === "default" ? undefined : this.namespace;
  }

  /** Opened when it is first asked for. */
  cluster(): Promise<KubernetesClient> {
    this.#cluster ??= this.access().then((access) => openKubernetes({ ...access, fieldManager: "cilium-cli", userAgent: "cilium-cli" }));
    return this.#cluster;
  }

  /** Runs commands in pods: through the API server, or by the program of --exec-program. */
  async executor(): Promise<Executor> {
    const program = this.#options().execProgram ?? this.world.env.CILIUM_EXEC_PROGRAM;
    if (program !== undefined && program !== "") return new BoundedExecutor(new ProgramExecutor(program), execConcurrencyMax);
    this.#podExec ??= new PodExec(await this.access());
    return new BoundedExecutor(this.#podExec, execConcurrencyMax);
  }

  async access(): Promise<ClusterAccess> {
    const access = await findClusterAccess(this.world.env, this.#options());
    if (access === undefined)
      throw new UsageError("it is not known which cluster is meant: name a kubeconfig with --kubeconfig or KUBECONFIG");
    return access;
  }

  write(text: string): void {
    this.world.stdout.write(text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const cluster = await this.#cluster?.catch(() => undefined); // Whoever asked for it has been told.
    await cluster?.[Symbol.asyncDispose]();
    await this.#podExec?.[Symbol.asyncDispose]();
  }

  #options(): { kubeconfig?: string; context?: string; namespace: string; execProgram?: string } {
    return this.#program.opts();
  }
}
