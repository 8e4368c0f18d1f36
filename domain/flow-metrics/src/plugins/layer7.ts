import { dnsRcodeName, type Flow, L7Type, type Layer7, TrafficDirection } from "@cilium-ts/flow";
import type { Exemplar } from "@cilium-ts/metrics";
import { createCounter, createDuration, type Plugin, type PluginBench } from "../plugin.ts";

const nsPerSecond = 1e9;

export function createDnsPlugin(bench: PluginBench): Plugin {
  const { options } = bench;
  const hasQuery = options.has("query");
  const ignoresAAAA = options.has("ignoreAAAA");
  const labels = [...(hasQuery ? ["query"] : []), "rcode", "qtypes", "ips_returned"];
  const queries = createCounter(bench, "dns_queries_total", "Number of DNS queries observed", labels);
  const responses = createCounter(bench, "dns_responses_total", "Number of DNS responses observed", labels);
  const types = createCounter(bench, "dns_response_types_total", "Number of DNS responses by type", [
    ...(hasQuery ? ["query"] : []),
    "type",
    "qtypes",
  ]);
  return {
    metrics: [queries, responses, types],
    consume(flow) {
      const message = flow.layer7?.message;
      if (flow.layer7 === undefined || message?.protocol !== "dns") return;
      const qtypes = message.qtypes.join(",");
      if (ignoresAAAA && qtypes === "AAAA") return;
      const isResponse = flow.layer7.type === L7Type.response;
      const base = [...bench.contexts.valuesOf(flow, isResponse), ...(hasQuery ? [message.query] : [])];
      if (!isResponse) {
        queries.increase([...base, "", qtypes, "0"]);
        return;
      }
      responses.increase([...base, dnsRcodeName(message.rcode), qtypes, String(message.ips.length)]);
      for (const type of message.rrtypes) types.increase([...base, type, qtypes]);
    },
  };
}

/** The newer of two: one series for a request and its answer, told when the answer has come. */
export function createHttpV2Plugin(bench: PluginBench): Plugin {
  const requests = createCounter(bench, "http_requests_total", "Count of HTTP requests by methods.", [
    "method",
    "protocol",
    "status",
    "reporter",
  ]);
  const duration = createDuration(bench, "http_request_duration_seconds", "Quantiles of HTTP request duration in seconds.", [
    "method",
    "reporter",
  ]);
  const showsTrace = (bench.options.get("exemplars") ?? ["false"]).some((value) => value !== "false") && bench.options.has("exemplars");
  return {
    metrics: [requests, duration],
    consume(flow) {
      const { layer7 } = flow;
      if (layer7?.message.protocol !== "http" || layer7.type !== L7Type.response) return;
      const { method, version, code } = layer7.message;
      const base = bench.contexts.valuesOf(flow, true);
      const exemplar = showsTrace ? exemplarOf(layer7) : undefined;
      requests.increase([...base, method, version, String(code), reporterText(flow)], 1, exemplar);
      duration.observe([...base, method, reporterText(flow)], Number(layer7.latencyNs) / nsPerSecond, exemplar);
    },
  };
}

export function createHttpPlugin(bench: PluginBench): Plugin {
  const requests = createCounter(bench, "http_requests_total", "Count of HTTP requests by methods.", ["method", "protocol", "reporter"]);
  const responses = createCounter(bench, "http_responses_total", "Count of HTTP responses by methods and status codes.", [
    "method",
    "protocol",
    "status",
    "reporter",
  ]);
  const duration = createDuration(bench, "http_request_duration_seconds", "Quantiles of HTTP request duration in seconds.", [
    "method",
    "reporter",
  ]);
  return {
    metrics: [requests, responses, duration],
    consume(flow) {
      const { layer7 } = flow;
      if (layer7?.message.protocol !== "http") return;
      const { method, version, code } = layer7.message;
      const reporter = reporterText(flow);
      if (layer7.type === L7Type.request) requests.increase([...bench.contexts.valuesOf(flow), method, version, reporter]);
      if (layer7.type !== L7Type.response) return;
      const base = bench.contexts.valuesOf(flow, true);
      responses.increase([...base, method, version, String(code), reporter]);
      duration.observe([...base, method, reporter], Number(layer7.latencyNs) / nsPerSecond);
    },
  };
}

export function createKafkaPlugin(bench: PluginBench): Plugin {
  const requests = createCounter(bench, "kafka_requests_total", "Count of Kafka requests by topic", [
    "topic",
    "api_key",
    "error_code",
    "reporter",
  ]);
  const duration = createDuration(bench, "kafka_request_duration_seconds", "Quantiles of Kafka request duration in seconds.", [
    "topic",
    "api_key",
    "reporter",
  ]);
  return {
    metrics: [requests, duration],
    consume(flow) {
      const { layer7 } = flow;
      if (layer7?.message.protocol !== "kafka") return;
      const { topic, apiKey, errorCode } = layer7.message;
      const reporter = reporterText(flow);
      if (layer7.type === L7Type.request) requests.increase([...bench.contexts.valuesOf(flow), topic, apiKey, String(errorCode), reporter]);
      else if (layer7.type === L7Type.response)
        duration.observe([...bench.contexts.valuesOf(flow, true), topic, apiKey, reporter], Number(layer7.latencyNs) / nsPerSecond);
    },
  };
}

/** On whose side the proxy stands. */
function reporterText({ trafficDirection }: Flow): string {
  if (trafficDirection === TrafficDirection.egress) return "client";
  return trafficDirection === TrafficDirection.ingress ? "server" : "unknown";
}

function exemplarOf({ traceId }: Layer7): Exemplar | undefined {
  return traceId === "" ? undefined : { traceID: traceId };
}
