import { EventType, type Flow, policyMatchText, reservedIdentityNames, TcpFlag, tracePointText, Verdict } from "@cilium-ts/flow";
import { directionText } from "../label-contexts.ts";
import { createCounter, type Plugin, type PluginBench, protocolText, verdictName } from "../plugin.ts";

const hostIdentity = reservedIdentityNames.indexOf("host");
const policyDenied = 133;

/** Every flow. */
export function createFlowPlugin(bench: PluginBench): Plugin {
  const processed = createCounter(bench, "flows_processed_total", "Total number of flows processed", [
    "protocol",
    "type",
    "subtype",
    "verdict",
  ]);
  return {
    metrics: [processed],
    consume(flow) {
      const [type, subtype] = eventNames(flow);
      processed.increase([...bench.contexts.valuesOf(flow), protocolText(flow), type, subtype, verdictName(flow.verdict)]);
    },
  };
}

function eventNames({ eventType: { type, subType }, layer7 }: Flow): readonly [string, string] {
  switch (type) {
    case EventType.l7:
      return ["L7", layer7 === undefined ? "" : { dns: "DNS", http: "HTTP", kafka: "Kafka" }[layer7.message.protocol]];
    case EventType.drop:
      return ["Drop", ""];
    case EventType.capture:
      return ["Capture", ""];
    case EventType.trace:
      return ["Trace", tracePointText(subType)];
    case EventType.policyVerdict:
      return ["PolicyVerdict", ""];
    case EventType.traceSock:
      return ["TraceSock", ""];
    default:
      return ["Unknown", String(type)];
  }
}

export function createDropPlugin(bench: PluginBench): Plugin {
  const drops = createCounter(bench, "drop_total", "Number of drops", ["reason", "protocol"]);
  const bytes = createCounter(bench, "drop_bytes_total", "Number of bytes dropped", ["reason", "protocol"]);
  return {
    metrics: [drops, bytes],
    consume(flow, sizeBytes) {
      // The verdict by which policy refused a packet is told beside the drop of it.
      if (flow.verdict !== Verdict.dropped || flow.eventType.type === EventType.policyVerdict) return;
      const values = [...bench.contexts.valuesOf(flow), bench.dropReasonName(flow.dropReason), protocolText(flow)];
      drops.increase(values);
      bytes.increase(values, sizeBytes);
    },
  };
}

/** What policy decided; the node itself may reach every endpoint, which is no decision. */
export function createPolicyPlugin(bench: PluginBench): Plugin {
  const verdicts = createCounter(bench, "policy_verdicts_total", "Total number of Cilium network policy verdicts", [
    "direction",
    "match",
    "action",
  ]);
  return {
    metrics: [verdicts],
    consume(flow) {
      const match = matchText(flow);
      if (match === undefined || flow.source?.identity === hostIdentity) return;
      const action = verdictName(flow.verdict).toLowerCase();
      verdicts.increase([
        ...bench.contexts.valuesOf(flow, flow.layer7 !== undefined && flow.isReply === true),
        directionText(flow.trafficDirection),
        match,
        action,
      ]);
    },
  };
}

function matchText({ eventType: { type }, layer7, policyMatchType }: Flow): string | undefined {
  if (type === EventType.policyVerdict) return policyMatchText(policyMatchType).toLowerCase();
  return layer7 === undefined || layer7.type === 2 ? undefined : `l7/${layer7.message.protocol}`;
}

/** Whatever leaves the cluster. */
export function createFlowsToWorldPlugin(bench: PluginBench): Plugin {
  const hasPort = bench.options.has("port");
  const labels = hasPort ? ["protocol", "verdict", "port"] : ["protocol", "verdict"];
  const flows = createCounter(bench, "flows_to_world_total", "Total number of flows to reserved:world", labels);
  const anyDrop = bench.options.has("any-drop");
  const synOnly = bench.options.has("syn-only");
  return {
    metrics: [flows],
    consume(flow) {
      const { l4, verdict } = flow;
      if (l4 === undefined || flow.isReply === true || !isWorld(flow.destination?.labels ?? [])) return;
      if (verdict === Verdict.dropped && !anyDrop && flow.dropReason !== policyDenied) return;
      if (synOnly && !(l4.protocol === "TCP" && (l4.flags & TcpFlag.syn) !== 0 && (l4.flags & TcpFlag.ack) === 0)) return;
      const values = [...bench.contexts.valuesOf(flow), protocolText(flow), verdictName(verdict)];
      if (hasPort) values.push("destinationPort" in l4 ? String(l4.destinationPort) : "");
      flows.increase(values);
    },
  };
}

function isWorld(labels: readonly string[]): boolean {
  return labels.some((label) => label === "reserved:world" || label === "reserved:world-ipv4" || label === "reserved:world-ipv6");
}
