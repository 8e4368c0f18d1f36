export type { ClusterAccess } from "./access.ts";
export type { ActingUser } from "./acting-user.ts";
export { ciliumEndpointObject, type PublishedEndpoint } from "./cilium-endpoint.ts";
export { type CiliumIdentity, ciliumIdentityFrom, ciliumIdentityObject } from "./cilium-identity.ts";
export {
  type CiliumNode,
  ciliumNodeFrom,
  ciliumNodeObject,
  type NodePools,
  nodePoolsFrom,
  operatorProblem,
  podPoolClaims,
  podPoolRequests,
} from "./cilium-node.ts";
export { type PodIPPool, type PodIPPoolFamily, parseCiliumPodIPPool, poolSelectorLabels } from "./cilium-pod-ip-pool.ts";
export {
  type AccessRight,
  type AskingClient,
  type CallOptions,
  type DeleteOptions,
  type KubernetesClient,
  type KubernetesOptions,
  type ListOptions,
  openKubernetes,
  type Patch,
  type Selector,
  type WatchOptions,
  type WriteOptions,
} from "./client.ts";
export { type Registration, registerDefinition, schemaVersionLabel } from "./custom-resource-definition.ts";
export { type EventNote, eventObject } from "./event.ts";
export { FencedClient } from "./fenced-client.ts";
export { listAt, recordAt, textAt, textMapAt, textsAt } from "./fields.ts";
export { findClusterAccess } from "./find-access.ts";
export { loadInClusterAccess } from "./in-cluster.ts";
export { KubeconfigError, loadKubeconfig } from "./kubeconfig.ts";
export { isExpired, KubernetesError } from "./kubernetes-error.ts";
export type { KubernetesList, KubernetesObject, ObjectMeta, ObjectReference, OwnerReference } from "./kubernetes-object.ts";
export { campaign, type ElectionOptions, type ElectionState, type Leadership } from "./leader-election.ts";
export { type Lease, leaseFrom, leaseObject } from "./lease.ts";
export { type Namespace, namespaceFrom } from "./namespace.ts";
export { type Node, type NodeAddress, nodeFrom } from "./node.ts";
export { type NamedPort, type Pod, podFrom, type Workload } from "./pod.ts";
export { parseCiliumCidrGroup } from "./policies/cilium-cidr-group.ts";
export {
  type NetworkPolicyOptions,
  parseCiliumClusterwideNetworkPolicy,
  parseCiliumNetworkPolicy,
} from "./policies/cilium-network-policy.ts";
export {
  parseAdminNetworkPolicy,
  parseBaselineAdminNetworkPolicy,
  parseClusterNetworkPolicy,
} from "./policies/cluster-network-policy.ts";
export { parseNetworkPolicy } from "./policies/network-policy.ts";
export type { Problem } from "./policies/object-fields.ts";
export { ciliumPolicyFromRule } from "./policies/policy-from-rule.ts";
export { auditAnnotation, type ParsedPolicy } from "./policies/policy-object.ts";
export { policyServiceFrom, type ServiceSlice, serviceSliceFrom } from "./policies/policy-service.ts";
export { type ManifestObject, type Manifests, type Place, parseManifests } from "./policy-cluster/manifest.ts";
export { type ParsedObject, parsePolicyObject } from "./policy-cluster/parse-policy-object.ts";
export { policyKey, policyKinds } from "./policy-cluster/policy-kinds.ts";
export {
  type PolicyCluster,
  type PolicyNode,
  type PolicyPod,
  policyWorldOf,
  policyWorldWith,
  readPolicyCluster,
} from "./policy-cluster/read-policy-cluster.ts";
export { type ReflectOptions, type ReflectState, reflect } from "./reflect.ts";
export { type ReflectIntoTableOptions, reflectIntoTable } from "./reflect-into-table.ts";
export { apiVersionOf, type ObjectName, type Resource, resources } from "./resource.ts";
export { type ServiceFrontend, serviceFrontendsFrom } from "./service-frontends.ts";
export type { WatchEvent } from "./watch-event.ts";
