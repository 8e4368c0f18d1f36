import { mark } from "./gen/index.ts";

/** What routes packets to proxies (bpf/include/marks.h): the kind, which stands in these bits, and that of packets that a proxy is to have. */
export const packetMarks = { kind: mark.kind, toProxy: mark.toProxy } as const;

/**
 * The mark (SO_MARK) of a proxy's sockets. Those that take connections, and answer them, speak for nobody: without this mark the datapath
 * hands them nothing. Those to the other end speak for the identity of whom the proxy has listened to, as which they are judged.
 */
export function proxyMark(direction: "ingress" | "egress", speaksFor = 0): number {
  const kind = direction === "ingress" ? mark.fromIngressProxy : mark.fromEgressProxy;
  const scope = (speaksFor >>> 24) & 3;
  return (((speaksFor & 0xffff) << 16) | (scope << 12) | kind | ((speaksFor >>> 16) & 0xff)) >>> 0;
}
