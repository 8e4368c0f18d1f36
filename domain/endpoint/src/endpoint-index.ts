import type { EndpointRow } from "./endpoint.ts";

/** Finds endpoints by whatever they are called by. It holds the rows that were last given to it. */
export class EndpointIndex {
  readonly #byId = new Map<number, EndpointRow>();
  /** Names that only one endpoint has. */
  readonly #byName = new Map<string, number>();
  /** Container and pod: several interfaces are several endpoints. */
  readonly #byOwner = new Map<string, Set<number>>();

  get size(): number {
    return this.#byId.size;
  }

  rows(): Iterable<EndpointRow> {
    return this.#byId.values();
  }

  byId(id: number): EndpointRow | undefined {
    return this.#byId.get(id);
  }

  byAttachmentId(cniAttachmentId: string): EndpointRow | undefined {
    return this.#named(`attachment ${cniAttachmentId}`);
  }

  byIfindex(ifindex: number): EndpointRow | undefined {
    return this.#named(`device ${ifindex}`);
  }

  /** The text is in the form of formatAddress of @cilium-ts/net. */
  byAddress(address: string): EndpointRow | undefined {
    return this.#named(`address ${address}`);
  }

  byContainerId(containerId: string): readonly EndpointRow[] {
    return this.#owned(`container ${containerId}`);
  }

  byPod(namespace: string, name: string): readonly EndpointRow[] {
    return this.#owned(`pod ${namespace}/${name}`);
  }

  /** The endpoint that already has one of the row's own names, as a sentence; undefined when the row can be taken up. */
  conflict(row: EndpointRow): string | undefined {
    for (const name of namesOf(row)) {
      const other = this.#named(name);
      if (other !== undefined && other.id !== row.id) {
        return `${name} belongs to endpoint ${other.id} (${other.podNamespace}/${other.podName})`;
      }
    }
    return undefined;
  }

  /** The caller has made sure that there is no conflict; else the newer row takes the name. */
  upsert(row: EndpointRow): void {
    this.delete(row.id);
    this.#byId.set(row.id, row);
    for (const name of namesOf(row)) this.#byName.set(name, row.id);
    for (const owner of ownersOf(row)) {
      const ids = this.#byOwner.get(owner);
      if (ids === undefined) this.#byOwner.set(owner, new Set([row.id]));
      else ids.add(row.id);
    }
  }

  delete(id: number): void {
    const row = this.#byId.get(id);
    if (row === undefined) return;
    this.#byId.delete(id);
    for (const name of namesOf(row)) if (this.#byName.get(name) === id) this.#byName.delete(name);
    for (const owner of ownersOf(row)) {
      const ids = this.#byOwner.get(owner);
      ids?.delete(id);
      if (ids?.size === 0) this.#byOwner.delete(owner);
    }
  }

  #named(name: string): EndpointRow | undefined {
    const id = this.#byName.get(name);
    return id === undefined ? undefined : this.#byId.get(id);
  }

  #owned(owner: string): readonly EndpointRow[] {
    const rows: EndpointRow[] = [];
    for (const id of this.#byOwner.get(owner) ?? []) {
      const row = this.#byId.get(id);
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }
}

function* namesOf(row: EndpointRow): Generator<string> {
  yield `attachment ${row.cniAttachmentId}`;
  if (row.ifindex !== 0) yield `device ${row.ifindex}`;
  if (row.ipv4 !== undefined) yield `address ${row.ipv4}`;
  if (row.ipv6 !== undefined) yield `address ${row.ipv6}`;
}

function* ownersOf(row: EndpointRow): Generator<string> {
  yield `container ${row.containerId}`;
  if (row.podName !== "") yield `pod ${row.podNamespace}/${row.podName}`;
}
