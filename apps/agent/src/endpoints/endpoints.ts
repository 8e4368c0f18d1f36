import type { Datapath, DatapathEndpoint } from "@cilium-ts/datapath";
import {
  changeEndpoint,
  createEndpoint,
  type EndpointIdAllocator,
  EndpointIndex,
  type EndpointRow,
  type EndpointState,
  restoreEndpoint,
  setEndpointState,
} from "@cilium-ts/endpoint";
import { type ClusterIdentityAllocator, clusterIdentityMin, type Identity, reservedIdentities } from "@cilium-ts/identity";
import { Labels } from "@cilium-ts/labels";
import type { Log } from "@cilium-ts/log";
import { formatAddress, formatMac, parseMac } from "@cilium-ts/net";
import type { PolicyEngine, ResolvedPolicy } from "@cilium-ts/policy";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { CniEndpoints } from "../cni/cni-handler.ts";
import { CniError, type CniRequest, cniErrorCode } from "../cni/cni-request.ts";
import type { AddressPool } from "../ipam/address-pool.ts";
import type { IpcacheTable } from "../ipcache-table.ts";
import { hostDeviceName, randomMac } from "../network/pod-network.ts";
import type { PolicyUpdates } from "../policy/policy-updates.ts";
import type { RealisedPolicies } from "../policy/realised-policies.ts";
import type { EndpointFiles } from "./endpoint-files.ts";
import { Enforcement } from "./enforcement.ts";
import { addressesOf, kernelKey, policyPorts } from "./kernel-shape.ts";
import type { PodPlumbing } from "./pod-plumbing.ts";
import type { PodFacts, PodSource } from "./pod-source.ts";
import { Undo } from "./undo.ts";

export interface EndpointsOptions {
  readonly datapath: Pick<Datapath, "endpoints">;
  readonly plumbing: PodPlumbing;
  readonly addresses: AddressPool;
  readonly ids: EndpointIdAllocator;
  readonly identities: ClusterIdentityAllocator;
  readonly engine: PolicyEngine;
  readonly updates: PolicyUpdates;
  readonly realised: RealisedPolicies;
  readonly ipcache: IpcacheTable;
  readonly pods: PodSource;
  readonly files: EndpointFiles;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly mtu: number;
  /** Undefined when policies and identities are known and workloads may come. */
  notReady(): string | undefined;
  /** Whether policy only audits in a namespace. */
  audits(namespace: string): boolean;
  /** After every change of an endpoint; undefined: it is gone. */
  onChange(id: number, row: EndpointRow | undefined, before: EndpointRow | undefined): void;
  /** Its policy was carried out again, or could not be: then with the reason. */
  onRegenerated?(row: EndpointRow, error: string): void;
}

/** What of a CNI call makes an endpoint. */
type NewWorkload = Pick<CniRequest, "containerId" | "interfaceName" | "namespacePath" | "pod" | "mac" | "mtu">;

interface WorkloadFacts {
  readonly pod: PodFacts | undefined;
  readonly identity: Identity;
}

const healthDeviceName = "lxc_health";

/** The workloads of this node, from their CNI call to their end. */
export class Endpoints implements CniEndpoints {
  readonly index = new EndpointIndex();
  readonly #options: EndpointsOptions;
  readonly #enforcement: Enforcement;
  /** Removals under way, by endpoint. */
  readonly #removing = new Map<number, Promise<void>>();
  /** Endpoints whose file is not what it should be. */
  readonly #unsaved = new Set<number>();

  constructor(options: EndpointsOptions) {
    const { datapath, engine, realised, updates } = options;
    this.#options = options;
    const audits = (namespace: string): boolean => options.audits(namespace);
    this.#enforcement = new Enforcement({ rows: datapath.endpoints, engine, realised, revision: () => updates.revision, audits });
  }

  notReady(): string | undefined {
    return this.#options.notReady();
  }

  byAttachmentId(id: string): EndpointRow | undefined {
    return this.index.byAttachmentId(id);
  }

  byContainerId(id: string): readonly EndpointRow[] {
    return this.index.byContainerId(id);
  }

  /** Cluster-wide identities of our endpoints, with their labels. */
  identitiesInUse(): Map<number, Labels> {
    const identities = new Map<number, Labels>();
    for (const { identity, labels } of this.index.rows())
      if (identity >= clusterIdentityMin && !identities.has(identity)) identities.set(identity, Labels.parse(labels));
    return identities;
  }

  /** Whether policy only judges it and reports. */
  isAudited(id: number): boolean {
    const row = this.index.byId(id);
    return row !== undefined && this.#options.audits(row.podNamespace);
  }

  /** What the kernel enforces for the endpoint; undefined as long as that comes from an earlier run. */
  policyOf(id: number): ResolvedPolicy | undefined {
    return this.#enforcement.policyOf(id);
  }

  add(request: CniRequest): Promise<EndpointRow> {
    return this.#add(request, hostDeviceName(`${request.containerId}:${request.interfaceName}`), this.#factsOf(request));
  }

  /** The endpoint that answers other nodes' probes, in a namespace of our own. */
  async addHealth(namespacePath: string): Promise<EndpointRow> {
    const request = { containerId: "health", interfaceName: "eth0", namespacePath, pod: undefined, mac: undefined, mtu: undefined };
    const identity = { id: reservedIdentities.health, labels: Labels.parse(["reserved:health"]) };
    return this.#add(request, healthDeviceName, Promise.resolve({ pod: undefined, identity }));
  }

  async #add(request: NewWorkload, hostDevice: string, facts: Promise<WorkloadFacts>): Promise<EndpointRow> {
    const { addresses, ids, plumbing, log } = this.#options;
    const mac = macOf(request);
    await using undo = new Undo((message) => log.error(message));
    const id = takeId(ids);
    undo.release(`endpoint id ${id}`, () => ids.release(id));
    const hostMac = randomMac();
    facts.catch(() => {}); // Awaited below; what comes before may fail first.
    // Not waited for: the plumbing may fail while the cluster still thinks about its answer.
    const releaseIdentity = (): void => void facts.then(({ identity }) => this.#releaseIdentity(identity.id)).catch(() => {});
    undo.add("the identity", releaseIdentity);
    const owner = request.pod === undefined ? request.containerId : `${request.pod.namespace}/${request.pod.name}`;
    const pair = await addresses.allocate(owner, () => facts.then(({ pod }) => pod?.placement));
    for (const address of [pair.ipv4, pair.ipv6]) undo.release(`address ${formatAddress(address)}`, () => addresses.release(address));
    undo.add(`device ${hostDevice}`, () => plumbing.disconnect(hostDevice));
    const { namespacePath, interfaceName, mtu = this.#options.mtu } = request;
    const connected = await plumbing.connect({ namespacePath, interfaceName, hostDevice, mac, hostMac, mtu, ...pair });
    const { pod, identity } = await facts;
    const created = createEndpoint(
      {
        id,
        containerId: request.containerId,
        containerIfname: interfaceName,
        podNamespace: request.pod?.namespace ?? "",
        podName: request.pod?.name ?? "",
        podUid: pod?.uid ?? request.pod?.uid ?? "",
        ...connected,
        hostDeviceName: hostDevice,
        mac: formatMac(mac),
        hostMac: formatMac(hostMac),
        ipv4: formatAddress(pair.ipv4),
        ipv6: formatAddress(pair.ipv6),
        netnsPath: namespacePath,
        labels: identity.labels.format(),
        identity: identity.id,
        serviceAccount: pod?.serviceAccount ?? "",
        workloads: pod?.workloads ?? [],
        namedPorts: pod?.namedPorts ?? [],
      },
      this.#options.clock.nowMs(),
    );
    undo.add("the prepared policy", () => this.#enforcement.abandon(created));
    await this.#enforcement.prepare(created);
    const row = this.#begin(created, identity.labels, undo);
    undo.keep();
    this.#catchUp(id);
    return row;
  }

  /** However often and from wherever it is asked for: it happens once. One that failed can be asked for again. */
  remove(row: EndpointRow): Promise<void> {
    const current = this.index.byId(row.id);
    if (current === undefined || current.cniAttachmentId !== row.cniAttachmentId) return Promise.resolve();
    const running = this.#removing.get(row.id) ?? this.#remove(current).finally(() => this.#removing.delete(row.id));
    this.#removing.set(row.id, running);
    return running;
  }

  /** Of an attachment without an endpoint: what an agent that died in its ADD may have left. */
  async removeLeftover(attachmentId: string): Promise<void> {
    await this.#options.plumbing.disconnect(hostDeviceName(attachmentId));
  }

  async complaint(row: EndpointRow): Promise<string | undefined> {
    if (row.state !== "ready") return `its state is ${row.state}`;
    const ifindex = await this.#options.plumbing.find(row.hostDeviceName);
    if (ifindex !== row.ifindex) return `its device ${row.hostDeviceName} is gone`;
    const kernelRow = this.#options.datapath.endpoints.read(row.id);
    return kernelRow === undefined || kernelRow.policySet === 0 ? "the kernel does not know it" : undefined;
  }

  /**
   * Takes up what an earlier run left: endpoints whose devices are still there. Their rows in the kernel stay as they are until
   * `enforceRestored`; what belongs to nobody any more is removed, with its device: without our programs it would be open.
   */
  async restore(): Promise<void> {
    const { datapath, files, log, onChange, plumbing } = this.#options;
    const { rows, problems, damaged } = files.read();
    for (const problem of problems) log.error(`an endpoint cannot be restored, and its pod is cut off; delete the pod: ${problem}`);
    for (const [id, problem] of damaged) log.warn(`endpoint ${id} is restored from one of its two files, the other is damaged: ${problem}`);
    const gone: EndpointRow[] = [];
    for (const row of rows) {
      const reason = await this.#restoreOne(row);
      if (reason === undefined) continue;
      // The health endpoint's namespace ends with its agent.
      if (row.hostDeviceName !== healthDeviceName)
        log.warn(`endpoint ${row.id} (${row.podNamespace}/${row.podName}) is not restored: ${reason}`);
      gone.push(row);
    }
    for (const row of gone) {
      if ((await plumbing.find(row.hostDeviceName)) === row.ifindex) await plumbing.disconnect(row.hostDeviceName);
      datapath.endpoints.remove(this.#notOfOthers(kernelKey(row)));
      files.remove(row.id);
      onChange(row.id, undefined, row);
    }
    for (const id of datapath.endpoints.pinnedIds()) {
      if (this.index.byId(id) !== undefined) continue;
      const left = datapath.endpoints.read(id);
      if (left === undefined) {
        datapath.endpoints.removeLinks(id);
        continue;
      }
      if (this.index.byIfindex(left.ifindex) === undefined) await plumbing.disconnectIndex(left.ifindex);
      datapath.endpoints.remove(this.#notOfOthers({ id, ifindex: left.ifindex, ipv4: left.ipv4, ipv6: left.ipv6 }));
    }
    for (const row of [...this.index.rows()]) if (damaged.has(row.id)) this.#save(row);
  }

  /** Computes the policies of restored endpoints, as far as that can be done in parts. */
  async prepareRestored(): Promise<void> {
    for (const row of [...this.index.rows()]) if (row.state === "restoring") await this.#enforcement.prepare(row);
  }

  /** Every restored endpoint gets its policy, rows and links, where they are not right already. False: some could not, and are tried again. */
  enforceRestored(): boolean {
    let all = true;
    for (const row of [...this.index.rows()]) {
      if (row.state !== "restoring") continue;
      try {
        this.#put(this.#transition(this.#enforcement.enforce(row), "ready", "policy enforced after a restart of the agent"));
        this.#options.onRegenerated?.(row, "");
      } catch (cause) {
        all = false;
        this.#failed(row, cause);
      }
    }
    return all;
  }

  /** The policy of these subjects may have changed. */
  regenerate(subjects: ReadonlySet<string>): void {
    for (const subject of subjects) for (const id of this.#enforcement.idsOf(subject)) this.#regenerateOne(id);
  }

  /** Another answer of `audits` for the namespace. */
  regenerateNamespace(namespace: string): void {
    for (const row of [...this.index.rows()]) if (row.podNamespace === namespace) this.#regenerateOne(row.id);
  }

  /** Once more those whose policy could not be enforced, or whose file not written. True when nothing is left to be tried. */
  retryFailed(): boolean {
    for (const row of [...this.index.rows()]) if (row.state === "not-ready") this.#regenerateOne(row.id);
    for (const id of [...this.#unsaved]) {
      const row = this.index.byId(id);
      if (row === undefined) this.#unsaved.delete(id);
      else this.#save(row);
    }
    return this.#unsaved.size === 0 && [...this.index.rows()].every(({ state }) => state !== "not-ready");
  }

  /** The pod's labels, port names or owners may have changed. */
  async podChanged(namespace: string, name: string): Promise<void> {
    for (const row of this.index.byPod(namespace, name)) await this.#adopt(row.id);
  }

  /** Looks at every endpoint's pod: it may have changed while no agent was there, or when it could not be followed. */
  async adoptPods(): Promise<void> {
    const results = await Promise.allSettled([...this.index.rows()].map((row) => this.#adopt(row.id)));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  async #adopt(id: number): Promise<void> {
    const { identities, pods, signal } = this.#options;
    while (!signal.aborted) {
      const row = this.index.byId(id);
      // What an earlier run enforced stays in force until all policies are known; then everybody is looked at.
      if (row === undefined || row.state === "restoring" || row.state === "disconnecting") return;
      const facts = pods.known(row.podNamespace, row.podName);
      if (facts === undefined || !isSamePod(row, facts) || isAdopted(row, facts)) return;
      const identity = await identities.acquire(facts.labels, signal);
      const expected = changeEndpoint(row, { labels: identity.labels.format(), namedPorts: facts.namedPorts });
      await this.#enforcement.prepare(expected);
      const current = this.index.byId(id);
      const latest = pods.known(row.podNamespace, row.podName);
      // The pod may have gone or changed meanwhile: then this identity is not the one.
      if (current === undefined || current.state === "disconnecting" || latest?.labels.key !== facts.labels.key) {
        this.#enforcement.abandon(expected);
        await this.#releaseIdentity(identity.id);
        continue;
      }
      try {
        await this.#change(current, latest, identity);
      } finally {
        // Where the port names changed once more, it is not what is enforced now.
        this.#enforcement.abandon(expected);
      }
      return;
    }
  }

  /** Policies of others learn the new identity first, then the kernel, and last everybody whose the addresses are. */
  async #change(current: EndpointRow, facts: PodFacts, identity: Identity): Promise<void> {
    const { uid, namedPorts, workloads, serviceAccount } = facts;
    const labels = identity.labels.format();
    const changed = changeEndpoint(current, { labels, namedPorts, workloads, serviceAccount, podUid: uid, identity: identity.id });
    this.#announce(changed, identity.labels);
    let enforced: EndpointRow;
    try {
      enforced = this.#enforcement.enforce(changed);
    } catch (cause) {
      this.#options.updates.setNamedPorts(current.id, current.identity, policyPorts(current));
      this.#failed(current, cause);
      await this.#releaseIdentity(identity.id);
      throw new Error(`the new labels of pod ${current.podNamespace}/${current.podName} are not in force`, { cause });
    }
    this.#put(enforced.state === "not-ready" ? this.#transition(enforced, "ready", "policy enforced") : enforced);
    this.#claimAddresses(enforced);
    this.#save(this.index.byId(current.id) ?? enforced);
    await this.#releaseIdentity(current.identity);
  }

  /** The pod may have changed between the moment that we asked who it is and the one in which we could be told of changes. */
  #catchUp(id: number): void {
    this.#adopt(id).catch((cause) => this.#options.log.error(errorMessage(cause)));
  }

  /** A workload that the cluster does not know, or not yet, gets the identity init: always enforced, so closed unless rules open it. */
  async #factsOf({ pod: reference }: CniRequest): Promise<WorkloadFacts> {
    const init = { id: reservedIdentities.init, labels: Labels.parse(["reserved:init"]) };
    if (reference === undefined) return { pod: undefined, identity: init };
    const { pods, identities, signal } = this.#options;
    try {
      const pod = await pods.find(reference.namespace, reference.name, reference.uid, signal);
      return { pod, identity: pod === undefined ? init : await identities.acquire(pod.labels, signal) };
    } catch (cause) {
      const what = `the identity of pod ${reference.namespace}/${reference.name} cannot be found out`;
      throw new CniError(cniErrorCode.tryAgainLater, `${what}; try again later`, cause);
    }
  }

  async #releaseIdentity(id: number): Promise<void> {
    if (id < clusterIdentityMin) return;
    await this.#options.identities.release(id, this.#options.signal).catch((cause) => {
      this.#options.log.warn(`identity ${id} could not be released: ${errorMessage(cause)}`);
    });
  }

  /** Policies of others learn the identity first, then the kernel the endpoint, and last everybody its addresses. */
  #begin(created: EndpointRow, labels: Labels, undo: Undo): EndpointRow {
    const { files, updates, onChange } = this.#options;
    const conflict = this.index.conflict(created);
    if (conflict !== undefined)
      throw new CniError(cniErrorCode.failed, `the endpoint of ${created.cniAttachmentId} cannot be made: ${conflict}`);
    undo.add(`the port names of endpoint ${created.id}`, () => updates.removeNamedPorts(created.id));
    this.#announce(created, labels);
    undo.add(`the kernel's row of endpoint ${created.id}`, () => this.#enforcement.remove(created));
    const row = this.#transition(this.#enforcement.enforce(created), "ready", "policy enforced");
    undo.add(`the file of endpoint ${created.id}`, () => files.remove(created.id));
    files.write(row);
    undo.add(`the row of endpoint ${created.id}`, () => {
      this.#withdrawAddresses(created);
      this.index.delete(created.id);
      onChange(created.id, undefined, created);
    });
    this.#put(row);
    this.#claimAddresses(row);
    return row;
  }

  /** What can fail comes first, and what is released last: nothing is given to another while it may be in use here. */
  async #remove(row: EndpointRow): Promise<void> {
    const leaving = this.#transition(row, "disconnecting", "removed");
    this.#put(leaving);
    const { addresses, files, ids, onChange, plumbing, updates } = this.#options;
    this.#withdrawAddresses(leaving);
    this.#enforcement.remove(leaving);
    updates.removeNamedPorts(leaving.id);
    await plumbing.disconnect(leaving.hostDeviceName);
    files.remove(leaving.id);
    for (const address of addressesOf(leaving)) addresses.release(address);
    ids.release(leaving.id);
    this.index.delete(leaving.id);
    this.#unsaved.delete(leaving.id);
    onChange(leaving.id, undefined, leaving);
    await this.#releaseIdentity(leaving.identity);
  }

  async #restoreOne(row: EndpointRow): Promise<string | undefined> {
    const { addresses, clock, datapath, ids, log, plumbing } = this.#options;
    if (row.state === "disconnecting" || row.state === "disconnected") return "it was being removed";
    const ifindex = await plumbing.find(row.hostDeviceName);
    if (ifindex !== row.ifindex)
      return ifindex === undefined ? `its device ${row.hostDeviceName} is gone` : `its device is another one now`;
    await using undo = new Undo((message) => log.error(message));
    if (!ids.claim(row.id)) return "its number is taken";
    undo.release(`endpoint id ${row.id}`, () => ids.release(row.id));
    try {
      for (const address of addressesOf(row)) {
        addresses.claim(address, `${row.podNamespace}/${row.podName}`);
        undo.release(`address ${formatAddress(address)}`, () => addresses.release(address));
      }
    } catch (cause) {
      return errorMessage(cause);
    }
    const { policySet = 0 } = datapath.endpoints.read(row.id) ?? {};
    const restored = changeEndpoint(restoreEndpoint(row, clock.nowMs()), { policySet });
    this.#announce(restored, Labels.parse(row.labels));
    this.#put(restored);
    this.#claimAddresses(restored);
    undo.keep();
    return undefined;
  }

  /** Numbers of devices and addresses come back: what a row that has gone says may be another endpoint's by now. */
  #notOfOthers({ id, ifindex, ipv4, ipv6 }: ReturnType<typeof kernelKey>): Pick<DatapathEndpoint, "id" | "ifindex" | "ipv4" | "ipv6"> {
    const unused = (address: typeof ipv4): typeof ipv4 =>
      address === undefined || this.index.byAddress(formatAddress(address)) !== undefined ? undefined : address;
    return { id, ifindex: this.index.byIfindex(ifindex) === undefined ? ifindex : 0, ipv4: unused(ipv4), ipv6: unused(ipv6) };
  }

  #regenerateOne(id: number): void {
    const row = this.index.byId(id);
    if (row === undefined || row.state === "disconnecting" || row.state === "restoring") return;
    try {
      const enforced = this.#enforcement.enforce(row);
      const ready = enforced.state === "not-ready" ? this.#transition(enforced, "ready", "policy enforced") : enforced;
      if (ready !== row) this.#put(ready);
      this.#options.onRegenerated?.(ready, "");
    } catch (cause) {
      this.#failed(row, cause);
    }
  }

  /** What was in force stays in force. Said once, until something else is the matter. */
  #failed(row: EndpointRow, cause: unknown): void {
    const message = `policy could not be enforced, the former one stays in force: ${errorMessage(cause)}`;
    this.#options.onRegenerated?.(row, errorMessage(cause));
    if (row.state !== "not-ready") this.#options.log.error(`endpoint ${row.id} (${row.podNamespace}/${row.podName}): ${message}`);
    this.#put(this.#transition(this.index.byId(row.id) ?? row, "not-ready", message));
  }

  /** A restart would take up what the file says, so one that cannot be written is tried again. */
  #save(row: EndpointRow): void {
    try {
      this.#options.files.write(row);
      this.#unsaved.delete(row.id);
    } catch (cause) {
      if (!this.#unsaved.has(row.id)) this.#options.log.error(`endpoint ${row.id} cannot be written to disk: ${errorMessage(cause)}`);
      this.#unsaved.add(row.id);
    }
  }

  #announce(row: EndpointRow, labels: Labels): void {
    this.#options.updates.upsertIdentity(row.identity, labels);
    this.#options.updates.setNamedPorts(row.id, row.identity, policyPorts(row));
    this.#options.updates.flush();
  }

  #claimAddresses(row: EndpointRow): void {
    for (const address of addressesOf(row)) this.#options.ipcache.upsert({ address, length: address.length * 8 }, "local", row.identity);
  }

  #withdrawAddresses(row: EndpointRow): void {
    for (const address of addressesOf(row)) this.#options.ipcache.remove({ address, length: address.length * 8 }, "local");
  }

  #transition(row: EndpointRow, state: EndpointState, message: string): EndpointRow {
    const nowMs = this.#options.clock.nowMs();
    const direct = setEndpointState(row, state, { nowMs, message });
    if (direct.kind !== "refused") return direct.row;
    // The states of a regeneration pass in one turn here; the log shows where it went through.
    let current = row;
    for (const step of ["waiting-to-regenerate", "regenerating", state] as const)
      current = setEndpointState(current, step, { nowMs, message }).row;
    return current;
  }

  #put(row: EndpointRow): void {
    const before = this.index.byId(row.id);
    this.index.upsert(row);
    this.#options.onChange(row.id, row, before);
  }
}

function takeId(ids: EndpointIdAllocator): number {
  const allocation = ids.allocate();
  if (allocation.kind === "full") throw new CniError(cniErrorCode.tryAgainLater, allocation.reason);
  return allocation.id;
}

function macOf({ mac: text }: NewWorkload): Uint8Array {
  if (text === undefined) return randomMac();
  const mac = parseMac(text);
  if (mac !== undefined) return mac;
  throw new CniError(cniErrorCode.invalidEnvironment, `mac=${text} in CNI_ARGS is no MAC address: write aa:bb:cc:dd:ee:ff`);
}

/** A pod may have taken the name of one whose endpoint is still being taken down. */
function isSamePod(row: EndpointRow, { uid }: PodFacts): boolean {
  return row.podUid === "" || row.podUid === uid || row.identity === reservedIdentities.init;
}

function isAdopted(row: EndpointRow, { labels, namedPorts, workloads }: PodFacts): boolean {
  const texts = (items: unknown): string => JSON.stringify(items);
  return (
    labels.format().join() === row.labels.join() && texts(namedPorts) === texts(row.namedPorts) && texts(workloads) === texts(row.workloads)
  );
}
