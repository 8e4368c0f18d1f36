/**
 * Where things stand in a raw event record, as `bpf/include/events.h` lays them out: an 8-byte CLOCK_MONOTONIC time, one
 * notification, then the first bytes of the packet. Offsets count from the start of the record; integers are little-endian.
 */

/** First byte of a notification. */
export const EventType = { drop: 1, debug: 2, capture: 3, trace: 4, policyVerdict: 5, traceSock: 7, l7: 129, lost: 255 } as const;

/** Common to drop, trace, verdict and capture. */
export const headerOffset = {
  timeNs: 0,
  type: 8,
  subType: 9,
  reporter: 10,
  hash: 12,
  originalLength: 16,
  capturedLength: 20,
  version: 22,
} as const;

export const dropOffset = {
  sourceIdentity: 24,
  destinationIdentity: 28,
  destinationId: 32,
  line: 36,
  file: 38,
  extendedError: 39,
  ifindex: 40,
  flags: 44,
  ipTraceId: 48,
} as const;

export const traceOffset = {
  sourceIdentity: 24,
  destinationIdentity: 28,
  destinationId: 32,
  reason: 34,
  flags: 35,
  ifindex: 36,
  originalIP: 40,
  ipTraceId: 56,
} as const;

export const verdictOffset = {
  remoteIdentity: 24,
  verdict: 28,
  destinationPort: 32,
  protocol: 34,
  flags: 35,
  authType: 36,
  cookie: 40,
} as const;

export const captureOffset = { argument1: 24, argument2: 28 } as const;

/** Trace of a socket call: packed, without the common header and without a packet. */
export const sockOffset = {
  point: 9,
  destination: 10,
  port: 26,
  socketCookie: 28,
  cgroupId: 36,
  protocol: 44,
  flags: 45,
  end: 46,
} as const;

/**
 * What a proxy saw, written by the agent: the header, this, an IP packet of headers alone (`capturedLength` bytes) that says who spoke to
 * whom, and JSON up to the end.
 */
export const l7Offset = {
  sourceIdentity: 24,
  destinationIdentity: 28,
  sourceId: 32,
  destinationId: 34,
  verdict: 36,
  flags: 37,
  proxyPort: 38,
  end: 40,
} as const;

export const L7Flag = { ingress: 1, egress: 2, reply: 4 } as const;

/** Debug messages: packed after the hash. */
export const debugOffset = { argument1: 16, argument2: 20, argument3: 24, end: 28 } as const;

/** Written by the ring itself: events of which only the number is known. The subtype is the source of the loss. */
export const lostOffset = { count: 16, end: 24 } as const;

export const NotifyFlag = { ipv6: 1, l3Device: 2, vxlan: 4, geneve: 8 } as const;

export const VerdictFlag = {
  directionMask: 3,
  ingress: 1,
  egress: 2,
  ipv6: 4,
  matchMask: 0x38,
  matchShift: 3,
  audited: 0x40,
  l3Device: 0x80,
} as const;

export const traceReasonEncrypted = 0x80;
export const traceReasonUnknown = 5;
export const traceReasonReply = 2;

/** Shortest record of each kind in bytes, which is where the packet starts; undefined for kinds that are not known. */
export function packetOffsetOf(type: number, version: number): number | undefined {
  switch (type) {
    case EventType.drop:
      return version >= 3 ? 56 : version === 2 ? 48 : 44;
    case EventType.trace:
      return version >= 2 ? 64 : version === 1 ? 56 : 40;
    case EventType.policyVerdict:
      return 48;
    case EventType.capture:
      return 32;
    case EventType.traceSock:
      return sockOffset.end;
    case EventType.debug:
      return debugOffset.end;
    case EventType.l7:
      return l7Offset.end;
    case EventType.lost:
      return lostOffset.end;
    default:
      return undefined;
  }
}
