import type { KubernetesClient, KubernetesObject, Patch } from "@cilium-ts/kubernetes";
import { createSimulatedClock, type SimulatedClock } from "@cilium-ts/std/testing";
import { Cluster } from "../cluster/cluster.ts";
import type { CiliumNodeRow, EndpointRow } from "../cluster/rows.ts";
import { createOperatorMetrics } from "../operator-metrics.ts";
import type { DutyWorld } from "./duty.ts";

/** A duty's world without a server: tables that the test fills, time that it moves, and a writer that records. */
export class TestDuty {
  readonly clock: SimulatedClock = createSimulatedClock();
  readonly lines: string[] = [];
  /** `VERB plural name`, and what was sent. */
  readonly writes: { readonly what: string; readonly sent: unknown }[] = [];
  /** What the server holds, whatever the tables show: by `plural name`. */
  readonly stored = new Map<string, KubernetesObject>();
  /** Called for each write; what it throws is the server's answer. */
  onWrite: (what: string) => void = () => {};
  readonly cluster: Cluster;
  readonly world: DutyWorld;

  constructor() {
    const say = (message: string): void => void this.lines.push(message);
    const log = { error: say, warn: say, info: say, debug: say };
    const nothing = {} as KubernetesClient;
    const names = { clusterName: "c", namespace: "kube-system", taintKey: "t", agentPodSelector: "k8s-app=cilium" };
    this.cluster = new Cluster({
      ...names,
      client: nothing,
      clock: this.clock,
      log,
      ipam: "multi-pool",
      makesSlices: false,
      validatesPolicies: false,
    });
    const { nodes, ciliumNodes, pods, agentPods, endpoints, identities, slices, podPools } = this.cluster;
    for (const table of [nodes, ciliumNodes, pods, agentPods, endpoints, identities, slices, podPools]) table.markSynced("kubernetes");
    const { clock, cluster } = this;
    this.world = { clock, cluster, log, writer: this.#writer(), monotonicMs: () => clock.nowMs(), metrics: createOperatorMetrics() };
  }

  #writer(): KubernetesClient {
    const record = (what: string, sent: unknown): void => {
      this.writes.push({ what, sent });
      this.onWrite(what);
    };
    const writer: Partial<KubernetesClient> = {
      get: async ({ plural }, { name }) => this.stored.get(`${plural} ${name}`),
      patch: async ({ plural }, { name }, patch: Patch, { subresource }) => {
        record(`patch ${plural}${subresource === undefined ? "" : `/${subresource}`} ${name}`, patch.body);
        return { metadata: { name } };
      },
      delete: async ({ plural }, { name }, { signal: _signal, ...preconditions }) => {
        record(`delete ${plural} ${name}`, preconditions);
        return true;
      },
    };
    return writer as KubernetesClient;
  }
}

export function ciliumNode(name: string, fields: Partial<CiliumNodeRow> = {}): CiliumNodeRow {
  const empty = { podCIDRs: [], pools: { allocated: [], requested: [] }, error: "", hasInternalAddress: false, bootId: "", isKept: false };
  return { name, uid: `uid-${name}`, resourceVersion: "7", createdAt: "2026-01-01T00:00:00Z", ...empty, ...fields };
}

export function endpoint(name: string, identity = 0): EndpointRow {
  return { key: `default/${name}`, namespace: "default", name, uid: `uid-${name}`, resourceVersion: "7", identity, sliceEntry: "" };
}
