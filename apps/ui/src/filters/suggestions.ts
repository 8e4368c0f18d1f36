import { endTermKinds, formatTerm, type SeenFlow, type Service, type TermKind, termKinds } from "@cilium-ts/service-map/view";

import { policyNameOf } from "../flows/columns.ts";

const suggestionsMax = 20;
const flowsLookedAt = 2_000;

/** What the term that is being written may become: kinds first, then values that were seen. */
export function suggestTerms(text: string, services: Iterable<Service>, flows: readonly SeenFlow[]): readonly string[] {
  const match = /^(!?)(from:|to:|either:)?(.*)$/s.exec(text.trimStart());
  const prefix = `${match?.[1] ?? ""}${match?.[2] ?? ""}`;
  const rest = match?.[3] ?? "";
  const equals = rest.indexOf("=");
  const kind = termKinds.find((name) => equals > 0 && rest.startsWith(`${name}=`));
  if (kind !== undefined) {
    const begun = rest.slice(equals + 1).toLowerCase();
    return valuesOf(kind, services, flows)
      .filter((value) => value.toLowerCase().includes(begun) && value !== rest.slice(equals + 1))
      .slice(0, suggestionsMax)
      .map((query) => `${prefix}${formatTerm({ isNegative: false, side: "either", kind, query })}`);
  }
  const begun = rest.toLowerCase();
  const possible: readonly TermKind[] = prefix.endsWith(":") ? endTermKinds : termKinds;
  const kinds = possible.filter((name) => name.startsWith(begun)).map((name) => `${prefix}${name}=`);
  const sides = prefix.endsWith(":") ? [] : ["from:", "to:"].filter((side) => side.startsWith(begun)).map((side) => `${prefix}${side}`);
  const labels =
    begun === ""
      ? []
      : valuesOf("label", services, flows)
          .filter((label) => label.toLowerCase().includes(begun) && label !== rest)
          .map((label) => `${prefix}${label}`);
  return [...kinds, ...sides, ...labels].slice(0, suggestionsMax);
}

function valuesOf(kind: TermKind, services: Iterable<Service>, flows: readonly SeenFlow[]): readonly string[] {
  const values = new Set<string>();
  if (kind === "tcp-flag") return ["SYN", "ACK", "FIN", "RST", "PSH", "URG", "ECE", "CWR", "NS"];
  if (kind === "protocol" || kind === "direction" || kind === "drop-reason" || kind === "node-name" || kind === "policy-name") {
    for (const flow of flows.slice(-flowsLookedAt)) for (const value of valuesOfFlow(kind, flow)) if (value !== "") values.add(value);
  } else if (kind === "ip" || kind === "pod" || kind === "port" || kind === "service-name") {
    for (const { source, destination } of flows.slice(-flowsLookedAt)) {
      for (const end of [source, destination]) {
        if (kind === "ip" && end.ip !== "") values.add(end.ip);
        if (kind === "service-name" && end.service !== "") values.add(end.service);
        if (kind === "pod" && end.pod !== "") values.add(`${end.namespace}/${end.pod}`);
        if (kind === "port" && end.port > 0 && end.port < 32_768) values.add(String(end.port));
      }
    }
  } else {
    for (const service of services) for (const value of valuesOfService(kind, service)) values.add(value);
  }
  return [...values].sort();
}

function valuesOfFlow(kind: TermKind, { protocol, direction, dropReason, node, policies }: SeenFlow): readonly string[] {
  switch (kind) {
    case "protocol":
      return [protocol];
    case "direction":
      return [direction];
    case "drop-reason":
      return [dropReason];
    case "node-name":
      return [node];
    default:
      return policies.map(policyNameOf);
  }
}

function valuesOfService(kind: TermKind, { labels, namespace, identity, workloads, names }: Service): readonly string[] {
  switch (kind) {
    case "label":
      return labels.map((label) => (label.startsWith("k8s:") ? label.slice(4) : label));
    case "namespace":
      return namespace === "" ? [] : [namespace];
    case "identity":
      return identity === 0 ? [] : [String(identity)];
    case "workload":
      return workloads;
    case "dns":
      return names;
    default:
      return [];
  }
}
