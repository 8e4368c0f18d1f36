import type { Redirect } from "../rules/layer7.ts";
import type { Direction, Protocol, RuleOrigin } from "../rules/rule.ts";

/** What an entry matches on; numbers as in policy verdict events. */
export const matchTypes = { none: 0, l3Only: 1, l3L4: 2, l4Only: 3, all: 4, l3Protocol: 5, protocolOnly: 6 } as const;
export type MatchType = (typeof matchTypes)[keyof typeof matchTypes];

/**
 * One row for the kernel. Within a direction the kernel looks up the peer's identity and identity 0, each by the longest match on
 * protocol and port, and of two hits takes the greater precedence, or the one for the identity when they are equal.
 */
export interface VerdictEntry {
  readonly direction: Direction;
  /** 0: any peer. */
  readonly identity: number;
  /** 0: any protocol; then port and port prefix length are 0. */
  readonly protocol: Protocol;
  /** For ICMP the type. Bits beyond the prefix length are 0. */
  readonly port: number;
  /** 0 (any port) to 16 (one port). */
  readonly portPrefixLength: number;
  /** A rule forbids it. */
  readonly deny: boolean;
  /** No rule allows it, while a wider entry says otherwise. */
  readonly unallowed: boolean;
  /** Only audited: what `deny` or `unallowed` would drop passes, and is reported. */
  readonly audit: boolean;
  /** Allowed connections go to a proxy. Where there is none, nobody can let them through. */
  readonly redirect: Redirect | undefined;
  /**
   * 32 bits: bit 31 deny; bits 0 to 7 the bits matched of protocol (8) and port (16), so 0, or 8 to 24. From the low byte and the
   * identity the match type follows. In a settled direction bit 31 is 0, and bit 8 says that the entry is for one identity: these
   * entries know what is said about anybody, and win.
   */
  readonly precedence: number;
  readonly match: MatchType;
  /** The rules that say so; at most `entryOriginsMax`. */
  readonly origins: readonly RuleOrigin[];
}

export interface ResolvedPolicy {
  /** Something selects the endpoint in this direction (or the mode says so): verdicts are reported. */
  readonly ingressEnforced: boolean;
  readonly egressEnforced: boolean;
  /** In one order: ingress first, then by identity, protocol, port prefix length and port. */
  readonly entries: readonly VerdictEntry[];
  /** Equal exactly for equal entries and flags with equal origins, on every node and after every restart. */
  readonly fingerprint: string;
}

/**
 * What happens to a packet, and the rules that decided it. Dropped: allowed by no rule. Denied: forbidden by one. Redirected: a proxy
 * lets through what `redirect` says; where no proxy is, nothing passes.
 */
export interface Verdict {
  readonly verdict: "allowed" | "redirected" | "denied" | "dropped";
  /** The rules that deny it, or leave it unallowed, are only audited: it passes, and is reported. */
  readonly audited: boolean;
  readonly redirect?: Redirect | undefined;
  readonly match: MatchType;
  readonly origins: readonly RuleOrigin[];
}

/** Undefined: no entry matches. */
export function verdictOf(entry: VerdictEntry | undefined): Verdict {
  if (entry === undefined) return { verdict: "dropped", audited: false, redirect: undefined, match: matchTypes.none, origins: [] };
  const { deny, unallowed, audit, redirect, match, origins } = entry;
  const passes = redirect === undefined ? "allowed" : "redirected";
  return { verdict: deny ? "denied" : unallowed ? "dropped" : passes, audited: audit, redirect, match, origins };
}

/** Of an entry in a direction that is settled (`settle`): what is said about one identity wins. */
export function settledPrecedenceOf(identity: number, protocol: Protocol, portPrefixLength: number): number {
  return (identity === 0 ? 0 : 0x100) | precedenceOf(false, protocol, portPrefixLength);
}

export function precedenceOf(deny: boolean, protocol: Protocol, portPrefixLength: number): number {
  const matchedBits = protocol === 0 ? 0 : 8 + portPrefixLength;
  return ((deny ? 0x8000_0000 : 0) | matchedBits) >>> 0;
}

export function matchTypeOf(identity: number, protocol: Protocol, portPrefixLength: number): MatchType {
  if (protocol === 0) return identity === 0 ? matchTypes.all : matchTypes.l3Only;
  if (portPrefixLength === 0) return identity === 0 ? matchTypes.protocolOnly : matchTypes.l3Protocol;
  return identity === 0 ? matchTypes.l4Only : matchTypes.l3L4;
}
