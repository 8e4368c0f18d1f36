import { loadavg } from "node:os";
import {
  type AgentSocket,
  type HealthOperations,
  type HealthStatusResponse,
  healthBasePath,
  healthRoutes,
  openAgentSocket,
  type StatusResponse,
  serveAgentApi,
} from "@cilium-ts/agent-api";
import { openHttpEndpoint } from "@cilium-ts/http-endpoint";
import type { Kernel } from "@cilium-ts/kernel";
import type { Clock } from "@cilium-ts/std";
import type { AgentMetrics } from "../metrics/agent-metrics.ts";
import type { Node } from "../node.ts";
import type { Readiness } from "../readiness.ts";
import type { AgentOptions } from "../settings.ts";
import { HealthEndpoint } from "./health-endpoint.ts";
import { healthStatus, reachability, sampledHealth } from "./health-report.ts";
import { probeHttp } from "./http-probe.ts";
import { NodeProber, type ProbedPath } from "./node-prober.ts";
import { Pinger } from "./pinger.ts";
import { type HealthAddresses, probedPaths } from "./probed-paths.ts";
import { helloRoutes } from "./responder.ts";

export interface NodeHealthOptions {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly options: AgentOptions;
  readonly node: Node;
  readonly readiness: Readiness;
  readonly metrics: AgentMetrics;
  /** Other nodes find the health endpoint there. */
  publish(addresses: HealthAddresses | undefined): void;
  status(): Promise<StatusResponse>;
}

/** A round's patience with one probe. */
const timeoutMs = 3_000;

/** cilium-health: other nodes' probes are answered, and other nodes are probed. */
export class NodeHealth implements AsyncDisposable {
  readonly #options: NodeHealthOptions;
  readonly #stack: AsyncDisposableStack;
  readonly #socket: AgentSocket;
  readonly #endpoint: HealthEndpoint;
  readonly #prober: NodeProber;
  #addresses: HealthAddresses | undefined;

  private constructor(options: NodeHealthOptions, stack: AsyncDisposableStack, socket: AgentSocket, pinger: Pinger) {
    const { kernel, clock, metrics } = options;
    const { clusterHealthPort: port, healthProbeBaseMs: baseIntervalMs, clusterName, nodeName } = options.options;
    this.#options = options;
    this.#stack = stack;
    this.#socket = socket;
    this.#endpoint = new HealthEndpoint({
      kernel,
      endpoints: options.node.endpoints,
      port,
      onAddresses: (addresses) => {
        this.#addresses = addresses;
        options.publish(addresses);
      },
    });
    this.#prober = new NodeProber({
      clock,
      paths: () => this.paths(),
      probes: {
        icmp: (address, signal) => pinger.ping(address, timeoutMs, signal),
        http: (address, signal) => probeHttp(address, port, timeoutMs, signal),
      },
      baseIntervalMs,
      onOutcome: ({ type, primary }, protocol, { seconds }) => {
        const labels = { source_cluster: clusterName, source_node_name: nodeName, type, address_type: primary ? "primary" : "secondary" };
        if (seconds !== undefined) metrics.probed(seconds, { ...labels, protocol });
      },
    });
  }

  static async open(options: NodeHealthOptions): Promise<NodeHealth> {
    const { clusterHealthPort: port, healthSocketPath: socketPath } = options.options;
    await using stack = new AsyncDisposableStack();
    const socket = stack.use(await openAgentSocket({ socketPath }));
    const pinger = stack.use(new Pinger(options.kernel));
    stack.use(await openHttpEndpoint("answer to health probes", { host: undefined, port }, helloRoutes));
    return new NodeHealth(options, stack.move(), socket, pinger);
  }

  paths(): readonly ProbedPath[] {
    const { clusterName, nodeName } = this.#options.options;
    const { hostAddresses, remoteNodes } = this.#options.node;
    return probedPaths({ clusterName, nodeName, underlay: hostAddresses.underlay(), health: this.#addresses }, remoteNodes.nodes());
  }

  status(): HealthStatusResponse {
    const { clusterName, nodeName } = this.#options.options;
    return healthStatus(`${clusterName}/${nodeName}`, this.paths(), this.#prober);
  }

  /** How many nodes do not answer, as a sentence; undefined when all do. */
  problem(): string | undefined {
    const silent = this.paths().filter((path) => path.primary && reachability(this.#prober.outcomesOf(path)) === "unreachable");
    const names = [...new Set(silent.map(({ nodeName }) => nodeName))];
    return names.length === 0
      ? undefined
      : `${names.length} nodes do not answer: ${names.slice(0, 5).join(", ")}${names.length > 5 ? ", …" : ""}`;
  }

  sampledMetrics(): string {
    const { clusterName, nodeName } = this.#options.options;
    return sampledHealth(clusterName, nodeName, this.paths(), this.#prober);
  }

  /** Until aborted. */
  async serve(signal: AbortSignal, onFailure: (request: string, failure: unknown) => void): Promise<void> {
    const routes = healthRoutes(this.#operations(signal));
    await serveAgentApi({ socket: this.#socket, routes, basePath: healthBasePath, signal, onFailure });
  }

  /** Until aborted. */
  probe(signal: AbortSignal): Promise<void> {
    return this.#prober.run(signal);
  }

  /** The health endpoint is there, once workloads may come. */
  async ensureEndpoint(): Promise<void> {
    const { readiness, options } = this.#options;
    if (options.endpointHealthChecking && readiness.missing() === undefined) await this.#endpoint.ensure();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endpoint[Symbol.asyncDispose]();
    await this.#stack[Symbol.asyncDispose]();
  }

  #operations(stopped: AbortSignal): HealthOperations {
    return {
      health: async () => {
        const [last1min = 0, last5min = 0, last15min = 0] = loadavg();
        const load = { last1min: last1min.toFixed(2), last5min: last5min.toFixed(2), last15min: last15min.toFixed(2) };
        return { cilium: await this.#options.status(), uptime: `${Math.round(process.uptime())}s`, "system-load": load };
      },
      status: async () => this.status(),
      probe: async () => {
        await this.#prober.probe(stopped); // Others may wait for the same round: it does not end when one of them goes away.
        return this.status();
      },
    };
  }
}
