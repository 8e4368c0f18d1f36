import type { IncomingMessage, ServerResponse } from "node:http";
import type { ChangeReport, ChangeRights } from "@cilium-ts/service-map";
import { errorMessage } from "@cilium-ts/std";
import { HttpProblem, sendJson } from "../serve/answers.ts";
import { requireOwnPage } from "../serve/own-page.ts";
import { readText } from "../serve/read-text.ts";
import type { Allowed } from "../sign-in/sign-in.ts";
import { type Acting, actingAs, type ChangesAs } from "./acting-as.ts";
import type { PolicyChanges } from "./policy-changes.ts";
import { mayChange, parseWritten, policyOfKey, type WrittenPolicy } from "./written-policies.ts";

export interface ChangeRoutesOptions {
  readonly changesAs: ChangesAs;
  /** Undefined: no cluster is known. */
  readonly changes: PolicyChanges | undefined;
  /** Where browsers find the page; undefined: nothing can be changed. */
  readonly publicUrl: URL | undefined;
}

const changeTimeoutMs = 30_000;
/** Each asks the cluster some times: others are told to come again. */
const changesMax = 20;

/** `api/changes…`: what the user may change, and changing it. */
export class ChangeRoutes {
  readonly #options: ChangeRoutesOptions;
  #running = 0;

  constructor(options: ChangeRoutesOptions) {
    this.#options = options;
  }

  /** Throws an HttpProblem for what cannot be answered. */
  async answer(
    path: string,
    parameters: URLSearchParams,
    access: Allowed,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (request.method !== "POST") throw new HttpProblem(405, "POST is needed");
    if (this.#running >= changesMax) throw new HttpProblem(503, "others change policies just now: try again in some seconds");
    this.#running += 1;
    try {
      sendJson(response, 200, await this.#answerOf(path, parameters, access, request));
    } catch (cause) {
      if (cause instanceof HttpProblem) throw cause;
      throw new HttpProblem(502, `the cluster could not be asked: ${errorMessage(cause)}`);
    } finally {
      this.#running -= 1;
    }
  }

  async #answerOf(
    path: string,
    parameters: URLSearchParams,
    access: Allowed,
    request: IncomingMessage,
  ): Promise<ChangeRights | ChangeReport> {
    const signal = AbortSignal.timeout(changeTimeoutMs);
    if (path === "/rights") return this.#rights(parameters, access, await readText(request), signal);
    if (path !== "/apply" && path !== "/delete")
      throw new HttpProblem(404, `there is no api/changes${path}: the page was made by another version; load it again`);
    const { publicUrl, changes, changesAs } = this.#options;
    if (changes === undefined) throw new HttpProblem(501, noCluster);
    const by = actingAs(changesAs, access);
    if (by.kind === "refused" || publicUrl === undefined)
      throw new HttpProblem(403, by.kind === "refused" ? by.reason : "UI_PUBLIC_URL is not set");
    requireOwnPage(request, publicUrl);
    if (path === "/delete") {
      const policy = policyOfKey(parameters.get("key") ?? "");
      if (policy === undefined || !mayChange(policy, access.namespaces))
        throw new HttpProblem(404, "there is no such policy, or you may not see it");
      return changes.delete(by, policy, generationIn(parameters), signal);
    }
    const policies = this.#written(await readText(request), access);
    const source = parameters.get("key");
    const began = new Map(source === null || source === "" ? [] : [[source, generationIn(parameters)]]);
    return changes.apply(by, policies, { isDryRun: parameters.has("dry-run"), replaces: parameters.has("replace"), began, signal });
  }

  async #rights(parameters: URLSearchParams, access: Allowed, yaml: string, signal: AbortSignal): Promise<ChangeRights> {
    const { changes, changesAs, publicUrl } = this.#options;
    const nothing = { as: "", apply: [], delete: [] };
    if (changes === undefined) return { ...nothing, refusal: noCluster };
    const by: Acting = actingAs(changesAs, access);
    if (by.kind === "refused" || publicUrl === undefined)
      return { ...nothing, refusal: by.kind === "refused" ? by.reason : "UI_PUBLIC_URL is not set" };
    const key = parameters.get("key") ?? "";
    const existing = key === "" ? undefined : policyOfKey(key);
    const written = parseWritten(yaml, access.namespaces);
    // What is wrong with the text is told where it is checked.
    const policies = written.kind === "policies" ? written.policies : [];
    return {
      as: by.name,
      refusal: "",
      apply: await changes.missingToApply(by, policies, signal),
      delete: existing === undefined || !mayChange(existing, access.namespaces) ? [] : await changes.missingToDelete(by, existing, signal),
    };
  }

  #written(yaml: string, { namespaces }: Allowed): readonly WrittenPolicy[] {
    const written = parseWritten(yaml, namespaces);
    if (written.kind === "problem") throw new HttpProblem(400, written.problem);
    return written.policies;
  }
}

const noCluster = "the backend knows no cluster: give it a kubeconfig by UI_KUBECONFIG";

function generationIn(parameters: URLSearchParams): number {
  const text = parameters.get("generation") ?? "";
  if (!/^\d{1,15}$/.test(text)) throw new HttpProblem(400, "generation is needed: the one that the text of the policy came with");
  return Number(text);
}
