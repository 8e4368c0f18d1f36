import type { Datapath, DatapathDevices } from "@cilium-ts/datapath";
import { type AddressBytes, formatPrefix, type Prefix } from "@cilium-ts/net";
import type { InterfaceAddress, Link, Netlink } from "@cilium-ts/netlink";
import { KeyQueue } from "@cilium-ts/state";
import type { RemoteNodes } from "../cluster/remote-nodes.ts";
import { isUplink } from "./uplinks.ts";

export interface NativeDevicesOptions {
  readonly netlink: Netlink;
  readonly datapath: Pick<Datapath, "deviceLinks" | "masquerade">;
  readonly remoteNodes: RemoteNodes;
  /** Devices that run our programs for other reasons. */
  readonly devices: DatapathDevices;
  /** The node's own pod CIDRs, now. */
  podPrefixes(): readonly Prefix[];
}

const allDevices = "devices";

/**
 * The devices that lead out of the node run our programs: there pods' packets that leave the cluster get an address of the device, and
 * what the node itself sends and receives is judged.
 */
export class NativeDevices {
  readonly #options: NativeDevicesOptions;
  /** Only ever one key: whatever has changed, everything is looked at again. */
  readonly #changes = new KeyQueue<string>();
  #names: readonly string[] = [];

  constructor(options: NativeDevicesOptions) {
    this.#options = options;
  }

  /** Of those that run our programs now. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** The node's devices or addresses may be other ones. */
  addressesChanged(): void {
    this.#changes.mark(allDevices);
  }

  /** Until aborted: follows the node's own addresses, and the other nodes, whose pods see ours as they are. */
  async run(signal: AbortSignal): Promise<void> {
    this.#changes.mark(allDevices);
    await Promise.all([this.#followNodes(signal), this.#apply(signal)]);
  }

  async #followNodes(signal: AbortSignal): Promise<void> {
    using routes = this.#options.remoteNodes.routes.watch();
    for await (const _changed of routes.batches(signal)) this.#changes.mark(allDevices);
  }

  async #apply(signal: AbortSignal): Promise<void> {
    for await (const _changed of this.#changes.batches(signal)) await this.refresh();
  }

  /** Has the devices run our programs; what pods leave as stays as it is. */
  async attach(): Promise<void> {
    this.#attach((await this.#options.netlink.links.list()).filter(isUplink));
  }

  #attach(uplinks: readonly Link[]): void {
    const { datapath, devices } = this.#options;
    datapath.deviceLinks.apply({ ...devices, native: uplinks.map(({ index }) => index) });
    this.#names = uplinks.map(({ name }) => name);
  }

  async refresh(): Promise<void> {
    const { netlink, datapath, remoteNodes, podPrefixes } = this.#options;
    const [links, addresses] = await Promise.all([netlink.links.list(), netlink.addresses.list()]);
    const uplinks = links.filter(isUplink);
    const native = uplinks.map((link) => ({ ifindex: link.index, ...addressesOf(link, addresses) }));
    datapath.masquerade?.setExempt([...podPrefixes().map(formatPrefix), ...remoteNodes.routes.keys()]);
    datapath.masquerade?.setDevices(native);
    this.#attach(uplinks);
  }
}

/** The first address of each family that others can answer to. */
function addressesOf(
  link: Link,
  addresses: readonly InterfaceAddress[],
): { ipv4: AddressBytes | undefined; ipv6: AddressBytes | undefined } {
  const own = addresses.filter(({ linkIndex, scope }) => linkIndex === link.index && scope === "universe").map(({ address }) => address);
  return { ipv4: own.find(({ length }) => length === 4), ipv6: own.find(({ length }) => length === 16) };
}
