const names: ReadonlyMap<number, string> = new Map([
  [0, "ANY"],
  [1, "ICMP"],
  [6, "TCP"],
  [17, "UDP"],
  [58, "ICMPv6"],
  [132, "SCTP"],
]);

/** Of an IP protocol number; 0 stands for any. */
export function protocolText(protocol: number): string {
  return names.get(protocol) ?? String(protocol);
}
