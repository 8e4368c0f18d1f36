import { type AccessRight, type AskingClient, KubernetesError, type KubernetesObject, type Resource } from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import type { ChangeConflict, ChangeReport, ObjectChange } from "@cilium-ts/service-map";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { Acting } from "./acting-as.ts";
import { isSameText, keptFields, replacingPatch } from "./kept-fields.ts";
import type { WrittenPolicy } from "./written-policies.ts";

export interface PolicyChangesOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** As the backend itself: reads what is there. */
  readonly client: AskingClient;
  /** Writes and asks as users. The same one, unless users bring tokens of their own. */
  readonly userClient: AskingClient;
}

export interface ApplyOptions {
  readonly isDryRun: boolean;
  /** Take over what others have set, and take away what the text does not have. */
  readonly replaces: boolean;
  /** Which generation of a policy the text began with, by its key: 0 for one that was not there. */
  readonly began: ReadonlyMap<string, number>;
  readonly signal: AbortSignal;
}

/** Under which the API server notes what is changed here. */
export const changesManager = "hubble-ui";

type By = Extract<Acting, { readonly kind: "acting" }>;

const answerAgeMs = 10_000;
const answersMax = 1_000;
/** How often an object is read again that something else, such as the operator's status, has changed meanwhile. */
const attemptsMax = 3;

/** Applies and deletes policies as the user who asks: all of a text is tried first, and nothing is changed when any of it is refused. */
export class PolicyChanges {
  readonly #options: PolicyChangesOptions;
  readonly #answers = new Map<string, { readonly atMs: number; readonly answer: Promise<boolean> }>();

  constructor(options: PolicyChangesOptions) {
    this.#options = options;
  }

  /** Which rights the user lacks to apply the policies. */
  async missingToApply(by: By, policies: readonly WrittenPolicy[], signal: AbortSignal): Promise<readonly string[]> {
    const missing: string[] = [];
    for (const policy of policies) {
      if (!(await this.#may(by, "patch", policy, signal))) missing.push(rightText("patch", policy));
      if ((await this.#current(policy, signal)) === undefined && !(await this.#may(by, "create", policy, signal)))
        missing.push(rightText("create", policy));
    }
    return [...new Set(missing)];
  }

  async missingToDelete(by: By, policy: Omit<WrittenPolicy, "object">, signal: AbortSignal): Promise<readonly string[]> {
    return (await this.#may(by, "delete", policy, signal)) ? [] : [rightText("delete", policy)];
  }

  async apply(by: By, policies: readonly WrittenPolicy[], options: ApplyOptions): Promise<ChangeReport> {
    const tried: ObjectChange[] = [];
    for (const policy of policies) tried.push(await this.#applyOne(by, policy, { ...options, isDryRun: true }));
    if (options.isDryRun) return { isDone: false, objects: tried };
    if (tried.some(({ outcome }) => outcome === "refused")) {
      const objects = tried.map((change): ObjectChange => (change.outcome === "refused" ? change : { ...change, outcome: "untried" }));
      for (const { key, problem, outcome } of objects) if (outcome === "refused") this.#note(by, "may not apply", key, problem);
      return { isDone: false, objects };
    }
    const objects: ObjectChange[] = [];
    let isRefused = false;
    for (const policy of policies) {
      const change: ObjectChange = isRefused
        ? { key: policy.key, outcome: "untried", problem: "", conflicts: [] }
        : await this.#applyOne(by, policy, options);
      isRefused ||= change.outcome === "refused";
      objects.push(change);
      this.#note(by, change.outcome === "refused" ? "could not apply" : "applied", policy.key, change.problem || change.outcome);
    }
    return { isDone: !isRefused, objects };
  }

  /** Deletes the policy as it was seen, and no other that has its name. */
  async delete(by: By, policy: Omit<WrittenPolicy, "object">, generation: number, signal: AbortSignal): Promise<ChangeReport> {
    const change = await this.#retried(policy.key, async () => {
      const current = await this.#current(policy, signal);
      if (current === undefined) return { key: policy.key, outcome: "unchanged", problem: "it is gone already", conflicts: [] };
      const outdated = outdatedProblem(current, generation);
      if (outdated !== undefined) return refused(policy.key, `${outdated}: look at it again before it is deleted`);
      const { uid = "", resourceVersion = "" } = current.metadata;
      const { resource, namespace, name } = policy;
      await this.#options.userClient.delete(resource, { namespace, name }, { uid, resourceVersion, signal, as: by.as });
      return { key: policy.key, outcome: "deleted", problem: "", conflicts: [] };
    });
    this.#note(by, change.outcome === "deleted" ? "deleted" : "did not delete", policy.key, change.problem || change.outcome);
    return { isDone: change.outcome !== "refused", objects: [change] };
  }

  #applyOne(by: By, policy: WrittenPolicy, options: ApplyOptions): Promise<ObjectChange> {
    return this.#retried(policy.key, () => this.#attempt(by, policy, options));
  }

  async #attempt(by: By, policy: WrittenPolicy, { isDryRun, replaces, began, signal }: ApplyOptions): Promise<ObjectChange> {
    const { key, resource, namespace, name, object } = policy;
    const { userClient } = this.#options;
    const current = await this.#current(policy, signal);
    const generation = began.get(key);
    const outdated = generation === undefined || replaces ? undefined : outdatedProblem(current, generation);
    if (outdated !== undefined) return refused(key, outdated, [{ field: "", reason: outdated }]);
    const write = async (body: KubernetesObject, isTrial: boolean): Promise<KubernetesObject> => {
      const send = (force: boolean) =>
        userClient.patch(
          resource,
          { namespace, name },
          { type: "apply", body, force },
          { isDryRun: isTrial, isStrict: true, signal, as: by.as },
        );
      try {
        return await send(replaces);
      } catch (cause) {
        // What was replaced is owned twice by this page, and stands in nobody's way.
        const conflicts = cause instanceof KubernetesError ? managersIn(cause) : [];
        if (conflicts.length === 0 || conflicts.some((manager) => manager !== changesManager)) throw cause;
        return await send(true);
      }
    };
    const resourceVersion = current?.metadata.resourceVersion;
    const body = resourceVersion === undefined ? object : { ...object, metadata: { ...object.metadata, resourceVersion } };
    const missing = current === undefined ? [] : keptFields(current, object);
    const tried = await write(body, true).catch((cause: unknown) => conflictsIn(cause, missing));
    if (isConflicts(tried)) return refused(key, "others have set fields of it", tried);
    const kept = missing.filter((path) => hasField(tried, path));
    if (kept.length > 0 && !replaces) return refused(key, "fields that the text does not have would stay", keptConflicts(kept));
    const changed = kept.length > 0 || current === undefined || !isSameText(current, tried);
    const outcome = current === undefined ? "created" : changed ? "changed" : "unchanged";
    if (kept.length > 0 && resourceVersion !== undefined) {
      const patch = { type: "merge", body: replacingPatch(object, kept, resourceVersion) } as const;
      await userClient.patch(resource, { namespace, name }, patch, { isDryRun, isStrict: true, signal, as: by.as });
      // The fields are as they shall be; from now on they are those of who writes here.
      if (!isDryRun) await write(object, false);
    } else if (!isDryRun) await write(body, false);
    return { key, outcome, problem: "", conflicts: [] };
  }

  /** What the cluster refuses is an outcome; a change that came between is looked at anew. */
  async #retried(key: string, act: () => Promise<ObjectChange>): Promise<ObjectChange> {
    for (let left = attemptsMax; ; left -= 1) {
      try {
        return await act();
      } catch (cause) {
        if (!(cause instanceof KubernetesError) || cause.status === 0 || cause.status >= 500) throw cause;
        if (cause.status === 409 && left > 1) continue;
        return refused(key, withoutRequest(errorMessage(cause)));
      }
    }
  }

  #current({ resource, namespace, name }: Omit<WrittenPolicy, "object">, signal: AbortSignal): Promise<KubernetesObject | undefined> {
    return this.#options.client.get(resource, { namespace, name }, { signal });
  }

  /** The same question is asked of the cluster once in a while: the page asks after each pause of the keyboard. */
  async #may(by: By, verb: string, { resource, namespace, name }: Omit<WrittenPolicy, "object">, signal: AbortSignal): Promise<boolean> {
    const { clock, userClient } = this.#options;
    const right: AccessRight = { verb, resource, namespace, name };
    const key = JSON.stringify([by.as, verb, resource.plural, namespace, name]);
    const nowMs = clock.nowMs();
    const known = this.#answers.get(key);
    if (known !== undefined && known.atMs + answerAgeMs > nowMs) return known.answer;
    const answer = userClient.may(right, { signal, as: by.as });
    this.#answers.delete(key);
    this.#answers.set(key, { atMs: nowMs, answer });
    // The oldest stands first.
    for (const oldest of this.#answers.keys()) if (this.#answers.size > answersMax) this.#answers.delete(oldest);
    answer.catch(() => this.#answers.delete(key));
    return answer;
  }

  #note({ name, as }: By, did: string, key: string, how: string): void {
    const groups = as?.kind === "impersonated" && as.groups.length > 0 ? ` (${as.groups.join(", ").slice(0, 500)})` : "";
    this.#options.log.info(`change: ${name}${groups} ${did} ${key}: ${how.slice(0, 500)}`);
  }
}

function rightText(verb: string, { resource, namespace, name }: Omit<WrittenPolicy, "object">): string {
  const place = resource.namespaced ? `in the namespace ${namespace}` : "in the cluster";
  return `${verb} ${qualified(resource)} ${place} (${name})`;
}

function qualified({ plural, group }: Resource): string {
  return group === "" ? plural : `${plural}.${group}`;
}

function refused(key: string, problem: string, conflicts: readonly ChangeConflict[] = []): ObjectChange {
  return { key, outcome: "refused", problem, conflicts };
}

function outdatedProblem(current: KubernetesObject | undefined, began: number): string | undefined {
  if (current === undefined) return began === 0 ? undefined : "somebody has deleted it meanwhile";
  if (began === 0) return "somebody has made one of this name meanwhile";
  return (current.metadata.generation ?? 0) === began ? undefined : "somebody has changed it meanwhile";
}

interface ManagerConflict {
  readonly field: string;
  readonly manager: string;
}

/** The fields of a refused apply that are others', as the API server names them. */
function managerConflicts({ details }: KubernetesError): readonly ManagerConflict[] {
  const causes: readonly unknown[] = Array.isArray(details.causes) ? details.causes : [];
  return causes.flatMap((cause) => {
    const { reason, field = "", message = "" } = cause as { reason?: string; field?: string; message?: string };
    const [, manager = "somebody else"] = /conflict with "([^"]*)"/.exec(message) ?? [];
    return reason === "FieldManagerConflict" ? [{ field: field.replace(/^\./, ""), manager }] : [];
  });
}

function managersIn(cause: KubernetesError): readonly string[] {
  return managerConflicts(cause).map(({ manager }) => manager);
}

/** With what would go, too, when all of it is replaced. Throws what is no conflict of fields. */
function conflictsIn(cause: unknown, missing: readonly (readonly string[])[]): readonly ChangeConflict[] {
  const conflicts = cause instanceof KubernetesError ? managerConflicts(cause) : [];
  if (conflicts.length === 0) throw cause;
  const told = conflicts.map(({ field, manager }) => ({ field, reason: `${manager} has set it to something else` }));
  const isTold = (path: string): boolean => told.some(({ field }) => `${path}.`.startsWith(`${field}.`));
  return [...told, ...keptConflicts(missing.filter((path) => !isTold(path.join("."))))];
}

function keptConflicts(paths: readonly (readonly string[])[]): readonly ChangeConflict[] {
  return paths.map((path) => ({ field: path.join("."), reason: "the text does not have it, and what others have set would stay" }));
}

function isConflicts(tried: KubernetesObject | readonly ChangeConflict[]): tried is readonly ChangeConflict[] {
  return Array.isArray(tried);
}

function hasField(object: KubernetesObject, path: readonly string[]): boolean {
  let at: unknown = object;
  for (const name of path) at = typeof at === "object" && at !== null ? (at as Record<string, unknown>)[name] : undefined;
  return at !== undefined;
}

/** Messages of the client begin with what was asked; people know that. */
function withoutRequest(message: string): string {
  return message.replace(/^[A-Z]+ \/\S+: /, "");
}
