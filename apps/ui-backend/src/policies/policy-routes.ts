import type { IncomingMessage, ServerResponse } from "node:http";
import type { flowpb } from "@cilium-ts/observer";
import type { SeenFlow } from "@cilium-ts/service-map";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { FlowSource } from "../hubble/flow-source.ts";
import { HttpProblem, sendJson } from "../serve/answers.ts";
import { readText } from "../serve/read-text.ts";
import type { AllowedNamespaces } from "../views/views.ts";
import { type PolicyDesk, PolicyRefusal } from "./policy-desk.ts";

export interface PolicyRoutesOptions {
  readonly clock: Clock;
  /** Undefined: no cluster is known. */
  readonly desk: PolicyDesk | undefined;
  readonly source: FlowSource;
}

/** Flows of the past that a question looks at: the newest. */
const flowsMax = 100_000;
const minutesMax = 7 * 24 * 60;
/** Questions that replay flows keep a core busy: others wait their turn by asking again. */
const replaysMax = 2;
const replayTimeoutMs = 60_000;

/** `api/policies…`: what the page asks about policies. */
export class PolicyRoutes {
  readonly #options: PolicyRoutesOptions;
  #replays = 0;

  constructor(options: PolicyRoutesOptions) {
    this.#options = options;
  }

  /** Throws an HttpProblem for what cannot be answered. */
  async answer(
    path: string,
    parameters: URLSearchParams,
    allowed: AllowedNamespaces,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { desk } = this.#options;
    if (desk === undefined)
      throw new HttpProblem(501, "the backend knows no cluster: give it a kubeconfig by UI_KUBECONFIG to see policies");
    try {
      sendJson(response, 200, await this.#answerOf(desk, path, parameters, allowed, request));
    } catch (cause) {
      if (cause instanceof HttpProblem) throw cause;
      if (cause instanceof PolicyRefusal) throw new HttpProblem(400, cause.message);
      throw new HttpProblem(502, `the cluster, or Hubble, could not be asked: ${errorMessage(cause)}`);
    }
  }

  async #answerOf(
    desk: PolicyDesk,
    path: string,
    parameters: URLSearchParams,
    allowed: AllowedNamespaces,
    request: IncomingMessage,
  ): Promise<unknown> {
    const signal = AbortSignal.timeout(replayTimeoutMs);
    switch (path) {
      case "":
        return desk.list(allowed);
      case "/text": {
        const text = await desk.text(parameters.get("key") ?? "", allowed, signal);
        if (text === undefined) throw new HttpProblem(404, "there is no such policy, or you may not see it");
        return text;
      }
      case "/schemas":
        return desk.schemas;
      case "/check":
        return desk.check(await readText(request), allowed);
      case "/what-if": {
        const yaml = await readText(request);
        return this.#replay(() =>
          desk.whatIf({ yaml, deleted: parameters.getAll("delete"), allowed }, this.#flows(parameters, allowed, signal)),
        );
      }
      case "/suggest": {
        const namespace = parameters.get("namespace") ?? "";
        if (namespace === "" || (allowed !== undefined && !allowed.has(namespace)))
          throw new HttpProblem(400, "namespace: one that you may see is needed");
        return this.#replay(() => desk.suggest(namespace, this.#flows(parameters, allowed, signal)));
      }
      case "/why":
        return desk.why(await this.#flow(parameters, allowed, signal));
      default:
        throw new HttpProblem(404, `there is no api/policies${path}: the page was made by another version; load it again`);
    }
  }

  async #replay<T>(run: () => Promise<T>): Promise<T> {
    if (this.#replays >= replaysMax) throw new HttpProblem(503, "others replay flows just now: try again in some seconds");
    this.#replays += 1;
    try {
      return await run();
    } finally {
      this.#replays -= 1;
    }
  }

  async *#flows(
    parameters: URLSearchParams,
    allowed: AllowedNamespaces,
    signal: AbortSignal,
  ): AsyncGenerator<readonly flowpb.Flow[], void> {
    const minutes = Number(parameters.get("minutes") ?? "15");
    if (!(minutes > 0 && minutes <= minutesMax)) throw new HttpProblem(400, `minutes: a number of at most ${minutesMax}`);
    const untilMs = this.#options.clock.nowMs();
    const range = { sinceMs: untilMs - minutes * 60_000, untilMs, countMax: flowsMax };
    for await (const flows of this.#options.source.recorded(range, signal)) yield flows.filter((flow) => isVisible(flow, allowed));
  }

  async #flow(parameters: URLSearchParams, allowed: AllowedNamespaces, signal: AbortSignal): Promise<SeenFlow> {
    const { source } = this.#options;
    const [uuid, timeMs] = [parameters.get("uuid") ?? "", Number(parameters.get("time"))];
    if (uuid === "" || !(timeMs > 0 && timeMs < 8.64e15)) throw new HttpProblem(400, "uuid and time are needed, as they stand in the flow");
    const flow = await source.find(uuid, timeMs, signal);
    const [seen] = flow === undefined || !isVisible(flow, allowed) ? [] : source.readAll([flow]);
    if (seen === undefined) throw new HttpProblem(404, "Hubble has this flow no more: its memory is bounded");
    return seen;
  }
}

function isVisible({ source, destination }: flowpb.Flow, allowed: AllowedNamespaces): boolean {
  return allowed === undefined || allowed.has(source?.namespace ?? "") || allowed.has(destination?.namespace ?? "");
}
