import { cidrLabel, reservedIdentities, reservedLabels } from "@cilium-ts/identity";
import type { CiliumNode } from "@cilium-ts/kubernetes";
import { type Label, Labels } from "@cilium-ts/labels";
import { parseAddress, parsePrefix } from "@cilium-ts/net";

export interface NodeIdentitiesOptions {
  /** Rules may choose nodes by the labels of their Node objects. */
  readonly byLabels: boolean;
  /** CIDRs of rules mean nodes, too. */
  readonly byAddresses: boolean;
  /** What the address had in an earlier run; entries in the kernel still mean that. */
  formerIdentity(prefix: string): number | undefined;
  /** Told before an address has the identity; undefined: nobody has it any more. */
  onIdentity(id: number, labels: Labels | undefined): void;
  onProblem(message: string): void;
}

interface Shared {
  readonly id: number;
  readonly labels: Labels;
  readonly prefixes: Set<string>;
}

const remoteNodeMin = 0x0200_0000;
/** At most this many identities of nodes. */
export const nodeIdentityCountMax = 65_535;

/** Which identity a node's address has: that of all nodes, or one by what tells them apart. Known on this node only. */
export class NodeIdentities {
  readonly #options: NodeIdentitiesOptions;
  readonly #byLabels = new Map<string, Shared>();
  readonly #byPrefix = new Map<string, Shared>();
  readonly #ids = new Set<number>();
  #next = remoteNodeMin;

  constructor(options: NodeIdentitiesOptions) {
    this.#options = options;
  }

  /** Of an address of another node; a use, ended by `release`. */
  acquire(prefix: string, node: CiliumNode): number {
    const { byLabels, byAddresses, onIdentity, onProblem } = this.#options;
    if (!byLabels && !byAddresses) return reservedIdentities.remoteNode;
    const labels = this.#labelsOf(reservedIdentities.remoteNode, node, [prefix]);
    const before = this.#byPrefix.get(prefix);
    if (before?.labels.equals(labels)) return before.id;
    let shared = this.#byLabels.get(labels.key);
    if (shared === undefined) {
      if (this.#ids.size >= nodeIdentityCountMax) {
        onProblem(`node ${node.name} is told from no other: all ${nodeIdentityCountMax} identities of nodes are in use`);
        this.release(prefix);
        return reservedIdentities.remoteNode;
      }
      shared = { id: this.#takeId(prefix), labels, prefixes: new Set() };
      this.#byLabels.set(labels.key, shared);
      onIdentity(shared.id, labels);
    }
    shared.prefixes.add(prefix);
    this.#byPrefix.set(prefix, shared);
    if (before !== undefined) this.#leave(before, prefix);
    return shared.id;
  }

  /** The address belongs to no other node any more. */
  release(prefix: string): void {
    const shared = this.#byPrefix.get(prefix);
    if (shared === undefined) return;
    this.#byPrefix.delete(prefix);
    this.#leave(shared, prefix);
  }

  /** This node has these labels and addresses. */
  setLocal(node: CiliumNode): void {
    const prefixes = node.addresses.map(({ ip }) => `${ip}/${(parseAddress(ip)?.length ?? 4) * 8}`);
    this.#options.onIdentity(reservedIdentities.host, this.#labelsOf(reservedIdentities.host, node, prefixes));
  }

  #labelsOf(reserved: number, node: CiliumNode, prefixes: readonly string[]): Labels {
    const { byLabels, byAddresses } = this.#options;
    const own: Label[] = byLabels ? Object.entries(node.labels).map(([key, value]) => ({ source: "node", key, value })) : [];
    const addresses = (byAddresses ? prefixes : []).map(parsePrefix).filter((prefix) => prefix !== undefined);
    return (reservedLabels(reserved) ?? Labels.empty).with([...own, ...addresses.map(cidrLabel)]);
  }

  #leave(shared: Shared, prefix: string): void {
    shared.prefixes.delete(prefix);
    if (shared.prefixes.size > 0) return;
    this.#byLabels.delete(shared.labels.key);
    this.#ids.delete(shared.id);
    this.#options.onIdentity(shared.id, undefined);
  }

  /** Ends: fewer are in use than there are. */
  #takeId(prefix: string): number {
    const former = this.#options.formerIdentity(prefix);
    let id = former !== undefined && former >> 24 === 2 && !this.#ids.has(former) ? former : undefined;
    while (id === undefined) {
      this.#next = this.#next === remoteNodeMin + nodeIdentityCountMax ? remoteNodeMin + 1 : this.#next + 1;
      if (!this.#ids.has(this.#next)) id = this.#next;
    }
    this.#ids.add(id);
    return id;
  }
}
