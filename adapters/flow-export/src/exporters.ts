import type { Emitter } from "@cilium-ts/observer";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { ExporterConfig } from "./exporter-config.ts";
import { FlowExporter } from "./flow-exporter.ts";
import type { LineSink } from "./line-sink.ts";
import { OtlpLogs } from "./otlp/otlp-logs.ts";
import { RotatingFile } from "./rotating-file.ts";
import { StandardOutput } from "./standard-output.ts";

export interface ExportersOptions {
  readonly emitter: Emitter;
  /** `cluster/node`. */
  readonly nodeName: string;
  readonly clock: Clock;
  readonly onProblem: (message: string) => void;
}

/** What became of a set of settings. */
export interface Reconfiguration {
  readonly added: number;
  readonly updated: number;
  readonly removed: number;
}

/** All exporters of a node. */
export class Exporters implements AsyncDisposable {
  readonly #options: ExportersOptions;
  readonly #exporters = new Map<string, FlowExporter>();
  readonly #closing = new Set<Promise<void>>();

  constructor(options: ExportersOptions) {
    this.#options = options;
  }

  /** Those whose time is not over. */
  active(): FlowExporter[] {
    return [...this.#exporters.values()].filter(({ isActive }) => isActive);
  }

  all(): Iterable<FlowExporter> {
    return this.#exporters.values();
  }

  /** These are to run from now on, and no others. One whose settings are the same is left alone. */
  apply(configs: readonly ExporterConfig[]): Reconfiguration {
    const wanted = new Map(configs.map((config) => [config.name, config]));
    const outcome = { added: 0, updated: 0, removed: 0 };
    for (const [name, exporter] of this.#exporters) {
      const config = wanted.get(name);
      if (config?.key === exporter.config.key) continue;
      if (config === undefined) outcome.removed += 1;
      else outcome.updated += 1;
      this.#exporters.delete(name);
      this.#close(exporter);
    }
    for (const config of configs) {
      if (this.#exporters.has(config.name)) continue;
      this.#exporters.set(config.name, new FlowExporter({ ...this.#options, config, sink: this.#openSink(config) }));
      outcome.added += 1;
    }
    return { ...outcome, added: outcome.added - outcome.updated };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const exporter of this.#exporters.values()) this.#close(exporter);
    this.#exporters.clear();
    await Promise.all(this.#closing);
  }

  #close(exporter: FlowExporter): void {
    const closing = exporter[Symbol.asyncDispose]()
      .catch((cause: unknown) => this.#options.onProblem(`exporter ${exporter.config.name}: ${errorMessage(cause)}`))
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  #openSink({ target, otlp, sizeBytesMax, ageMsMax, backupCountMax, compress }: ExporterConfig): LineSink {
    const { clock, onProblem, emitter, nodeName } = this.#options;
    if (target === "stdout") return new StandardOutput(process.stdout);
    if (otlp !== undefined) {
      const [cluster = "", node = ""] = nodeName.split("/");
      const resource = { "service.name": "hubble", "k8s.cluster.name": cluster, "k8s.node.name": node };
      return new OtlpLogs({ endpoint: target, connection: otlp, resource, scope: emitter, clock, onProblem });
    }
    return new RotatingFile({ path: target, sizeBytesMax, ageMsMax, backupCountMax, compress, clock, onProblem });
  }
}
