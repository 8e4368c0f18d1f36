import { KeptFile } from "../ipam/kept-file.ts";

/** Where proxies listen, by what they are for: numbers that entries in the kernel name, and so the same in every run. */
export class ProxyPorts {
  readonly #file: KeptFile<Map<string, number>>;
  readonly #kept: Map<string, number>;
  readonly #range: ProxyPortRange;

  constructor(stateDirectory: string, range: ProxyPortRange = defaultProxyPorts) {
    this.#range = range;
    this.#file = new KeptFile(stateDirectory, "proxy-ports", (text) => parsePorts(text, range));
    this.#kept = this.#file.read() ?? new Map();
  }

  /**
   * What `listen` makes of the first port that it can have, beginning with the one of an earlier run. It throws, or says undefined when the
   * port is somebody else's.
   */
  take<Taken>(purpose: string, listen: (port: number) => Taken | undefined): Taken {
    const others = new Set([...this.#kept].filter(([other]) => other !== purpose).map(([, port]) => port));
    for (const port of this.#candidates(purpose)) {
      if (others.has(port)) continue;
      const taken = listen(port);
      if (taken === undefined) continue;
      if (this.#kept.get(purpose) !== port) this.#keep(purpose, port);
      return taken;
    }
    const { first, last } = this.#range;
    throw new Error(`no port from ${first} to ${last} is free for the proxy ${purpose}: end what listens there`);
  }

  *#candidates(purpose: string): Iterable<number> {
    const kept = this.#kept.get(purpose);
    if (kept !== undefined) yield kept;
    for (let port = this.#range.first; port <= this.#range.last; port += 1) if (port !== kept) yield port;
  }

  #keep(purpose: string, port: number): void {
    this.#kept.set(purpose, port);
    this.#file.write(`${JSON.stringify(Object.fromEntries(this.#kept))}\n`);
  }
}

export interface ProxyPortRange {
  readonly first: number;
  readonly last: number;
}

/** Cilium's. */
export const defaultProxyPorts: ProxyPortRange = { first: 10_000, last: 20_000 };

function parsePorts(text: string, { first, last }: ProxyPortRange): Map<string, number> {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new SyntaxError("not an object");
  const ports = new Map<string, number>();
  for (const [purpose, port] of Object.entries(value)) {
    if (!Number.isInteger(port) || port < first || port > last) throw new SyntaxError(`${purpose}: ${port} is no proxy port`);
    ports.set(purpose, port);
  }
  return ports;
}
