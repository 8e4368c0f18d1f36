import { type Flow, type FlowEndpoint, TrafficDirection } from "@cilium-ts/flow";
import type { ContextValue, MetricSetting } from "./metric-settings.ts";

/** One end of a flow as labels see it. */
interface Side {
  readonly endpoint: FlowEndpoint | undefined;
  readonly names: readonly string[];
  readonly ip: string;
}

type ValueOf = (source: Side, destination: Side, flow: Flow) => string;

interface ContextLabel {
  readonly name: string;
  readonly readValue: ValueOf;
  /** Whether the value names this pod. */
  readonly isPod: (value: string, namespace: string, podName: string) => boolean;
}

const appLabels = ["k8s:app.kubernetes.io/name=", "k8s:k8s-app=", "k8s:app="] as const;

/** The labels that a metric has because its settings ask for them. */
export class LabelContexts {
  readonly names: readonly string[];
  readonly #labels: readonly ContextLabel[];

  constructor({ options }: MetricSetting) {
    const labels: ContextLabel[] = [];
    for (const side of ["source", "destination"] as const) {
      const of = (direction: string): readonly ContextValue[] | undefined =>
        options.get(`${side}${direction}Context`) as readonly ContextValue[] | undefined;
      const [either, egress, ingress] = [of(""), of("Egress"), of("Ingress")];
      if (either === undefined && egress === undefined && ingress === undefined) continue;
      labels.push(sideLabel(side, either ?? [], egress, ingress));
    }
    for (const name of options.get("labelsContext") ?? []) labels.push(ownLabel(name));
    this.#labels = labels;
    this.names = labels.map(({ name }) => name);
  }

  /** `inverted`: of an answer, whose sender is the one that was asked. */
  valuesOf(flow: Flow, inverted = false): string[] {
    if (this.#labels.length === 0) return [];
    const source = { endpoint: flow.source, names: flow.sourceNames, ip: flow.ip?.source ?? "" };
    const destination = { endpoint: flow.destination, names: flow.destinationNames, ip: flow.ip?.destination ?? "" };
    return this.#labels.map(({ readValue }) => (inverted ? readValue(destination, source, flow) : readValue(source, destination, flow)));
  }

  /** Whether one of the values, which stand before all others, names the pod. */
  concernsPod(values: readonly string[], namespace: string, podName: string): boolean {
    return this.#labels.some(
      ({ isPod }, index) => isPod(values[index] ?? "", namespace, podName) && this.#namespaceFits(index, values, namespace),
    );
  }

  /** A label `source_pod` has the namespace beside it, or none that could tell pods of one name apart. */
  #namespaceFits(index: number, values: readonly string[], namespace: string): boolean {
    const { name } = this.#labels[index] ?? { name: "" };
    if (!name.endsWith("_pod")) return true;
    const beside = this.names.indexOf(name.replace(/_pod$/, "_namespace"));
    return beside < 0 || values[beside] === namespace;
  }
}

function sideLabel(
  side: "source" | "destination",
  either: readonly ContextValue[],
  egress: readonly ContextValue[] | undefined,
  ingress: readonly ContextValue[] | undefined,
): ContextLabel {
  const namesPods = [either, egress ?? [], ingress ?? []].some((list) => list.includes("pod"));
  return {
    name: side,
    readValue(source, destination, { trafficDirection }) {
      const own = side === "source" ? source : destination;
      const directed =
        trafficDirection === TrafficDirection.egress ? egress : trafficDirection === TrafficDirection.ingress ? ingress : undefined;
      for (const kind of directed ?? either) {
        const value = contextValue(kind, own);
        if (value !== "") return value;
      }
      return "";
    },
    isPod: (value, namespace, podName) => namesPods && value === `${namespace}/${podName}`,
  };
}

function ownLabel(name: string): ContextLabel {
  const isPod = (value: string, _namespace: string, podName: string): boolean => name.endsWith("_pod") && value === podName;
  if (name === "traffic_direction")
    return { name, readValue: (_source, _destination, { trafficDirection }) => directionText(trafficDirection), isPod };
  const fromSource = name.startsWith("source_");
  const what = name.slice(fromSource ? "source_".length : "destination_".length);
  return { name, readValue: (source, destination) => ownValue(what, fromSource ? source : destination), isPod };
}

function ownValue(what: string, { endpoint, ip }: Side): string {
  switch (what) {
    case "ip":
      return ip;
    case "pod":
      return endpoint?.podName ?? "";
    case "namespace":
      return endpoint?.namespace ?? "";
    case "workload":
      return endpoint?.workloads[0]?.name ?? "";
    case "workload_kind":
      return endpoint?.workloads[0]?.kind ?? "";
    default:
      return appOf(endpoint);
  }
}

function contextValue(kind: ContextValue, { endpoint, names, ip }: Side): string {
  const { namespace = "", podName = "", labels = [] } = endpoint ?? {};
  switch (kind) {
    case "identity":
      return labels.join(",");
    case "namespace":
      return namespace;
    case "pod":
      return qualified(namespace, podName);
    case "pod-name":
      return podName;
    case "dns":
      return names.join(",");
    case "ip":
      return ip;
    case "reserved-identity":
      return reservedOf(labels);
    case "workload":
      return qualified(namespace, endpoint?.workloads[0]?.name ?? "");
    case "workload-name":
      return endpoint?.workloads[0]?.name ?? "";
    case "app":
      return appOf(endpoint);
  }
}

function qualified(namespace: string, name: string): string {
  return name === "" || namespace === "" ? name : `${namespace}/${name}`;
}

/** An API server is also a host or a node; that it is one says more. */
function reservedOf(labels: readonly string[]): string {
  if (labels.includes("reserved:kube-apiserver")) return "reserved:kube-apiserver";
  return labels.find((label) => label.startsWith("reserved:")) ?? "";
}

function appOf(endpoint: FlowEndpoint | undefined): string {
  for (const start of appLabels) {
    const label = endpoint?.labels.find((text) => text.startsWith(start));
    if (label !== undefined) return label.slice(start.length);
  }
  return "";
}

export function directionText(direction: number): string {
  if (direction === TrafficDirection.ingress) return "ingress";
  return direction === TrafficDirection.egress ? "egress" : "unknown";
}
