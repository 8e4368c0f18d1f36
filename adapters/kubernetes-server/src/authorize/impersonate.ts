import type { IncomingMessage } from "node:http";
import { ApiError, badRequest } from "../serve/api-error.ts";
import { forbidden } from "./attributes.ts";
import type { Rbac } from "./rbac.ts";
import type { Attributes } from "./rule.ts";
import { authenticatedGroup, serviceAccountOf, type User } from "./user.ts";

const extraPrefix = "impersonate-extra-";
const valuesMax = 1_000;

/** The user that the request is to be judged as: the one who sends it, or one whom that one may stand for. Throws where that is not allowed. */
export function actingUser(rbac: Rbac, sender: User, request: IncomingMessage): User {
  const name = textOf(request.headers["impersonate-user"]);
  const groups = (request.headersDistinct["impersonate-group"] ?? []).map(utf8);
  const uid = textOf(request.headers["impersonate-uid"]);
  const extra = extraOf(request);
  if (name === "") {
    if (groups.length === 0 && uid === "" && Object.keys(extra).length === 0) return sender;
    throw new ApiError(500, "InternalError", "Internal error occurred: groups, uid or extra are impersonated without a user");
  }
  const wanted = rightsNeeded(name, groups, uid, extra);
  if (wanted.length > valuesMax) throw badRequest(`more than ${valuesMax} names are impersonated at once`);
  for (const attributes of wanted) {
    const { allowed, reason } = rbac.decide(sender, attributes);
    if (!allowed) throw forbidden(sender, attributes, reason);
  }
  return {
    name,
    groups: allGroups(name, groups),
    ...(uid !== "" && { uid }),
    ...(Object.keys(extra).length > 0 && { extra }),
  };
}

function textOf(header: string | string[] | undefined): string {
  return typeof header === "string" ? utf8(header) : "";
}

/** Node reads the bytes of a header as Latin-1. */
function utf8(header: string): string {
  return Buffer.from(header, "latin1").toString("utf8");
}

/** Reading headers costs something, so it is asked first whether there are any. */
export function impersonates(request: IncomingMessage): boolean {
  for (const name in request.headers) if (name.startsWith("impersonate-")) return true;
  return false;
}

function extraOf({ headersDistinct }: IncomingMessage): Readonly<Record<string, readonly string[]>> {
  const entries = Object.entries(headersDistinct)
    .filter(([name]) => name.startsWith(extraPrefix))
    .map(([name, values]) => [decodeKey(name.slice(extraPrefix.length)), (values ?? []).map(utf8)] as const);
  return Object.fromEntries(entries);
}

function decodeKey(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function rightsNeeded(
  name: string,
  groups: readonly string[],
  uid: string,
  extra: Readonly<Record<string, readonly string[]>>,
): readonly Attributes[] {
  const right = (resource: string, target: string, more: Partial<Extract<Attributes, { kind: "resource" }>> = {}): Attributes => ({
    kind: "resource",
    verb: "impersonate",
    namespace: "",
    group: "",
    resource,
    subresource: "",
    name: target,
    ...more,
  });
  const account = serviceAccountOf(name);
  const group = "authentication.k8s.io";
  return [
    account === undefined ? right("users", name) : right("serviceaccounts", account.name, { namespace: account.namespace }),
    ...groups.map((one) => right("groups", one)),
    ...(uid === "" ? [] : [right("uids", uid, { group })]),
    ...Object.entries(extra).flatMap(([key, values]) => values.map((value) => right("userextras", value, { group, subresource: key }))),
  ];
}

/** Groups that everybody of a kind is in, whether they were named or not. */
function allGroups(name: string, groups: readonly string[]): readonly string[] {
  if (name === "system:anonymous") return [...new Set([...groups, "system:unauthenticated"])];
  const account = serviceAccountOf(name);
  const implied =
    account === undefined || groups.length > 0 ? [] : ["system:serviceaccounts", `system:serviceaccounts:${account.namespace}`];
  return [...new Set([...groups, ...implied, authenticatedGroup])];
}
