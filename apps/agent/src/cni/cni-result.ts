import type { EndpointRow } from "@cilium-ts/endpoint";

/** The gateways of the node's pods, as text. */
export interface Routers {
  readonly ipv4: string;
  readonly ipv6: string;
}

/**
 * The result of ADD in the version asked for. Interfaces: the node's side, then the pod's; addresses: IPv6 first, each of the pod's
 * interface (contracts section 6).
 */
export function cniResult(endpoint: EndpointRow, routers: Routers, cniVersion: string): object {
  const old = cniVersion === "0.1.0" || cniVersion === "0.2.0";
  return old ? legacyResult(endpoint, routers, cniVersion) : currentResult(endpoint, routers, cniVersion);
}

function currentResult(endpoint: EndpointRow, routers: Routers, cniVersion: string): object {
  const withVersion = cniVersion.startsWith("0."); // Dropped from `ips` in 1.0.0.
  const ips = [];
  const routes = [];
  if (endpoint.ipv6 !== undefined) {
    ips.push({ ...(withVersion ? { version: "6" } : {}), interface: 1, address: `${endpoint.ipv6}/128`, gateway: routers.ipv6 });
    routes.push({ dst: `${routers.ipv6}/128` }, { dst: "::/0", gw: routers.ipv6 });
  }
  if (endpoint.ipv4 !== undefined) {
    ips.push({ ...(withVersion ? { version: "4" } : {}), interface: 1, address: `${endpoint.ipv4}/32`, gateway: routers.ipv4 });
    routes.push({ dst: `${routers.ipv4}/32` }, { dst: "0.0.0.0/0", gw: routers.ipv4 });
  }
  const interfaces = [
    { name: endpoint.hostDeviceName, mac: endpoint.hostMac },
    { name: endpoint.containerIfname, mac: endpoint.mac, sandbox: endpoint.netnsPath },
  ];
  return { cniVersion, interfaces, ips, routes, dns: {} };
}

/** Before 0.3.0 there was one address for each family and no interfaces. */
function legacyResult(endpoint: EndpointRow, routers: Routers, cniVersion: string): object {
  const result: Record<string, unknown> = { cniVersion, dns: {} };
  if (endpoint.ipv4 !== undefined)
    result.ip4 = { ip: `${endpoint.ipv4}/32`, gateway: routers.ipv4, routes: [{ dst: "0.0.0.0/0", gw: routers.ipv4 }] };
  if (endpoint.ipv6 !== undefined)
    result.ip6 = { ip: `${endpoint.ipv6}/128`, gateway: routers.ipv6, routes: [{ dst: "::/0", gw: routers.ipv6 }] };
  return result;
}
