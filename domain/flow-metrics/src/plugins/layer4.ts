import { type Flow, IPVersion, icmpTypeName, TcpFlag, Verdict } from "@cilium-ts/flow";
import { createCounter, type Plugin, type PluginBench } from "../plugin.ts";

export function createTcpPlugin(bench: PluginBench): Plugin {
  const flags = createCounter(bench, "tcp_flags_total", "TCP flag occurrences", ["flag", "family"]);
  return {
    metrics: [flags],
    consume(flow) {
      const { l4 } = flow;
      if (l4?.protocol !== "TCP" || !hasPassed(flow)) return;
      const count = (flag: string): void => flags.increase([...bench.contexts.valuesOf(flow), flag, familyText(flow)]);
      if ((l4.flags & TcpFlag.fin) !== 0) count("FIN");
      if ((l4.flags & TcpFlag.syn) !== 0) count((l4.flags & TcpFlag.ack) !== 0 ? "SYN-ACK" : "SYN");
      if ((l4.flags & TcpFlag.rst) !== 0) count("RST");
    },
  };
}

export function createIcmpPlugin(bench: PluginBench): Plugin {
  const messages = createCounter(bench, "icmp_total", "Number of ICMP messages", ["family", "type"]);
  return {
    metrics: [messages],
    consume(flow) {
      const { l4 } = flow;
      if (l4?.protocol !== "ICMPv4" && l4?.protocol !== "ICMPv6") return;
      messages.increase([...bench.contexts.valuesOf(flow), familyText(flow), icmpTypeName(l4.protocol, l4.type)]);
    },
  };
}

/** Where connections go: ports of answers say nothing of that. */
export function createPortDistributionPlugin(bench: PluginBench): Plugin {
  const ports = createCounter(bench, "port_distribution_total", "Numbers of packets distributed by destination port", ["protocol", "port"]);
  return {
    metrics: [ports],
    consume(flow) {
      const { l4 } = flow;
      if (l4 === undefined || flow.isReply !== false || flow.layer7 !== undefined || !hasPassed(flow)) return;
      const port = "destinationPort" in l4 ? String(l4.destinationPort) : "0";
      ports.increase([...bench.contexts.valuesOf(flow), l4.protocol, port]);
    },
  };
}

function hasPassed({ verdict }: Flow): boolean {
  return verdict === Verdict.forwarded || verdict === Verdict.redirected;
}

function familyText({ ip }: Flow): string {
  return ip?.version === IPVersion.v6 ? "IPv6" : "IPv4";
}
