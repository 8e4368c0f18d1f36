import { type LocalIdentityAllocator, reservedIdentities, reservedLabels } from "@cilium-ts/identity";
import type { ServiceSlice } from "@cilium-ts/kubernetes";
import { Labels } from "@cilium-ts/labels";
import { formatAddress, formatPrefix, parseAddress } from "@cilium-ts/net";
import type { IpcacheTable } from "../ipcache-table.ts";

export interface ApiServerAddressesOptions {
  readonly ipcache: Pick<IpcacheTable, "upsert" | "remove">;
  readonly localIdentities: LocalIdentityAllocator;
  /** Policies and flows learn which labels an identity has; undefined: it is nobody's any more. */
  onIdentity(id: number, labels: Labels | undefined): void;
  onProblem(message: string): void;
  /** Whose the address is. */
  placeOf(address: string): "host" | "remote-node" | "outside";
}

type ApiServerSlice = Pick<ServiceSlice, "addresses" | "ports">;
type Place = ReturnType<ApiServerAddressesOptions["placeOf"]>;

const label = "reserved:kube-apiserver";

/**
 * Where the API server answers, as the slices of `default/kubernetes` tell: what rules mean by the entity `kube-apiserver`. On another node
 * it is that node with an identity of its own (7); on this one the host is the API server too; outside it is an identity of this node alone.
 */
export class ApiServerAddresses {
  readonly #options: ApiServerAddressesOptions;
  readonly #slices = new Map<string, ApiServerSlice>();
  readonly #placed = new Map<string, Place>();

  constructor(options: ApiServerAddressesOptions) {
    this.#options = options;
  }

  /** Undefined: the slice is gone. */
  setSlice(name: string, slice: ApiServerSlice | undefined): void {
    if (slice === undefined) this.#slices.delete(name);
    else this.#slices.set(name, slice);
    this.refresh();
  }

  /** Each address with each of its ports. */
  servers(): Array<{ readonly address: string; readonly port: number }> {
    return [...this.#slices.values()].flatMap(({ addresses, ports }) =>
      addresses.flatMap((address) => ports.map((port) => ({ address, port }))),
    );
  }

  /** Nodes have come, gone or changed their addresses: an API server may be another's now. */
  refresh(): void {
    const wanted = new Set<string>();
    for (const text of [...this.#slices.values()].flatMap(({ addresses }) => addresses)) {
      const address = parseAddress(text);
      if (address !== undefined) wanted.add(formatAddress(address));
    }
    for (const [address, place] of [...this.#placed]) {
      if (wanted.has(address) && this.#options.placeOf(address) === place) continue;
      this.#placed.delete(address);
      this.#leave(address, place);
    }
    for (const address of wanted) {
      if (this.#placed.has(address)) continue;
      const place = this.#options.placeOf(address);
      if (this.#enter(address, place)) this.#placed.set(address, place);
    }
  }

  #enter(address: string, place: Place): boolean {
    const { ipcache, localIdentities, onIdentity, onProblem } = this.#options;
    if (place === "host") {
      onIdentity(reservedIdentities.host, hostLabels(true));
      return true;
    }
    if (place === "remote-node") {
      ipcache.upsert(prefixOf(address), "kube-apiserver", reservedIdentities.kubeApiserver);
      return true;
    }
    const result = localIdentities.mark(prefixOf(address), label);
    if (!result.ok) {
      onProblem(`the API server at ${address} is not known as kube-apiserver: ${result.problem}`);
      return false;
    }
    onIdentity(result.identity.id, result.identity.labels);
    ipcache.upsert(prefixOf(address), "kube-apiserver", result.identity.id);
    return true;
  }

  #leave(address: string, place: Place): void {
    const { ipcache, localIdentities, onIdentity } = this.#options;
    if (place === "host") {
      if (![...this.#placed.values()].includes("host")) onIdentity(reservedIdentities.host, hostLabels(false));
      return;
    }
    ipcache.remove(prefixOf(address), "kube-apiserver");
    if (place === "remote-node") return;
    const before = localIdentities.ofPrefix(prefixOf(address));
    const after = localIdentities.unmark(prefixOf(address), label);
    if (before !== undefined) onIdentity(before.id, after?.labels);
  }
}

function hostLabels(isApiServer: boolean): Labels {
  const host = reservedLabels(reservedIdentities.host)?.format() ?? [];
  return Labels.parse(isApiServer ? [...host, label] : host);
}

function prefixOf(address: string): string {
  const bytes = parseAddress(address) ?? new Uint8Array(4);
  return formatPrefix({ address: bytes, length: bytes.length * 8 });
}
