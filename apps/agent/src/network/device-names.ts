import type { Netlink } from "@cilium-ts/netlink";

const goneCountMax = 1_024;

/** The node's network devices by index, for flows to name them. */
export class DeviceNames {
  readonly #netlink: Netlink;
  #names = new Map<number, string>();
  /** Devices that went: flows of their last moments are still asked for. The oldest are forgotten. */
  readonly #gone = new Set<number>();

  constructor(netlink: Netlink) {
    this.#netlink = netlink;
  }

  nameOf(ifindex: number): string | undefined {
    return this.#names.get(ifindex);
  }

  /** Until aborted. */
  async follow(signal: AbortSignal): Promise<void> {
    const changes = this.#netlink.watchLinks(signal);
    await this.#list();
    for await (const change of changes) {
      if (change.kind === "overflow") await this.#list();
      else if (change.kind === "removed") this.#forgetLater(change.row.index);
      else {
        this.#gone.delete(change.row.index);
        this.#names.set(change.row.index, change.row.name);
      }
    }
  }

  #forgetLater(index: number): void {
    this.#gone.add(index);
    if (this.#gone.size <= goneCountMax) return;
    for (const oldest of this.#gone) {
      this.#gone.delete(oldest);
      this.#names.delete(oldest);
      return;
    }
  }

  async #list(): Promise<void> {
    this.#gone.clear();
    this.#names = new Map((await this.#netlink.links.list()).map(({ index, name }) => [index, name]));
  }
}
