import type { Direction, Redirect } from "@cilium-ts/policy";

/** Who takes connections that rules want looked at above the transport. */
export interface Proxies {
  /** Asked before entries lead there. The port on which the connections are taken; 0: nobody can, and they are dropped. */
  portFor(redirect: Redirect, direction: Direction): number;
}

/** A node without proxies: what is to be looked at is not let through. */
export const noProxies: Proxies = { portFor: () => 0 };
