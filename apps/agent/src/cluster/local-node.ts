import { readFileSync } from "node:fs";
import {
  ciliumNodeObject,
  type KubernetesClient,
  KubernetesError,
  type Node as KubernetesNode,
  type KubernetesObject,
  type NodePools,
  nodeFrom,
  podPoolRequests,
  resources,
} from "@cilium-ts/kubernetes";
import { Table, type Target } from "@cilium-ts/state";
import type { Routers } from "../cni/cni-result.ts";

export interface LocalNodeOptions {
  readonly client: KubernetesClient;
  readonly name: string;
  /** What we give to the cluster as ours; undefined where the operator writes them. */
  readonly podCIDRs: readonly string[] | undefined;
}

interface PublishedNode {
  readonly name: string;
  readonly content: string;
}

/** This node as the cluster sees it: its CiliumNode, of which the agent owns addresses and labels. */
export class LocalNode {
  readonly table = new Table<string, PublishedNode>({ name: "published node", keyOf: (row) => row.name, sources: ["agent"] });
  readonly #options: LocalNodeOptions;
  #node: KubernetesNode | undefined;
  #written: string | undefined;
  /** How often the object was lost: a write that was under way then may have come before. */
  #losses = 0;
  /** Of the object that we write to: one that was deleted since must not come back without what the node holds. */
  #uid: string | undefined;
  #published: readonly [underlay: readonly string[], routers: Routers | undefined] | undefined;
  #requested: NodePools["requested"] = [];
  /** What of `spec.ipam` is the operator's to write, but this node's to know: an object that is made anew must begin with it. */
  #held: () => object | undefined = () => undefined;
  #health = { ipv4: "", ipv6: "" };

  constructor(options: LocalNodeOptions) {
    this.#options = options;
  }

  /** The Node object, for its labels and as the owner of ours; undefined when the cluster has none of that name. */
  async find(signal: AbortSignal): Promise<KubernetesNode | undefined> {
    const object = await this.#options.client.get(resources.nodes, { name: this.#options.name }, { signal });
    this.#node = object === undefined ? undefined : nodeFrom(object);
    return this.#node;
  }

  /** The node's addresses are of these pod CIDRs: an object that somebody deletes is made anew with them. */
  holds(ipam: () => object): void {
    this.#held = ipam;
  }

  /** What the node needs of pools. */
  request(requested: NodePools["requested"]): void {
    this.#requested = requested;
    if (this.#published !== undefined) this.publish(...this.#published);
  }

  /** The object is gone: it is made anew. */
  gone(): void {
    this.#written = undefined;
    this.#losses += 1;
    this.#uid = undefined;
    for (const row of [...this.table.rows()]) this.table.upsert({ ...row });
  }

  /** Where this node's health endpoint answers; empty: nowhere. */
  setHealth(health: { readonly ipv4: string; readonly ipv6: string }): void {
    this.#health = health;
    if (this.#published !== undefined) this.publish(...this.#published);
  }

  /** `underlay`: how other nodes reach this one. Routers are undefined until the node has its pod CIDRs. */
  publish(underlay: readonly string[], routers: Routers | undefined): void {
    const { name, podCIDRs } = this.#options;
    this.#published = [underlay, routers];
    const node = this.#node;
    const health = this.#health;
    const internal = underlay.map((ip) => ({ type: "InternalIP", ip }));
    const own = routers === undefined ? [] : [routers.ipv4, routers.ipv6].map((ip) => ({ type: "CiliumInternalIP", ip }));
    const labels = node?.labels ?? {};
    const addresses = [...internal, ...own];
    const { metadata, spec } = ciliumNodeObject(
      { name, labels, addresses, podCIDRs: podCIDRs ?? [], healthIPv4: health.ipv4, healthIPv6: health.ipv6, bootId: bootId() },
      node?.uid ?? "",
    );
    const fields = { ...(spec as Record<string, unknown>) };
    if (podCIDRs === undefined) delete fields.ipam; // Whoever applies a field owns it, and these are the operator's.
    if (this.#requested.length > 0) fields.ipam = { pools: { requested: podPoolRequests(this.#requested) } };
    const content = JSON.stringify({ metadata, spec: fields });
    if (this.table.get(name)?.content !== content) this.table.upsert({ name, content });
  }

  get target(): Target<string, PublishedNode> {
    const { client, name } = this.#options;
    return {
      apply: async (row, signal) => {
        if (this.#written === row.content) return;
        const losses = this.#losses;
        if (this.#written === undefined) await this.#restore(signal);
        const { metadata, spec } = JSON.parse(row.content) as KubernetesObject;
        const body = { metadata: { ...metadata, ...(this.#uid !== undefined && { uid: this.#uid }) }, spec };
        try {
          const object = await client.patch(resources.ciliumNodes, { name }, { type: "apply", body, force: true }, { signal });
          if (losses === this.#losses) this.#uid = object.metadata.uid;
        } catch (cause) {
          if (cause instanceof KubernetesError && cause.status === 409) this.gone();
          throw cause;
        }
        if (losses === this.#losses) this.#written = row.content;
      },
      remove: async () => {}, // A node that stops is still a node; the operator removes the object with the Node.
      realised: async () => (this.#written === undefined ? [] : [name]),
    };
  }

  /** Where there is no object, an operator that leads since a moment ago cannot know what is ours, and might give it to others. */
  async #restore(signal: AbortSignal): Promise<void> {
    const { client, name } = this.#options;
    const ipam = this.#held();
    if (ipam === undefined) return;
    const found =
      (await client.get(resources.ciliumNodes, { name }, { signal })) ??
      (await client.create(resources.ciliumNodes, { metadata: { name }, spec: { ipam } }, { signal }));
    this.#uid = found.metadata.uid;
  }
}

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}
