import type { EndpointRow } from "@cilium-ts/endpoint";
import { ciliumEndpointObject, type KubernetesClient, resources } from "@cilium-ts/kubernetes";
import { Table, type Target } from "@cilium-ts/state";

/** What the cluster is shown of one endpoint. */
interface PublishedRow {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** The object, as text: equal text, nothing to write. */
  readonly content: string;
}

/** Endpoints of pods, as CiliumEndpoint objects. */
export class PublishedEndpoints {
  readonly table = new Table<string, PublishedRow>({ name: "published endpoints", keyOf: (row) => row.key, sources: ["endpoints"] });
  readonly #client: KubernetesClient;
  readonly #nodeAddress: () => string;
  readonly #podLabels: (namespace: string, name: string) => Readonly<Record<string, string>>;
  readonly #written = new Map<string, string>();

  constructor(options: {
    client: KubernetesClient;
    nodeAddress: () => string;
    podLabels: (namespace: string, name: string) => Readonly<Record<string, string>>;
  }) {
    this.#client = options.client;
    this.#nodeAddress = options.nodeAddress;
    this.#podLabels = options.podLabels;
  }

  set(row: EndpointRow): void {
    if (row.podName === "") return;
    const key = `${row.podNamespace}/${row.podName}`;
    const podLabels = this.#podLabels(row.podNamespace, row.podName);
    const object = ciliumEndpointObject({ ...row, podLabels, identityLabels: row.labels, nodeAddress: this.#nodeAddress() });
    const content = JSON.stringify(object);
    if (this.table.get(key)?.content === content) return;
    this.table.upsert({ key, namespace: row.podNamespace, name: row.podName, content });
  }

  delete(row: EndpointRow): void {
    this.table.delete(`${row.podNamespace}/${row.podName}`);
  }

  /** Objects of other nodes' pods are not ours to list or remove, so what is realised is what we wrote. */
  get target(): Target<string, PublishedRow> {
    return {
      apply: async (row, signal) => {
        if (this.#written.get(row.key) === row.content) return;
        const name = { namespace: row.namespace, name: row.name };
        await this.#client.patch(
          resources.ciliumEndpoints,
          name,
          { type: "apply", body: JSON.parse(row.content), force: true },
          { signal },
        );
        this.#written.set(row.key, row.content);
      },
      remove: async (key, signal) => {
        const [namespace = "", name = ""] = key.split("/");
        await this.#client.delete(resources.ciliumEndpoints, { namespace, name }, { signal });
        this.#written.delete(key);
      },
      realised: async () => this.#written.keys(),
    };
  }
}
