import { type EventNote, eventObject, type KubernetesClient, type KubernetesObject, resources } from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { errorMessage } from "@cilium-ts/std";
import { lostText, type Trial } from "./trial.ts";

export interface GuardNoticesOptions {
  readonly client: Pick<KubernetesClient, "create">;
  readonly log: Log;
  readonly nodeName: string;
  nowMs(): number;
  /** Among the events of the agent. */
  onAgentEvent(type: string, message: string): void;
}

/** Events that wait for an API server which may just have been cut off; the oldest give way. */
const waitingMax = 64;
const writeTimeoutMs = 5_000;

/** Says what happens to policies of nodes: in the log, among the agent's events, and as Events of the node and of the policies. */
export class GuardNotices {
  readonly #options: GuardNoticesOptions;
  readonly #waiting: EventNote[] = [];
  #refused = 0;
  #isWriting = false;

  constructor(options: GuardNoticesOptions) {
    this.#options = options;
  }

  /** Events that were never written. */
  get refused(): number {
    return this.#refused;
  }

  /** `policies`: those that are tried. */
  tell(trial: Trial, before: Trial, policies: readonly KubernetesObject[]): void {
    const { log, onAgentEvent } = this.#options;
    const names = policies.map(({ kind = "CiliumClusterwideNetworkPolicy", metadata: { name = "" } }) => `${kind}/${name}`);
    const notice = noticeOf(trial, before, names, this.#options.nowMs());
    if (notice === undefined) return;
    const { type, reason, message } = notice;
    if (type === "Warning") log.error(`host firewall: ${message}`);
    else log.info(`host firewall: ${message}`);
    onAgentEvent(`host-firewall-${trial.kind}`, message);
    this.#enqueue(type, reason, message, policies);
  }

  /** Writes what waits, until the API server refuses or does not answer. */
  async write(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    try {
      for (let note = this.#waiting[0]; note !== undefined; note = this.#waiting[0]) {
        await this.#options.client.create(resources.events, eventObject(note), { signal: AbortSignal.timeout(writeTimeoutMs) });
        this.#waiting.shift();
      }
    } catch (cause) {
      this.#options.log.debug(`events of the host firewall wait for the API server: ${errorMessage(cause)}`);
    } finally {
      this.#isWriting = false;
    }
  }

  #enqueue(type: EventNote["type"], reason: string, message: string, policies: readonly KubernetesObject[]): void {
    const { nodeName, nowMs } = this.#options;
    const node = { resource: resources.nodes, namespace: "", name: nodeName, uid: nodeName };
    const told = policies.map(({ metadata: { name = "", uid = "" } }) => {
      return { resource: resources.ciliumClusterwideNetworkPolicies, namespace: "", name, uid };
    });
    for (const about of [node, ...told]) {
      const name = `${about.name.slice(0, 200)}.${process.hrtime.bigint().toString(16)}`;
      this.#waiting.push({ name, about, type, reason, message, component: "cilium", instance: nodeName, nowMs: nowMs() });
      if (this.#waiting.length <= waitingMax) continue;
      this.#waiting.shift();
      this.#refused += 1;
    }
  }
}

interface Notice {
  readonly type: EventNote["type"];
  readonly reason: string;
  readonly message: string;
}

/** Undefined: nothing that anybody has to know. */
function noticeOf(trial: Trial, before: Trial, names: readonly string[], nowMs: number): Notice | undefined {
  const policies = names.length === 0 ? "policies of this node" : names.join(", ");
  switch (trial.kind) {
    case "tried": {
      const seconds = Math.max(0, Math.round((trial.untilMs - nowMs) / 1_000));
      const way = "confirm by cilium-dbg host-firewall confirm";
      const message = `${policies}: cut off: ${lostText(trial.lost)}; what was in force before comes back in ${seconds} s unless somebody confirms (${way})`;
      return { type: "Warning", reason: "HostFirewallTrial", message };
    }
    case "reverted": {
      const message = `${policies}: taken back, because ${trial.reason}; what was in force before is so again until policies of nodes change`;
      return { type: "Warning", reason: "HostFirewallReverted", message };
    }
    case "settled":
      if (before.kind !== "tried") return undefined;
      return { type: "Normal", reason: "HostFirewallAccepted", message: `${policies}: the trial is over, and they stay` };
    case "watched":
      return undefined;
  }
}
