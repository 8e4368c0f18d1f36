import { refused } from "./answer.ts";
import { type Method, type Route, route } from "./router.ts";

/** An operation of the API that this agent does not have, and what to do instead. */
export interface RefusedOperation {
  readonly method: Method;
  readonly path: string;
  readonly why: string;
}

const policyObjects = "policies come from Kubernetes alone: apply a CiliumNetworkPolicy";
const madeByPlugin = "endpoints are made and changed by the CNI plugin and their pods' objects";
const noServices = "this agent does not balance load yet: kube-proxy serves the services";
const noPrefilter = "there is no prefilter in XDP: deny by a CiliumClusterwideNetworkPolicy with fromCIDR in ingressDeny";
const noBgp = "this agent does not speak BGP yet";

/** Known to clients of Cilium's API, and answered 501 with the reason: a 404 would read as though the thing asked for were missing. */
export const refusedOperations: readonly RefusedOperation[] = [
  { method: "PATCH", path: "/endpoint/{id}", why: madeByPlugin },
  {
    method: "PATCH",
    path: "/endpoint/{id}/config",
    why: "options of single endpoints cannot be changed; those of the agent can, by PATCH /config",
  },
  { method: "PATCH", path: "/endpoint/{id}/labels", why: "labels of endpoints are their pods': kubectl label pod" },
  { method: "PUT", path: "/policy", why: policyObjects },
  { method: "DELETE", path: "/policy", why: policyObjects },
  { method: "GET", path: "/lrp", why: noServices },
  { method: "GET", path: "/service", why: noServices },
  { method: "GET", path: "/prefilter", why: noPrefilter },
  { method: "PATCH", path: "/prefilter", why: noPrefilter },
  { method: "DELETE", path: "/prefilter", why: noPrefilter },
  { method: "GET", path: "/cgroup-dump-metadata", why: "nothing is attached to control groups, so none are looked at" },
  { method: "GET", path: "/map/{name}/events", why: "changes of maps are not kept: GET /map/{name} shows what is in them" },
  { method: "GET", path: "/bgp/peers", why: noBgp },
  { method: "GET", path: "/bgp/routes", why: noBgp },
  { method: "GET", path: "/bgp/route-policies", why: noBgp },
];

export function refusedRoutes(): Route[] {
  return refusedOperations.map(({ method, path, why }) => route(method, path, async () => refused(501, why)));
}
