import type { Datapath, DatapathEndpoint } from "@cilium-ts/datapath";
import {
  changeEndpoint,
  createEndpoint,
  type EndpointChange,
  type EndpointIdAllocator,
  EndpointIndex,
  type EndpointRow,
  type EndpointState,
  restoreEndpoint,
  setEndpointState,
} from "@cilium-ts/endpoint";
import { type ClusterIdentityAllocator, type Identity, reservedIdentities } from "@cilium-ts/identity";
import { Labels } from "@cilium-ts/labels";
import { type AddressBytes, formatAddress, formatMac, parseAddress, parseMac } from "@cilium-ts/net";
import { type NamedPort, type PolicyEngine, type PolicySubject, protocols, type ResolvedPolicy, subjectKey } from "@cilium-ts/policy";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { CniEndpoints } from "../cni/cni-handler.ts";
import { CniError, type CniRequest, cniErrorCode } from "../cni/cni-request.ts";
import type { IpcacheTable } from "../ipcache-table.ts";
import type { Log } from "../log.ts";
import { hostDeviceName, randomMac } from "../network/pod-network.ts";
import type { PolicyUpdates } from "../policy/policy-updates.ts";
import type { RealisedPolicies } from "../policy/realised-policies.ts";
import type { AddressPool } from "./address-pool.ts";
import type { EndpointFiles } from "./endpoint-files.ts";
import type { PodFacts, PodSource } from "./pod-source.ts";

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
  /** After every change of an endpoint; undefined: it is gone. */
  onChange(id: number, row: EndpointRow | undefined, before: EndpointRow | undefined): void;
}

/** Devices and routes of pods. */
export interface PodPlumbing {
  connect(request: PlumbingRequest): Promise<{ ifindex: number; netnsCookie: string }>;
  /** Absent: nothing happens. */
  disconnect(hostDevice: string): Promise<void>;
  /** The index of the device; undefined when it is gone. */
  find(hostDevice: string): Promise<number | undefined>;
}

export interface PlumbingRequest {
  readonly namespacePath: string;
  readonly interfaceName: string;
  readonly hostDevice: string;
  readonly mac: Uint8Array;
  readonly hostMac: Uint8Array;
  readonly mtu: number;
  readonly ipv4: AddressBytes;
  readonly ipv6: AddressBytes;
}

/** A pod's policy, as the kernel has it. */
interface Enforced {
  readonly subject: string;
  readonly fingerprint: string;
  readonly set: number;
}

/** The workloads of this node, from their CNI call to their end. */
export class Endpoints implements CniEndpoints {
  readonly index = new EndpointIndex();
  readonly #options: EndpointsOptions;
  readonly #enforced = new Map<number, Enforced>();
  /** Who has a subject's policy. */
  readonly #bySubject = new Map<string, Set<number>>();

  constructor(options: EndpointsOptions) {
    this.#options = options;
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

  async add(request: CniRequest): Promise<EndpointRow> {
    await using undo = new AsyncDisposableStack();
    const id = this.#takeId(undo);
    const owner = request.pod === undefined ? request.containerId : `${request.pod.namespace}/${request.pod.name}`;
    const { ipv4, ipv6 } = this.#options.addresses.allocate(owner);
    undo.defer(() => {
      for (const address of [ipv4, ipv6]) this.#options.addresses.release(address);
    });
    const attachmentId = `${request.containerId}:${request.interfaceName}`;
    const hostDevice = hostDeviceName(attachmentId);
    const mac = this.#macOf(request);
    const hostMac = randomMac();
    const facts = this.#factsOf(request);
    facts.catch(() => {}); // Awaited below; the plumbing may fail first.
    undo.defer(() => this.#options.plumbing.disconnect(hostDevice));
    const { ifindex, netnsCookie } = await this.#options.plumbing.connect({
      namespacePath: request.namespacePath,
      interfaceName: request.interfaceName,
      hostDevice,
      mac,
      hostMac,
      mtu: request.mtu ?? this.#options.mtu,
      ipv4,
      ipv6,
    });
    const { pod, identity } = await facts;
    undo.defer(() => this.#releaseIdentity(identity.id));
    const created = createEndpoint(
      {
        id,
        containerId: request.containerId,
        containerIfname: request.interfaceName,
        podNamespace: request.pod?.namespace ?? "",
        podName: request.pod?.name ?? "",
        podUid: pod?.uid ?? request.pod?.uid ?? "",
        ifindex,
        hostDeviceName: hostDevice,
        mac: formatMac(mac),
        hostMac: formatMac(hostMac),
        ipv4: formatAddress(ipv4),
        ipv6: formatAddress(ipv6),
        netnsPath: request.namespacePath,
        netnsCookie,
        labels: identity.labels.format(),
        identity: identity.id,
        serviceAccount: pod?.serviceAccount ?? "",
        workloads: pod?.workloads ?? [],
        namedPorts: pod?.namedPorts ?? [],
      },
      this.#options.clock.nowMs(),
    );
    const row = this.#enforceFirst(created, identity.labels, undo);
    undo.move(); // From here on it stays.
    return row;
  }

  async remove(row: EndpointRow): Promise<void> {
    const leaving = this.#transition(row, "disconnecting", "removed");
    this.#put(leaving);
    const { datapath, addresses, files, ids, plumbing } = this.#options;
    this.#withdrawAddresses(leaving);
    datapath.endpoints.remove(kernelKey(leaving));
    this.#release(leaving.id);
    await plumbing.disconnect(leaving.hostDeviceName);
    for (const address of addressesOf(leaving)) addresses.release(address);
    await this.#releaseIdentity(leaving.identity);
    files.remove(leaving.id);
    ids.release(leaving.id);
    this.index.delete(leaving.id);
    this.#options.onChange(leaving.id, undefined, leaving);
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
   * `regenerate`; what belongs to nobody any more is removed.
   */
  async restore(): Promise<void> {
    const { files, log } = this.#options;
    const { rows, problems } = files.read();
    for (const problem of problems) log.warn(`an endpoint cannot be restored: ${problem}`);
    for (const row of rows) {
      const reason = await this.#restoreOne(row);
      if (reason === undefined) continue;
      log.warn(`endpoint ${row.id} (${row.podNamespace}/${row.podName}) is not restored: ${reason}`);
      this.#options.datapath.endpoints.remove(kernelKey(row));
      files.remove(row.id);
    }
    for (const id of this.#options.datapath.endpoints.pinnedIds()) {
      if (this.index.byId(id) !== undefined) continue;
      const left = this.#options.datapath.endpoints.read(id);
      if (left === undefined) this.#options.datapath.endpoints.removeLinks(id);
      else this.#options.datapath.endpoints.remove({ id, ifindex: left.ifindex, ipv4: left.ipv4, ipv6: left.ipv6 });
    }
  }

  /** Every restored endpoint gets its policy, rows and links, where they are not right already. */
  enforceRestored(): void {
    for (const row of [...this.index.rows()]) {
      if (row.state !== "restoring") continue;
      try {
        this.#put(this.#transition(this.#enforce(row, true), "ready", "policy enforced after a restart of the agent"));
      } catch (cause) {
        this.#failed(row, cause);
      }
    }
  }

  /** The policy of these subjects may have changed. */
  regenerate(subjects: ReadonlySet<string>): void {
    for (const subject of subjects) {
      for (const id of this.#bySubject.get(subject) ?? []) this.#regenerateOne(id);
    }
  }

  /** Once more those whose policy could not be enforced. */
  retryFailed(): void {
    for (const row of [...this.index.rows()]) if (row.state === "not-ready") this.#regenerateOne(row.id);
  }

  /** The pod's labels, port names or owners may have changed. */
  async podChanged(namespace: string, name: string): Promise<void> {
    for (const row of this.index.byPod(namespace, name)) await this.#adopt(row.id);
  }

  /** Looks at every endpoint's pod: it may have changed while no agent was there, or when it could not be followed. */
  async adoptPods(): Promise<void> {
    await Promise.all([...this.index.rows()].map((row) => this.#adopt(row.id)));
  }

  async #adopt(id: number): Promise<void> {
    for (;;) {
      const row = this.index.byId(id);
      // What an earlier run enforced stays in force until all policies are known; then everybody is looked at.
      if (row === undefined || row.state === "restoring" || row.state === "disconnecting") return;
      const facts = this.#options.pods.known(row.podNamespace, row.podName);
      if (facts === undefined || isAdopted(row, facts)) return;
      const identity = await this.#options.identities.acquire(facts.labels, this.#options.signal);
      const current = this.index.byId(id);
      const latest = this.#options.pods.known(row.podNamespace, row.podName);
      // The pod may have gone or changed meanwhile: then this identity is not the one.
      if (current === undefined || current.state === "disconnecting" || latest?.labels.key !== facts.labels.key) {
        await this.#releaseIdentity(identity.id);
        continue;
      }
      await this.#change(current, latest, identity);
      return;
    }
  }

  async #change(current: EndpointRow, facts: PodFacts, identity: Identity): Promise<void> {
    const { namedPorts, workloads, serviceAccount } = facts;
    const labels = identity.labels.format();
    const changed = changeEndpoint(current, { labels, namedPorts, workloads, serviceAccount, identity: identity.id });
    try {
      this.#announce(changed, identity.labels);
      this.#put(this.#enforce(changed, true));
      this.#claimAddresses(changed);
      this.#options.files.write(changed);
    } catch (cause) {
      this.#failed(changed, cause);
    }
    await this.#releaseIdentity(current.identity);
  }

  #takeId(undo: AsyncDisposableStack): number {
    const allocation = this.#options.ids.allocate();
    if (allocation.kind === "full") throw new CniError(cniErrorCode.tryAgainLater, allocation.reason);
    undo.defer(() => this.#options.ids.release(allocation.id));
    return allocation.id;
  }

  #macOf(request: CniRequest): Uint8Array {
    if (request.mac === undefined) return randomMac();
    const mac = parseMac(request.mac);
    if (mac !== undefined) return mac;
    throw new CniError(cniErrorCode.invalidEnvironment, `mac=${request.mac} in CNI_ARGS is no MAC address: write aa:bb:cc:dd:ee:ff`);
  }

  /** A workload that the cluster does not know, or not yet, gets the identity init: always enforced, so closed unless rules open it. */
  async #factsOf(request: CniRequest): Promise<{ pod: PodFacts | undefined; identity: Identity }> {
    const { pods, identities, signal } = this.#options;
    const pod = request.pod === undefined ? undefined : await pods.find(request.pod.namespace, request.pod.name, request.pod.uid, signal);
    const labels = pod?.labels ?? Labels.parse(["reserved:init"]);
    if (pod === undefined) return { pod, identity: { id: reservedIdentities.init, labels } };
    return { pod, identity: await identities.acquire(labels, signal) };
  }

  async #releaseIdentity(id: number): Promise<void> {
    if (id === reservedIdentities.init || id === 0) return;
    await this.#options.identities.release(id, this.#options.signal).catch((cause) => {
      this.#options.log.warn(`identity ${id} could not be released: ${errorMessage(cause)}`);
    });
  }

  /** Policies of others learn the identity first, then the kernel the endpoint, and last everybody its addresses. */
  #enforceFirst(created: EndpointRow, labels: Labels, undo: AsyncDisposableStack): EndpointRow {
    const { files, datapath } = this.#options;
    const conflict = this.index.conflict(created);
    if (conflict !== undefined)
      throw new CniError(cniErrorCode.failed, `the endpoint of ${created.cniAttachmentId} cannot be made: ${conflict}`);
    this.#announce(created, labels);
    undo.defer(() => {
      this.#withdrawAddresses(created);
      datapath.endpoints.remove(kernelKey(created));
      this.#release(created.id);
      files.remove(created.id);
      this.index.delete(created.id);
    });
    const row = this.#transition(this.#enforce(created, true), "ready", "policy enforced");
    files.write(row);
    this.#put(row);
    this.#claimAddresses(row);
    return row;
  }

  async #restoreOne(row: EndpointRow): Promise<string | undefined> {
    const { addresses, ids, plumbing } = this.#options;
    if (row.state === "disconnecting" || row.state === "disconnected") return "it was being removed";
    const ifindex = await plumbing.find(row.hostDeviceName);
    if (ifindex !== row.ifindex)
      return ifindex === undefined ? `its device ${row.hostDeviceName} is gone` : `its device is another one now`;
    if (!ids.claim(row.id)) return "its number is taken";
    const kernelRow = this.#options.datapath.endpoints.read(row.id);
    const restored = changeEndpoint(restoreEndpoint(row, this.#options.clock.nowMs()), { policySet: kernelRow?.policySet ?? 0 });
    try {
      for (const address of addressesOf(row)) addresses.claim(address, `${row.podNamespace}/${row.podName}`);
    } catch (cause) {
      ids.release(row.id);
      return errorMessage(cause);
    }
    this.#announce(restored, Labels.parse(row.labels));
    this.#put(restored);
    this.#claimAddresses(restored);
    return undefined;
  }

  #regenerateOne(id: number): void {
    const row = this.index.byId(id);
    if (row === undefined || row.state === "disconnecting" || row.state === "restoring") return;
    try {
      const enforced = this.#enforce(row, false);
      const ready = enforced.state === "not-ready" ? this.#transition(enforced, "ready", "policy enforced") : enforced;
      if (ready !== row) this.#put(ready);
    } catch (cause) {
      this.#failed(row, cause);
    }
  }

  /** What was in force stays in force. */
  #failed(row: EndpointRow, cause: unknown): void {
    const message = `policy could not be enforced, the former one stays in force: ${errorMessage(cause)}`;
    this.#options.log.error(`endpoint ${row.id} (${row.podNamespace}/${row.podName}): ${message}`);
    this.#put(this.#transition(this.index.byId(row.id) ?? row, "not-ready", message));
  }

  /** The row with the policy that the kernel now enforces for it. Throws when the kernel refuses. */
  #enforce(row: EndpointRow, whole: boolean): EndpointRow {
    const { datapath, engine, realised, updates } = this.#options;
    const subject = subjectOf(row);
    const key = subjectKey(subject);
    const policy = engine.resolve(subject);
    const before = this.#enforced.get(row.id);
    const changed = before?.fingerprint !== policy.fingerprint;
    const set = changed ? realised.acquire(policy) : before.set;
    const next = changeEndpoint(row, enforcementOf(policy, set, updates.revision));
    try {
      if (whole) datapath.endpoints.apply(kernelEndpoint(next));
      else if (changed) datapath.endpoints.applyRow(kernelEndpoint(next));
    } catch (cause) {
      if (changed) realised.release(policy.fingerprint);
      throw cause;
    }
    if (changed && before !== undefined) realised.release(before.fingerprint);
    if (before !== undefined && before.subject !== key) this.#leaveSubject(row.id, before.subject);
    this.#enforced.set(row.id, { subject: key, fingerprint: policy.fingerprint, set });
    this.#joinSubject(row.id, key);
    const same = !changed && next.policyRevision === row.policyRevision && row.policySet === set;
    return same ? row : next;
  }

  #release(id: number): void {
    const enforced = this.#enforced.get(id);
    if (enforced === undefined) return;
    this.#enforced.delete(id);
    this.#options.realised.release(enforced.fingerprint);
    this.#leaveSubject(id, enforced.subject);
  }

  #joinSubject(id: number, key: string): void {
    const ids = this.#bySubject.get(key);
    if (ids === undefined) this.#bySubject.set(key, new Set([id]));
    else ids.add(id);
  }

  #leaveSubject(id: number, key: string): void {
    const ids = this.#bySubject.get(key);
    ids?.delete(id);
    if (ids === undefined || ids.size > 0) return;
    this.#bySubject.delete(key);
    const row = this.index.byId(id);
    if (row !== undefined && subjectKey(subjectOf(row)) === key) this.#options.engine.forget(subjectOf(row));
  }

  #announce(row: EndpointRow, labels: Labels): void {
    this.#options.updates.upsertIdentity(row.identity, labels, policyPorts(row));
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

export function subjectOf(row: EndpointRow): PolicySubject {
  return { labels: Labels.parse(row.labels), namedPorts: policyPorts(row) };
}

function isAdopted(row: EndpointRow, { labels, namedPorts, workloads }: PodFacts): boolean {
  const texts = (items: unknown): string => JSON.stringify(items);
  return (
    labels.format().join() === row.labels.join() && texts(namedPorts) === texts(row.namedPorts) && texts(workloads) === texts(row.workloads)
  );
}

function enforcementOf(policy: ResolvedPolicy, policySet: number, policyRevision: number): EndpointChange {
  return { policySet, policyRevision, ingressEnforced: policy.ingressEnforced, egressEnforced: policy.egressEnforced };
}

function policyPorts(row: EndpointRow): NamedPort[] {
  const numbers = { TCP: protocols.tcp, UDP: protocols.udp, SCTP: protocols.sctp };
  return row.namedPorts.map(({ name, port, protocol }) => ({ name, port, protocol: numbers[protocol] }));
}

function addressesOf(row: EndpointRow): AddressBytes[] {
  return [row.ipv4, row.ipv6].flatMap((text) => (text === undefined ? [] : (parseAddress(text) ?? [])));
}

function kernelKey(row: EndpointRow): Pick<DatapathEndpoint, "id" | "ifindex" | "ipv4" | "ipv6"> {
  const address = (text: string | undefined): AddressBytes | undefined => (text === undefined ? undefined : parseAddress(text));
  return { id: row.id, ifindex: row.ifindex, ipv4: address(row.ipv4), ipv6: address(row.ipv6) };
}

function kernelEndpoint(row: EndpointRow): DatapathEndpoint {
  const mac = (text: string): Uint8Array => parseMac(text) ?? new Uint8Array(6);
  return {
    ...kernelKey(row),
    identity: row.identity,
    policySet: row.policySet,
    ingressEnforced: row.ingressEnforced,
    egressEnforced: row.egressEnforced,
    audit: false,
    mac: mac(row.mac),
    hostMac: mac(row.hostMac),
  };
}
