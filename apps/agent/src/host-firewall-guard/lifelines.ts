import { localIdentityMin, reservedIdentities } from "@cilium-ts/identity";
import { type Direction, protocols, type ResolvedPolicy, VerdictLookup } from "@cilium-ts/policy";

/** A connection over TCP without which this node can no longer be managed. */
export interface Lifeline {
  /** The same as long as it means the same. */
  readonly key: string;
  /** `the API server at 10.0.0.1:6443`. */
  readonly what: string;
  readonly direction: Direction;
  readonly port: number;
  /** Identities of the other end: it is cut when none of them can use it any more. */
  readonly peers: readonly number[] | "anybody outside";
}

export interface ApiServer {
  readonly address: string;
  readonly port: number;
  /** It runs on this node, among the node's own addresses. */
  readonly isHere: boolean;
  readonly identity: number;
}

export interface SshPort {
  readonly port: number;
  /** Where those who are connected now come from. */
  readonly sessions: ReadonlyArray<{ readonly address: string; readonly identity: number }>;
}

/** What this node's life depends on, as it is now. */
export interface LifelineFacts {
  readonly apiServers: readonly ApiServer[];
  /** Ports on which somebody listens or is connected. */
  readonly sshPorts: readonly SshPort[];
  /** Identities of the other nodes. */
  readonly nodes: readonly number[];
}

export function lifelinesOf({ apiServers, sshPorts, nodes }: LifelineFacts): Lifeline[] {
  const lifelines: Lifeline[] = [];
  for (const { address, port, isHere, identity } of apiServers) {
    const at = `${address.includes(":") ? `[${address}]` : address}:${port}`;
    if (!isHere) {
      lifelines.push({
        key: `api-server ${at}`,
        what: `the API server at ${at}`,
        direction: "egress",
        port,
        peers: [identity],
      });
    } else {
      for (const peer of new Set(nodes)) {
        const what = `the API server on this node (${at}) for other nodes (identity ${peer})`;
        lifelines.push({ key: `own-api-server ${at} ${peer}`, what, direction: "ingress", port, peers: [peer] });
      }
    }
  }
  for (const { port, sessions } of sshPorts) {
    const ssh = { direction: "ingress", port } as const;
    // Who is connected shows from where people come. Without sessions anybody might be the one.
    if (sessions.length === 0)
      lifelines.push({ ...ssh, key: `ssh ${port}`, what: `SSH on port ${port} for anybody`, peers: "anybody outside" });
    for (const { address, identity } of sessions) {
      lifelines.push({ ...ssh, key: `ssh ${port} ${address}`, what: `the SSH session from ${address} on port ${port}`, peers: [identity] });
    }
  }
  return lifelines;
}

/** What a policy leaves of lifelines. */
export class Reach {
  readonly #policy: ResolvedPolicy;
  /** Made when somebody asks: policies change more often than there are questions. */
  #lookup: VerdictLookup | undefined;

  constructor(policy: ResolvedPolicy) {
    this.#policy = policy;
  }

  has({ direction, port, peers }: Lifeline): boolean {
    const enforced = direction === "ingress" ? this.#policy.ingressEnforced : this.#policy.egressEnforced;
    if (!enforced) return true;
    this.#lookup ??= new VerdictLookup(this.#policy);
    const lookup = this.#lookup;
    const passes = (peer: number): boolean => {
      const { verdict, audited } = lookup.decide(direction, peer, protocols.tcp, port);
      return verdict === "allowed" || audited;
    };
    return (peers === "anybody outside" ? this.#outside(direction) : peers).some(passes);
  }

  /** From where people come: the world and its prefixes, and other nodes. Pods are no place to come from. */
  #outside(direction: Direction): number[] {
    // Numbers of this node alone stand for prefixes, names and single nodes.
    const named = this.#policy.entries.filter((entry) => entry.direction === direction && entry.identity >= localIdentityMin);
    return [...placesOfPeople, ...new Set(named.map(({ identity }) => identity))];
  }
}

const { world, worldIPv4, worldIPv6, remoteNode, kubeApiserver } = reservedIdentities;
const placesOfPeople: readonly number[] = [world, worldIPv4, worldIPv6, remoteNode, kubeApiserver];

/** Those that were there before, and are not after. `hadBefore` of what nobody can say: it was there. */
export function lostLifelines(lifelines: readonly Lifeline[], hadBefore: (lifeline: Lifeline) => boolean, after: Reach): Lifeline[] {
  return lifelines.filter((lifeline) => hadBefore(lifeline) && !after.has(lifeline));
}
