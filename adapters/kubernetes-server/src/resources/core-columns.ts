import { isObject, type Mutable } from "../schema/schema.ts";
import { ageOf } from "./age.ts";
import { ageColumn, column, listAt, nameColumn, textAt, valueAt } from "./column.ts";
import type { Column } from "./resource.ts";

const wide = { priority: 1 };

export const podColumns: readonly Column[] = [
  nameColumn,
  column("Ready", (pod) => {
    const statuses = listAt(pod, "status", "containerStatuses");
    return `${statuses.filter((status) => status.ready === true).length}/${listAt(pod, "spec", "containers").length}`;
  }),
  column("Status", podStatus),
  column("Restarts", (pod) => {
    const counts = listAt(pod, "status", "containerStatuses").map((status) => Number(status.restartCount ?? 0));
    return String(counts.reduce((sum, count) => sum + count, 0));
  }),
  ageColumn,
  column("IP", (pod) => textAt(pod, "status", "podIP") || "<none>", wide),
  column("Node", (pod) => textAt(pod, "spec", "nodeName") || "<none>", wide),
  column("Nominated Node", (pod) => textAt(pod, "status", "nominatedNodeName") || "<none>", wide),
  column("Readiness Gates", () => "<none>", wide),
];

function podStatus(pod: Mutable): string {
  if (valueAt(pod, "metadata", "deletionTimestamp") !== undefined) return "Terminating";
  for (const status of listAt(pod, "status", "containerStatuses")) {
    const reason = textAt(status, "state", "waiting", "reason") || textAt(status, "state", "terminated", "reason");
    if (reason !== "") return reason;
  }
  return textAt(pod, "status", "reason") || textAt(pod, "status", "phase") || "Unknown";
}

export const nodeColumns: readonly Column[] = [
  nameColumn,
  column("Status", (node) => {
    const ready = listAt(node, "status", "conditions").find((condition) => condition.type === "Ready");
    const state = ready === undefined ? "Unknown" : ready.status === "True" ? "Ready" : "NotReady";
    return valueAt(node, "spec", "unschedulable") === true ? `${state},SchedulingDisabled` : state;
  }),
  column("Roles", (node) => {
    const labels = valueAt(node, "metadata", "labels");
    const prefix = "node-role.kubernetes.io/";
    const roles = isObject(labels) ? Object.keys(labels).filter((label) => label.startsWith(prefix)) : [];
    return (
      roles
        .map((label) => label.slice(prefix.length))
        .sort()
        .join(",") || "<none>"
    );
  }),
  ageColumn,
  column("Version", (node) => textAt(node, "status", "nodeInfo", "kubeletVersion")),
  column("Internal-IP", (node) => nodeAddress(node, "InternalIP"), wide),
  column("External-IP", (node) => nodeAddress(node, "ExternalIP"), wide),
  column("OS-Image", (node) => textAt(node, "status", "nodeInfo", "osImage") || "<unknown>", wide),
  column("Kernel-Version", (node) => textAt(node, "status", "nodeInfo", "kernelVersion") || "<unknown>", wide),
  column("Container-Runtime", (node) => textAt(node, "status", "nodeInfo", "containerRuntimeVersion") || "<unknown>", wide),
];

function nodeAddress(node: Mutable, type: string): string {
  return (
    textAt(
      listAt(node, "status", "addresses").find((address) => address.type === type),
      "address",
    ) || "<none>"
  );
}

export const namespaceColumns: readonly Column[] = [
  nameColumn,
  column("Status", (namespace) => textAt(namespace, "status", "phase")),
  ageColumn,
];

function countKeys(object: Mutable, ...names: readonly string[]): number {
  return names.reduce((sum, name) => sum + Object.keys(valueAt(object, name) ?? {}).length, 0);
}

export const configMapColumns: readonly Column[] = [nameColumn, column("Data", (map) => countKeys(map, "data", "binaryData")), ageColumn];

export const secretColumns: readonly Column[] = [
  nameColumn,
  column("Type", (secret) => textAt(secret, "type")),
  column("Data", (secret) => countKeys(secret, "data")),
  ageColumn,
];

export const serviceColumns: readonly Column[] = [
  nameColumn,
  column("Type", (service) => textAt(service, "spec", "type")),
  column("Cluster-IP", (service) => textAt(service, "spec", "clusterIP") || "<none>"),
  column("External-IP", externalAddresses),
  column("Port(s)", (service) => {
    const ports = listAt(service, "spec", "ports").map((port) => {
      const nodePort = valueAt(port, "nodePort");
      return `${textAt(port, "port")}${nodePort ? `:${nodePort}` : ""}/${textAt(port, "protocol") || "TCP"}`;
    });
    return ports.join(",") || "<none>";
  }),
  ageColumn,
  column("Selector", (service) => selectorText(valueAt(service, "spec", "selector")), wide),
];

function externalAddresses(service: Mutable): string {
  const given = valueAt(service, "spec", "externalIPs");
  const external = Array.isArray(given) ? given.map(String) : [];
  if (textAt(service, "spec", "type") === "ExternalName") return textAt(service, "spec", "externalName");
  const balanced = listAt(service, "status", "loadBalancer", "ingress").map((entry) => textAt(entry, "ip") || textAt(entry, "hostname"));
  if (textAt(service, "spec", "type") === "LoadBalancer" && balanced.length + external.length === 0) return "<pending>";
  return [...balanced, ...external].join(",") || "<none>";
}

/** `app=web,tier=front`. */
export function selectorText(selector: unknown): string {
  if (!isObject(selector)) return "<none>";
  return (
    Object.entries(selector)
      .map(([name, value]) => `${name}=${String(value)}`)
      .join(",") || "<none>"
  );
}

export const endpointsColumns: readonly Column[] = [
  nameColumn,
  column("Endpoints", (endpoints) => {
    const all = listAt(endpoints, "subsets").flatMap((subset) =>
      listAt(subset, "addresses").flatMap((address) => {
        const ports = listAt(subset, "ports");
        return ports.length === 0 ? [textAt(address, "ip")] : ports.map((port) => `${textAt(address, "ip")}:${textAt(port, "port")}`);
      }),
    );
    return all.length > 3 ? `${all.slice(0, 3).join(",")} + ${all.length - 3} more...` : all.join(",") || "<none>";
  }),
  ageColumn,
];

export const eventColumns: readonly Column[] = [
  column("Last Seen", (event, nowMs) =>
    ageOf(valueAt(event, "lastTimestamp") ?? valueAt(event, "eventTime") ?? valueAt(event, "metadata", "creationTimestamp"), nowMs),
  ),
  column("Type", (event) => textAt(event, "type")),
  column("Reason", (event) => textAt(event, "reason")),
  column("Object", (event) => `${textAt(event, "involvedObject", "kind").toLowerCase()}/${textAt(event, "involvedObject", "name")}`),
  column("Source", (event) => textAt(event, "source", "component") || textAt(event, "reportingComponent"), wide),
  column("Message", (event) => textAt(event, "message").trim()),
  column("Count", (event) => Number(valueAt(event, "count") ?? 1), wide),
  { ...nameColumn, priority: 1 },
];

export const leaseColumns: readonly Column[] = [
  nameColumn,
  column("Holder", (lease) => textAt(lease, "spec", "holderIdentity")),
  ageColumn,
];

export const endpointSliceColumns: readonly Column[] = [
  nameColumn,
  column("AddressType", (slice) => textAt(slice, "addressType")),
  column(
    "Ports",
    (slice) =>
      listAt(slice, "ports")
        .map((port) => textAt(port, "port"))
        .join(",") || "<unset>",
  ),
  column(
    "Endpoints",
    (slice) =>
      listAt(slice, "endpoints")
        .flatMap((endpoint) => valueAt(endpoint, "addresses") ?? [])
        .join(",") || "<unset>",
  ),
  ageColumn,
];

export const networkPolicyColumns: readonly Column[] = [
  nameColumn,
  column("Pod-Selector", (policy) => selectorText(valueAt(policy, "spec", "podSelector", "matchLabels"))),
  ageColumn,
];

export const definitionColumns: readonly Column[] = [
  nameColumn,
  column("Created At", (definition) => textAt(definition, "metadata", "creationTimestamp"), { type: "date" }),
];
