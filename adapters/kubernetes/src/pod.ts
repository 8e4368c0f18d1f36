import { formatAddress, parseAddress } from "@cilium-ts/net";
import { listAt, recordAt, textAt, textMapAt } from "./fields.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";

export interface NamedPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: "TCP" | "UDP" | "SCTP";
}

export interface Workload {
  readonly name: string;
  readonly kind: string;
}

/** What we keep of a pod. */
export interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  /** Empty until it is scheduled. */
  readonly nodeName: string;
  /** It has the node's addresses and identity. */
  readonly hostNetwork: boolean;
  /** Canonical text, the primary first. */
  readonly ips: readonly string[];
  /** `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`. */
  readonly phase: string;
  /** It has been asked to end. */
  readonly terminating: boolean;
  readonly workloads: readonly Workload[];
  readonly namedPorts: readonly NamedPort[];
}

export function podFrom(object: KubernetesObject): Pod {
  const { metadata } = object;
  const spec = recordAt(object, "spec");
  const status = recordAt(object, "status");
  return {
    namespace: metadata.namespace ?? "",
    name: metadata.name ?? "",
    uid: metadata.uid ?? "",
    labels: textMapAt(metadata, "labels"),
    annotations: textMapAt(metadata, "annotations"),
    serviceAccount: textAt(spec, "serviceAccountName") || textAt(spec, "serviceAccount"),
    nodeName: textAt(spec, "nodeName"),
    hostNetwork: spec.hostNetwork === true,
    ips: podIPs(status),
    phase: textAt(status, "phase") || "Pending",
    terminating: metadata.deletionTimestamp !== undefined,
    workloads: [workloadOf(object)],
    namedPorts: namedPortsOf(spec),
  };
}

function podIPs(status: Readonly<Record<string, unknown>>): readonly string[] {
  const texts = listAt(status, "podIPs").map((entry) => textAt(entry, "ip"));
  const ips = new Set<string>();
  for (const text of texts.length > 0 ? texts : [textAt(status, "podIP")]) {
    const address = parseAddress(text);
    if (address !== undefined) ips.add(formatAddress(address));
  }
  return [...ips];
}

/**
 * What people think of as the owner: the Deployment behind a ReplicaSet and the CronJob behind a Job, which can be told by their
 * names without asking the server. A pod that nobody controls is its own workload.
 */
function workloadOf(object: KubernetesObject): Workload {
  const { metadata } = object;
  const owner = listAt(metadata, "ownerReferences").find((reference) => recordAt({ reference }, "reference").controller === true);
  const name = textAt(owner, "name");
  const kind = textAt(owner, "kind");
  if (name === "" || kind === "") return { name: metadata.name ?? "", kind: "Pod" };
  if (kind === "ReplicaSet") {
    // A Deployment calls its ReplicaSets <deployment>-<hash>, and labels the pods with the hash.
    const hash = textMapAt(metadata, "labels")["pod-template-hash"] ?? "";
    if (hash !== "" && name.endsWith(`-${hash}`)) return { name: name.slice(0, -hash.length - 1), kind: "Deployment" };
  }
  if (kind === "Job") {
    // A CronJob calls its Jobs <cron job>-<scheduled time in minutes since the epoch>.
    const cronJob = /^(.+)-[0-9]{8,10}$/.exec(name)?.[1];
    if (cronJob !== undefined) return { name: cronJob, kind: "CronJob" };
  }
  return { name, kind };
}

/** Of the containers that run beside each other: the ordinary ones, and init containers that stay. */
function namedPortsOf(spec: Readonly<Record<string, unknown>>): readonly NamedPort[] {
  const sidecars = listAt(spec, "initContainers").filter((container) => textAt(container, "restartPolicy") === "Always");
  const ports: NamedPort[] = [];
  for (const container of [...listAt(spec, "containers"), ...sidecars]) {
    for (const entry of listAt(container, "ports")) {
      const port = recordAt({ entry }, "entry");
      const name = textAt(port, "name");
      const protocol = textAt(port, "protocol") || "TCP";
      const number = port.containerPort;
      if (name === "" || typeof number !== "number" || !Number.isInteger(number) || number < 1 || number > 65_535) continue;
      if (protocol === "TCP" || protocol === "UDP" || protocol === "SCTP") ports.push({ name, port: number, protocol });
    }
  }
  return ports;
}
