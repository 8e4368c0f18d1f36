import type { EndpointRows } from "@cilium-ts/datapath";
import { reservedIdentities } from "@cilium-ts/identity";
import { type AddressBytes, formatAddress } from "@cilium-ts/net";
import type { Netlink } from "@cilium-ts/netlink";
import type { IpcacheTable } from "../ipcache-table.ts";
import { nodeAddresses } from "./node-network.ts";

/** The node's own addresses: in the datapath they lead to its stack, and have the identity `host`. */
export class HostAddresses {
  readonly #netlink: Netlink;
  readonly #rows: EndpointRows;
  readonly #ipcache: IpcacheTable;
  readonly #routers: ReadonlySet<string>;
  readonly #onChange: () => void;
  readonly #listeners = new Set<() => void>();
  #current = new Map<string, AddressBytes>();

  constructor(options: {
    netlink: Netlink;
    rows: EndpointRows;
    ipcache: IpcacheTable;
    routers: readonly AddressBytes[];
    onChange?: () => void;
  }) {
    this.#onChange = options.onChange ?? (() => {});
    this.#netlink = options.netlink;
    this.#rows = options.rows;
    this.#ipcache = options.ipcache;
    this.#routers = new Set(options.routers.map(formatAddress));
  }

  /** Calls the listener after every change. The returned function ends that. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The routers' too. */
  all(): AddressBytes[] {
    return [...this.#current.values()];
  }

  /** By which other nodes reach this one. */
  underlay(): string[] {
    return [...this.#current.keys()].filter((text) => !this.#routers.has(text));
  }

  /** The first of them, IPv4 before IPv6. */
  primary(): string | undefined {
    const texts = this.underlay();
    return texts.find((text) => text.includes(".")) ?? texts[0];
  }

  async refresh(): Promise<void> {
    const next = new Map((await nodeAddresses(this.#netlink)).map((address) => [formatAddress(address), address]));
    if ([...next.keys()].sort().join() === [...this.#current.keys()].sort().join()) return;
    const before = this.#current;
    this.#rows.setHostAddresses([...next.values()]);
    this.#current = next; // Not before the kernel has taken them: a refusal leaves something to be done.
    for (const address of next.values()) this.#ipcache.upsert({ address, length: address.length * 8 }, "local", reservedIdentities.host);
    for (const [text, address] of before) if (!next.has(text)) this.#ipcache.remove({ address, length: address.length * 8 }, "local");
    this.#onChange();
    for (const listener of this.#listeners) listener();
  }

  /** Until aborted. A watch that lost changes only makes us look again, as every change does. */
  async follow(signal: AbortSignal): Promise<void> {
    const changes = this.#netlink.watchAddresses(signal);
    await this.refresh();
    for await (const _change of changes) await this.refresh();
  }
}
