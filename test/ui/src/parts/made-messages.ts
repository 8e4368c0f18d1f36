import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ViewMessage } from "@cilium-ts/service-map";
import { madeFlow, madeLink, madeMessage, madeService } from "@cilium-ts/ui/testing";

/** The page asks to be loaded again for another one. */
const { version: build } = JSON.parse(readFileSync(join(import.meta.dirname, "../../../../apps/ui-backend/package.json"), "utf8")) as {
  version: string;
};

const denied = { effect: "denied", direction: "ingress", kind: "CiliumNetworkPolicy", namespace: "shop", name: "no-web" } as const;

/** A drop from web to db by a policy, and a request from web to api that was answered. */
export const twoFlows = [
  madeFlow("forwarded", {
    timeMs: 2_000,
    request: { kind: "http", method: "GET", target: "/orders", status: 0, latencyNs: 0 },
    policies: [{ ...denied, effect: "allowed", name: "web-to-api" }],
  }),
  madeFlow("dropped", {
    timeMs: 1_000,
    verdict: "dropped",
    verdictName: "DROPPED",
    dropReason: "POLICY_DENIED",
    policies: [denied],
    node: "node7",
    direction: "ingress",
    destination: { ...madeFlow("").destination, pod: "db", service: "shop/db", workloads: [{ kind: "StatefulSet", name: "db" }] },
  }),
] as const;

/** Three services of one namespace, two of which are called. */
export function shopMessage(changes: Partial<ViewMessage> = {}): ViewMessage {
  const asked = { kind: "http", method: "GET", target: "/orders", count: 3 } as const;
  return {
    ...madeMessage({
      isStart: true,
      build,
      map: {
        services: [
          madeService("web", { name: "web", policy: { ingress: "none", egress: "audit" }, labels: ["k8s:app=web"] }),
          madeService("api", { name: "api", policy: { ingress: "enforced", egress: "enforced" } }),
          madeService("db", { name: "db", policy: { ingress: "partly", egress: "none" } }),
        ],
        links: [madeLink(1, "web", "api", { requests: [asked] }), madeLink(2, "web", "db", { port: 5_432, verdicts: ["dropped"] })],
        counts: [
          [1, 10, 0, 0, 0],
          [2, 0, 4, 0, 0],
        ],
      },
      flows: twoFlows,
      namespaces: [
        { name: "pay", flows: 1, drops: 0 },
        { name: "shop", flows: 14, drops: 4 },
      ],
    }),
    ...changes,
  };
}
