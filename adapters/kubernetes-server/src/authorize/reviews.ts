import { textAt, valueAt } from "../resources/column.ts";
import type { Resource } from "../resources/resource.ts";
import { conform } from "../schema/conform.ts";
import { invalid, type Problem, required } from "../schema/problem.ts";
import { isObject, type Mutable } from "../schema/schema.ts";
import { holderOfToken, type Tokens } from "../security/authenticate.ts";
import { badRequest, invalidObject } from "../serve/api-error.ts";
import { problemText, type Rbac } from "./rbac.ts";
import { type Attributes, type Rule, textsAt } from "./rule.ts";
import type { User } from "./user.ts";

export interface ReviewContext {
  readonly rbac: Rbac;
  readonly tokens: Tokens;
  /** Who asks. */
  readonly user: User;
  /** Of the path. */
  readonly namespace: string;
}

/** Answers a question that has the form of an object: who am I, and what may who do. Nothing is stored. */
export function review(context: ReviewContext, resource: Resource, asked: Mutable): Mutable {
  delete asked.status;
  const { problems } = conform(resource.schema, asked, { nullIsAbsent: true });
  if (problems.length > 0) throw invalidObject(resource, "", problems);
  const { apiVersion, kind, metadata = {}, spec = {} } = asked;
  if (kind !== undefined && kind !== resource.kind) throw badRequest(`the kind in the data (${String(kind)}) is not ${resource.kind}`);
  const status = statusOf(context, resource, isObject(spec) ? spec : {});
  const given = resource.kind === "SelfSubjectReview" ? {} : { spec };
  return { kind: resource.kind, apiVersion: apiVersion ?? `${resource.group}/${resource.version}`, metadata, ...given, status };
}

function statusOf({ rbac, tokens, user, namespace }: ReviewContext, resource: Resource, spec: Mutable): Mutable {
  switch (resource.kind) {
    case "SelfSubjectReview":
      return { userInfo: userInfo(user) };
    case "TokenReview": {
      const holder = holderOfToken(textAt(spec, "token"), tokens);
      return holder === undefined ? { authenticated: false } : { authenticated: true, user: userInfo(holder) };
    }
    case "SelfSubjectRulesReview":
      return rulesStatus(rbac, user, textAt(spec, "namespace"));
    case "SelfSubjectAccessReview":
      return decisionStatus(rbac, user, attributesIn(resource, spec));
    default: {
      const asked = userIn(resource, spec);
      const attributes = attributesIn(resource, spec);
      if (resource.isNamespaced && (attributes.kind === "path" || attributes.namespace !== namespace))
        throw invalidObject(resource, "", [
          invalid("spec.resourceAttributes.namespace", attributes.kind === "path" ? "" : attributes.namespace, "must be that of the path"),
        ]);
      return decisionStatus(rbac, asked, attributes);
    }
  }
}

function userInfo({ name, groups, uid, extra }: User): Mutable {
  const info = { username: name, ...(uid !== undefined && { uid }), groups, ...(extra !== undefined && { extra }) };
  return structuredClone(info) as unknown as Mutable;
}

function decisionStatus(rbac: Rbac, user: User, attributes: Attributes): Mutable {
  const { allowed, reason } = rbac.decide(user, attributes);
  return { allowed, ...(reason !== "" && { reason }) };
}

function rulesStatus(rbac: Rbac, user: User, namespace: string): Mutable {
  if (namespace === "") throw badRequest("no namespace on request");
  const { rules, problems } = rbac.rulesOf(user, namespace);
  const resourceRules = rules.filter(({ resources }) => resources.length > 0);
  const nonResourceRules = rules.filter(({ nonResourceURLs }) => nonResourceURLs.length > 0);
  const texts = ({ verbs, ...lists }: Partial<Rule>): Mutable =>
    Object.fromEntries([["verbs", [...(verbs ?? [])]], ...Object.entries(lists).filter(([, list]) => list.length > 0)]) as Mutable;
  return {
    resourceRules: resourceRules.map(({ nonResourceURLs: _paths, ...rule }) => texts(rule)),
    nonResourceRules: nonResourceRules.map(({ verbs, nonResourceURLs }) => texts({ verbs, nonResourceURLs })),
    incomplete: problems.length > 0,
    ...(problems.length > 0 && { evaluationError: problemText(problems) }),
  };
}

function userIn(resource: Resource, spec: Mutable): User {
  const [name, groups] = [textAt(spec, "user"), textsAt(spec, "groups")];
  if (name === "" && groups.length === 0)
    throw invalidObject(resource, "", [invalid("spec.user", name, "at least one of user or group must be specified")]);
  return { name, groups };
}

function attributesIn(resource: Resource, spec: Mutable): Attributes {
  const [onResource, onPath] = [valueAt(spec, "resourceAttributes"), valueAt(spec, "nonResourceAttributes")];
  if (isObject(onResource) === isObject(onPath)) {
    const why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
    const problem: Problem = isObject(onPath)
      ? invalid("spec.nonResourceAttributes", onPath, why)
      : required("spec.resourceAttributes", why);
    throw invalidObject(resource, "", [problem]);
  }
  if (isObject(onPath)) return { kind: "path", verb: textAt(onPath, "verb"), path: textAt(onPath, "path") };
  const text = (field: string) => textAt(onResource, field);
  return {
    kind: "resource",
    verb: text("verb"),
    namespace: text("namespace"),
    group: text("group"),
    resource: text("resource"),
    subresource: text("subresource"),
    name: text("name"),
  };
}
