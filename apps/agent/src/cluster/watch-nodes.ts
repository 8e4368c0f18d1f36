import {
  ciliumNodeFrom,
  type KubernetesClient,
  type KubernetesObject,
  type ReflectOptions,
  reflect,
  resources,
  serviceSliceFrom,
} from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { ApiServerAddresses } from "./api-server-addresses.ts";
import type { PublishedEndpoints } from "./published-endpoints.ts";
import type { RemoteEndpoints } from "./remote-endpoints.ts";
import type { RemoteNodes } from "./remote-nodes.ts";
import { SlicedEndpoints } from "./sliced-endpoints.ts";

export interface WatchNodesOptions {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly nodes: RemoteNodes;
  readonly endpoints: RemoteEndpoints;
  readonly apiServers: Pick<ApiServerAddresses, "setSlice" | "refresh">;
  /** Our own pods' objects are among those of all nodes. */
  readonly published: Pick<PublishedEndpoints, "observe" | "observeAll" | "observeSliced">;
  readonly nodeName: string;
  /** The pods of all nodes are told of by CiliumEndpointSlices. */
  readonly slices: boolean;
  /** This node's own object as it is now; undefined: it is gone. */
  onOwnNode(object: KubernetesObject | undefined): void;
}

/** The other nodes and their pods, brought into the ipcache and the routes. */
export class NodeWatch {
  readonly #options: WatchNodesOptions;
  readonly #nodesSynced = Promise.withResolvers<void>();
  readonly #endpointsSynced = Promise.withResolvers<void>();
  readonly #apiServersSynced = Promise.withResolvers<void>();
  #listed = false;
  #isOwnShown = false;

  constructor(options: WatchNodesOptions) {
    this.#options = options;
  }

  /** Every node, every pod of theirs and every API server has been heard of once. */
  async synced(): Promise<void> {
    await Promise.all([this.#nodesSynced.promise, this.#endpointsSynced.promise, this.#apiServersSynced.promise]);
  }

  /** Until aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, clock, log, nodes, endpoints, apiServers, published, nodeName, onOwnNode, slices } = this.#options;
    const watch = { client, clock, signal };
    const tellOwn = (object: KubernetesObject | undefined): void => {
      this.#isOwnShown = object !== undefined;
      onOwnNode(object);
    };
    const say = (what: string, failure: Error): void =>
      log.warn(`${what} cannot be watched: ${errorMessage(failure)}; what is known stays in force`);
    await Promise.all([
      reflect({
        ...watch,
        resource: resources.ciliumNodes,
        onUpsert(object) {
          if (object.metadata.name === nodeName) tellOwn(object);
          endpoints.refresh(nodes.upsert(ciliumNodeFrom(object)));
          apiServers.refresh();
        },
        onDelete({ name }) {
          if (name === nodeName) tellOwn(undefined);
          nodes.remove(name);
          apiServers.refresh();
        },
        onListed: () => {
          if (!this.#listed) nodes.routes.markSynced("nodes");
          this.#listed = true;
          if (!this.#isOwnShown) tellOwn(undefined); // One that came and went while nobody watched is in no event.
          this.#nodesSynced.resolve();
        },
        onState: (state) => void (state.kind === "waiting" && state.failures === 1 && say("nodes", state.failure)),
      }),
      reflect({
        ...watch,
        resource: resources.endpointSlices,
        namespace: "default",
        selector: { labels: "kubernetes.io/service-name=kubernetes" },
        onUpsert: (object) => apiServers.setSlice(object.metadata.name ?? "", serviceSliceFrom(object)),
        onDelete: ({ name }) => apiServers.setSlice(name, undefined),
        onListed: () => this.#apiServersSynced.resolve(),
        onState: (state) => void (state.kind === "waiting" && state.failures === 1 && say("API servers", state.failure)),
      }),
      reflect({
        ...watch,
        ...(slices ? this.#slices() : this.#endpoints()),
        onListed: () => {
          published.observeAll((namespace, name) => endpoints.identityOf(namespace, name) !== undefined);
          this.#endpointsSynced.resolve();
        },
        onState: (state) => void (state.kind === "waiting" && state.failures === 1 && say("pods of other nodes", state.failure)),
      }),
    ]);
  }

  #endpoints(): Pick<ReflectOptions, "resource" | "onUpsert" | "onDelete"> {
    const { endpoints, published } = this.#options;
    return {
      resource: resources.ciliumEndpoints,
      onUpsert(object) {
        endpoints.upsert(object);
        published.observe(object.metadata, object);
      },
      onDelete(reference) {
        endpoints.remove(reference);
        published.observe(reference, undefined);
      },
    };
  }

  #slices(): Pick<ReflectOptions, "resource" | "onUpsert" | "onDelete"> {
    const { endpoints, published } = this.#options;
    const sliced = new SlicedEndpoints({
      onUpsert(object) {
        endpoints.upsert(object);
        published.observeSliced(object);
      },
      onDelete(reference) {
        endpoints.remove(reference);
        published.observe(reference, undefined);
      },
    });
    return {
      resource: resources.ciliumEndpointSlices,
      onUpsert: (slice) => sliced.upsert(slice),
      onDelete: ({ name }) => sliced.remove(name),
    };
  }
}
