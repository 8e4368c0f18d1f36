import assert from "node:assert/strict";
import { type KubernetesClient, type KubernetesObject, type ObjectName, openKubernetes, type Resource } from "@cilium-ts/kubernetes";
import { readCiliumDefinitions, readPolicyApiDefinitions } from "@cilium-ts/kubernetes-server";
import { createMemoryStore, startTestServer, type TestServer } from "@cilium-ts/kubernetes-server/testing";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { runOperator, type World } from "./operator.ts";
import { type OperatorOptions, parseSettings } from "./settings.ts";

const never = new AbortController().signal;
/** Duties that a test is not about are off, ports are none, and the election is quick. */
const quiet = {
  "leader-election-lease-duration": "1s",
  "leader-election-renew-deadline": "800ms",
  "leader-election-retry-period": "50ms",
  "operator-api-serve-addr": "",
  "enable-metrics": "false",
  "skip-crd-creation": "true",
  "identity-gc-interval": "0",
  "cilium-endpoint-gc-interval": "0",
  "nodes-gc-interval": "0",
  "remove-cilium-node-taints": "false",
  "set-cilium-is-up-condition": "false",
  "validate-network-policy": "false",
};

export type Settings = Readonly<Record<string, string>>;

export function operatorOptions(settings: Settings): OperatorOptions {
  const args = Object.entries({ ...quiet, ...settings }).flatMap(([name, value]) => [`--${name}`, value]);
  const parsed = parseSettings(args, {}, () => undefined);
  assert.ok(parsed.kind === "options", JSON.stringify(parsed));
  return parsed.options;
}

/** An operator in this process, which can be stopped, or cut off from its server as if it were gone. */
export interface RunningOperator extends AsyncDisposable {
  readonly lines: readonly string[];
  readonly ended: Promise<void>;
}

/** A real API server in this process, and operators that work on it. */
export class TestCluster implements AsyncDisposable {
  readonly client: KubernetesClient;
  readonly #store: ReturnType<typeof createMemoryStore>;
  #server: TestServer;
  readonly #operators: RunningOperator[] = [];
  #ids = 0;

  private constructor(store: ReturnType<typeof createMemoryStore>, server: TestServer, client: KubernetesClient) {
    this.#store = store;
    this.#server = server;
    this.client = client;
  }

  static async start(options: { definitions?: boolean } = {}): Promise<TestCluster> {
    const store = createMemoryStore();
    const definitions = options.definitions === false ? [] : [...readCiliumDefinitions(), ...readPolicyApiDefinitions()];
    const server = await startTestServer({ store, definitions });
    return new TestCluster(store, server, await openKubernetes({ server: server.url }));
  }

  /** The API server is gone while the body runs, and comes back with all it knew. */
  async outage(body: () => Promise<void>): Promise<void> {
    const { port } = this.#server;
    await this.#server[Symbol.asyncDispose]();
    await body();
    this.#server = await startTestServer({ store: this.#store, port });
  }

  get url(): string {
    return this.#server.url;
  }

  startOperator(settings: Settings = {}, world: Partial<World> = {}): RunningOperator {
    const stop = new AbortController();
    const lines: string[] = [];
    const say = (message: string): void => void lines.push(message);
    this.#ids += 1;
    const identity = `operator-${this.#ids}`;
    const definitions = readCiliumDefinitions() as unknown as KubernetesObject[];
    const given: World = {
      clock: systemClock,
      monotonicMs: () => performance.now(),
      log: { error: say, warn: say, info: say, debug: say },
      identity,
      createId: () => String(this.#ids++),
      definitions,
      openClient: (options) => openKubernetes({ ...options, server: this.url }),
      ...world,
    };
    const ended = runOperator(given, operatorOptions(settings), stop.signal);
    ended.catch(() => {}); // Told to whoever waits for it.
    const running = {
      lines,
      ended,
      async [Symbol.asyncDispose]() {
        stop.abort(new Error("the test is over"));
        await ended;
      },
    };
    this.#operators.push(running);
    return running;
  }

  create(resource: Resource, object: KubernetesObject): Promise<KubernetesObject> {
    return this.client.create(resource, object, { signal: never });
  }

  async get(resource: Resource, name: ObjectName): Promise<KubernetesObject | undefined> {
    return await this.client.get(resource, name, { signal: never });
  }

  async list(resource: Resource): Promise<readonly KubernetesObject[]> {
    return (await this.client.list(resource, { signal: never })).items;
  }

  patch(resource: Resource, name: ObjectName, body: Readonly<Record<string, unknown>>, subresource?: "status"): Promise<KubernetesObject> {
    return this.client.patch(resource, name, { type: "merge", body }, { signal: never, ...(subresource !== undefined && { subresource }) });
  }

  delete(resource: Resource, name: ObjectName): Promise<boolean> {
    return this.client.delete(resource, name, { signal: never });
  }

  /** Waits until the object is as the check wants it. */
  async becomes(resource: Resource, name: ObjectName, check: (object: KubernetesObject | undefined) => void): Promise<void> {
    await eventually(async () => check(await this.get(resource, name)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const operator of this.#operators) await operator[Symbol.asyncDispose]();
    await this.client[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
    await this.#store[Symbol.asyncDispose]();
    assert.deepEqual(this.#server.errors, []);
  }
}
