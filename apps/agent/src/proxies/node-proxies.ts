import { type ConnectionEnds, type ConnectionMaps, proxyMark } from "@cilium-ts/datapath";
import { type Kernel, KernelError } from "@cilium-ts/kernel";
import { type Direction, type Redirect, type ResolvedPolicy, VerdictLookup } from "@cilium-ts/policy";
import type { Proxies } from "./proxies.ts";
import type { ProxyPorts } from "./proxy-ports.ts";

export interface NodeProxiesOptions {
  readonly kernel: Pick<Kernel, "writeSysctls">;
  readonly ports: ProxyPorts;
  readonly connections: Pick<ConnectionMaps, "find">;
  /** What the kernel enforces for the endpoint; undefined as long as that comes from an earlier run. */
  policyOf(endpointId: number): ResolvedPolicy | undefined;
}

/** Where a proxy is to listen, on both families and on every address. */
export interface ProxyPlace {
  readonly port: number;
  /** Of the sockets that listen. They are transparent, too. */
  readonly mark: number;
}

/** A connection that came to a proxy, and what its endpoint's policy says of it. */
export interface ProxiedConnection {
  /** Whose policy the proxy applies. */
  readonly endpointId: number;
  readonly sourceIdentity: number;
  readonly destinationIdentity: number;
  /** Endpoints of this node; 0: that end is not here. */
  readonly sourceEndpoint: number;
  readonly destinationEndpoint: number;
  /** What the proxy lets through. Undefined: policy wants no proxy there any more, and everything passes. */
  readonly redirect: Redirect | undefined;
  /** Of sockets to the other end (SO_MARK): as whose the datapath judges them. */
  readonly mark: number;
}

/** A port of a policy that leads to a proxy. */
export interface RedirectRow {
  readonly parser: string;
  readonly direction: Direction;
  /** As in IP; 0: any. */
  readonly protocol: number;
  readonly port: number;
  readonly proxyPort: number;
}

export interface ProxyRow {
  readonly parser: string;
  readonly direction: Direction;
  readonly port: number;
}

/**
 * A packet on its way through the node's stack to a pod would be given the proxy's socket before it is known where it goes, and what has a
 * socket is not forwarded (linux: ip_forward): it would never come to where the datapath turns it round.
 */
export const sysctlsForIngress: ReadonlyArray<readonly [string, string]> = [["/proc/sys/net/ipv4/ip_early_demux", "0"]];

/** The node's proxies: where each listens, and what it is to let through of the connections that come. */
export class NodeProxies implements Proxies {
  readonly #options: NodeProxiesOptions;
  readonly #rows = new Map<string, ProxyRow>();
  readonly #lookups = new WeakMap<ResolvedPolicy, VerdictLookup>();
  readonly #redirects = new WeakMap<ResolvedPolicy, readonly RedirectRow[]>();

  constructor(options: NodeProxiesOptions) {
    this.#options = options;
  }

  /**
   * Has a proxy for a parser listen, before any policy is realised. `listen` binds; a port that somebody else has (EADDRINUSE) is passed over.
   * When its sockets close, what policy leads there is dropped.
   */
  open<Opened>(parser: string, direction: Direction, listen: (place: ProxyPlace) => Opened): Opened {
    const key = keyOf(parser, direction);
    if (this.#rows.has(key)) throw new Error(`there is a proxy for ${parser} of ${direction} already`);
    if (direction === "ingress") this.#options.kernel.writeSysctls({ values: sysctlsForIngress });
    const { port, opened } = this.#options.ports.take(key, (port) => {
      try {
        return { port, opened: listen({ port, mark: proxyMark(direction) }) };
      } catch (cause) {
        if (cause instanceof KernelError && cause.code === "EADDRINUSE") return undefined;
        throw cause;
      }
    });
    this.#rows.set(key, { parser, direction, port });
    return opened;
  }

  rows(): ProxyRow[] {
    return [...this.#rows.values()];
  }

  /** What of the policy leads to proxies that are there; each port once, whoever the peers are. */
  redirectsOf(policy: ResolvedPolicy): readonly RedirectRow[] {
    let rows = this.#redirects.get(policy);
    if (rows === undefined) {
      const byPort = new Map<string, RedirectRow>();
      for (const { direction, protocol, port, redirect } of policy.entries) {
        if (redirect === undefined) continue;
        const { parser } = redirect;
        const proxyPort = this.portFor(redirect, direction);
        if (proxyPort !== 0) byPort.set(`${direction} ${protocol} ${port} ${parser}`, { parser, direction, protocol, port, proxyPort });
      }
      rows = [...byPort.values()];
      this.#redirects.set(policy, rows);
    }
    return rows;
  }

  portFor({ parser, conflicts }: Redirect, direction: Direction): number {
    return conflicts.length > 0 ? 0 : (this.#rows.get(keyOf(parser, direction))?.port ?? 0);
  }

  /**
   * Who is at the ends of a connection as the kernel has judged it, and what is let through of it now. Undefined: the kernel does not lead
   * it here, or its endpoint's policy is not known yet; nothing of it passes.
   */
  find(ends: ConnectionEnds, direction: Direction): ProxiedConnection | undefined {
    const tracked = this.#options.connections.find(ends);
    if (tracked === undefined || tracked.proxyPort === 0) return undefined;
    const { sourceIdentity, destinationIdentity, sourceEndpoint, destinationEndpoint } = tracked;
    const [endpointId, peer] = direction === "egress" ? [sourceEndpoint, destinationIdentity] : [destinationEndpoint, sourceIdentity];
    const policy = endpointId === 0 ? undefined : this.#options.policyOf(endpointId);
    if (policy === undefined) return undefined;
    const { verdict, audited, redirect } = this.#lookupOf(policy).decide(direction, peer, ends.protocol, ends.destinationPort);
    if ((verdict === "denied" || verdict === "dropped") && !audited) return undefined;
    const known = { sourceIdentity, destinationIdentity, sourceEndpoint, destinationEndpoint };
    return { endpointId, ...known, redirect, mark: proxyMark(direction, sourceIdentity) };
  }

  #lookupOf(policy: ResolvedPolicy): VerdictLookup {
    let lookup = this.#lookups.get(policy);
    if (lookup === undefined) {
      lookup = new VerdictLookup(policy);
      this.#lookups.set(policy, lookup);
    }
    return lookup;
  }
}

function keyOf(parser: string, direction: Direction): string {
  return `${parser}/${direction}`;
}
