import { type ParsedSelector, parseFieldSelector, parseLabelSelector, type Selector } from "../resources/selector.ts";
import { forbidden, type Problem } from "../schema/problem.ts";
import { badRequest, invalidObject } from "./api-error.ts";

/** A path under /api or /apis, taken apart. */
export interface ResourcePath {
  /** `v1`, `cilium.io/v2`. */
  readonly apiVersion: string;
  readonly plural: string;
  /** Absent: all namespaces, or a cluster-wide kind. */
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/** Undefined when the path names no resource. */
export function parseResourcePath(pathname: string): ResourcePath | undefined {
  const parts = pathname.split("/").slice(1);
  if (parts.at(-1) === "") parts.pop();
  let decoded: string[];
  try {
    decoded = parts.map(decodeURIComponent);
  } catch {
    return undefined;
  }
  // Keys of the store are paths, so no name may hold what separates them.
  if (decoded.some((part) => part === "" || part.includes("/"))) return undefined;
  const [root, ...rest] = decoded;
  if (root !== "api" && root !== "apis") return undefined;
  const versionSize = root === "api" ? 1 : 2;
  const apiVersion = rest.slice(0, versionSize).join("/");
  let path = rest.slice(versionSize);
  let namespace: string | undefined;
  // `namespaces/x` and its subresources are the namespace itself; anything else behind it is inside of it.
  if (path[0] === "namespaces" && path.length > 2 && !["status", "finalize"].includes(path[2] ?? "")) {
    namespace = path[1];
    path = path.slice(2);
  }
  const [plural, name, subresource, extra] = path;
  if (plural === undefined || extra !== undefined) return undefined;
  return { apiVersion, plural, namespace, name, subresource };
}

export type FieldValidation = "Strict" | "Warn" | "Ignore";

/** The query of a write. */
export interface WriteQuery {
  readonly isDryRun: boolean;
  readonly fieldValidation: FieldValidation;
  /** Empty: from the user agent. */
  readonly fieldManager: string;
  readonly force: boolean;
}

export function parseWriteQuery(query: URLSearchParams): WriteQuery {
  const dryRun = query.getAll("dryRun");
  if (dryRun.some((value) => value !== "All")) throw badRequest(`invalid dry run ${JSON.stringify(dryRun[0])}: the only value is "All"`);
  const fieldValidation = query.get("fieldValidation") ?? "Warn";
  if (!["Strict", "Warn", "Ignore"].includes(fieldValidation)) {
    throw badRequest(`invalid fieldValidation ${JSON.stringify(fieldValidation)}: must be Strict, Warn or Ignore`);
  }
  const fieldManager = query.get("fieldManager") ?? "";
  if (fieldManager.length > 128) throw badRequest("invalid fieldManager: it may have at most 128 characters");
  return {
    isDryRun: dryRun.length > 0,
    fieldValidation: fieldValidation as FieldValidation,
    fieldManager,
    force: isTrue(query.get("force")),
  };
}

/** The query of a list or a watch. */
export interface ListQuery {
  readonly labels: Selector;
  readonly fields: Selector;
  readonly limit: number | undefined;
  readonly continueToken: string;
  readonly resourceVersion: string;
  readonly resourceVersionMatch: string;
  readonly isWatch: boolean;
  readonly allowsBookmarks: boolean;
  readonly sendsInitialEvents: boolean | undefined;
  readonly timeoutSeconds: number | undefined;
  readonly includeObject: "None" | "Metadata" | "Object";
}

export function parseListQuery(query: URLSearchParams, selectableFields: readonly string[]): ListQuery {
  const includeObject = query.get("includeObject") ?? "Metadata";
  if (!["None", "Metadata", "Object"].includes(includeObject)) throw badRequest("invalid includeObject: must be None, Metadata or Object");
  const sendsInitialEvents = query.get("sendInitialEvents");
  const limit = numberIn(query, "limit");
  checkVersionOptions(query);
  return {
    labels: selectorOf(parseLabelSelector(query.get("labelSelector") ?? "")),
    fields: selectorOf(parseFieldSelector(query.get("fieldSelector") ?? "", selectableFields)),
    limit: limit === 0 ? undefined : limit,
    continueToken: query.get("continue") ?? "",
    resourceVersion: query.get("resourceVersion") ?? "",
    resourceVersionMatch: query.get("resourceVersionMatch") ?? "",
    isWatch: isTrue(query.get("watch")),
    allowsBookmarks: isTrue(query.get("allowWatchBookmarks")),
    sendsInitialEvents: sendsInitialEvents === null ? undefined : isTrue(sendsInitialEvents),
    timeoutSeconds: numberIn(query, "timeoutSeconds"),
    includeObject: includeObject as ListQuery["includeObject"],
  };
}

const listOptions = { group: "meta.k8s.io", plural: "listoptions", kind: "ListOptions" } as const;

/** Which state a list or watch may ask for, and how: the API's own rules on options that contradict each other. */
function checkVersionOptions(query: URLSearchParams): void {
  const isWatch = isTrue(query.get("watch"));
  const match = query.get("resourceVersionMatch") ?? "";
  const version = query.get("resourceVersion") ?? "";
  const hasInitialEvents = query.get("sendInitialEvents") !== null;
  const problems: Problem[] = [];
  const refuse = (path: string, reason: string) => problems.push(forbidden(path, reason));
  if (match !== "" && match !== "Exact" && match !== "NotOlderThan") {
    const message = `Unsupported value: ${JSON.stringify(match)}: supported values: "Exact", "NotOlderThan"`;
    problems.push({ reason: "FieldValueNotSupported", path: "resourceVersionMatch", message });
  } else if (hasInitialEvents && !isWatch) refuse("sendInitialEvents", "sendInitialEvents is forbidden for list");
  else if (hasInitialEvents && match !== "NotOlderThan")
    refuse("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  else if (match !== "" && isWatch && !hasInitialEvents)
    refuse("resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
  else if (match !== "" && !isWatch && version === "")
    refuse("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided");
  else if (match !== "" && (query.get("continue") ?? "") !== "")
    refuse("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided");
  else if (match === "Exact" && version === "0")
    refuse("resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
  if (problems.length > 0) throw invalidObject(listOptions, "", problems);
  if (!isWatch && (query.get("continue") ?? "") !== "" && version !== "" && version !== "0")
    throw badRequest("specifying resource version is not allowed when using continue");
}

function selectorOf(parsed: ParsedSelector): Selector {
  if (parsed.outcome === "problem") throw badRequest(parsed.problem);
  return parsed.selector;
}

function numberIn(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  if (!/^[0-9]{1,15}$/.test(text)) throw badRequest(`invalid ${name} ${JSON.stringify(text)}: must be a number`);
  return Number(text);
}

function isTrue(text: string | null): boolean {
  return text === "true" || text === "1" || text === "";
}

/** Undefined for the empty text. */
export function parseRevision(text: string): number | undefined {
  if (text === "") return undefined;
  if (!/^[0-9]{1,15}$/.test(text)) throw badRequest(`invalid resource version ${JSON.stringify(text)}: must be a number`);
  return Number(text);
}
