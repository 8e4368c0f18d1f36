import type { CallOptions, DeleteOptions, KubernetesClient, ListOptions, Patch, WatchOptions, WriteOptions } from "./client.ts";
import { KubernetesError } from "./kubernetes-error.ts";
import type { KubernetesList, KubernetesObject } from "./kubernetes-object.ts";
import type { ObjectName, Resource } from "./resource.ts";

const never = new AbortController().signal;

/**
 * A client that writes only while it may. Each write asks first, so a process that was stopped for a while and does not know it yet
 * writes nothing. A write that was begun is not broken off: who stops waits for its answer, and knows what has been written. The
 * request time-out of the client below must be shorter than the time for which a yes holds good.
 */
export class FencedClient implements KubernetesClient {
  readonly #client: KubernetesClient;
  readonly #mayWrite: () => boolean;

  constructor(client: KubernetesClient, mayWrite: () => boolean) {
    this.#client = client;
    this.#mayWrite = mayWrite;
  }

  get server(): string {
    return this.#client.server;
  }

  get(resource: Resource, name: ObjectName, options: CallOptions): Promise<KubernetesObject | undefined> {
    return this.#client.get(resource, name, options);
  }

  list(resource: Resource, options: ListOptions): Promise<KubernetesList> {
    return this.#client.list(resource, options);
  }

  watch(resource: Resource, options: WatchOptions): ReturnType<KubernetesClient["watch"]> {
    return this.#client.watch(resource, options);
  }

  async create(resource: Resource, object: KubernetesObject, options: CallOptions): Promise<KubernetesObject> {
    this.#check(resource, options);
    return await this.#client.create(resource, object, { signal: never });
  }

  async replace(resource: Resource, object: KubernetesObject, options: WriteOptions): Promise<KubernetesObject> {
    this.#check(resource, options);
    return await this.#client.replace(resource, object, { ...options, signal: never });
  }

  async patch(resource: Resource, name: ObjectName, patch: Patch, options: WriteOptions): Promise<KubernetesObject> {
    this.#check(resource, options);
    return await this.#client.patch(resource, name, patch, { ...options, signal: never });
  }

  async delete(resource: Resource, name: ObjectName, options: DeleteOptions): Promise<boolean> {
    this.#check(resource, options);
    return await this.#client.delete(resource, name, { ...options, signal: never });
  }

  /** The client below belongs to whoever opened it. */
  async [Symbol.asyncDispose](): Promise<void> {}

  #check(resource: Resource, { signal }: CallOptions): void {
    signal.throwIfAborted();
    if (this.#mayWrite()) return;
    const message = `nothing is written to ${resource.plural}: this process may no longer be the leader`;
    throw new KubernetesError({ message, status: 0, reason: "NotLeading" });
  }
}
