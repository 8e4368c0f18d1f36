import { type KubernetesObject, listAt, type ObjectReference, recordAt, textAt } from "@cilium-ts/kubernetes";

export interface SlicedEndpointsOptions {
  /** An endpoint as a CiliumEndpoint shows it, as far as slices do. */
  onUpsert(object: KubernetesObject): void;
  onDelete(reference: ObjectReference): void;
}

/**
 * The endpoints of all CiliumEndpointSlices, one by one. An endpoint may pass from one slice to another: it is gone when no slice has it,
 * and it is what the slice says that was heard of last.
 */
export class SlicedEndpoints {
  readonly #options: SlicedEndpointsOptions;
  /** Endpoints by slice, `namespace/name`, with their content. */
  readonly #slices = new Map<string, ReadonlyMap<string, string>>();
  /** The slice whose word stands. */
  readonly #owners = new Map<string, string>();

  constructor(options: SlicedEndpointsOptions) {
    this.#options = options;
  }

  upsert(slice: KubernetesObject): void {
    const { name: sliceName = "" } = slice.metadata;
    const namespace = textAt(slice, "namespace");
    const before = this.#slices.get(sliceName);
    const entries = new Map<string, string>();
    for (const entry of listAt(slice, "endpoints")) {
      const name = textAt(entry, "name");
      if (name !== "") entries.set(`${namespace}/${name}`, JSON.stringify(entry));
    }
    this.#slices.set(sliceName, entries);
    for (const [key, content] of entries) {
      if (before?.get(key) === content) continue;
      this.#owners.set(key, sliceName);
      this.#options.onUpsert(endpointOf(key, content));
    }
    for (const key of before?.keys() ?? []) if (!entries.has(key)) this.#drop(key, sliceName);
  }

  remove(sliceName: string): void {
    const before = this.#slices.get(sliceName);
    this.#slices.delete(sliceName);
    for (const key of before?.keys() ?? []) this.#drop(key, sliceName);
  }

  #drop(key: string, sliceName: string): void {
    if (this.#owners.get(key) !== sliceName) return;
    for (const [other, entries] of this.#slices) {
      const content = entries.get(key);
      if (content === undefined) continue;
      this.#owners.set(key, other);
      this.#options.onUpsert(endpointOf(key, content));
      return;
    }
    this.#owners.delete(key);
    const [namespace = "", name = ""] = key.split("/");
    this.#options.onDelete({ namespace, name, uid: "" });
  }
}

/** A slice's entry has the identity under `id`. */
function endpointOf(key: string, content: string): KubernetesObject {
  const entry: unknown = JSON.parse(content);
  const [namespace = "", name = ""] = key.split("/");
  const { id } = entry as { readonly id?: unknown };
  const ports = listAt(entry, "named-ports");
  const status = { identity: { id }, networking: recordAt(entry, "networking"), ...(ports.length > 0 && { "named-ports": ports }) };
  return { metadata: { namespace, name }, status } as KubernetesObject;
}
