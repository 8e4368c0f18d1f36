import { join } from "node:path";
import { type Datapath, HostRow } from "@cilium-ts/datapath";
import { type Kernel, KernelError } from "@cilium-ts/kernel";
import { type KubernetesClient, type KubernetesObject, resources } from "@cilium-ts/kubernetes";
import type { Labels } from "@cilium-ts/labels";
import type { Log } from "@cilium-ts/log";
import type { ResolvedPolicy, Rule } from "@cilium-ts/policy";
import { type Clock, errorMessage } from "@cilium-ts/std";
import { type FormerRow, GuardFile } from "./guard-file.ts";
import { GuardNotices } from "./guard-notices.ts";
import { HostPolicyGuard } from "./host-policy-guard.ts";
import type { LifelineSources } from "./lifeline-sources.ts";
import { isPending, type Trial } from "./trial.ts";

export interface HostFirewallGuardOptions {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Log;
  readonly bpfRoot: string;
  readonly stateDirectory: string;
  readonly revertAfterMs: number;
  readonly nodeName: string;
  readonly client: Pick<KubernetesClient, "create" | "get">;
  /** Reads a policy that was kept. */
  rulesOf(object: KubernetesObject): readonly Rule[];
}

/** What the guard acts on; known only after a start has come far enough, which may need the API server. */
export interface GuardedParts {
  readonly datapath: Pick<Datapath, "host" | "policySets">;
  readonly sources: Pick<LifelineSources, "facts" | "refresh">;
  applyRules(policies: ReadonlyMap<string, readonly Rule[]>): void;
  onAgentEvent(type: string, message: string): void;
}

const tickMs = 1_000;
/** Looks at sockets, questions to the API server and attempts to write Events. */
const lookMs = 5_000;
const askTimeoutMs = 4_000;

/** The guard with its clock: it counts from the first moment of a run, whatever the start waits for. */
export class HostFirewallGuard implements AsyncDisposable {
  readonly #options: HostFirewallGuardOptions;
  readonly #guard: HostPolicyGuard;
  readonly #stop = new AbortController();
  readonly #notices: GuardNotices;
  readonly #running: Promise<void>;
  #revertCount = 0;
  #parts: GuardedParts | undefined;
  #heldSet = 0;

  constructor(options: HostFirewallGuardOptions) {
    this.#options = options;
    const { clock, stateDirectory, revertAfterMs, rulesOf, log } = options;
    const nowMs = (): number => clock.nowMs();
    const notices = new GuardNotices({
      ...options,
      nowMs,
      onAgentEvent: (type, message) => this.#parts?.onAgentEvent(type, message),
    });
    this.#notices = notices;
    this.#guard = new HostPolicyGuard({
      revertAfterMs,
      rulesOf,
      nowMs,
      file: new GuardFile(stateDirectory, (message) => log.error(message)),
      facts: () => this.#parts?.sources.facts() ?? { apiServers: [], sshPorts: [], nodes: [] },
      currentRow: () => this.#parts?.datapath.host.read(),
      holdRow: (row) => void this.#hold(row?.policySet ?? 0),
      restoreRow: (row) => this.#restore(row),
      applyRules: (policies) => this.#parts?.applyRules(policies),
      onTrial: (trial, before, keys) => {
        if (trial.kind === "reverted") this.#revertCount += 1;
        const objects = keys.map((key) => this.#guard.objectOf(key)).filter((object) => object !== undefined);
        notices.tell(trial, before, objects);
        void notices.write();
      },
    });
    this.#running = this.#run(this.#stop.signal);
  }

  get trial(): Trial {
    return this.#guard.trial;
  }

  /** In this run. */
  get revertCount(): number {
    return this.#revertCount;
  }

  /** Events that the API server never got. */
  get refusedEventCount(): number {
    return this.#notices.refused;
  }

  attach(parts: GuardedParts): void {
    this.#parts = parts;
    if (isPending(this.#guard.trial)) this.#hold(this.#guard.former?.policySet ?? 0);
    void parts.sources.refresh();
  }

  take(key: string, object: KubernetesObject, rules: readonly Rule[]): readonly Rule[] {
    return this.#guard.take(key, object, rules);
  }

  /** The node's own, before it is judged by what they mean. */
  setLabels(labels: Labels): void {
    this.#guard.setLabels(labels);
  }

  drop(key: string): readonly Rule[] {
    return this.#guard.drop(key);
  }

  /** All policies are known. */
  open(): void {
    this.#guard.open();
  }

  judge(next: ResolvedPolicy, before: ResolvedPolicy | undefined): void {
    this.#guard.judge(next, before);
  }

  carriedOut(): void {
    this.#guard.carriedOut();
  }

  /** False: nothing waits for it. */
  confirm(): boolean {
    return this.#guard.confirm();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    let said = "";
    for (let elapsedMs = 0; !signal.aborted; elapsedMs = (elapsedMs + tickMs) % lookMs) {
      try {
        this.#guard.tick();
        said = "";
      } catch (cause) {
        const message = `the policies of this node could not be taken back, which is tried again: ${errorMessage(cause)}`;
        if (message !== said) log.error(message);
        said = message;
      }
      if (elapsedMs === 0) void this.#look(signal);
      await clock.sleep(tickMs, signal).catch(() => {}); // Rejects only on abort.
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { client, nodeName, log } = this.#options;
    try {
      void this.#notices.write();
      if (!isPending(this.#guard.trial)) return;
      await this.#parts?.sources.refresh();
      this.#guard.look();
      if (this.#guard.trial.kind !== "watched") return;
      const { epoch } = this.#guard;
      await client.get(resources.nodes, { name: nodeName }, { signal: AbortSignal.any([signal, AbortSignal.timeout(askTimeoutMs)]) });
      this.#guard.answered(epoch);
    } catch (cause) {
      if (!signal.aborted) log.debug(`host firewall: the API server has not answered yet: ${errorMessage(cause)}`);
    }
  }

  /** False: there is no such set. */
  #hold(policySet: number): boolean {
    const policySets = this.#parts?.datapath.policySets;
    if (policySets === undefined) return true;
    if (policySet === this.#heldSet) return true;
    if (policySet !== 0 && !policySets.hold(policySet)) return false;
    if (this.#heldSet !== 0) policySets.release(this.#heldSet);
    this.#heldSet = policySet;
    return true;
  }

  /** Before the datapath is open the maps of an earlier run are there all the same, unless the machine was started anew. */
  #restore(row: FormerRow | undefined): void {
    const { kernel, bpfRoot } = this.#options;
    if (this.#parts !== undefined) {
      // A row whose set is gone would close the node to everybody.
      write(this.#parts.datapath.host, row !== undefined && this.#hold(row.policySet) ? row : undefined);
      return;
    }
    try {
      using map = kernel.openPinnedMap(join(bpfRoot, "maps/endpoints"));
      write(new HostRow(map), row);
    } catch (cause) {
      if (!(cause instanceof KernelError) || cause.code !== "ENOENT") throw cause;
    }
  }
}

function write(host: HostRow, row: FormerRow | undefined): void {
  if (row === undefined) host.clear();
  else host.apply(row);
}
