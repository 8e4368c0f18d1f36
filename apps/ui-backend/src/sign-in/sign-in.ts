import type { IncomingMessage, ServerResponse } from "node:http";
import type { AllowedNamespaces } from "../views/views.ts";

/** Somebody who may look. */
export interface Allowed {
  readonly kind: "allowed";
  /** Empty where nobody signs in. */
  readonly user: string;
  readonly groups: readonly string[];
  readonly namespaces: AllowedNamespaces;
  /** With which the cluster knows the user. */
  readonly token?: string;
  /** When it must be asked again; a stream ends then. */
  readonly untilMs?: number;
}

export type Access =
  | Allowed
  | {
      readonly kind: "refused";
      readonly status: 401 | 403 | 503;
      readonly reason: string;
      readonly headers?: Readonly<Record<string, string>>;
    };

/** Who is asking, and what they may see. */
export interface SignIn {
  /** May set cookies. */
  check(request: IncomingMessage, response: ServerResponse): Promise<Access>;
  /** The page itself is for everybody, and lets people sign in. */
  readonly isPageOpen?: boolean;
  readonly canSignOut?: boolean;
  /** Answers what belongs to signing in. False for all else. */
  answer?(path: string, url: URL, request: IncomingMessage, response: ServerResponse): Promise<boolean>;
}

/** Everybody who can connect sees everything. */
export const openToAll: SignIn = {
  check: async () => ({ kind: "allowed", user: "", groups: [], namespaces: undefined }),
};

/** What users and groups may see: `*` for everything. A user sees what the user's own entry and all entries of the user's groups allow. */
export interface NamespaceRights {
  readonly users: Readonly<Record<string, readonly string[]>>;
  readonly groups: Readonly<Record<string, readonly string[]>>;
}

export interface TrustedHeaders {
  /** `x-forwarded-user`, in small letters. */
  readonly user: string;
  /** Groups parted by commas. */
  readonly groups: string;
}

/** A proxy in front has signed the user in and says who it is. Only sound when nobody can go around the proxy. */
export function trustHeaders(headers: TrustedHeaders, rights: NamespaceRights): SignIn {
  return {
    async check(request) {
      const user = headerText(request, headers.user);
      if (user === "")
        return { kind: "refused", status: 401, reason: `the proxy in front named no user (header ${headers.user}): sign in there first` };
      const groups = headerText(request, headers.groups)
        .split(",")
        .map((group) => group.trim())
        .filter((group) => group !== "");
      return rightsOf(rights, { user, groups });
    },
  };
}

/** What somebody who is known may see. */
export function rightsOf(rights: NamespaceRights, who: Omit<Allowed, "kind" | "namespaces">): Access {
  const namespaces = namespacesOf(rights, who.user, who.groups);
  if (namespaces !== undefined && namespaces.size === 0)
    return { kind: "refused", status: 403, reason: `${who.user} may see no namespace: ask who runs this page for access` };
  return { kind: "allowed", ...who, namespaces };
}

/** Undefined: everything. */
export function namespacesOf(rights: NamespaceRights, user: string, groups: readonly string[]): AllowedNamespaces {
  const names = [...(own(rights.users, user) ?? []), ...groups.flatMap((group) => own(rights.groups, group) ?? [])];
  return names.includes("*") ? undefined : new Set(names);
}

/** A user named `constructor` has no rights by that. */
function own(entries: Readonly<Record<string, readonly string[]>>, name: string): readonly string[] | undefined {
  return Object.hasOwn(entries, name) ? entries[name] : undefined;
}

function headerText(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return (typeof value === "string" ? value : "").trim();
}

/** The file that `UI_ACCESS_FILE` names, JSON. Throws with what is wrong in it. */
export function parseNamespaceRights(text: string): NamespaceRights {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new Error("it is not JSON", { cause });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    throw new Error('it must be an object with "users" and "groups"');
  const unknown = Object.keys(parsed).find((key) => key !== "users" && key !== "groups");
  if (unknown !== undefined) throw new Error(`there is no "${unknown}", but "users" and "groups"`);
  const { users = {}, groups = {} } = parsed as { users?: unknown; groups?: unknown };
  return { users: readEntries("users", users), groups: readEntries("groups", groups) };
}

function readEntries(field: string, entries: unknown): Readonly<Record<string, readonly string[]>> {
  if (typeof entries !== "object" || entries === null || Array.isArray(entries)) throw new Error(`${field} must be an object`);
  for (const [name, namespaces] of Object.entries(entries)) {
    if (!Array.isArray(namespaces) || namespaces.some((namespace) => typeof namespace !== "string"))
      throw new Error(`${field}.${name} must be a list of namespaces, or ["*"]`);
  }
  return entries as Readonly<Record<string, readonly string[]>>;
}
