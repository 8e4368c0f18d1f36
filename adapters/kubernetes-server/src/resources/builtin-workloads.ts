import { appsSchemas, batchSchemas, ingressSchemas, policySchemas, rbacSchemas } from "../schema/workload-groups.ts";
import { type Given, resourceOf } from "./built-resource.ts";
import type { Resource, ScalePaths } from "./resource.ts";
import { cronJobBehaviour, deploymentBehaviour, jobBehaviour, roleBindingBehaviour, workloadBehaviour } from "./workload-behaviour.ts";
import {
  controllerRevisionColumns,
  cronJobColumns,
  daemonSetColumns,
  deploymentColumns,
  disruptionBudgetColumns,
  ingressClassColumns,
  ingressColumns,
  jobColumns,
  replicaSetColumns,
  roleBindingColumns,
  roleColumns,
  statefulSetColumns,
} from "./workload-columns.ts";

const scale: ScalePaths = { specReplicas: ["spec", "replicas"], statusReplicas: ["status", "replicas"], selector: ["spec", "selector"] };
const workload = { categories: ["all"], hasStatus: true, behaviour: workloadBehaviour } as const;
const isClusterWide = { isNamespaced: false } as const;

const apps: readonly Given[] = [
  {
    ...workload,
    kind: "Deployment",
    plural: "deployments",
    shortNames: ["deploy"],
    scale,
    columns: deploymentColumns,
    behaviour: deploymentBehaviour,
  },
  {
    ...workload,
    kind: "ReplicaSet",
    plural: "replicasets",
    shortNames: ["rs"],
    scale,
    columns: replicaSetColumns,
    selectableFields: ["status.replicas"],
  },
  { ...workload, kind: "StatefulSet", plural: "statefulsets", shortNames: ["sts"], scale, columns: statefulSetColumns },
  { ...workload, kind: "DaemonSet", plural: "daemonsets", shortNames: ["ds"], columns: daemonSetColumns },
  { kind: "ControllerRevision", plural: "controllerrevisions", columns: controllerRevisionColumns },
];

const batch: readonly Given[] = [
  { ...workload, kind: "Job", plural: "jobs", columns: jobColumns, behaviour: jobBehaviour, selectableFields: ["status.successful"] },
  { ...workload, kind: "CronJob", plural: "cronjobs", shortNames: ["cj"], columns: cronJobColumns, behaviour: cronJobBehaviour },
];

const rbac: readonly Given[] = [
  { kind: "Role", plural: "roles", columns: roleColumns },
  { kind: "RoleBinding", plural: "rolebindings", columns: roleBindingColumns, behaviour: roleBindingBehaviour },
  { kind: "ClusterRole", plural: "clusterroles", columns: roleColumns, ...isClusterWide },
  {
    kind: "ClusterRoleBinding",
    plural: "clusterrolebindings",
    columns: roleBindingColumns,
    behaviour: roleBindingBehaviour,
    ...isClusterWide,
  },
];

const ingress: readonly Given[] = [
  { kind: "Ingress", plural: "ingresses", shortNames: ["ing"], hasStatus: true, columns: ingressColumns },
  { kind: "IngressClass", plural: "ingressclasses", columns: ingressClassColumns, ...isClusterWide },
];

const disruptionBudget: Given = {
  kind: "PodDisruptionBudget",
  plural: "poddisruptionbudgets",
  shortNames: ["pdb"],
  hasStatus: true,
  columns: disruptionBudgetColumns,
};

/** Kinds that the server stores, and nobody here acts on. */
export const workloadResources: readonly Resource[] = [
  ...apps.map((given) => resourceOf("apps", "v1", appsSchemas, given)),
  ...batch.map((given) => resourceOf("batch", "v1", batchSchemas, given)),
  ...rbac.map((given) => resourceOf("rbac.authorization.k8s.io", "v1", rbacSchemas, given)),
  ...ingress.map((given) => resourceOf("networking.k8s.io", "v1", ingressSchemas, given)),
  resourceOf("policy", "v1", policySchemas, disruptionBudget),
];
