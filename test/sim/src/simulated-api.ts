import {
  type CallOptions,
  type DeleteOptions,
  type KubernetesClient,
  KubernetesError,
  type KubernetesList,
  type KubernetesObject,
  type ListOptions,
  type ObjectName,
  type Patch,
  type Resource,
  type WatchEvent,
  type WatchOptions,
  type WriteOptions,
} from "@cilium-ts/kubernetes";
import { type Mutable, readCiliumDefinitions } from "@cilium-ts/kubernetes-server";
import { ApiError, createMemoryStore, ObjectLayer } from "@cilium-ts/kubernetes-server/testing";
import type { Random } from "@cilium-ts/testing";
import type { SimulatedTime } from "./simulated-time.ts";
import { SimulatedWatch } from "./simulated-watch.ts";

/** How bad the way to the server is. Probabilities are of each request. */
export interface ApiFaults {
  /** Of refusals, half of them after the request was carried out. */
  failure: number;
  latencyMsMax: number;
  /** Of a change that a watch swallows without a trace. No real server does this: it is how the simulation itself is tested. */
  lostEvent: number;
}

const definitions = readCiliumDefinitions();

/** The API server: the real object layer behind a way that loses, delays and reorders. */
export class SimulatedApi implements AsyncDisposable {
  readonly faults: ApiFaults = { failure: 0, latencyMsMax: 5, lostEvent: 0 };
  readonly watches = new Set<SimulatedWatch>();
  readonly layer: ObjectLayer;
  readonly errors: unknown[];
  readonly #time: SimulatedTime;
  readonly #random: Random;
  #isDown = false;

  private constructor(layer: ObjectLayer, errors: unknown[], time: SimulatedTime, random: Random) {
    this.layer = layer;
    this.errors = errors;
    this.#time = time;
    this.#random = random;
  }

  /** The history holds so many changes: who was away for longer must list again. */
  static async open(options: { time: SimulatedTime; random: Random; revisionsMax: number }): Promise<SimulatedApi> {
    const { time, random, revisionsMax } = options;
    const store = createMemoryStore({ revisionsMax, sizeBytesMax: 64 * 1024 * 1024 });
    const errors: unknown[] = [];
    const onError = (error: unknown): void => void errors.push(error);
    const layer = await ObjectLayer.open({ store, definitions, nowMs: time.clock().nowMs, onError });
    return new SimulatedApi(layer, errors, time, random);
  }

  get isDown(): boolean {
    return this.#isDown;
  }

  /** What it holds survives; whoever watches is cut off. */
  setDown(isDown: boolean): void {
    this.#isDown = isDown;
    if (isDown) for (const watch of [...this.watches]) watch.cut(unreachable("WATCH"));
  }

  /** Cuts some watches, each in one of the ways in which real ones end. */
  cutWatches(probability: number): void {
    for (const watch of [...this.watches]) {
      if (!this.#random.chance(probability)) continue;
      const endings = [() => undefined, () => unreachable("WATCH"), expired];
      watch.cut(this.#random.pick(endings)());
    }
  }

  bookmark(): void {
    for (const watch of this.watches) watch.bookmark(this.layer.store.durable);
  }

  /** A client in a process; when that is dead, nothing more is sent. */
  connect(manager: string, isAlive: () => boolean): KubernetesClient {
    return new SimulatedClient(this, this.#time, this.#random, manager, isAlive);
  }

  /** A request on its way to the server. Throws what becomes of it there. */
  async travel(request: string, signal: AbortSignal): Promise<void> {
    await this.#time.sleep(this.#random.below(this.faults.latencyMsMax), signal);
    if (this.#isDown) throw unreachable(request);
    if (!this.#random.chance(this.faults.failure / 2)) return;
    throw this.#random.pick([unreachable(request), failure(500, "InternalError"), failure(503, "ServiceUnavailable"), tooMany()]);
  }

  /** The answer on its way back. */
  async travelBack(request: string, signal: AbortSignal): Promise<void> {
    await this.#time.sleep(this.#random.below(this.faults.latencyMsMax), signal);
    if (this.#random.chance(this.faults.failure / 2)) throw unreachable(request);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.setDown(true);
    await this.layer[Symbol.asyncDispose]();
    await this.layer.store[Symbol.asyncDispose]();
  }
}

class SimulatedClient implements KubernetesClient {
  readonly server = "https://simulated";
  readonly #api: SimulatedApi;
  readonly #time: SimulatedTime;
  readonly #random: Random;
  readonly #manager: string;
  readonly #isAlive: () => boolean;

  constructor(api: SimulatedApi, time: SimulatedTime, random: Random, manager: string, isAlive: () => boolean) {
    this.#api = api;
    this.#time = time;
    this.#random = random;
    this.#manager = manager;
    this.#isAlive = isAlive;
  }

  get(resource: Resource, { namespace = "", name }: ObjectName, { signal }: CallOptions): Promise<KubernetesObject | undefined> {
    return this.#call(`GET ${resource.plural} ${name}`, signal, async () => given(this.#api.layer.get(resource, namespace, name)));
  }

  list(resource: Resource, { namespace, selector, signal }: ListOptions): Promise<KubernetesList> {
    return this.#call(`LIST ${resource.plural}`, signal, async () => {
      const { revision, items } = this.#api.layer.list(resource, { namespace, ...selector });
      return { resourceVersion: String(revision), items: items as unknown as KubernetesObject[] };
    });
  }

  async *watch(resource: Resource, options: WatchOptions): AsyncGenerator<WatchEvent, void> {
    const { namespace, selector, resourceVersion, timeoutSeconds, onOpen, signal } = options;
    const request = `WATCH ${resource.plural}`;
    await this.#api.travel(request, signal);
    const delayMs = (): number => this.#random.below(this.#api.faults.latencyMsMax);
    const loses = (): boolean => this.#random.chance(this.#api.faults.lostEvent);
    const watch = new SimulatedWatch({ time: this.#time, delayMs, loses, signal });
    using _telling = translated(() =>
      this.#api.layer.watch(resource, { namespace, ...selector }, Number(resourceVersion), (change) => watch.tell(change)),
    );
    this.#api.watches.add(watch);
    this.#time.sleep(timeoutSeconds * 1_000, watch.ended).then(
      () => watch.cut(undefined),
      () => {}, // Rejects only when the watch has ended first.
    );
    try {
      onOpen?.();
      yield* watch.events();
    } finally {
      this.#api.watches.delete(watch);
      watch.cut(undefined);
    }
  }

  create(resource: Resource, object: KubernetesObject, { signal }: CallOptions): Promise<KubernetesObject> {
    const write = { manager: this.#manager };
    return this.#call(`POST ${resource.plural}`, signal, async () =>
      returned(await this.#api.layer.create(resource, typed(resource, object), write)),
    );
  }

  replace(resource: Resource, object: KubernetesObject, { subresource, signal }: WriteOptions): Promise<KubernetesObject> {
    const write = { manager: this.#manager, subresource };
    return this.#call(`PUT ${resource.plural} ${object.metadata.name}`, signal, async () =>
      returned(await this.#api.layer.replace(resource, typed(resource, object), write)),
    );
  }

  patch(resource: Resource, name: ObjectName, patch: Patch, { subresource, signal }: WriteOptions): Promise<KubernetesObject> {
    const write = { manager: this.#manager, subresource, force: patch.type === "apply" && patch.force === true };
    const body = (patch.type === "apply" ? typed(resource, patch.body) : structuredClone(patch.body)) as Mutable;
    return this.#call(`PATCH ${resource.plural} ${name.name}`, signal, async () =>
      returned(await this.#api.layer.patch(resource, name, { kind: patch.type, body }, write)),
    );
  }

  async delete(resource: Resource, name: ObjectName, options: DeleteOptions): Promise<boolean> {
    const { uid, resourceVersion, propagation, signal } = options;
    try {
      await this.#call(`DELETE ${resource.plural} ${name.name}`, signal, () =>
        this.#api.layer.delete(resource, name, { uid, resourceVersion, propagation }),
      );
      return true;
    } catch (cause) {
      if (cause instanceof KubernetesError && cause.status === 404) return false;
      throw cause;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #call<Result>(request: string, signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    await this.#api.travel(request, signal);
    if (!this.#isAlive()) throw unreachable(request);
    let result: Result;
    try {
      result = await this.#time.still(work);
    } catch (cause) {
      throw translate(cause);
    }
    await this.#api.travelBack(request, signal);
    return result;
  }
}

function translated<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (cause) {
    throw translate(cause);
  }
}

function translate(cause: unknown): unknown {
  if (!(cause instanceof ApiError)) return cause;
  const { message, code: status, reason, details } = cause;
  return new KubernetesError({ message, status, reason, ...(details !== undefined && { details: { ...details } }), cause });
}

function typed(resource: Resource, object: KubernetesObject): Mutable {
  const apiVersion = resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
  return JSON.parse(JSON.stringify({ ...object, apiVersion, kind: resource.kind })) as Mutable;
}

function given(object: Mutable | undefined): KubernetesObject | undefined {
  return object as unknown as KubernetesObject | undefined;
}

function returned(object: Mutable): KubernetesObject {
  return object as unknown as KubernetesObject;
}

function unreachable(request: string): KubernetesError {
  return new KubernetesError({ message: `${request}: the connection broke`, status: 0, reason: "Unreachable" });
}

function expired(): KubernetesError {
  return new KubernetesError({ message: "too old resource version", status: 410, reason: "Expired" });
}

function failure(status: number, reason: string): KubernetesError {
  return new KubernetesError({ message: `the server answered ${status}`, status, reason });
}

function tooMany(): KubernetesError {
  return new KubernetesError({ message: "too many requests", status: 429, reason: "TooManyRequests", retryAfterMs: 1_000 });
}
