import { type AgentOperations, type DNSLookup, done, found, type NameManager, refused } from "@cilium-ts/agent-api";
import { parseAddress, parsePrefix, prefixContainsAddress } from "@cilium-ts/net";
import { canonicalName, type Lookup, matchesPattern, nameProblem } from "@cilium-ts/policy";
import type { NodeDns } from "../dns/node-dns.ts";

export interface NameOperationsOptions {
  readonly dns: Pick<NodeDns, "lookups" | "forget">;
  /** What rules of this node mean by name. */
  patterns(): Iterable<string>;
  /** Undefined: there is no such endpoint. */
  endpointIdOf(id: Parameters<AgentOperations["endpoint"]>[0]): number | undefined;
  nowMs(): number;
}

const sources = ["lookup", "connection"];

/** What operators ask and say of names that pods have looked up. */
export function nameOperations({
  dns,
  patterns,
  endpointIdOf,
  nowMs,
}: NameOperationsOptions): Pick<AgentOperations, "nameCache" | "forgetNames" | "names"> {
  return {
    async nameCache({ endpoint, pattern, cidr, source }) {
      const problem = patternProblem(pattern);
      if (problem !== undefined) return refused(400, problem);
      const prefix = cidr === undefined ? undefined : parsePrefix(cidr);
      if (cidr !== undefined && prefix === undefined)
        return refused(400, `cidr is a prefix such as 192.0.2.0/24, not ${JSON.stringify(cidr)}`);
      if (source !== undefined && !sources.includes(source))
        return refused(400, `source is lookup or connection, not ${JSON.stringify(source)}`);
      const only = endpoint === undefined ? undefined : endpointIdOf(endpoint);
      if (endpoint !== undefined && only === undefined) return refused(404, "there is no such endpoint");
      const matches = matcher(pattern);
      const nowS = nowMs() / 1_000;
      const wanted = [...dns.lookups.all()].filter((lookup) => {
        const address = parseAddress(lookup.address);
        if (only !== undefined && lookup.endpointId !== only) return false;
        if (source !== undefined && sourceOf(lookup, nowS) !== source) return false;
        if (prefix !== undefined && (address === undefined || !prefixContainsAddress(prefix, address))) return false;
        return matches(lookup.name);
      });
      return found(shapesOf(wanted, nowS));
    },
    async forgetNames({ pattern }) {
      const problem = patternProblem(pattern);
      if (problem !== undefined) return refused(400, problem);
      dns.forget(matcher(pattern));
      return done;
    },
    names: async () => namesShape(patterns()),
  };
}

function patternProblem(pattern: string | undefined): string | undefined {
  const problem = pattern === undefined ? undefined : nameProblem(pattern, "pattern");
  return problem === undefined ? undefined : `matchpattern: ${problem}`;
}

function matcher(pattern: string | undefined): (name: string) => boolean {
  if (pattern === undefined) return () => true;
  const canonical = canonicalName(pattern);
  return (name) => matchesPattern(canonical, name);
}

function sourceOf({ expiresS }: Lookup, nowS: number): string {
  return expiresS <= nowS ? "connection" : "lookup";
}

/** Addresses that came with one answer are one entry. */
function shapesOf(lookups: readonly Lookup[], nowS: number): DNSLookup[] {
  const shapes = new Map<string, DNSLookup & { readonly ips: string[] }>();
  for (const lookup of lookups) {
    const { endpointId, name, address, lookedUpS, ttlS, expiresS } = lookup;
    const source = sourceOf(lookup, nowS);
    const key = `${endpointId} ${name} ${lookedUpS} ${expiresS}`;
    const known = shapes.get(key);
    if (known !== undefined) known.ips.push(address);
    else {
      shapes.set(key, {
        fqdn: `${name}.`,
        ips: [address],
        ttl: source === "lookup" ? Math.round(ttlS) : 0,
        "lookup-time": new Date(lookedUpS * 1_000).toISOString(),
        "expiration-time": new Date(expiresS * 1_000).toISOString(),
        "endpoint-id": endpointId,
        source,
      });
    }
  }
  return [...shapes.values()];
}

const labelCharacters = "[-a-zA-Z0-9_]";

function namesShape(patterns: Iterable<string>): NameManager {
  const selectors = [...patterns].sort().map((pattern) => {
    const isName = !pattern.includes("*");
    const labels = pattern.replaceAll(".", "[.]").replaceAll("*", `${labelCharacters}*`);
    return {
      selectorString: `MatchName: ${isName ? `${pattern}.` : ""}, MatchPattern: ${isName ? "" : pattern}`,
      regexString: pattern === "*" ? `^(${labelCharacters}+[.])*$` : `^${labels}[.]$`,
    };
  });
  return { DNSPollNames: [], FQDNPolicySelectors: selectors };
}
