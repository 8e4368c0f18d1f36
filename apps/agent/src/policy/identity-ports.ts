import type { NamedPort } from "@cilium-ts/policy";

/** An endpoint of this node by its number, or a pod of another by its name. */
export type PortOwner = number | string;

interface Owned {
  readonly identity: number;
  readonly ports: readonly NamedPort[];
}

/** What endpoints call their ports, by identity: a rule about an identity means the ports of all its endpoints, on every node. */
export class IdentityPorts {
  readonly #owned = new Map<PortOwner, Owned>();
  /** How many endpoints of an identity have a port of that name: thousands may, and each change must cost what it changes. */
  readonly #counts = new Map<number, Map<string, { readonly port: NamedPort; count: number }>>();

  /** The identities whose ports are others now. */
  set(owner: PortOwner, identity: number, ports: readonly NamedPort[]): Set<number> {
    const changed = this.remove(owner);
    if (ports.length === 0) return changed;
    this.#owned.set(owner, { identity, ports });
    const counts = this.#counts.get(identity) ?? new Map();
    this.#counts.set(identity, counts);
    for (const port of ports) {
      const known = counts.get(keyOf(port));
      if (known === undefined) {
        counts.set(keyOf(port), { port, count: 1 });
        changed.add(identity);
      } else known.count += 1;
    }
    return changed;
  }

  remove(owner: PortOwner): Set<number> {
    const owned = this.#owned.get(owner);
    const changed = new Set<number>();
    if (owned === undefined) return changed;
    this.#owned.delete(owner);
    const counts = this.#counts.get(owned.identity);
    for (const port of owned.ports) {
      const known = counts?.get(keyOf(port));
      if (known === undefined) continue;
      known.count -= 1;
      if (known.count > 0) continue;
      counts?.delete(keyOf(port));
      changed.add(owned.identity);
    }
    if (counts?.size === 0) this.#counts.delete(owned.identity);
    return changed;
  }

  of(identity: number): NamedPort[] {
    return [...(this.#counts.get(identity)?.values() ?? [])].map(({ port }) => port);
  }

  /** Whether the owner has just these, so that nothing need be done. */
  has(owner: PortOwner, identity: number, ports: readonly NamedPort[]): boolean {
    const owned = this.#owned.get(owner);
    if (owned === undefined) return ports.length === 0;
    return owned.identity === identity && owned.ports.map(keyOf).join() === ports.map(keyOf).join();
  }
}

function keyOf({ name, protocol, port }: NamedPort): string {
  return `${name} ${protocol} ${port}`;
}
