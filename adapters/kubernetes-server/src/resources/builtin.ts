import { coreSchemas } from "../schema/core-v1.ts";
import { apiextensionsSchemas, coordinationSchemas, discoverySchemas, networkingSchemas } from "../schema/other-groups.ts";
import { type Given, resourceOf } from "./built-resource.ts";
import { workloadResources } from "./builtin-workloads.ts";
import {
  configMapBehaviour,
  namespaceBehaviour,
  nodeBehaviour,
  podBehaviour,
  secretBehaviour,
  serviceBehaviour,
} from "./core-behaviour.ts";
import {
  configMapColumns,
  definitionColumns,
  endpointSliceColumns,
  endpointsColumns,
  eventColumns,
  leaseColumns,
  namespaceColumns,
  networkPolicyColumns,
  nodeColumns,
  podColumns,
  secretColumns,
  serviceColumns,
} from "./core-columns.ts";
import { definitionBehaviour } from "./definition.ts";
import type { Resource } from "./resource.ts";
import { reviewResources } from "./reviews.ts";

const eventFields = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"].map(
  (name) => `involvedObject.${name}`,
);
const podFields = ["nodeName", "restartPolicy", "schedulerName", "serviceAccountName", "hostNetwork"].map((name) => `spec.${name}`);

const core: readonly Given[] = [
  {
    kind: "Namespace",
    plural: "namespaces",
    shortNames: ["ns"],
    isNamespaced: false,
    hasStatus: true,
    columns: namespaceColumns,
    selectableFields: ["status.phase"],
    behaviour: namespaceBehaviour,
  },
  {
    kind: "Node",
    plural: "nodes",
    shortNames: ["no"],
    isNamespaced: false,
    hasStatus: true,
    columns: nodeColumns,
    selectableFields: ["spec.unschedulable"],
    behaviour: nodeBehaviour,
  },
  {
    kind: "Pod",
    plural: "pods",
    shortNames: ["po"],
    categories: ["all"],
    hasStatus: true,
    columns: podColumns,
    selectableFields: [...podFields, "status.phase", "status.podIP", "status.nominatedNodeName"],
    behaviour: podBehaviour,
  },
  {
    kind: "Service",
    plural: "services",
    shortNames: ["svc"],
    categories: ["all"],
    hasStatus: true,
    columns: serviceColumns,
    selectableFields: ["spec.clusterIP", "spec.type"],
    behaviour: serviceBehaviour,
  },
  { kind: "ConfigMap", plural: "configmaps", shortNames: ["cm"], columns: configMapColumns, behaviour: configMapBehaviour },
  { kind: "Secret", plural: "secrets", columns: secretColumns, selectableFields: ["type"], behaviour: secretBehaviour },
  { kind: "ServiceAccount", plural: "serviceaccounts", shortNames: ["sa"] },
  { kind: "Endpoints", listKind: "EndpointsList", plural: "endpoints", shortNames: ["ep"], columns: endpointsColumns },
  {
    kind: "Event",
    plural: "events",
    shortNames: ["ev"],
    columns: eventColumns,
    selectableFields: [...eventFields, "reason", "reportingComponent", "source", "type"],
  },
];

/** The kinds that the server knows without a definition. */
export const builtinResources: readonly Resource[] = [
  ...core.map((given) => resourceOf("", "v1", coreSchemas, given)),
  resourceOf("coordination.k8s.io", "v1", coordinationSchemas, { kind: "Lease", plural: "leases", columns: leaseColumns }),
  resourceOf("discovery.k8s.io", "v1", discoverySchemas, {
    kind: "EndpointSlice",
    plural: "endpointslices",
    columns: endpointSliceColumns,
  }),
  resourceOf("networking.k8s.io", "v1", networkingSchemas, {
    kind: "NetworkPolicy",
    plural: "networkpolicies",
    singular: "networkpolicy",
    shortNames: ["netpol"],
    columns: networkPolicyColumns,
  }),
  resourceOf("apiextensions.k8s.io", "v1", apiextensionsSchemas, {
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    shortNames: ["crd", "crds"],
    categories: ["api-extensions"],
    isNamespaced: false,
    hasStatus: true,
    columns: definitionColumns,
    behaviour: definitionBehaviour,
  }),
  ...workloadResources,
  ...reviewResources,
];
