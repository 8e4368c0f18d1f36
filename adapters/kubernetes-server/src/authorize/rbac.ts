import { listAt, textAt, valueAt } from "../resources/column.ts";
import { matchesLabels, parseSelectorObject } from "../resources/selector.ts";
import { isObject, type Mutable } from "../schema/schema.ts";
import type { Store } from "../store/store.ts";
import { type Attributes, type Rule, ruleAllows, rulesIn } from "./rule.ts";
import { isMaster, serviceAccountName, type User } from "./user.ts";

export type Decision = { readonly allowed: boolean; readonly reason: string };

/** Rules with where they come from, and the roles that bindings name and nobody has made. */
export interface OwnedRules {
  readonly rules: readonly Rule[];
  readonly problems: readonly string[];
}

interface Binding {
  readonly kind: "ClusterRoleBinding" | "RoleBinding";
  /** Empty: of the whole cluster. */
  readonly namespace: string;
  readonly name: string;
  readonly role: RoleReference;
}

export interface RoleReference {
  readonly kind: string;
  readonly name: string;
}

const rbacPrefix = "/rbac.authorization.k8s.io/";
const aggregateSelectorsMax = 32;

/** Who may do what, by the roles and bindings in the store. They are read again when one of them has changed and somebody who is not an administrator asks. */
export class Rbac implements Disposable {
  readonly #store: Store;
  readonly #subscription: Disposable;
  #isStale = true;
  #bindings = new Map<string, Binding[]>();
  #roles = new Map<string, readonly Rule[]>();

  constructor(store: Store) {
    this.#store = store;
    this.#subscription = store.subscribe((changes) => {
      this.#isStale ||= changes.some(({ key }) => key.startsWith(rbacPrefix));
    });
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  decide(user: User, attributes: Attributes): Decision {
    if (isMaster(user)) return { allowed: true, reason: "" };
    const problems: string[] = [];
    for (const { binding, subject } of this.#bindingsOf(user, attributes.kind === "path" ? "" : attributes.namespace)) {
      const rules = this.#rulesOf(binding, problems);
      if (rules.some((rule) => ruleAllows(rule, attributes))) return { allowed: true, reason: reasonOf(binding, subject) };
    }
    return { allowed: false, reason: problems.length === 0 ? "" : `RBAC: ${problemText(problems)}` };
  }

  /** Everything that the user may do in the namespace, and in the cluster. */
  rulesOf(user: User, namespace: string): OwnedRules {
    const problems: string[] = [];
    const rules = [...this.#bindingsOf(user, namespace)].flatMap(({ binding }) => this.#rulesOf(binding, problems));
    return { rules, problems };
  }

  /** The rules of one role; undefined when there is none. */
  roleRules({ kind, name }: RoleReference, namespace: string): readonly Rule[] | undefined {
    this.#refresh();
    return this.#roles.get(roleKey(kind, kind === "Role" ? namespace : "", name));
  }

  *#bindingsOf(user: User, namespace: string): Generator<{ readonly binding: Binding; readonly subject: string }> {
    this.#refresh();
    const subjects = [`User ${JSON.stringify(user.name)}`, ...user.groups.map((group) => `Group ${JSON.stringify(group)}`)];
    for (const subject of subjects)
      for (const binding of this.#bindings.get(subject) ?? [])
        if (binding.namespace === "" || binding.namespace === namespace) yield { binding, subject };
  }

  #rulesOf({ role, namespace }: Binding, problems: string[]): readonly Rule[] {
    const rules = this.#roles.get(roleKey(role.kind, role.kind === "Role" ? namespace : "", role.name));
    if (rules === undefined) problems.push(`${role.kind.toLowerCase()}.rbac.authorization.k8s.io ${JSON.stringify(role.name)} not found`);
    return rules ?? [];
  }

  #refresh(): void {
    if (!this.#isStale) return;
    this.#isStale = false;
    const roles = this.#read("roles").map((role) => [keyOf("Role", role), rulesIn(role)] as const);
    const clusterRoles = this.#read("clusterroles");
    const wholes = clusterRoles.map((role) => [keyOf("ClusterRole", role), withAggregated(role, clusterRoles)] as const);
    this.#roles = new Map([...roles, ...wholes]);
    this.#bindings = new Map();
    for (const binding of this.#read("clusterrolebindings")) this.#bind("ClusterRoleBinding", binding);
    for (const binding of this.#read("rolebindings")) this.#bind("RoleBinding", binding);
  }

  #bind(kind: Binding["kind"], object: Mutable): void {
    const namespace = textAt(object, "metadata", "namespace");
    const role = { kind: textAt(object, "roleRef", "kind"), name: textAt(object, "roleRef", "name") };
    const binding: Binding = { kind, namespace, name: textAt(object, "metadata", "name"), role };
    for (const subject of listAt(object, "subjects")) {
      const name = textAt(subject, "name");
      const accountNamespace = textAt(subject, "namespace") || namespace;
      const isAccount = textAt(subject, "kind") === "ServiceAccount";
      if (isAccount && accountNamespace === "") continue;
      const key = isAccount
        ? `User ${JSON.stringify(serviceAccountName(accountNamespace, name))}`
        : `${textAt(subject, "kind")} ${JSON.stringify(name)}`;
      const known = this.#bindings.get(key);
      if (known === undefined) this.#bindings.set(key, [binding]);
      else known.push(binding);
    }
  }

  #read(plural: string): readonly Mutable[] {
    const listed = this.#store.list({ prefix: `${rbacPrefix}${plural}/` });
    return listed.outcome === "listed" ? listed.items.map(({ text }) => JSON.parse(text) as Mutable) : [];
  }
}

function roleKey(kind: string, namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`;
}

function keyOf(kind: string, role: Mutable): string {
  return roleKey(kind, textAt(role, "metadata", "namespace"), textAt(role, "metadata", "name"));
}

/** With the rules of the roles that it gathers by their labels, and of those that they gather. */
function withAggregated(role: Mutable, all: readonly Mutable[], seen = new Set<Mutable>()): readonly Rule[] {
  if (seen.has(role)) return [];
  seen.add(role);
  const selectors = listAt(role, "aggregationRule", "clusterRoleSelectors").slice(0, aggregateSelectorsMax).map(parseSelectorObject);
  if (selectors.length === 0) return rulesIn(role);
  const gathered = all.filter((other) => selectors.some((selector) => matchesLabels(selector, other)));
  return gathered.flatMap((other) => withAggregated(other, all, seen));
}

function reasonOf({ kind, namespace, name, role }: Binding, subject: string): string {
  const place = namespace === "" ? name : `${name}/${namespace}`;
  return `RBAC: allowed by ${kind} ${JSON.stringify(place)} of ${role.kind} ${JSON.stringify(role.name)} to ${subject}`;
}

export function problemText(problems: readonly string[]): string {
  return problems.length === 1 ? (problems[0] ?? "") : `[${problems.join(", ")}]`;
}

export function roleReferenceOf(binding: Mutable): RoleReference {
  const reference = valueAt(binding, "roleRef");
  return isObject(reference) ? { kind: textAt(reference, "kind"), name: textAt(reference, "name") } : { kind: "", name: "" };
}
