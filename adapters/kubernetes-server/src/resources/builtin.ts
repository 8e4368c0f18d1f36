import { coreSchemas } from "../schema/core-v1.ts";
import { apiextensionsSchemas, coordinationSchemas, discoverySchemas, networkingSchemas } from "../schema/other-groups.ts";
import type { Schema } from "../schema/schema.ts";
import { ageColumn, nameColumn } from "./column.ts";
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

type Given = Pick<Resource, "kind" | "plural"> & Partial<Resource>;

function create(group: string, version: string, schemas: ReadonlyMap<string, Schema>, given: Given): Resource {
  return {
    group,
    version,
    listKind: `${given.kind}List`,
    singular: given.kind.toLowerCase(),
    shortNames: [],
    categories: [],
    isNamespaced: true,
    schema: schemas.get(given.kind) ?? {},
    hasStatus: false,
    isCustom: false,
    storageVersion: version,
    columns: [nameColumn, ageColumn],
    selectableFields: [],
    behaviour: {},
    ...given,
  };
}

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
  ...core.map((given) => create("", "v1", coreSchemas, given)),
  create("coordination.k8s.io", "v1", coordinationSchemas, { kind: "Lease", plural: "leases", columns: leaseColumns }),
  create("discovery.k8s.io", "v1", discoverySchemas, { kind: "EndpointSlice", plural: "endpointslices", columns: endpointSliceColumns }),
  create("networking.k8s.io", "v1", networkingSchemas, {
    kind: "NetworkPolicy",
    plural: "networkpolicies",
    singular: "networkpolicy",
    shortNames: ["netpol"],
    columns: networkPolicyColumns,
  }),
  create("apiextensions.k8s.io", "v1", apiextensionsSchemas, {
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    shortNames: ["crd", "crds"],
    categories: ["api-extensions"],
    isNamespaced: false,
    hasStatus: true,
    columns: definitionColumns,
    behaviour: definitionBehaviour,
  }),
];
