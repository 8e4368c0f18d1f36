import { createHash } from "node:crypto";
import { type ExporterConfig, Exporters, parseExporterConfigs } from "@cilium-ts/flow-export";
import type { Metrics } from "@cilium-ts/metrics";
import type { Emitter } from "@cilium-ts/observer";
import type { Clock } from "@cilium-ts/std";

export interface NodeExportersOptions {
  readonly fixed: readonly ExporterConfig[];
  readonly emitter: Emitter;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly onProblem: (message: string) => void;
}

/** Exporters of the settings, and those of a file that may change. */
export class NodeExporters implements AsyncDisposable {
  readonly exporters: Exporters;
  readonly #options: NodeExportersOptions;
  readonly #counts = { add: 0, update: 0, remove: 0 };
  #configHash = 0;
  #appliedMs = 0;

  constructor(options: NodeExportersOptions) {
    this.#options = options;
    this.exporters = new Exporters(options);
    this.exporters.apply(options.fixed);
  }

  /** Takes the YAML of exporters that may change, or says what is wrong with it. */
  configure(text: string): readonly string[] {
    const parsed = parseExporterConfigs(text);
    if ("problems" in parsed) return parsed.problems;
    const { added, updated, removed } = this.exporters.apply([...this.#options.fixed, ...parsed.configs]);
    this.#counts.add += added;
    this.#counts.update += updated;
    this.#counts.remove += removed;
    this.#configHash = createHash("sha256").update(text).digest().readUInt32BE(0);
    this.#appliedMs = this.#options.clock.nowMs();
    return [];
  }

  /** Registers what is known of them; the returned function brings it up to date. */
  measure(registry: Metrics): () => void {
    const name = (end: string): string => `hubble_dynamic_exporter_${end}`;
    const hash = registry.gauge(name("config_hash"), "Hash of the last applied config");
    const applied = registry.gauge(name("config_last_applied"), "Timestamp of last applied config");
    const up = registry.gauge(name("up"), "Status of exporter (1 - active, 0 - inactive)");
    const total = registry.gauge(name("exporters_total"), "Number of configured hubble exporters");
    const changes = registry.gauge(name("reconfigurations_total"), "Number of dynamic exporters reconfigurations");
    const written = registry.gauge("hubble_exporter_lines_total", "Lines that an exporter wrote");
    const lost = registry.gauge("hubble_exporter_lost_lines_total", "Lines that an exporter could not write");
    return () => {
      hash.set(this.#configHash);
      applied.set(this.#appliedMs / 1_000);
      for (const [op, count] of Object.entries(this.#counts)) changes.set(count, { op });
      const counts = { active: 0, inactive: 0 };
      for (const exporter of this.exporters.all()) {
        const labels = { name: exporter.config.name };
        counts[exporter.isActive ? "active" : "inactive"] += 1;
        up.set(exporter.isActive ? 1 : 0, labels);
        written.set(exporter.written, labels);
        lost.set(exporter.lost, labels);
      }
      for (const [status, count] of Object.entries(counts)) total.set(count, { status });
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.exporters[Symbol.asyncDispose]();
  }
}
