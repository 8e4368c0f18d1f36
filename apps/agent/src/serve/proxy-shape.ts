import type { ProxyStatistics, ProxyStatus } from "@cilium-ts/agent-api";
import type { EndpointRow } from "@cilium-ts/endpoint";
import type { Node } from "../node.ts";
import type { RedirectRow } from "../proxies/node-proxies.ts";
import { defaultProxyPorts } from "../proxies/proxy-ports.ts";

const protocolNames = new Map([
  [6, "TCP"],
  [17, "UDP"],
]);

type Parts = Pick<Node, "proxies" | "endpoints" | "accessLog">;

/** `ip`: the node's own among the pods. */
export function proxyStatusOf({ proxies, endpoints }: Pick<Node, "proxies" | "endpoints">, ip: string): ProxyStatus {
  const redirects = [...endpoints.index.rows()].flatMap((row) => {
    return redirectsOf({ proxies, endpoints }, row).map(({ direction, protocol, port, parser, proxyPort }) => {
      const name = `${row.id}:${direction}:${protocolNames.get(protocol) ?? protocol}:${port}:`;
      return { name, proxy: parser, "proxy-port": proxyPort };
    });
  });
  const range = `${defaultProxyPorts.first}-${defaultProxyPorts.last}`;
  return { ip, "port-range": range, "total-redirects": redirects.length, "total-ports": proxies.rows().length, redirects };
}

/** Of every port that leads to a proxy, and of those that have led to one. */
export function proxyStatisticsOf({ proxies, endpoints, accessLog }: Parts, row: EndpointRow): ProxyStatistics[] {
  const none = { received: 0, forwarded: 0, denied: 0, error: 0 };
  const byPort = new Map<string, ProxyStatistics>();
  for (const { parser, direction, port, proxyPort } of redirectsOf({ proxies, endpoints }, row)) {
    const ports = { protocol: parser, port, "allocated-proxy-port": proxyPort, location: direction };
    byPort.set(`${parser} ${direction} ${port}`, { ...ports, statistics: { requests: none, responses: none } });
  }
  for (const { protocol, port, direction, proxyPort, requests, responses } of accessLog.countsOf(row.id)) {
    const ports = { protocol, port, "allocated-proxy-port": proxyPort, location: direction };
    byPort.set(`${protocol} ${direction} ${port}`, { ...ports, statistics: { requests: { ...requests }, responses: { ...responses } } });
  }
  return [...byPort.values()];
}

function redirectsOf({ proxies, endpoints }: Pick<Node, "proxies" | "endpoints">, { id }: EndpointRow): readonly RedirectRow[] {
  const policy = endpoints.policyOf(id);
  return policy === undefined ? [] : proxies.redirectsOf(policy);
}
