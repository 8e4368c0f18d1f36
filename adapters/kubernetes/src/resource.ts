/** Which collection of the API an object lives in. */
export interface Resource {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  /** As in the path: `pods`. */
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** Which object of a collection. The namespace is empty where the resource has none. */
export interface ObjectName {
  readonly namespace?: string;
  readonly name: string;
}

function core(plural: string, kind: string, namespaced: boolean): Resource {
  return { group: "", version: "v1", plural, kind, namespaced };
}

function cilium(plural: string, kind: string, namespaced: boolean): Resource {
  return { group: "cilium.io", version: "v2", plural, kind, namespaced };
}

function policyApi(version: string, plural: string, kind: string): Resource {
  return { group: "policy.networking.k8s.io", version, plural, kind, namespaced: false };
}

function namespaced(group: string, plural: string, kind: string): Resource {
  return { group, version: "v1", plural, kind, namespaced: true };
}

/** The resources that our programs read and write. */
export const resources = {
  configMaps: core("configmaps", "ConfigMap", true),
  events: core("events", "Event", true),
  namespaces: core("namespaces", "Namespace", false),
  nodes: core("nodes", "Node", false),
  daemonSets: namespaced("apps", "daemonsets", "DaemonSet"),
  deployments: namespaced("apps", "deployments", "Deployment"),
  endpointSlices: namespaced("discovery.k8s.io", "endpointslices", "EndpointSlice"),
  networkPolicies: namespaced("networking.k8s.io", "networkpolicies", "NetworkPolicy"),
  pods: core("pods", "Pod", true),
  services: core("services", "Service", true),
  ciliumCidrGroups: cilium("ciliumcidrgroups", "CiliumCIDRGroup", false),
  ciliumClusterwideNetworkPolicies: cilium("ciliumclusterwidenetworkpolicies", "CiliumClusterwideNetworkPolicy", false),
  clusterNetworkPolicies: policyApi("v1alpha2", "clusternetworkpolicies", "ClusterNetworkPolicy"),
  adminNetworkPolicies: policyApi("v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy"),
  baselineAdminNetworkPolicies: policyApi("v1alpha1", "baselineadminnetworkpolicies", "BaselineAdminNetworkPolicy"),
  customResourceDefinitions: {
    group: "apiextensions.k8s.io",
    version: "v1",
    plural: "customresourcedefinitions",
    kind: "CustomResourceDefinition",
    namespaced: false,
  },
  leases: { group: "coordination.k8s.io", version: "v1", plural: "leases", kind: "Lease", namespaced: true },
  ciliumEndpointSlices: {
    group: "cilium.io",
    version: "v2alpha1",
    plural: "ciliumendpointslices",
    kind: "CiliumEndpointSlice",
    namespaced: false,
  },
  ciliumEndpoints: cilium("ciliumendpoints", "CiliumEndpoint", true),
  ciliumIdentities: cilium("ciliumidentities", "CiliumIdentity", false),
  ciliumNetworkPolicies: cilium("ciliumnetworkpolicies", "CiliumNetworkPolicy", true),
  ciliumNodes: cilium("ciliumnodes", "CiliumNode", false),
  ciliumPodIPPools: {
    group: "cilium.io",
    version: "v2alpha1",
    plural: "ciliumpodippools",
    kind: "CiliumPodIPPool",
    namespaced: false,
  },
} as const satisfies Record<string, Resource>;

/** `v1`, `cilium.io/v2`. */
export function apiVersionOf(resource: Resource): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

/** The path of the collection: of all namespaces when none is given. */
export function collectionPath(resource: Resource, namespace?: string): string {
  const root = resource.group === "" ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  if (!resource.namespaced || namespace === undefined || namespace === "") return `${root}/${resource.plural}`;
  return `${root}/namespaces/${encodeURIComponent(namespace)}/${resource.plural}`;
}

/** The path of one object. A namespaced object without a namespace is our own mistake. */
export function objectPath(resource: Resource, { namespace, name }: ObjectName): string {
  if (name === "") throw new RangeError(`a ${resource.kind} needs a name`);
  if (resource.namespaced && (namespace === undefined || namespace === ""))
    throw new RangeError(`the ${resource.kind} ${name} needs a namespace`);
  return `${collectionPath(resource, namespace)}/${encodeURIComponent(name)}`;
}
