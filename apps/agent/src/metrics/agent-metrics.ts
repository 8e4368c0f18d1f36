import type { Outcome } from "@cilium-ts/dns-proxy";
import type { KubernetesClient } from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { type Labels, Metrics } from "@cilium-ts/metrics";
import { countedClient } from "./counted-client.ts";

/** A request that the agent's API has answered. */
export interface ServedRequest {
  readonly method: string;
  /** Of the route, below `/v1`; empty for what matched none. */
  readonly path: string;
  readonly status: number;
  readonly seconds: number;
}

const secondsBounds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** As `cilium_policy_l7_total` counts it; the others are only received. */
const ruleOf: Partial<Record<Outcome, string>> = {
  answered: "forwarded",
  timeout: "forwarded",
  unreachable: "forwarded",
  refused: "denied",
  malformed: "parse_errors",
};

/** What the agent counts as it happens, under the names that Cilium's agent gives it. What can be looked up is in `sampledMetrics`. */
export class AgentMetrics {
  readonly #registry = new Metrics();
  readonly #now: () => number;
  readonly #eventSeconds;
  readonly #served;
  readonly #calls;
  readonly #callSeconds;
  readonly #events;
  readonly #runs;
  readonly #runSeconds;
  readonly #said;
  readonly #policyChanges;
  readonly #policyErrors;
  readonly #regenerations;
  readonly #probeSeconds;
  readonly #dnsMessages;
  readonly #dnsSeconds;
  readonly #namesForgotten;
  readonly #lateUpdates;

  /** `nowMs`: the clock on the wall. */
  constructor(nowMs: () => number) {
    const registry = this.#registry;
    this.#now = nowMs;
    this.#eventSeconds = registry.gauge("cilium_event_ts", "When the last event of a source came, in seconds since 1970.");
    this.#served = registry.histogram("cilium_agent_api_process_time_seconds", "How long requests to the agent's API took.", secondsBounds);
    this.#calls = registry.counter("cilium_k8s_client_api_calls_total", "Requests to the API server that have ended.");
    this.#callSeconds = registry.histogram("cilium_k8s_client_api_latency_time_seconds", "How long they took.", secondsBounds);
    this.#events = registry.counter("cilium_kubernetes_events_total", "Changes of objects that the API server told.");
    this.#runs = registry.counter("cilium_controllers_runs_total", "Runs of what is done again and again, by outcome.");
    this.#runSeconds = registry.histogram("cilium_controllers_runs_duration_seconds", "How long runs by the clock took.", secondsBounds);
    this.#said = registry.counter("cilium_errors_warnings_total", "Errors and warnings in the log.");
    this.#policyChanges = registry.counter("cilium_policy_change_total", "Policies that were taken over or refused, by outcome.");
    this.#policyErrors = registry.counter("cilium_policy_import_errors_total", "Policies that were refused as invalid.");
    this.#probeSeconds = registry.histogram(
      "cilium_node_health_connectivity_latency_seconds",
      "How long answers to probes took.",
      secondsBounds,
    );
    this.#regenerations = registry.counter(
      "cilium_endpoint_regenerations_total",
      "Endpoints whose policy was brought into the kernel, by outcome.",
    );
    this.#dnsMessages = registry.counter("cilium_policy_l7_total", "Questions to name servers, by what became of them.");
    this.#dnsSeconds = registry.histogram("cilium_proxy_upstream_reply_seconds", "How long servers took to answer.", secondsBounds);
    this.#namesForgotten = registry.counter("cilium_fqdn_gc_deletions_total", "Names of addresses that were forgotten.");
    this.#lateUpdates = registry.counter(
      "cilium_proxy_datapath_update_timeout_total",
      "Answers that were released before their addresses were in force.",
    );
    for (const rule of ["received", "forwarded", "denied", "parse_errors"]) this.#dnsMessages.increase({ rule, proxy_type: "fqdn" }, 0);
    for (const counter of [this.#namesForgotten, this.#lateUpdates]) counter.increase({}, 0);
    for (const outcome of ["success", "fail"]) {
      this.#policyChanges.increase({ outcome }, 0);
      this.#regenerations.increase({ outcome }, 0);
    }
    for (const level of ["error", "warning"]) this.#said.increase({ level, subsystem: "agent" }, 0);
    this.#policyErrors.increase({}, 0);
  }

  /** The same log; its errors and warnings are counted. */
  countedLog(log: Log): Log {
    const say = (level: "error" | "warning", write: (message: string) => void) => (message: string) => {
      this.#said.increase({ level, subsystem: "agent" });
      write(message);
    };
    return { ...log, error: say("error", (text) => log.error(text)), warn: say("warning", (text) => log.warn(text)) };
  }

  /** The same client; what it asks and hears is counted. */
  countedClient(client: KubernetesClient): KubernetesClient {
    const host = URL.parse(client.server)?.host ?? "";
    return countedClient(client, {
      onCall: ({ method, resource, status, seconds }) => {
        this.#calls.increase({ host, method, return_code: status === 0 ? "<error>" : String(status) });
        this.#callSeconds.observe(seconds, { method, path: `/${resource.plural}` });
      },
      onEvent: ({ resource, action }) => {
        this.#events.increase({ scope: resource.kind, action, status: "success" });
        this.#eventSeconds.set(this.#now() / 1_000, { source: "k8s" });
      },
    });
  }

  served({ method, path, status, seconds }: ServedRequest): void {
    this.#served.observe(seconds, {
      method: path === "" ? "" : method,
      path: path === "" ? "" : `/v1${path}`,
      return_code: String(status),
    });
    this.#eventSeconds.set(this.#now() / 1_000, { source: "api" });
  }

  ran(outcome: "success" | "failure", seconds: number | undefined): void {
    this.#runs.increase({ status: outcome });
    if (seconds !== undefined) this.#runSeconds.observe(seconds, { status: outcome });
  }

  probed(seconds: number, labels: Labels): void {
    this.#probeSeconds.observe(seconds, labels);
  }

  /** For what a node tells of its policies and endpoints. */
  readonly nodeObserver = {
    onPolicy: (outcome: "success" | "fail"): void => {
      this.#policyChanges.increase({ outcome });
      if (outcome === "fail") this.#policyErrors.increase();
    },
    onRegenerated: (outcome: "success" | "fail"): void => this.#regenerations.increase({ outcome }),
  };

  /** For the proxy of DNS. */
  readonly dnsObserver = {
    onOutcome: (outcome: Outcome, seconds: number | undefined): void => {
      const rule = ruleOf[outcome];
      this.#dnsMessages.increase({ rule: "received", proxy_type: "fqdn" });
      if (rule !== undefined) this.#dnsMessages.increase({ rule, proxy_type: "fqdn" });
      if (seconds === undefined) return;
      const error = outcome === "answered" ? "" : outcome === "timeout" ? "timeout" : "proxyErr";
      this.#dnsSeconds.observe(seconds, { error, protocol_l7: "dns", scope: "upstreamTime" });
    },
    onForgotten: (count: number): void => this.#namesForgotten.increase({}, count),
    onLateUpdate: (): void => this.#lateUpdates.increase(),
  };

  text(): string {
    return this.#registry.text();
  }
}
