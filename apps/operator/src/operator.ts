import { openHttpEndpoint } from "@cilium-ts/http-endpoint";
import {
  campaign,
  type ElectionState,
  FencedClient,
  type KubernetesClient,
  type KubernetesObject,
  type KubernetesOptions,
  type Leadership,
} from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { type Clock, errorMessage, TaskGroup } from "@cilium-ts/std";
import { Cluster } from "./cluster/cluster.ts";
import { registerDefinitions } from "./duties/definitions.ts";
import type { DutyWorld } from "./duties/duty.ts";
import { collectEndpoints } from "./duties/endpoint-gc.ts";
import { makeSlices } from "./duties/endpoint-slices.ts";
import { createPools } from "./duties/first-pools.ts";
import { collectIdentities } from "./duties/identity-gc.ts";
import { collectNodes } from "./duties/node-gc.ts";
import { markReadyNodes } from "./duties/node-readiness.ts";
import { givePodCIDRs } from "./duties/pod-cidrs.ts";
import { givePoolCIDRs } from "./duties/pod-pools.ts";
import { validatePolicies } from "./duties/policy-validation.ts";
import { createOperatorMetrics } from "./operator-metrics.ts";
import { Health } from "./serve/health.ts";
import { apiRoutes, metricsRoutes } from "./serve/routes.ts";
import type { OperatorOptions } from "./settings.ts";
import { operatorVersion } from "./version.ts";

/** What the operator takes from outside; tests bring their own. */
export interface World {
  readonly clock: Clock;
  /** Milliseconds of a clock that only goes forward, whoever sets the one on the wall. */
  readonly monotonicMs: () => number;
  readonly log: Log;
  /** This process, unlike any other that ever was: `host_uuid`. */
  readonly identity: string;
  /** A short text that was never given before: letters and digits. */
  readonly createId: () => string;
  /** The CustomResourceDefinitions to register. */
  readonly definitions: readonly KubernetesObject[];
  /** A client of the API server, which knows how to reach it. */
  readonly openClient: (options: KubernetesOptions) => Promise<KubernetesClient>;
}

const leaseName = "cilium-operator-resource-lock";

/**
 * The operator, from top to bottom: it takes part in the election, and whoever leads does the duties, one task for each. Ends when
 * the signal is aborted, after the last write was answered and the lease was let go.
 */
export async function runOperator(world: World, options: OperatorOptions, signal: AbortSignal): Promise<void> {
  const { clock, monotonicMs, log, identity, openClient } = world;
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs, namespace, apiAddress, metricsAddress } = options;
  const metrics = createOperatorMetrics();
  const health = new Health(monotonicMs, 2 * leaseDurationMs);
  await using served = new AsyncDisposableStack();
  if (apiAddress !== undefined) served.use(await openHttpEndpoint("API", apiAddress, apiRoutes(health, metrics.registry)));
  if (metricsAddress !== undefined) served.use(await openHttpEndpoint("metrics", metricsAddress, metricsRoutes(metrics.registry)));
  const naming = { fieldManager: "cilium-operator", userAgent: `cilium-operator-generic/${operatorVersion}` };
  await using reader = await openClient(naming);
  // A write that was begun in the last moment of a leadership has been served or given up before another can lead.
  await using writer = await openClient({ ...naming, requestTimeoutMs: leaseDurationMs - renewDeadlineMs });
  // The election must not wait in a queue behind what the duties write.
  await using elector = await openClient({ ...naming, connectionsMax: 1 });

  metrics.leads.set(0);
  log.info(`cilium-operator-generic ${operatorVersion} takes part in the election as ${identity}`);
  await campaign({
    client: elector,
    lease: { namespace, name: leaseName },
    identity,
    leaseDurationMs,
    renewDeadlineMs,
    retryPeriodMs,
    clock,
    monotonicMs,
    signal,
    onState(state) {
      // A leader whose renewals fail still leads, until it says that it does not.
      if (state.kind !== "failing") metrics.leads.set(state.kind === "leading" ? 1 : 0);
      if (health.tell(state)) report(log, state);
    },
    lead: (leadership) => {
      const fenced = new FencedClient(writer, () => leadership.isCertain());
      return lead({ ...world, metrics, writer: fenced, reader }, options, leadership);
    },
  });
}

interface LeaderWorld extends Omit<DutyWorld, "cluster"> {
  readonly reader: KubernetesClient;
  readonly createId: () => string;
  readonly definitions: readonly KubernetesObject[];
}

/** What a leader does. It begins with nothing: whatever it knows, it has read since it leads. */
async function lead(world: LeaderWorld, options: OperatorOptions, { signal: over }: Leadership): Promise<void> {
  const { reader, createId, definitions } = world;
  if (options.registersDefinitions) await registerDefinitions(world, definitions, over);
  const cluster = new Cluster({ ...options, client: reader, clock: world.clock, log: world.log });
  const duty: DutyWorld = { ...world, cluster };
  const { identityGcIntervalMs, endpointGcIntervalMs, nodeGcIntervalMs, removesTaints, setsTaints, setsCondition, validatesPolicies } =
    options;
  await using tasks = new TaskGroup(over);
  tasks.run("follow the cluster", (signal) => cluster.run(signal));
  if (options.ipam === "multi-pool") {
    tasks.run("make the first pools", (signal) => createPools(duty, options.firstPools, signal));
    tasks.run("give pod CIDRs of pools", (signal) => givePoolCIDRs(duty, signal));
  } else tasks.run("give pod CIDRs", (signal) => givePodCIDRs(duty, options, signal));
  if (identityGcIntervalMs > 0) tasks.run("collect identities", (signal) => collectIdentities(duty, options, signal));
  if (endpointGcIntervalMs > 0) tasks.run("collect endpoints", (signal) => collectEndpoints(duty, endpointGcIntervalMs, signal));
  if (nodeGcIntervalMs > 0) tasks.run("collect nodes", (signal) => collectNodes(duty, nodeGcIntervalMs, signal));
  if (removesTaints || setsTaints || setsCondition) tasks.run("mark ready nodes", (signal) => markReadyNodes(duty, options, signal));
  if (validatesPolicies) tasks.run("validate policies", (signal) => validatePolicies(duty, signal));
  if (options.makesSlices) tasks.run("make slices", (signal) => makeSlices(duty, { sizeMax: options.sliceSizeMax, createId }, signal));
  await tasks.join();
}

function report(log: Log, state: ElectionState): void {
  if (state.kind === "leading") log.info("this operator leads");
  else if (state.kind === "following")
    log.info(state.leader === "" ? "this operator waits for a leader" : `this operator follows ${state.leader}`);
  else if (state.kind === "lost") log.warn(`this operator no longer leads: ${state.reason}`);
  else log.warn(`the lease cannot be read or written: ${errorMessage(state.failure)}`);
}
