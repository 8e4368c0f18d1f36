import type { EndpointRow } from "@cilium-ts/endpoint";
import { ciliumEndpointObject, type KubernetesClient, type KubernetesObject, resources } from "@cilium-ts/kubernetes";
import { Table, type Target } from "@cilium-ts/state";

export interface PodReference {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** What the cluster is shown of one endpoint. */
interface PublishedRow {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** Empty: not known. */
  readonly podUid: string;
  readonly endpointId: number;
  readonly createdAtMs: number;
  /** The object, as text: equal text, nothing to write. */
  readonly content: string;
}

/** What we have put into the API server under a name. */
interface Written {
  readonly cniAttachmentId: string;
  /** Undefined: by an earlier run, so we do not know. */
  readonly content: string | undefined;
}

/** Endpoints of pods, as CiliumEndpoint objects. A pod's object has the pod's name, and so may that of the pod that takes its place. */
export class PublishedEndpoints {
  readonly table = new Table<string, PublishedRow>({ name: "published endpoints", keyOf: (row) => row.key, sources: ["endpoints"] });
  readonly #client: KubernetesClient;
  readonly #nodeAddress: () => string;
  readonly #podLabels: (namespace: string, name: string) => Readonly<Record<string, string>>;
  readonly #isCurrentPod: (pod: PodReference, signal: AbortSignal) => Promise<boolean>;
  readonly #written = new Map<string, Written>();
  /** Names under which something else was seen since we began to write. */
  readonly #doubted = new Set<string>();

  constructor(options: {
    client: KubernetesClient;
    nodeAddress: () => string;
    podLabels: (namespace: string, name: string) => Readonly<Record<string, string>>;
    /** Whether this is the pod that has the name now, on whatever node. */
    isCurrentPod: (pod: PodReference, signal: AbortSignal) => Promise<boolean>;
  }) {
    this.#client = options.client;
    this.#nodeAddress = options.nodeAddress;
    this.#podLabels = options.podLabels;
    this.#isCurrentPod = options.isCurrentPod;
  }

  set(row: EndpointRow): void {
    if (row.podName === "") return;
    const key = `${row.podNamespace}/${row.podName}`;
    const known = this.table.get(key);
    // The endpoint of the pod that had the name before is on its way out.
    if (known !== undefined && known.endpointId !== row.id && known.createdAtMs > row.createdAtMs) return;
    const podLabels = this.#podLabels(row.podNamespace, row.podName);
    const object = ciliumEndpointObject({ ...row, podLabels, identityLabels: row.labels, nodeAddress: this.#nodeAddress() });
    const content = JSON.stringify(object);
    if (known?.content === content) return;
    const { id: endpointId, createdAtMs, podNamespace: namespace, podName: name, podUid } = row;
    this.table.upsert({ key, namespace, name, podUid, endpointId, createdAtMs, content });
  }

  /** Also for an endpoint of an earlier run that could not be restored: its object is there still. */
  delete(row: EndpointRow): void {
    if (row.podName === "") return;
    const key = `${row.podNamespace}/${row.podName}`;
    const known = this.table.get(key);
    if (known !== undefined && known.endpointId !== row.id) return;
    if (!this.#written.has(key)) this.#written.set(key, { cniAttachmentId: row.cniAttachmentId, content: undefined });
    this.#doubted.delete(key);
    this.table.delete(key);
  }

  /** What the cluster shows under a name; undefined: nothing any more. Where that is not what we have put there, it is put there again. */
  observe(
    { namespace = "", name = "" }: { readonly namespace?: string; readonly name?: string },
    object: KubernetesObject | undefined,
  ): void {
    const key = `${namespace}/${name}`;
    const row = this.table.get(key);
    if (row === undefined) return;
    if (object !== undefined && attachmentOf(object) === attachmentOf(JSON.parse(row.content))) return;
    this.#doubt(key, row);
  }

  /** What a slice shows, which is late, and knows the addresses but not the attachment: only addresses of others are somebody else's. */
  observeSliced(object: KubernetesObject): void {
    const key = `${object.metadata.namespace}/${object.metadata.name}`;
    const row = this.table.get(key);
    if (row !== undefined && addressingOf(object) !== addressingOf(JSON.parse(row.content))) this.#doubt(key, row);
  }

  #doubt(key: string, row: Readonly<PublishedRow>): void {
    const written = this.#written.get(key);
    this.#doubted.add(key); // Our write may be under way, and its answer come after this.
    if (written?.content === undefined) return;
    this.#written.set(key, { cniAttachmentId: written.cniAttachmentId, content: undefined });
    this.table.upsert({ ...row });
  }

  /** After a list: an object that came and went while nobody watched is in no event. */
  observeAll(isShown: (namespace: string, name: string) => boolean): void {
    for (const row of [...this.table.rows()]) if (!isShown(row.namespace, row.name)) this.observe(row, undefined);
  }

  /** Objects of other nodes' pods are not ours to list or remove, so what is realised is what we wrote. */
  get target(): Target<string, PublishedRow> {
    return {
      apply: async (row, signal) => {
        if (this.#written.get(row.key)?.content === row.content) return;
        // A pod that is gone, and still has its endpoint here, must not take the name from the one that came after it elsewhere.
        if (row.podUid !== "" && !(await this.#isCurrentPod({ ...row, uid: row.podUid }, signal))) return;
        this.#doubted.delete(row.key);
        const name = { namespace: row.namespace, name: row.name };
        const body: KubernetesObject = JSON.parse(row.content);
        await this.#client.patch(resources.ciliumEndpoints, name, { type: "apply", body, force: true }, { signal });
        const isDoubted = this.#doubted.delete(row.key);
        this.#written.set(row.key, { cniAttachmentId: attachmentOf(body), content: isDoubted ? undefined : row.content });
        const latest = this.table.get(row.key);
        if (isDoubted && latest !== undefined) this.table.upsert({ ...latest });
      },
      remove: (key, signal) => this.#remove(key, signal),
      realised: async () => this.#written.keys(),
    };
  }

  /** Only as long as the object is ours: a pod of that name may have come to another node, or come back to this one. */
  async #remove(key: string, signal: AbortSignal): Promise<void> {
    const written = this.#written.get(key);
    if (written === undefined) return;
    const [namespace = "", name = ""] = key.split("/");
    const object = await this.#client.get(resources.ciliumEndpoints, { namespace, name }, { signal });
    if (object !== undefined && attachmentOf(object) === written.cniAttachmentId) {
      const { uid = "", resourceVersion = "" } = object.metadata;
      await this.#client.delete(resources.ciliumEndpoints, { namespace, name }, { signal, uid, resourceVersion });
    }
    this.#written.delete(key);
  }
}

function attachmentOf(object: KubernetesObject): string {
  const status = object.status as { "external-identifiers"?: { "cni-attachment-id"?: string } } | undefined;
  return status?.["external-identifiers"]?.["cni-attachment-id"] ?? "";
}

function addressingOf({ status }: KubernetesObject): string {
  const { addressing } = (status as { networking?: { addressing?: ReadonlyArray<{ ipv4?: string; ipv6?: string }> } }).networking ?? {};
  return (addressing ?? []).map(({ ipv4, ipv6 }) => `${ipv4} ${ipv6}`).join();
}
