import { sourceFile } from "@cilium-ts/datapath";
import type { EndpointRow } from "@cilium-ts/endpoint";
import { ContextHistory, type FlowPolicy, type RemotePod } from "@cilium-ts/flow";
import { reservedPeers } from "@cilium-ts/identity";
import type { Labels } from "@cilium-ts/labels";
import { type AddressBytes, type Prefix, parseAddress } from "@cilium-ts/net";
import type { CookieTable } from "@cilium-ts/policy";
import { createWallClockOffset } from "./wall-clock-offset.ts";

/** `fileDeliver` is `deliver.h`. */
const fileNames = new Map<number, string>(
  Object.entries(sourceFile).map(([name, number]) => [
    number,
    `${name.replace(/^file/, "").toLowerCase()}.${name === "filePod" ? "c" : "h"}`,
  ]),
);

export interface FlowHistoryOptions {
  readonly nodeName: string;
  readonly clusterName: string;
  readonly cookies: CookieTable;
  monotonicNs(): number;
  policyRevision(): number;
  interfaceName(ifindex: number): string | undefined;
}

/** Keeps what flows are explained with in step with the agent's tables. */
export class FlowHistory {
  readonly context: ContextHistory;
  readonly #options: FlowHistoryOptions;

  constructor(options: FlowHistoryOptions) {
    this.#options = options;
    this.context = new ContextHistory({
      nodeName: options.nodeName,
      clusterName: options.clusterName,
      wallClockOffsetNs: createWallClockOffset(() => BigInt(options.monotonicNs()), Date.now),
      policyOrigins: (cookie) => this.#policiesOf(cookie),
      interfaceName: options.interfaceName,
      fileName: (file) => fileNames.get(file),
    });
    for (const [id, labels] of reservedPeers()) this.setIdentity(id, labels);
  }

  setEndpoint(row: EndpointRow): void {
    const { id, identity, podNamespace, podName, labels, workloads } = row;
    const addresses = [row.ipv4, row.ipv6]
      .map((text) => parseAddress(text ?? ""))
      .filter((address): address is AddressBytes => address !== undefined);
    const endpoint = { id, identity, clusterName: this.#options.clusterName, namespace: podNamespace, labels, podName, workloads };
    this.context.setEndpoint(endpoint, addresses, this.#options.monotonicNs());
  }

  removeEndpoint(id: number): void {
    this.context.removeEndpoint(id, this.#options.monotonicNs());
  }

  /** `prefix` is that of one address. */
  setRemotePod(prefix: string, pod: RemotePod | undefined): void {
    const address = parseAddress(prefix.split("/")[0] ?? "");
    if (address !== undefined) this.context.setRemotePod(address, pod, this.#options.monotonicNs());
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

  /** One policy for each object behind the verdict, however many of its rules took part. */
  #policiesOf(cookie: number): readonly FlowPolicy[] {
    const policies = new Map<string, FlowPolicy>();
    for (const { policy } of this.#options.cookies.originsOf(cookie) ?? []) {
      if (policy.kind === "reserved") continue;
      policies.set(`${policy.kind}/${policy.namespace}/${policy.name}`, {
        name: policy.name,
        namespace: policy.namespace,
        labels: policy.labels.map(({ source, key, value }) => `${source}:${key}=${value}`),
        revision: BigInt(this.#options.policyRevision()),
        kind: policy.kind,
      });
    }
    return [...policies.values()];
  }
}
