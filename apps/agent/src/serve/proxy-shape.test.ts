import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointIndex, EndpointRow } from "@cilium-ts/endpoint";
import type { ResolvedPolicy } from "@cilium-ts/policy";
import type { Node } from "../node.ts";
import type { ProxyCounts } from "../proxies/access-log.ts";
import { proxyStatisticsOf, proxyStatusOf } from "./proxy-shape.ts";

const row = { id: 7, podNamespace: "shop", podName: "web", labels: [] } as unknown as EndpointRow;
const policy: ResolvedPolicy = { ingressEnforced: true, egressEnforced: true, entries: [], fingerprint: "f" };
const seen: ProxyCounts = {
  ...{ protocol: "dns", port: 5353, direction: "egress", proxyPort: 10_000 },
  requests: { received: 2, forwarded: 1, denied: 1, error: 0 },
  responses: { received: 1, forwarded: 1, denied: 0, error: 0 },
};

function node(counts: readonly ProxyCounts[]): Pick<Node, "proxies" | "endpoints" | "accessLog"> {
  const index = { rows: () => [row].values() } as unknown as EndpointIndex;
  return {
    endpoints: { index, policyOf: () => policy },
    proxies: {
      rows: () => [{ parser: "dns", direction: "egress", port: 10_000 }],
      redirectsOf: () => [{ parser: "dns", direction: "egress", protocol: 17, port: 53, proxyPort: 10_000 }],
    },
    accessLog: { countsOf: () => [...counts] },
  } as unknown as Pick<Node, "proxies" | "endpoints" | "accessLog">;
}

test("the status names each redirect by its endpoint, direction, protocol and port", () => {
  assert.deepEqual(proxyStatusOf(node([]), "10.0.1.1"), {
    ...{ ip: "10.0.1.1", "port-range": "10000-20000", "total-redirects": 1, "total-ports": 1 },
    redirects: [{ name: "7:egress:UDP:53:", proxy: "dns", "proxy-port": 10_000 }],
  });
});

test("an endpoint shows the ports that lead to a proxy, and what was seen on those that have", () => {
  const none = { received: 0, forwarded: 0, denied: 0, error: 0 };
  const { requests, responses } = seen;
  const ports = (port: number) => ({ protocol: "dns", port, "allocated-proxy-port": 10_000, location: "egress" as const });
  const unseen = { ...ports(53), statistics: { requests: none, responses: none } };
  assert.deepEqual(proxyStatisticsOf(node([]), row), [unseen]);
  assert.deepEqual(proxyStatisticsOf(node([seen]), row), [unseen, { ...ports(5353), statistics: { requests, responses } }]);
  assert.deepEqual(proxyStatisticsOf(node([{ ...seen, port: 53 }]), row), [{ ...ports(53), statistics: { requests, responses } }]);
});
