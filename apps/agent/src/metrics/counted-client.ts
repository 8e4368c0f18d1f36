import { type KubernetesClient, KubernetesError, type Resource } from "@cilium-ts/kubernetes";

/** One request to the API server that has ended. */
export interface ApiCall {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly resource: Resource;
  /** Of HTTP; 0: the server could not be asked. */
  readonly status: number;
  readonly seconds: number;
}

export interface ApiEvent {
  readonly resource: Resource;
  readonly action: "create" | "update" | "delete";
}

export interface ClientObserver {
  onCall(call: ApiCall): void;
  onEvent(event: ApiEvent): void;
}

const actions: Readonly<Record<string, ApiEvent["action"]>> = { ADDED: "create", MODIFIED: "update", DELETED: "delete" };

/** The same client; the observer is told what becomes of its requests. Of a watch it is told what arrives, and how it was refused. */
export function countedClient(client: KubernetesClient, observer: ClientObserver): KubernetesClient {
  const counted = async <Result>(
    method: ApiCall["method"],
    resource: Resource,
    call: () => Promise<Result>,
    status: (result: Result) => number = () => 200,
  ): Promise<Result> => {
    const beganMs = performance.now();
    const tell = (code: number): void =>
      observer.onCall({ method, resource, status: code, seconds: (performance.now() - beganMs) / 1_000 });
    try {
      const result = await call();
      tell(status(result));
      return result;
    } catch (cause) {
      if (cause instanceof KubernetesError) tell(cause.status);
      throw cause;
    }
  };
  return {
    server: client.server,
    get: (resource, name, options) =>
      counted(
        "GET",
        resource,
        () => client.get(resource, name, options),
        (object) => (object === undefined ? 404 : 200),
      ),
    list: (resource, options) => counted("GET", resource, () => client.list(resource, options)),
    watch: (resource, options) => countedWatch(client.watch(resource, options), resource, observer),
    create: (resource, object, options) =>
      counted(
        "POST",
        resource,
        () => client.create(resource, object, options),
        () => 201,
      ),
    replace: (resource, object, options) => counted("PUT", resource, () => client.replace(resource, object, options)),
    patch: (resource, name, patch, options) => counted("PATCH", resource, () => client.patch(resource, name, patch, options)),
    delete: (resource, name, options) =>
      counted(
        "DELETE",
        resource,
        () => client.delete(resource, name, options),
        (existed) => (existed ? 200 : 404),
      ),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

async function* countedWatch(
  events: ReturnType<KubernetesClient["watch"]>,
  resource: Resource,
  observer: ClientObserver,
): ReturnType<KubernetesClient["watch"]> {
  try {
    for await (const event of events) {
      const action = actions[event.type];
      if (action !== undefined) observer.onEvent({ resource, action });
      yield event;
    }
  } catch (cause) {
    if (cause instanceof KubernetesError) observer.onCall({ method: "GET", resource, status: cause.status, seconds: 0 });
    throw cause;
  }
}
