import { ApiError } from "../serve/api-error.ts";
import type { ResourcePath } from "../serve/request.ts";
import type { Attributes } from "./rule.ts";
import type { User } from "./user.ts";

const objectVerbs: Readonly<Record<string, string>> = { GET: "get", HEAD: "get", PUT: "update", PATCH: "patch", DELETE: "delete" };

/** What a request on a kind wants to do, in the words of roles. */
export function attributesOf(method: string, path: ResourcePath, query: URLSearchParams): Attributes {
  const { apiVersion, plural, subresource = "" } = path;
  const slash = apiVersion.indexOf("/");
  const name = path.name ?? "";
  // A namespace is inside of itself, so that a role in it may allow to read it.
  const namespace = path.namespace ?? (plural === "namespaces" && slash < 0 ? name : "");
  const target = {
    kind: "resource",
    namespace,
    group: slash < 0 ? "" : apiVersion.slice(0, slash),
    resource: plural,
    subresource,
  } as const;
  if (name !== "") return { ...target, name, verb: method === "POST" ? "create" : (objectVerbs[method] ?? method.toLowerCase()) };
  if (method === "DELETE") return { ...target, name, verb: "deletecollection" };
  if (method !== "GET" && method !== "HEAD") return { ...target, name, verb: method === "POST" ? "create" : method.toLowerCase() };
  // Who may read one object may list and watch just that one.
  const [, single = ""] = /(?:^|,)metadata\.name==?([^,=!]+)(?:,|$)/.exec(query.get("fieldSelector") ?? "") ?? [];
  return { ...target, name: single, verb: ["true", "1"].includes(query.get("watch") ?? "") ? "watch" : "list" };
}

/** The refusal, in Kubernetes' words. */
export function forbidden(user: User, attributes: Attributes, reason: string): ApiError {
  const who = `User ${JSON.stringify(user.name)} cannot ${attributes.verb}`;
  const why = reason === "" ? "" : `: ${reason}`;
  if (attributes.kind === "path")
    return new ApiError(403, "Forbidden", `forbidden: ${who} path ${JSON.stringify(attributes.path)}${why}`, {});
  const { namespace, group, resource, subresource, name } = attributes;
  const qualified = group === "" ? resource : `${resource}.${group}`;
  const whole = subresource === "" ? resource : `${resource}/${subresource}`;
  const place = namespace === "" ? "at the cluster scope" : `in the namespace ${JSON.stringify(namespace)}`;
  const message = `${qualified}${name === "" ? "" : ` ${JSON.stringify(name)}`} is forbidden: ${who} resource ${JSON.stringify(whole)} in API group ${JSON.stringify(group)} ${place}${why}`;
  const details = { ...(name !== "" && { name }), ...(group !== "" && { group }), kind: resource };
  return new ApiError(403, "Forbidden", message, details);
}
