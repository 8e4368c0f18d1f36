import { type FlowFilter as DomainFilter, TcpFlag } from "@cilium-ts/flow";
import { RE2JS } from "re2js";
import type { FlowFilter, TCPFlags } from "../gen/flow/flow_pb.js";

/** The message as the domain's filter: the same fields, flags as bits. */
export function toDomainFilter(message: FlowFilter): DomainFilter {
  const { tcpFlags, experimental, ...rest } = message;
  return { ...rest, tcpFlags: tcpFlags.map(tcpFlagBits), celExpression: experimental?.celExpression ?? [] };
}

/** What is wrong with a regular expression in RE2 syntax; undefined when nothing is. */
export function regexProblem(pattern: string): string | undefined {
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

function tcpFlagBits(flags: TCPFlags): number {
  return (
    (flags.FIN ? TcpFlag.fin : 0) |
    (flags.SYN ? TcpFlag.syn : 0) |
    (flags.RST ? TcpFlag.rst : 0) |
    (flags.PSH ? TcpFlag.psh : 0) |
    (flags.ACK ? TcpFlag.ack : 0) |
    (flags.URG ? TcpFlag.urg : 0) |
    (flags.ECE ? TcpFlag.ece : 0) |
    (flags.CWR ? TcpFlag.cwr : 0) |
    (flags.NS ? TcpFlag.ns : 0)
  );
}
