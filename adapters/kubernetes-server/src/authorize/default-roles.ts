import type { Mutable } from "../schema/schema.ts";
import { authenticatedGroup, mastersGroup } from "./user.ts";

const aggregate = (name: string) => `rbac.authorization.k8s.io/aggregate-to-${name}`;
const ownLabel = { "kubernetes.io/bootstrapping": "rbac-defaults" };
const read = ["get", "list", "watch"];
const write = ["create", "delete", "deletecollection", "patch", "update"];

interface KindsOfGroup {
  readonly group: string;
  readonly kinds: readonly string[];
}

const workloads: readonly KindsOfGroup[] = [
  {
    group: "apps",
    kinds: ["daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets", "statefulsets/scale"],
  },
  { group: "batch", kinds: ["cronjobs", "jobs"] },
  { group: "networking.k8s.io", kinds: ["ingresses", "networkpolicies"] },
  { group: "policy", kinds: ["poddisruptionbudgets"] },
];
const editable = ["configmaps", "endpoints", "pods", "serviceaccounts", "services"];
const readable: readonly KindsOfGroup[] = [
  { group: "", kinds: [...editable, "events", "namespaces", "pods/log", "pods/status", "services/status"] },
  { group: "apps", kinds: ["controllerrevisions", "daemonsets/status", "deployments/status", "replicasets/status", "statefulsets/status"] },
  { group: "batch", kinds: ["cronjobs/status", "jobs/status"] },
  { group: "discovery.k8s.io", kinds: ["endpointslices"] },
  { group: "networking.k8s.io", kinds: ["ingresses/status"] },
  { group: "policy", kinds: ["poddisruptionbudgets/status"] },
  ...workloads,
];

const rule = (verbs: readonly string[], { group, kinds }: KindsOfGroup) => ({ verbs, apiGroups: [group], resources: kinds });
const paths = (...urls: readonly string[]) => ({ verbs: ["get"], nonResourceURLs: urls });
const health = ["/healthz", "/livez", "/readyz", "/version", "/version/"];

const rulesByRole: Readonly<Record<string, readonly object[]>> = {
  "cluster-admin": [rule(["*"], { group: "*", kinds: ["*"] }), { verbs: ["*"], nonResourceURLs: ["*"] }],
  "system:basic-user": [
    rule(["create"], { group: "authorization.k8s.io", kinds: ["selfsubjectaccessreviews", "selfsubjectrulesreviews"] }),
    rule(["create"], { group: "authentication.k8s.io", kinds: ["selfsubjectreviews"] }),
  ],
  "system:discovery": [paths("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", ...health)],
  "system:auth-delegator": [
    rule(["create"], { group: "authentication.k8s.io", kinds: ["tokenreviews"] }),
    rule(["create"], { group: "authorization.k8s.io", kinds: ["subjectaccessreviews"] }),
  ],
  "system:aggregate-to-view": readable.map((kinds) => rule(read, kinds)),
  "system:aggregate-to-edit": [
    rule([...read, ...write], { group: "", kinds: ["secrets"] }),
    rule(write, { group: "", kinds: [...editable, "events"] }),
    rule(["impersonate"], { group: "", kinds: ["serviceaccounts"] }),
    ...workloads.map((kinds) => rule(write, kinds)),
  ],
  "system:aggregate-to-admin": [
    rule([...read, ...write], { group: "rbac.authorization.k8s.io", kinds: ["rolebindings", "roles"] }),
    rule(["create"], { group: "authorization.k8s.io", kinds: ["localsubjectaccessreviews"] }),
  ],
};

/** Roles that are put together from those with their label. Whoever may edit may view, and the administrator of a namespace may do both. */
const gathered: readonly { readonly name: string; readonly within?: string }[] = [
  { name: "view", within: "edit" },
  { name: "edit", within: "admin" },
  { name: "admin" },
];

const everybodys = ["system:basic-user", "system:discovery"];

/** The ClusterRoles that clients expect to find. One that is there is left as it is. */
export function defaultClusterRoles(): readonly Mutable[] {
  const plain = Object.entries(rulesByRole).map(([name, rules]) => {
    const [, target] = /^system:aggregate-to-(.+)$/.exec(name) ?? [];
    return { metadata: { name, labels: { ...ownLabel, ...(target !== undefined && { [aggregate(target)]: "true" }) } }, rules };
  });
  const wholes = gathered.map(({ name, within }) => ({
    metadata: { name, labels: { ...ownLabel, ...(within !== undefined && { [aggregate(within)]: "true" }) } },
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [aggregate(name)]: "true" } }] },
    rules: [],
  }));
  return [...plain, ...wholes] as unknown as readonly Mutable[];
}

export function defaultClusterRoleBindings(): readonly Mutable[] {
  const bind = (name: string, group: string): Mutable => ({
    metadata: { name, labels: ownLabel },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: group }],
  });
  return [bind("cluster-admin", mastersGroup), ...everybodys.map((name) => bind(name, authenticatedGroup))];
}
