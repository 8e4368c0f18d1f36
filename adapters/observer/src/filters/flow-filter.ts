import { type FlowFilter as DomainFilter, type FilterOptions, TcpFlag } from "@cilium-ts/flow";
import { RE2JS } from "re2js";
import type { FlowFilter, TCPFlags } from "../gen/flow/flow_pb.js";
import { compileCelExpression } from "./cel-expression.ts";

/** The message as the domain's filter: the same fields, flags as bits. */
export function toDomainFilter(message: FlowFilter): DomainFilter {
  const { tcpFlags, experimental, ...rest } = message;
  return { ...rest, tcpFlags: tcpFlags.map(tcpFlagBits), celExpression: experimental?.celExpression ?? [] };
}

/** The engines that the texts in filters are given to. */
export const filterOptions: FilterOptions = { compileRegex, compileExpression: compileCelExpression };

const patternLengthMax = 1_024;

/** RE2's syntax and its promise: time grows with the text, never faster. */
function compileRegex(pattern: string): ReturnType<FilterOptions["compileRegex"]> {
  if (pattern.length > patternLengthMax) return { problem: `it has ${pattern.length} characters; at most ${patternLengthMax} are taken` };
  try {
    return RE2JS.compile(pattern);
  } catch (cause) {
    return { problem: cause instanceof Error ? cause.message : String(cause) };
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
