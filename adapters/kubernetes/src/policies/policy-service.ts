import { Labels, Selector } from "@cilium-ts/labels";
import { formatAddress, parseAddress } from "@cilium-ts/net";
import type { PolicyService } from "@cilium-ts/policy";
import { listAt, recordAt, textAt, textMapAt, textsAt } from "../fields.ts";
import type { KubernetesObject } from "../kubernetes-object.ts";
import { inCluster, inNamespace } from "./selector-scope.ts";

/** A Service as policies see it. The addresses of one without a selector are told by its slices. */
export function policyServiceFrom(object: KubernetesObject, clusterName?: string): PolicyService {
  const { namespace = "", name = "", labels = {} } = object.metadata;
  const spec = recordAt(object, "spec");
  const shared = { namespace, name, labels: labelsOf(labels), addresses: [] };
  const selector = Object.entries(textMapAt(spec, "selector"));
  if (selector.length === 0 || textAt(spec, "type") === "ExternalName") return shared;
  const requirements = selector.map(([key, value]) => ({ source: "k8s", key, operator: "In" as const, values: [value] }));
  return { ...shared, selector: inCluster(inNamespace(Selector.ofRequirements(requirements), namespace), clusterName) };
}

/** The addresses that one EndpointSlice gives to its service. */
export interface ServiceSlice {
  readonly namespace: string;
  readonly name: string;
  /** Empty: of none. */
  readonly service: string;
  /** Canonical, each once. */
  readonly addresses: readonly string[];
  /** Over TCP. */
  readonly ports: readonly number[];
}

export function serviceSliceFrom(object: KubernetesObject): ServiceSlice {
  const { namespace = "", name = "" } = object.metadata;
  const addresses = new Set<string>();
  for (const endpoint of listAt(object, "endpoints")) {
    for (const text of textsAt(endpoint, "addresses")) {
      const address = parseAddress(text);
      if (address !== undefined) addresses.add(formatAddress(address));
    }
  }
  const service = textMapAt(object.metadata, "labels")["kubernetes.io/service-name"] ?? "";
  return { namespace, name, service, addresses: [...addresses], ports: tcpPortsOf(object) };
}

function tcpPortsOf(object: KubernetesObject): number[] {
  return listAt(object, "ports").flatMap((item) => {
    const { port, protocol = "TCP" } = item as { readonly port?: unknown; readonly protocol?: unknown };
    return typeof port === "number" && protocol === "TCP" ? [port] : [];
  });
}

function labelsOf(labels: Readonly<Record<string, string>>): Labels {
  return Labels.of(Object.entries(labels).map(([key, value]) => ({ source: "k8s", key, value })));
}
