import {
  type KubernetesObject,
  listAt,
  nodePoolsFrom,
  parseCiliumPodIPPool,
  recordAt,
  textAt,
  textMapAt,
  textsAt,
} from "@cilium-ts/kubernetes";
import { canonicalJson } from "./canonical-json.ts";
import type { AgentPodRow, CiliumNodeRow, EndpointRow, IdentityRow, NodeRow, PodPoolRow, PodRow, SliceRow } from "./rows.ts";

/** Marks an identity as unused; its value is the time of the mark. */
export const heartbeatAnnotation = "io.cilium.heartbeat";
/** On a CiliumNode: `true` keeps it although there is no Node. */
const keepAnnotation = "cilium.io/do-not-gc";
/** Of the condition NetworkUnavailable=False. */
export const upReason = "CiliumIsUp";

export function nodeRow(object: KubernetesObject, taintKey: string): NodeRow {
  const spec = recordAt(object, "spec");
  const status = recordAt(object, "status");
  const conditions = listAt(status, "conditions");
  const conditionIndex = conditions.findIndex((condition) => textAt(condition, "type") === "NetworkUnavailable");
  const condition = conditions[conditionIndex];
  const podCIDRs = textsAt(spec, "podCIDRs");
  const podCIDR = textAt(spec, "podCIDR");
  return {
    name: object.metadata.name ?? "",
    uid: object.metadata.uid ?? "",
    resourceVersion: object.metadata.resourceVersion ?? "",
    podCIDRs: podCIDRs.length > 0 || podCIDR === "" ? podCIDRs : [podCIDR],
    bootId: textAt(recordAt(status, "nodeInfo"), "bootID"),
    taintIndexes: listAt(spec, "taints").flatMap((taint, index) => (textAt(taint, "key") === taintKey ? [index] : [])),
    hasTaints: Array.isArray(spec.taints),
    conditionIndex,
    hasConditions: Array.isArray(status.conditions),
    isUp: textAt(condition, "status") === "False" && textAt(condition, "reason") === upReason,
  };
}

export function ciliumNodeRow(object: KubernetesObject): CiliumNodeRow {
  const { metadata } = object;
  const spec = recordAt(object, "spec");
  const ipamStatus = recordAt(recordAt(object, "status"), "ipam");
  return {
    name: metadata.name ?? "",
    uid: metadata.uid ?? "",
    resourceVersion: metadata.resourceVersion ?? "",
    createdAt: metadata.creationTimestamp ?? "",
    podCIDRs: textsAt(recordAt(spec, "ipam"), "podCIDRs"),
    pools: nodePoolsFrom(object),
    error: textAt(recordAt(ipamStatus, "operator-status"), "error"),
    hasInternalAddress: listAt(spec, "addresses").some((address) => textAt(address, "type") === "CiliumInternalIP"),
    bootId: textAt(spec, "bootid"),
    isKept: textMapAt(metadata, "annotations")[keepAnnotation]?.toLowerCase() === "true",
  };
}

export function podPoolRow(object: KubernetesObject): PodPoolRow {
  const { pool, problems } = parseCiliumPodIPPool(object);
  const problem = problems.map(({ path, message }) => `${path} ${message}`).join("; ");
  return { name: object.metadata.name ?? "", ipv4: pool?.ipv4, ipv6: pool?.ipv6, problem };
}

export function podRow(object: KubernetesObject): PodRow {
  return { key: keyOf(object) };
}

export function agentPodRow(object: KubernetesObject): AgentPodRow {
  const conditions = listAt(recordAt(object, "status"), "conditions");
  const ready = conditions.find((condition) => textAt(condition, "type") === "Ready");
  return {
    key: keyOf(object),
    nodeName: textAt(recordAt(object, "spec"), "nodeName"),
    isReady: textAt(ready, "status") === "True" && object.metadata.deletionTimestamp === undefined,
  };
}

export function endpointRow(object: KubernetesObject, makesSlices: boolean): EndpointRow {
  const { namespace = "", name = "", uid = "", resourceVersion = "" } = object.metadata;
  const status = recordAt(object, "status");
  const { id } = recordAt(status, "identity");
  const identity = typeof id === "number" ? id : 0;
  const sliceEntry = makesSlices ? canonicalJson(sliceEntryOf(name, identity, status)) : "";
  return { key: keyOf(object), namespace, name, uid, resourceVersion, identity, sliceEntry };
}

/** What a slice shows of an endpoint; its `id` is that of the identity. */
function sliceEntryOf(name: string, identity: number, status: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const networking = recordAt(status, "networking");
  const namedPorts = listAt(status, "named-ports");
  const serviceAccount = textAt(status, "service-account");
  return {
    name,
    id: identity,
    networking: { ...networking, addressing: listAt(networking, "addressing") },
    encryption: recordAt(status, "encryption"),
    ...(namedPorts.length > 0 && { "named-ports": namedPorts }),
    ...(serviceAccount !== "" && { "service-account": serviceAccount }),
  };
}

export function identityRow(object: KubernetesObject): IdentityRow {
  const { name = "", uid = "", resourceVersion = "" } = object.metadata;
  const mark = textMapAt(object.metadata, "annotations")[heartbeatAnnotation];
  // A mark that is no time counts as made at the beginning of time: its identity still has to be unused while we look.
  const markedAtMs = mark === undefined ? undefined : Number.isNaN(Date.parse(mark)) ? 0 : Date.parse(mark);
  return { name, uid, resourceVersion, markedAtMs };
}

export function sliceRow(object: KubernetesObject): SliceRow {
  const endpoints = listAt(object, "endpoints");
  return {
    name: object.metadata.name ?? "",
    namespace: textAt(object, "namespace"),
    uid: object.metadata.uid ?? "",
    endpoints: endpoints.map((endpoint) => textAt(endpoint, "name")).filter((name) => name !== ""),
    content: canonicalJson(endpoints),
  };
}

function keyOf({ metadata }: KubernetesObject): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}
