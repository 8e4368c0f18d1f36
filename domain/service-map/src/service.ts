import { identityScope, prefixOfLabels, reservedName } from "@cilium-ts/identity";
import { Labels } from "@cilium-ts/labels";
import { formatPrefix } from "@cilium-ts/net";
import type { ServicePolicy } from "./policy-state.ts";
import type { FlowEnd } from "./seen-flow.ts";

/** What a card stands for. */
export type ServiceKind =
  | "workload"
  | "host"
  | "remote-node"
  | "kube-apiserver"
  | "health"
  | "ingress"
  | "init"
  | "unmanaged"
  | "world"
  | "unknown";

/** One end of many flows: in the cluster whoever shares an identity, outside of it whoever shares a name. */
export interface Service {
  readonly id: string;
  readonly kind: ServiceKind;
  readonly name: string;
  readonly namespace: string;
  readonly cluster: string;
  /** Zero for what is outside of the cluster. */
  readonly identity: number;
  readonly labels: readonly string[];
  readonly workloads: readonly string[];
  readonly names: readonly string[];
  /** Null: not known, or none of a workload's. */
  readonly policy: ServicePolicy | null;
}

const reservedNames: Readonly<Partial<Record<ServiceKind, string>>> = {
  host: "Host",
  "remote-node": "Other nodes",
  "kube-apiserver": "Kubernetes API",
  health: "Health endpoint",
  ingress: "Ingress",
  init: "Starting pods",
  unmanaged: "Unmanaged pods",
};
const nameCountMax = 20;

/** Whether the end calls or is called: who is outside of the cluster stands on the side that it is on. */
export type ServiceRole = "sender" | "receiver";

/** The card's key. Cheap, because it is made for every flow; `describeService` says the rest for new ones. */
export function serviceIdOf(end: FlowEnd, role: ServiceRole): string {
  const kind = kindOf(end);
  if (kind === "unknown") return `unknown-${role}`;
  if (kind !== "world") return end.cluster === "" ? String(end.identity) : `${end.identity}@${end.cluster}`;
  const [workload] = end.workloads;
  if (workload !== undefined) return `${workload.kind}/${workload.name}`;
  return `${end.names[0] ?? prefixOf(end) ?? "world"}-${role}`;
}

export function describeService(end: FlowEnd, role: ServiceRole): Service {
  const kind = kindOf(end);
  return {
    id: serviceIdOf(end, role),
    kind,
    name: nameOf(end, kind),
    namespace: end.namespace,
    cluster: end.cluster,
    identity: kind === "world" ? 0 : end.identity,
    labels: end.labels,
    workloads: end.workloads.map(({ kind: workloadKind, name }) => `${workloadKind}/${name}`),
    names: end.names.slice(0, nameCountMax),
    policy: null,
  };
}

function kindOf({ identity }: FlowEnd): ServiceKind {
  switch (identityScope(identity)) {
    case "reserved": {
      const name = reservedName(identity) ?? "unknown";
      if (name.startsWith("world")) return "world";
      return reservedNames[name as ServiceKind] === undefined ? "unknown" : (name as ServiceKind);
    }
    case "local":
      return "world";
    case "remote-node":
      return "remote-node";
    default:
      return "workload";
  }
}

function nameOf(end: FlowEnd, kind: ServiceKind): string {
  const reserved = reservedNames[kind];
  if (reserved !== undefined) return reserved;
  if (kind === "world") return end.workloads[0]?.name ?? end.names[0] ?? prefixOf(end) ?? "World";
  if (kind === "unknown") return "Unknown";
  for (const key of ["app.kubernetes.io/name", "k8s-app", "app", "name"]) {
    const label = end.labels.find((candidate) => candidate.slice(candidate.indexOf(":") + 1).startsWith(`${key}=`));
    if (label !== undefined) return label.slice(label.indexOf("=") + 1);
  }
  return end.workloads[0]?.name ?? (end.pod === "" ? `identity ${end.identity}` : end.pod);
}

/** The narrowest prefix that a policy names; all of the world is no name. */
function prefixOf({ labels }: FlowEnd): string | undefined {
  const prefixes = labels.filter((label) => label.startsWith("cidr:"));
  if (prefixes.length === 0) return undefined;
  const prefix = prefixOfLabels(Labels.parse(prefixes));
  return prefix === undefined || prefix.length === 0 ? undefined : formatPrefix(prefix);
}
