import type { EndpointRow } from "@cilium-ts/endpoint";
import { errorMessage } from "@cilium-ts/std";
import { CniError, type CniRequest, cniErrorCode, parseCniRequest } from "./cni-request.ts";
import { cniResult, type Routers } from "./cni-result.ts";

/** What the CNI needs of the endpoints; implemented by Endpoints. */
export interface CniEndpoints {
  /** Connects the workload, and resolves when its policy is enforced. Throws with the reason otherwise, and leaves nothing. */
  add(request: CniRequest): Promise<EndpointRow>;
  byAttachmentId(id: string): EndpointRow | undefined;
  byContainerId(id: string): readonly EndpointRow[];
  /** Happens once, however often it is asked for. */
  remove(endpoint: EndpointRow): Promise<void>;
  /** Of an attachment that has no endpoint: what an agent that died half-way may have left. */
  removeLeftover(attachmentId: string): Promise<void>;
  /** Undefined when all is well with the endpoint; otherwise what is not. */
  complaint(endpoint: EndpointRow): Promise<string | undefined>;
  /** Undefined when the agent can take calls; otherwise why not. */
  notReady(): string | undefined;
}

/** The plugin prints the body; a status of 400 or above makes it fail. */
export interface CniAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** One CNI call. Calls for the same container are served one after another, others at the same time. */
export class CniHandler {
  readonly #endpoints: CniEndpoints;
  readonly #routers: Routers;
  /** The last call of each container that has one running. */
  readonly #running = new Map<string, Promise<unknown>>();

  constructor(endpoints: CniEndpoints, routers: Routers) {
    this.#endpoints = endpoints;
    this.#routers = routers;
  }

  async handle(body: unknown): Promise<CniAnswer> {
    try {
      const request = parseCniRequest(body);
      const result = await this.#afterOthers(request.containerId, () => this.#serve(request));
      return { status: 200, body: result };
    } catch (cause) {
      return answerOf(cause, versionOf(body));
    }
  }

  async #afterOthers<T>(containerId: string, work: () => Promise<T>): Promise<T> {
    const previous = this.#running.get(containerId) ?? Promise.resolve();
    const current = previous.then(work, work);
    const settled = current.catch(() => {});
    this.#running.set(containerId, settled);
    try {
      return await current;
    } finally {
      if (this.#running.get(containerId) === settled) this.#running.delete(containerId);
    }
  }

  /** Only ADD has something to tell when all is well. */
  async #serve(request: CniRequest): Promise<object | undefined> {
    switch (request.command) {
      case "ADD":
        return this.#add(request);
      case "DEL":
        return this.#delete(request);
      case "CHECK":
        return this.#check(request);
      case "STATUS":
        return this.#status();
    }
  }

  async #add(request: CniRequest): Promise<object> {
    if (request.hasPrevResult) {
      throw new CniError(
        cniErrorCode.unsupportedField,
        "prevResult is set, but chaining is not configured: make cilium-cni the first plugin of the list",
      );
    }
    const reason = this.#endpoints.notReady();
    if (reason !== undefined) throw new CniError(cniErrorCode.tryAgainLater, `cilium-agent is not ready: ${reason}; try again later`);
    // A runtime that did not get our answer calls again; the same attachment in the same namespace is what it asked for.
    const existing = this.#endpoints.byAttachmentId(`${request.containerId}:${request.interfaceName}`);
    if (existing !== undefined && existing.state === "ready" && existing.netnsPath === request.namespacePath) {
      return cniResult(existing, this.#routers, request.cniVersion);
    }
    if (existing !== undefined) await this.#endpoints.remove(existing);
    return cniResult(await this.#endpoints.add(request), this.#routers, request.cniVersion);
  }

  /** Succeeds for what is gone already, or was never there. */
  async #delete(request: CniRequest): Promise<undefined> {
    if (request.interfaceName === "") {
      for (const row of this.#endpoints.byContainerId(request.containerId)) await this.#endpoints.remove(row);
      return;
    }
    const id = `${request.containerId}:${request.interfaceName}`;
    const row = this.#endpoints.byAttachmentId(id);
    await (row === undefined ? this.#endpoints.removeLeftover(id) : this.#endpoints.remove(row));
  }

  async #check(request: CniRequest): Promise<undefined> {
    const id = `${request.containerId}:${request.interfaceName}`;
    const row = this.#endpoints.byAttachmentId(id);
    if (row === undefined) throw new CniError(cniErrorCode.noHealth, `there is no endpoint for ${id}: run ADD first`);
    const complaint = await this.#endpoints.complaint(row);
    if (complaint !== undefined) throw new CniError(cniErrorCode.unhealthy, `endpoint ${row.id} is not healthy: ${complaint}`);
  }

  async #status(): Promise<undefined> {
    const reason = this.#endpoints.notReady();
    if (reason !== undefined) throw new CniError(cniErrorCode.notAvailable, `cilium-agent is not ready: ${reason}`);
  }
}

function answerOf(cause: unknown, cniVersion: string): CniAnswer {
  const code = cause instanceof CniError ? cause.code : cniErrorCode.failed;
  return { status: code === cniErrorCode.failed ? 500 : 400, body: { cniVersion, code, msg: errorMessage(cause) } };
}

function versionOf(body: unknown): string {
  const version = (body as { config?: { cniVersion?: unknown } } | null)?.config?.cniVersion;
  return typeof version === "string" ? version : "1.1.0";
}
