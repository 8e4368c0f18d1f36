import type { EndpointRow } from "@cilium-ts/endpoint";
import {
  ContextHistory,
  type FlowPolicy,
  type FlowReasons,
  type FlowService,
  forgottenReasons,
  noReasons,
  type RemotePod,
  sourceFileName,
} from "@cilium-ts/flow";
import { reservedPeers } from "@cilium-ts/identity";
import { formatLabel, type Labels } from "@cilium-ts/labels";
import { type AddressBytes, type Prefix, parseAddress } from "@cilium-ts/net";
import type { CookieTable, RuleOrigin } from "@cilium-ts/policy";
import { addressesOf } from "./endpoints/kernel-shape.ts";
import { createWallClockOffset } from "./wall-clock-offset.ts";

export interface FlowHistoryOptions {
  readonly nodeName: string;
  readonly clusterName: string;
  readonly cookies: CookieTable;
  monotonicNs(): number;
  interfaceName(ifindex: number): string | undefined;
  readonly ipTraceOption: number;
}

/** Keeps what flows are explained with in step with the agent's tables. */
export class FlowHistory {
  readonly context: ContextHistory;
  readonly #options: FlowHistoryOptions;
  /** As they were last asked for, so that what is encoded of them can be kept. */
  readonly #reasons = new WeakMap<readonly RuleOrigin[], { readonly revision: number; readonly reasons: FlowReasons }>();
  #nodeLabels: readonly string[] = [];
  #onPodGone: (namespace: string, podName: string) => void = () => {};

  constructor(options: FlowHistoryOptions) {
    this.#options = options;
    this.context = new ContextHistory({
      nodeName: options.nodeName,
      clusterName: options.clusterName,
      wallClockOffsetNs: createWallClockOffset(() => BigInt(options.monotonicNs()), Date.now),
      policyReasons: (cookie, revision) => this.#reasonsOf(cookie, revision),
      interfaceName: options.interfaceName,
      fileName: sourceFileName,
      ipTraceOption: options.ipTraceOption,
      nodeLabels: () => this.#nodeLabels,
    });
    for (const [id, labels] of reservedPeers()) this.setIdentity(id, labels);
  }

  /** Those of the Node object. */
  setNodeLabels(labels: Readonly<Record<string, string>>): void {
    const texts = Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .sort();
    if (texts.join() !== this.#nodeLabels.join()) this.#nodeLabels = texts;
  }

  /** `addresses`: where they are others than the row's. */
  setEndpoint(row: EndpointRow, addresses: readonly AddressBytes[] = addressesOf(row)): void {
    const { id, identity, podNamespace, podName, labels, workloads } = row;
    const endpoint = { id, identity, clusterName: this.#options.clusterName, namespace: podNamespace, labels, podName, workloads };
    this.context.setEndpoint(endpoint, addresses, this.#options.monotonicNs());
  }

  /** Calls the listener when an address is no pod's any more. */
  watchPodsGone(listener: (namespace: string, podName: string) => void): void {
    this.#onPodGone = listener;
  }

  removeEndpoint(id: number): void {
    const atNs = this.#options.monotonicNs();
    const gone = this.context.endpointById(id, atNs);
    this.context.removeEndpoint(id, atNs);
    if (gone !== undefined && gone.podName !== "") this.#onPodGone(gone.namespace, gone.podName);
  }

  /** `prefix` is that of one address. */
  setRemotePod(prefix: string, pod: RemotePod | undefined): void {
    const address = parseAddress(prefix.split("/")[0] ?? "");
    if (address === undefined) return;
    const atNs = this.#options.monotonicNs();
    const gone = pod === undefined ? this.context.remotePodByAddress(address, atNs) : undefined;
    this.context.setRemotePod(address, pod, atNs);
    if (gone !== undefined) this.#onPodGone(gone.namespace, gone.podName);
  }

  /** By which names an endpoint has looked the address up; none: it has not. */
  setNames(endpointId: number, address: AddressBytes, names: readonly string[]): void {
    this.context.setNames(endpointId, address, names, this.#options.monotonicNs());
  }

  setIdentity(id: number, labels: Labels): void {
    this.context.setIdentity(id, labels.format(), this.#options.monotonicNs());
  }

  removeIdentity(id: number): void {
    this.context.removeIdentity(id, this.#options.monotonicNs());
  }

  setPrefix(prefix: Prefix, identity: number): void {
    this.context.setPrefix(prefix, identity, this.#options.monotonicNs());
  }

  removePrefix(prefix: Prefix): void {
    this.context.removePrefix(prefix, this.#options.monotonicNs());
  }

  /** The kernel judges by this revision of the policies from now on. */
  setPolicyRevision(revision: number): void {
    this.context.setPolicyRevision(revision, this.#options.monotonicNs());
  }

  /** The rules that a cookie stands for are told by the cookie alone: what a policy says now does not matter. */
  #reasonsOf(cookie: number, revision: number): FlowReasons {
    const origins = this.#options.cookies.originsOf(cookie);
    if (origins === undefined) return forgottenReasons;
    const known = this.#reasons.get(origins);
    if (known?.revision === revision) return known.reasons;
    const reasons = reasonsOf(origins, revision);
    this.#reasons.set(origins, { revision, reasons });
    return reasons;
  }

  setService({ address, port }: { readonly address: AddressBytes; readonly port: number }, service: FlowService | undefined): void {
    this.context.setService(address, port, service, this.#options.monotonicNs());
  }
}

/** One policy for each object behind the verdict, however many of its rules took part. */
function reasonsOf(origins: readonly RuleOrigin[], revision: number): FlowReasons {
  const policies = new Map<string, FlowPolicy>();
  const logs = new Set<string>();
  for (const { policy, log } of origins) {
    if (policy.kind === "reserved") continue;
    const { name, namespace, kind } = policy;
    policies.set(`${kind}/${namespace}/${name}`, {
      name,
      namespace,
      labels: policy.labels.map(formatLabel),
      revision: BigInt(revision),
      kind,
    });
    if (log !== undefined) logs.add(log);
  }
  return policies.size === 0 ? noReasons : { policies: [...policies.values()], logs: [...logs] };
}
