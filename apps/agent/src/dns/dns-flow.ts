import type { Answer, AskedServer, Question } from "@cilium-ts/dns-proxy";
import { type L7Record, L7Type, TrafficDirection, Verdict } from "@cilium-ts/flow";
import type { ProxiedConnection } from "../proxies/node-proxies.ts";

export interface SeenByProxy {
  readonly asked: AskedServer;
  readonly connection: ProxiedConnection;
  readonly timeNs: number;
  readonly proxyPort: number;
}

const verdicts = { forwarded: Verdict.forwarded, refused: Verdict.dropped, audited: Verdict.audit } as const;

/** What Hubble shows of a question, or with `answered` of its answer. */
export function dnsRecord(
  { asked, connection, timeNs, proxyPort }: SeenByProxy,
  question: Question,
  outcome: { readonly verdict: keyof typeof verdicts } | { readonly answer: Answer; readonly latencyMs: number },
): L7Record {
  const { client, server, transport } = asked;
  const { sourceIdentity, destinationIdentity, sourceEndpoint, destinationEndpoint } = connection;
  const answer = "answer" in outcome ? outcome.answer : undefined;
  return {
    timeNs,
    reporter: connection.endpointId,
    client: { ...client, identity: sourceIdentity, endpointId: sourceEndpoint },
    server: { ...server, identity: destinationIdentity, endpointId: destinationEndpoint },
    transport,
    verdict: "verdict" in outcome ? verdicts[outcome.verdict] : Verdict.forwarded,
    direction: TrafficDirection.egress,
    proxyPort,
    layer7: {
      type: answer === undefined ? L7Type.request : L7Type.response,
      latencyNs: "latencyMs" in outcome ? BigInt(Math.round(outcome.latencyMs)) * 1_000_000n : 0n,
      traceId: "",
      message: {
        protocol: "dns",
        query: `${question.name}.`,
        ips: answer?.addresses ?? [],
        ttl: answer?.ttlS ?? 0,
        cnames: answer?.aliases ?? [],
        observationSource: "proxy",
        rcode: answer?.rcode ?? 0,
        qtypes: [question.type],
        rrtypes: answer?.recordTypes ?? [],
      },
    },
  };
}
