import { isDeepStrictEqual } from "node:util";
import { textAt, valueAt } from "../resources/column.ts";
import type { Resource } from "../resources/resource.ts";
import type { Mutable } from "../schema/schema.ts";
import { type ApiError, forbiddenObject, notFound } from "../serve/api-error.ts";
import { problemText, type Rbac, roleReferenceOf } from "./rbac.ts";
import { quotedList, type Rule, rulesIn, ruleText, uncovered } from "./rule.ts";
import type { User } from "./user.ts";

const everything: readonly Rule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"], resourceNames: [], nonResourceURLs: [] },
  { verbs: ["*"], apiGroups: [], resources: [], resourceNames: [], nonResourceURLs: ["*"] },
];
const rbacGroup = "rbac.authorization.k8s.io";

/** Nobody gives away what they do not have: throws when a role or a binding would grant more than its writer may do. */
export function checkGrant(rbac: Rbac, user: User, resource: Resource, object: Mutable, previous: Mutable | undefined): void {
  if (resource.group !== rbacGroup) return;
  const namespace = textAt(object, "metadata", "namespace");
  const name = textAt(object, "metadata", "name");
  const isSame = (field: string) => isDeepStrictEqual(valueAt(object, field), valueAt(previous, field));
  if (resource.kind === "Role" || resource.kind === "ClusterRole") {
    if (previous !== undefined && isSame("rules") && isSame("aggregationRule")) return;
    if (mayAnyway(rbac, user, "escalate", resource.plural, namespace, name)) return;
    if (!isSame("aggregationRule") && uncovered(everything, rbac.rulesOf(user, "").rules).length > 0)
      throw forbiddenObject(resource, name, "must have cluster-admin privileges to use an aggregationRule");
    requireOwned(rbac, user, rulesIn(object), namespace, (why) => forbiddenObject(resource, name, why));
    return;
  }
  if (previous !== undefined && isSame("roleRef") && isSame("subjects")) return;
  const role = roleReferenceOf(object);
  const plural = role.kind === "ClusterRole" ? "clusterroles" : "roles";
  if (mayAnyway(rbac, user, "bind", plural, namespace, role.name)) return;
  const rules = rbac.roleRules(role, namespace);
  if (rules === undefined) throw notFound({ group: rbacGroup, plural }, role.name);
  requireOwned(rbac, user, rules, namespace, (why) => forbiddenObject(resource, name, why));
}

function mayAnyway(rbac: Rbac, user: User, verb: string, resource: string, namespace: string, name: string): boolean {
  return rbac.decide(user, { kind: "resource", verb, group: rbacGroup, resource, subresource: "", namespace, name }).allowed;
}

function requireOwned(rbac: Rbac, user: User, rules: readonly Rule[], namespace: string, refuse: (why: string) => ApiError): void {
  const owned = rbac.rulesOf(user, namespace);
  const missing = uncovered(rules, owned.rules);
  if (missing.length === 0) return;
  const lines = missing.slice(0, 50).map((rule) => `\n${ruleText(rule)}`);
  const unresolved = owned.problems.length === 0 ? "" : `; resolution errors: ${problemText(owned.problems)}`;
  throw refuse(
    `user ${JSON.stringify(user.name)} (groups=${quotedList(user.groups)}) is attempting to grant RBAC permissions not currently held:${lines.join("")}${unresolved}`,
  );
}
