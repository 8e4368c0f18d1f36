import { type AddressBytes, formatPrefix, maskAddress, type Prefix } from "@cilium-ts/net";
import { keyOf } from "./address-key.ts";
import { type FlowContext, type FlowEndpoint, type FlowReasons, type FlowService, noReasons, type RemotePod } from "./context.ts";
import { Timeline } from "./timeline.ts";

export interface ContextHistoryOptions {
  readonly nodeName: string;
  readonly clusterName: string;
  readonly nodeLabels?: () => readonly string[];
  /** CLOCK_REALTIME minus CLOCK_MONOTONIC, in ns; asked for with every flow, so that a clock that was set is followed. */
  readonly wallClockOffsetNs: () => bigint;
  /** Of a cookie that is not 0, in a policy revision; 0: not known which. */
  readonly policyReasons: (cookie: number, revision: number) => FlowReasons;
  readonly interfaceName: (ifindex: number) => string | undefined;
  readonly fileName: (file: number) => string | undefined;
  readonly ipTraceOption?: number;
}

const nothing: readonly string[] = [];

/**
 * The tables that flows are explained with, and what they said before. An event costs nothing when it arrives: its own time finds the
 * rows that were current then. Old rows are kept until `forgetBefore`, and at most 65,536 of a kind.
 */
export class ContextHistory implements FlowContext {
  readonly nodeName: string;
  readonly clusterName: string;
  readonly #options: ContextHistoryOptions;
  readonly #endpointsById = new Timeline<number, FlowEndpoint>();
  readonly #endpointsByAddress = new Timeline<number | string, FlowEndpoint>();
  readonly #remotePods = new Timeline<number | string, RemotePod>();
  readonly #names = new Timeline<string, readonly string[]>();
  readonly #services = new Timeline<string, FlowService>();
  readonly #addressesOf = new Map<number, ReadonlyArray<number | string>>();
  readonly #labels = new Timeline<number, readonly string[]>();
  readonly #prefixes = new Timeline<string, number>();
  readonly #policyRevisions = new Timeline<"node", number>();
  /** Prefix lengths in use: family * 256 + length, and by how many. */
  readonly #lengths = new Map<number, number>();
  #lengthsByFamily: { readonly 4: readonly number[]; readonly 6: readonly number[] } = { 4: [], 6: [] };

  constructor(options: ContextHistoryOptions) {
    this.#options = options;
    this.nodeName = options.nodeName;
    this.clusterName = options.clusterName;
  }

  get nodeLabels(): readonly string[] {
    return this.#options.nodeLabels?.() ?? nothing;
  }

  get wallClockOffsetNs(): bigint {
    return this.#options.wallClockOffsetNs();
  }

  /** An endpoint of this node, new or changed, from this moment on. Its identity's labels are taken as its own when they are not given. */
  setEndpoint(endpoint: FlowEndpoint, addresses: readonly AddressBytes[], atNs: number): void {
    const keys = addresses.map(keyOf);
    for (const key of this.#addressesOf.get(endpoint.id) ?? []) {
      if (!keys.includes(key) && this.#endpointsByAddress.current(key)?.id === endpoint.id) this.#endpointsByAddress.delete(key, atNs);
    }
    this.#addressesOf.set(endpoint.id, keys);
    this.#endpointsById.set(endpoint.id, endpoint, atNs);
    for (const key of keys) this.#endpointsByAddress.set(key, endpoint, atNs);
  }

  removeEndpoint(id: number, atNs: number): void {
    this.#endpointsById.delete(id, atNs);
    for (const key of this.#addressesOf.get(id) ?? []) {
      if (this.#endpointsByAddress.current(key)?.id === id) this.#endpointsByAddress.delete(key, atNs);
    }
    this.#addressesOf.delete(id);
  }

  /** Which pod of another node has the address from this moment on; undefined: none has. */
  setRemotePod(address: AddressBytes, pod: RemotePod | undefined, atNs: number): void {
    if (pod === undefined) this.#remotePods.delete(keyOf(address), atNs);
    else this.#remotePods.set(keyOf(address), pod, atNs);
  }

  /** By which names an endpoint of this node looked the address up; none: forget them. */
  setNames(endpointId: number, address: AddressBytes, names: readonly string[], atNs: number): void {
    const key = `${endpointId} ${keyOf(address)}`;
    if (names.length === 0) this.#names.delete(key, atNs);
    else this.#names.set(key, names, atNs);
  }

  /** Whose address and port this is; undefined: no service's. */
  setService(address: AddressBytes, port: number, service: FlowService | undefined, atNs: number): void {
    const key = `${port} ${keyOf(address)}`;
    if (service === undefined) this.#services.delete(key, atNs);
    else this.#services.set(key, service, atNs);
  }

  /** Labels as `source:key=value`, sorted here. */
  setIdentity(identity: number, labels: readonly string[], atNs: number): void {
    this.#labels.set(identity, Object.freeze([...labels].sort()), atNs);
  }

  removeIdentity(identity: number, atNs: number): void {
    this.#labels.delete(identity, atNs);
  }

  /** What the ipcache says of a prefix. */
  setPrefix(prefix: Prefix, identity: number, atNs: number): void {
    const key = formatPrefix(prefix);
    if (this.#prefixes.current(key) === undefined) this.#countLength(prefix, 1);
    this.#prefixes.set(key, identity, atNs);
  }

  removePrefix(prefix: Prefix, atNs: number): void {
    const key = formatPrefix(prefix);
    if (this.#prefixes.current(key) === undefined) return;
    this.#prefixes.delete(key, atNs);
    this.#countLength(prefix, -1);
  }

  /** The kernel judges by this revision of the policies from this moment on. */
  setPolicyRevision(revision: number, atNs: number): void {
    if (this.#policyRevisions.current("node") !== revision) this.#policyRevisions.set("node", revision, atNs);
  }

  /** Drops rows that ended before this moment: nothing that the ring still holds is older. */
  forgetBefore(oldestNs: number): void {
    this.#endpointsById.forgetBefore(oldestNs);
    this.#endpointsByAddress.forgetBefore(oldestNs);
    this.#remotePods.forgetBefore(oldestNs);
    this.#labels.forgetBefore(oldestNs);
    this.#prefixes.forgetBefore(oldestNs);
    this.#policyRevisions.forgetBefore(oldestNs);
    this.#names.forgetBefore(oldestNs);
    this.#services.forgetBefore(oldestNs);
  }

  endpointById(id: number, atNs: number): FlowEndpoint | undefined {
    return this.#endpointsById.at(id, atNs);
  }

  endpointByAddress(address: AddressBytes, atNs: number): FlowEndpoint | undefined {
    return this.#endpointsByAddress.at(keyOf(address), atNs);
  }

  remotePodByAddress(address: AddressBytes, atNs: number): RemotePod | undefined {
    return this.#remotePods.at(keyOf(address), atNs);
  }

  identityByAddress(address: AddressBytes, atNs: number): number {
    for (const length of this.#lengthsByFamily[address.length === 4 ? 4 : 6]) {
      const identity = this.#prefixes.at(formatPrefix({ address: maskAddress(address, length), length }), atNs);
      if (identity !== undefined) return identity;
    }
    return 0;
  }

  identityLabels(identity: number, atNs: number): readonly string[] | undefined {
    return this.#labels.at(identity, atNs);
  }

  policyReasons(cookie: number, atNs: number): FlowReasons {
    return cookie === 0 ? noReasons : this.#options.policyReasons(cookie, this.#policyRevisions.at("node", atNs) ?? 0);
  }

  namesOf(endpointId: number, address: AddressBytes, atNs: number): readonly string[] {
    return this.#names.size === 0 ? nothing : (this.#names.at(`${endpointId} ${keyOf(address)}`, atNs) ?? nothing);
  }

  serviceOf(address: AddressBytes, port: number, atNs: number): FlowService | undefined {
    return this.#services.size === 0 ? undefined : this.#services.at(`${port} ${keyOf(address)}`, atNs);
  }

  interfaceName(ifindex: number): string | undefined {
    return this.#options.interfaceName(ifindex);
  }

  fileName(file: number): string | undefined {
    return this.#options.fileName(file);
  }

  ipTraceOption(): number {
    return this.#options.ipTraceOption ?? 0;
  }

  #countLength(prefix: Prefix, change: 1 | -1): void {
    const key = (prefix.address.length === 4 ? 4 : 6) * 256 + prefix.length;
    const count = (this.#lengths.get(key) ?? 0) + change;
    // A length stays listed once used: rows of the past may still be asked for.
    this.#lengths.set(key, Math.max(0, count));
    const of = (family: number): number[] =>
      [...this.#lengths.keys()]
        .filter((listed) => listed >> 8 === family)
        .map((listed) => listed & 0xff)
        .sort((a, b) => b - a);
    this.#lengthsByFamily = { 4: of(4), 6: of(6) };
  }
}
