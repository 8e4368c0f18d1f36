import { type AddressBytes, parseAddress } from "@cilium-ts/net";
import { listAt, recordAt, textAt, textsAt } from "./fields.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";

/** Where a Service is reached. */
export interface ServiceFrontend {
  readonly address: AddressBytes;
  readonly port: number;
}

const frontendCountMax = 1_000;

/** Its cluster, external and load balancer addresses, each with each port; at most 1,000. */
export function serviceFrontendsFrom(object: KubernetesObject): ServiceFrontend[] {
  const spec = recordAt(object, "spec");
  const balancer = recordAt(recordAt(object, "status"), "loadBalancer");
  const texts = [
    textAt(spec, "clusterIP"),
    ...textsAt(spec, "clusterIPs"),
    ...textsAt(spec, "externalIPs"),
    ...listAt(balancer, "ingress").map((ingress) => textAt(ingress, "ip")),
  ];
  const ports = new Set(listAt(spec, "ports").map((port) => portOf(port)));
  const frontends: ServiceFrontend[] = [];
  for (const text of new Set(texts)) {
    const address = parseAddress(text); // A headless service has the address "None".
    if (address === undefined) continue;
    for (const port of ports) if (port !== 0 && frontends.length < frontendCountMax) frontends.push({ address, port });
  }
  return frontends;
}

function portOf(port: unknown): number {
  const value = (port as { readonly port?: unknown } | null)?.port;
  return typeof value === "number" && Number.isInteger(value) && value > 0 && value <= 65_535 ? value : 0;
}
