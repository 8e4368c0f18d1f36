import { Rcode } from "@cilium-ts/dns-proxy";
import type { Setting, SettingsReader } from "@cilium-ts/std";

/** Names are those of Cilium's agent. */
export const dnsSettings = [
  {
    name: "enable-l7-proxy",
    value: "BOOL",
    fallback: "true",
    says: "whether the agent looks into what pods ask name servers, where rules say so",
  },
  { name: "tofqdns-min-ttl", value: "SECONDS", fallback: "0", says: "how long an address of a name is kept at least" },
  { name: "tofqdns-endpoint-max-ip-per-hostname", value: "N", fallback: "1000", says: "addresses of one name" },
  {
    name: "tofqdns-max-deferred-connection-deletes",
    value: "N",
    fallback: "10000",
    says: "addresses that are kept, although their time is over, because connections use them",
  },
  {
    name: "tofqdns-dns-reject-response-code",
    value: "CODE",
    fallback: "refused",
    says: "what a name that is not allowed is answered with: refused or nameError",
  },
  {
    name: "tofqdns-proxy-response-max-delay",
    value: "TIME",
    fallback: "100ms",
    says: "how long an answer waits at most until its addresses are in force",
  },
  { name: "tofqdns-pre-cache", value: "FILE", fallback: "", says: "names and addresses to begin with, in the JSON of Cilium's preflight" },
  { name: "dnsproxy-concurrency-limit", value: "N", fallback: "0", says: "names that are being asked for at once; 0: 4096" },
] as const satisfies readonly Setting[];

export interface DnsSettings {
  /** False: there is no proxy, and what rules want looked at is dropped. */
  readonly enabled: boolean;
  readonly ttlSMin: number;
  readonly addressCountMax: number;
  readonly keptCountMax: number;
  /** Of `Rcode`. */
  readonly refusedWith: number;
  readonly answerDelayMsMax: number;
  readonly preCachePath: string;
  readonly inFlightMax: number;
}

const inFlightDefault = 4_096;
const weekS = 604_800;

type DnsReader = Pick<SettingsReader<(typeof dnsSettings)[number]["name"]>, "text" | "whole" | "boolean" | "choice" | "duration">;

export function readDnsSettings(reader: DnsReader): DnsSettings {
  const codes = { refused: Rcode.refused, nameError: Rcode.nameError } as const;
  return {
    enabled: reader.boolean("enable-l7-proxy"),
    ttlSMin: reader.whole("tofqdns-min-ttl", 0, weekS),
    addressCountMax: reader.whole("tofqdns-endpoint-max-ip-per-hostname", 1, 100_000),
    keptCountMax: reader.whole("tofqdns-max-deferred-connection-deletes", 0, 1_000_000),
    refusedWith: codes[reader.choice("tofqdns-dns-reject-response-code", ["refused", "nameError"], "refused")],
    answerDelayMsMax: reader.duration("tofqdns-proxy-response-max-delay", 0, 10_000),
    preCachePath: reader.text("tofqdns-pre-cache"),
    inFlightMax: reader.whole("dnsproxy-concurrency-limit", 0, 65_535) || inFlightDefault,
  };
}
