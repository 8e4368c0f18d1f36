import type { EndpointRow } from "@cilium-ts/endpoint";
import { type AgentEvent, AgentEventRing } from "@cilium-ts/flow";
import type { IpcacheChange } from "@cilium-ts/identity";
import { formatLabel } from "@cilium-ts/labels";
import { type AddressBytes, formatAddress } from "@cilium-ts/net";
import type { Rule } from "@cilium-ts/policy";

/** What the agent's tables do, as events that people may read. */
export class AgentEvents {
  readonly ring: AgentEventRing;

  /** CLOCK_MONOTONIC. */
  constructor(nowNs: () => number) {
    this.ring = new AgentEventRing(nowNs);
    this.ring.append({ kind: "agent-started" });
  }

  /** Endpoints that an earlier run left are not new. */
  endpointChanged(row: EndpointRow | undefined, before: EndpointRow | undefined): void {
    if (row !== undefined && before === undefined && row.state !== "restoring") this.ring.append(endpointEvent("endpoint-created", row));
    else if (row === undefined && before !== undefined) this.ring.append(endpointEvent("endpoint-deleted", before));
  }

  /** `error` is empty when its policy is in force. */
  regenerated({ id, labels }: EndpointRow, error: string): void {
    this.ring.append({ kind: "endpoint-regenerated", id, labels, error });
  }

  other(type: string, message: string): void {
    this.ring.append({ kind: "other", type, message });
  }

  policyUpdated(rules: readonly Rule[], revision: number): void {
    const labels = rules[0]?.policy.labels.map(formatLabel) ?? [];
    this.ring.append({ kind: "policy-updated", labels, revision, ruleCount: rules.length });
  }

  policyDeleted(rules: readonly Rule[], revision: number): void {
    const labels = rules[0]?.policy.labels.map(formatLabel) ?? [];
    this.ring.append({ kind: "policy-deleted", labels, revision, ruleCount: 0 });
  }

  ipcacheChanged({ key, before, after }: IpcacheChange): void {
    this.ring.append({
      kind: after === undefined ? "ipcache-deleted" : "ipcache-upserted",
      cidr: key,
      identity: after?.identity ?? before?.identity ?? 0,
      oldIdentity: before?.identity,
      hostIp: after?.tunnelEndpoint ?? "",
      oldHostIp: before?.tunnelEndpoint ?? "",
    });
  }

  serviceUpserted(name: string, namespace: string, address: AddressBytes, port: number): void {
    this.ring.append({ kind: "service-upserted", name, namespace, address: formatAddress(address), port });
  }
}

function endpointEvent(kind: "endpoint-created" | "endpoint-deleted", { id, labels, podName, podNamespace }: EndpointRow): AgentEvent {
  return { kind, id, labels, podName, namespace: podNamespace };
}
