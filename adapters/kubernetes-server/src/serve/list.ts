import { textAt } from "../resources/column.ts";
import { keyPrefix, type Resource } from "../resources/resource.ts";
import { matchesFields, matchesLabels } from "../resources/selector.ts";
import type { Store, StoredObject } from "../store/store.ts";
import { ApiError, badRequest, tooLargeRevision } from "./api-error.ts";
import type { Representation } from "./negotiate.ts";
import { decodeObject, textInVersion } from "./object-text.ts";
import { type ListQuery, parseRevision } from "./request.ts";
import { listEnvelope, partialMetadata, tableRow } from "./table.ts";

/** Items that are read and written at a time, so that a long list neither fills the memory nor holds up everybody else. */
const pageSize = 1_000;

/** In a token: whatever state there is then. */
const anyRevision = 0;

interface Continuation {
  readonly revision: number;
  readonly after: string;
}

/** Which part of which state a list shows. */
export interface ListPlan {
  readonly prefix: string;
  readonly revision: number;
  readonly after: string | undefined;
}

/** `durable`: the newest revision that no crash can take back; lists never show more. */
export function planList(resource: Resource, namespace: string | undefined, query: ListQuery, durable: number): ListPlan {
  const prefix = keyPrefix(resource, namespace);
  if (query.continueToken !== "") {
    const { revision, after } = decodeContinuation(query.continueToken);
    if (!after.startsWith(prefix)) throw badRequest("the continue token belongs to another list");
    return { prefix, revision: revision === anyRevision ? durable : revision, after };
  }
  const asked = parseRevision(query.resourceVersion);
  if (asked !== undefined && asked > durable) throw tooLargeRevision(asked, durable);
  // A page of a list at a revision is exact even if the client does not say so; otherwise the revision is the oldest that will do.
  const isExact = query.resourceVersionMatch === "Exact" || (query.resourceVersionMatch === "" && query.limit !== undefined);
  return { prefix, revision: isExact && asked !== undefined && asked > 0 ? asked : durable, after: undefined };
}

/** The list as text, piece by piece. */
export function* listText(
  store: Store,
  resource: Resource,
  plan: ListPlan,
  query: ListQuery,
  form: "object" | "table" | "metadata",
  nowMs: number,
): Generator<string> {
  const { head, itemsName } = listEnvelope(resource, form);
  let after = plan.after;
  let shown = 0;
  let remaining = 0;
  let isComplete = false;
  let piece = `${head}"${itemsName}":[`;
  while (!isComplete) {
    const page = readPage(store, plan, after, pageLimit(query, shown));
    for (const item of page.items) {
      after = item.key;
      const text = itemText(resource, item, query, form, nowMs);
      if (text === undefined) continue;
      piece += shown === 0 ? text : `,${text}`;
      shown += 1;
    }
    remaining = page.remaining;
    isComplete = remaining === 0 || (query.limit !== undefined && shown >= query.limit);
    yield piece;
    piece = "";
  }
  yield `],"metadata":${JSON.stringify(listMetadata(plan, query, remaining, after))}}`;
}

/** Without selectors every item counts, and no more are read than are shown. */
function pageLimit(query: ListQuery, shown: number): number {
  if (query.limit === undefined) return pageSize;
  const left = query.limit - shown;
  return query.labels.length + query.fields.length > 0 ? Math.min(pageSize, Math.max(left, 1)) : Math.min(pageSize, left);
}

function readPage(store: Store, plan: ListPlan, after: string | undefined, limit: number) {
  const result = store.list({ prefix: plan.prefix, revision: plan.revision, limit, ...(after !== undefined && { after }) });
  if (result.outcome === "listed") return result;
  if (plan.after === undefined)
    throw new ApiError(410, "Expired", `the resource version ${plan.revision} is too old: the oldest that is kept is ${result.oldest}`);
  const why = "the provided continue parameter is too old to display a consistent list result";
  const how = "start the list again without it, or go on with the token of this answer, which shows the rest as it is now";
  throw new ApiError(410, "Expired", `${why}; ${how}`, undefined, encodeContinuation({ revision: anyRevision, after: after ?? "" }));
}

function listMetadata(plan: ListPlan, query: ListQuery, remaining: number, after: string | undefined) {
  if (remaining === 0 || after === undefined) return { resourceVersion: String(plan.revision) };
  const hasSelectors = query.labels.length + query.fields.length > 0;
  const token = encodeContinuation({ revision: plan.revision, after });
  return { resourceVersion: String(plan.revision), continue: token, ...(!hasSelectors && { remainingItemCount: remaining }) };
}

function encodeContinuation(continuation: Continuation): string {
  return Buffer.from(JSON.stringify(continuation)).toString("base64url");
}

function decodeContinuation(token: string): Continuation {
  try {
    const { revision, after } = JSON.parse(Buffer.from(token, "base64url").toString()) as Continuation;
    if (Number.isSafeInteger(revision) && typeof after === "string") return { revision, after };
  } catch {
    // Falls through to the one answer for every kind of garbage.
  }
  throw badRequest("the continue token is not one that this server gave");
}

function itemText(resource: Resource, item: StoredObject, query: ListQuery, form: string, nowMs: number): string | undefined {
  const hasSelectors = query.labels.length + query.fields.length > 0;
  if (!hasSelectors && form === "object") return textInVersion(resource, item.text);
  const object = decodeObject(item.text);
  if (!matchesLabels(query.labels, object) || !matchesFields(query.fields, object)) return undefined;
  if (form === "object") return textInVersion(resource, item.text);
  return form === "table" ? tableRow(resource, item.text, object, query.includeObject, nowMs) : JSON.stringify(partialMetadata(object));
}

/** One object in the form that was asked for. */
export function objectText(
  resource: Resource,
  text: string,
  representation: Representation,
  query: Pick<ListQuery, "includeObject">,
  nowMs: number,
): string {
  if (representation.form === "object" || representation.form === "discovery") return textInVersion(resource, text);
  const object = decodeObject(text);
  if (representation.form === "metadata") return JSON.stringify(partialMetadata(object));
  const { head } = listEnvelope(resource, "table");
  const row = tableRow(resource, text, object, query.includeObject, nowMs);
  return `${head}"metadata":{"resourceVersion":${JSON.stringify(textAt(object, "metadata", "resourceVersion"))}},"rows":[${row}]}`;
}
