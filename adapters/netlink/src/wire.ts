/**
 * Numbers of rtnetlink: from Linux's uapi headers `netlink.h`, `rtnetlink.h`, `if_link.h`, `if_addr.h`, `neighbour.h` and `fib_rules.h`.
 * Integers are in the byte order of the host, which is little-endian on both machines we run on (x86-64, arm64).
 */

export const headerSizeBytes = 16;
export const attributeHeaderSizeBytes = 4;

export const messageType = { error: 2, done: 3, overrun: 4 } as const;

export const messageFlag = {
  request: 0x1,
  acknowledge: 0x4,
  echo: 0x8,
  dump: 0x300,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  /** On answers: the table changed while it was being read. */
  dumpInterrupted: 0x10,
  /** On acknowledgements: the request is not repeated in them. */
  capped: 0x100,
  /** On acknowledgements: attributes (the kernel's own words) follow. */
  acknowledgeAttributes: 0x200,
} as const;

export const acknowledgeAttribute = { message: 1 } as const;

export const rtm = {
  newLink: 16,
  deleteLink: 17,
  getLink: 18,
  setLink: 19,
  newAddress: 20,
  deleteAddress: 21,
  getAddress: 22,
  newRoute: 24,
  deleteRoute: 25,
  getRoute: 26,
  newNeighbour: 28,
  deleteNeighbour: 29,
  getNeighbour: 30,
  newRule: 32,
  deleteRule: 33,
  getRule: 34,
} as const;

/** AF_*. */
export const addressFamily = { unspecified: 0, ipv4: 2, ipv6: 10 } as const;

/** Multicast groups (RTNLGRP_*). */
export const group = { link: 1, neighbour: 3, ipv4Address: 5, ipv4Route: 7, ipv6Address: 9, ipv6Route: 11 } as const;

export const linkAttribute = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  master: 10,
  linkInfo: 18,
  alias: 20,
  namespaceFd: 28,
  extendedMask: 29,
  linkNamespaceId: 37,
} as const;
export const linkInfoAttribute = { kind: 1, data: 2 } as const;
export const vethAttribute = { peer: 1 } as const;
/** The port is in network order. */
export const vxlanAttribute = { learning: 7, port: 15, collectMetadata: 25 } as const;
export const linkFlag = { up: 0x1, loopback: 0x8, noArp: 0x80, lowerUp: 0x10000 } as const;
/** RTEXT_FILTER_SKIP_STATS: an answer without counters is half the size. */
export const skipStatistics = 0x8;

export const interfaceAddressAttribute = { address: 1, local: 2, flags: 8 } as const;
export const interfaceAddressFlag = { noDad: 0x2, dadFailed: 0x8, tentative: 0x40, permanent: 0x80, noPrefixRoute: 0x200 } as const;

export const routeAttribute = {
  destination: 1,
  outputInterface: 4,
  gateway: 5,
  priority: 6,
  preferredSource: 7,
  metrics: 8,
  multipath: 9,
  table: 15,
  via: 18,
} as const;
export const routeMetric = { mtu: 2 } as const;
export const routeFlag = { onlink: 0x4, cloned: 0x200 } as const;
export const scopeNowhere = 255;

export const neighbourAttribute = { destination: 1, linkLayerAddress: 2 } as const;

export const ruleAttribute = {
  destination: 1,
  source: 2,
  inputInterface: 3,
  priority: 6,
  mark: 10,
  table: 15,
  mask: 16,
  outputInterface: 17,
  protocol: 21,
} as const;
