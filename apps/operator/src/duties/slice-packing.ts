/** Which endpoints share a slice: at most so many, all of one namespace, and each in one only. */
export class SlicePacking {
  readonly #sizeMax: number;
  readonly #createName: () => string;
  /** By slice. */
  readonly #slices = new Map<string, { readonly namespace: string; readonly endpoints: Set<string> }>();
  /** The slice of each endpoint, by `namespace/name`. */
  readonly #sliceOf = new Map<string, string>();
  /** Slices with room, by namespace. */
  readonly #open = new Map<string, Set<string>>();

  /** `createName` gives a name that no other slice has. */
  constructor(sizeMax: number, createName: () => string) {
    this.#sizeMax = sizeMax;
    this.#createName = createName;
  }

  /** Takes a slice as it was found. An endpoint that another slice has already, or that is too many, is not taken. */
  adopt(slice: string, namespace: string, endpoints: readonly string[]): void {
    this.#openSlice(slice, namespace);
    for (const name of endpoints) {
      const isFull = (this.#slices.get(slice)?.endpoints.size ?? 0) >= this.#sizeMax;
      if (!isFull && !this.#sliceOf.has(`${namespace}/${name}`)) this.#add(slice, namespace, name);
    }
  }

  /** The slice that the endpoint is in from now on: the one it is in, the fullest of its namespace with room, or a new one. */
  put(namespace: string, name: string): string {
    const known = this.#sliceOf.get(`${namespace}/${name}`);
    if (known !== undefined) return known;
    let slice = this.#fullest(namespace);
    if (slice === undefined) {
      slice = this.#createName();
      this.#openSlice(slice, namespace);
    }
    this.#add(slice, namespace, name);
    return slice;
  }

  /** The slice that the endpoint was in; undefined when it was in none. */
  remove(namespace: string, name: string): string | undefined {
    const key = `${namespace}/${name}`;
    const slice = this.#sliceOf.get(key);
    if (slice === undefined) return undefined;
    this.#sliceOf.delete(key);
    this.#slices.get(slice)?.endpoints.delete(name);
    this.#openSlice(slice, namespace);
    if (this.endpoints(slice).size === 0) this.#forget(slice, namespace);
    return slice;
  }

  slices(): Iterable<string> {
    return this.#slices.keys();
  }

  /** Every endpoint that is in a slice, as `namespace/name`. */
  keys(): Iterable<string> {
    return this.#sliceOf.keys();
  }

  /** Empty when there is no such slice (any longer). */
  endpoints(slice: string): ReadonlySet<string> {
    return this.#slices.get(slice)?.endpoints ?? new Set();
  }

  namespaceOf(slice: string): string {
    return this.#slices.get(slice)?.namespace ?? "";
  }

  #add(slice: string, namespace: string, name: string): void {
    const endpoints = this.#slices.get(slice)?.endpoints;
    if (endpoints === undefined) throw new Error(`there is no slice ${slice}`);
    endpoints.add(name);
    this.#sliceOf.set(`${namespace}/${name}`, slice);
    if (endpoints.size >= this.#sizeMax) this.#open.get(namespace)?.delete(slice);
  }

  #openSlice(slice: string, namespace: string): void {
    if (!this.#slices.has(slice)) this.#slices.set(slice, { namespace, endpoints: new Set() });
    const open = this.#open.get(namespace) ?? new Set<string>();
    this.#open.set(namespace, open.add(slice));
  }

  #forget(slice: string, namespace: string): void {
    this.#slices.delete(slice);
    const open = this.#open.get(namespace);
    open?.delete(slice);
    if (open?.size === 0) this.#open.delete(namespace);
  }

  /** There are few with room: a namespace has more than one only after removals. */
  #fullest(namespace: string): string | undefined {
    let found: string | undefined;
    let size = -1;
    for (const slice of this.#open.get(namespace) ?? []) {
      const candidate = this.endpoints(slice).size;
      if (candidate > size) [found, size] = [slice, candidate];
    }
    return found;
  }
}
