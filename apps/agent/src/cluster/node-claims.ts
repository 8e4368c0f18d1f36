/** What a node says of a prefix, and which node. */
export interface NodeClaim {
  readonly nodeName: string;
  /** Where packets for the prefix are sent; undefined: nowhere in particular. */
  readonly via: string | undefined;
}

/**
 * Which node has a prefix. It may pass from one node to another before the first one's object is gone, or has changed: the word that came
 * last stands, and when that is taken back, the one before it.
 */
export class NodeClaims {
  /** By prefix, and there by node, the last word last. */
  readonly #claims = new Map<string, Map<string, string | undefined>>();

  /** The claim that stands; undefined: nobody's. */
  get(prefix: string): NodeClaim | undefined {
    const nodes = this.#claims.get(prefix);
    return nodes === undefined ? undefined : lastOf(nodes);
  }

  /** The claim that stands from now on. A node that says the same again does not take the prefix back. */
  put(prefix: string, { nodeName, via }: NodeClaim): NodeClaim {
    const nodes = this.#claims.get(prefix) ?? new Map<string, string | undefined>();
    this.#claims.set(prefix, nodes);
    if (!nodes.has(nodeName) || nodes.get(nodeName) !== via) {
      nodes.delete(nodeName);
      nodes.set(nodeName, via);
    }
    return lastOf(nodes) ?? { nodeName, via };
  }

  /** The claim that stands from now on; undefined: nobody's. */
  drop(prefix: string, nodeName: string): NodeClaim | undefined {
    const nodes = this.#claims.get(prefix);
    nodes?.delete(nodeName);
    if (nodes?.size === 0) this.#claims.delete(prefix);
    return nodes === undefined ? undefined : lastOf(nodes);
  }
}

function lastOf(nodes: ReadonlyMap<string, string | undefined>): NodeClaim | undefined {
  let last: NodeClaim | undefined;
  for (const [nodeName, via] of nodes) last = { nodeName, via };
  return last;
}
