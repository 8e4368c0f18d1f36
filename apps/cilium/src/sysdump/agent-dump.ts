/** What is asked of each agent: the name of the file, and the command in the agent's pod. */
export function agentCommands(flowCount: number, quick: boolean): ReadonlyArray<readonly [fileName: string, command: readonly string[]]> {
  const dbg = (...args: readonly string[]): readonly string[] => ["cilium-dbg", ...args];
  const always = [
    ["status.txt", dbg("status", "--verbose")],
    ["status.json", dbg("status", "-o", "json")],
    ["version.txt", dbg("version")],
    ["config.json", dbg("config", "-o", "json")],
    ["endpoints.json", dbg("endpoint", "list", "-o", "json")],
    ["nodes.json", dbg("node", "list", "-o", "json")],
    ["policy.txt", dbg("policy", "get")],
    ["selectors.json", dbg("policy", "selectors", "-o", "json")],
    ["maps.json", dbg("map", "list", "-o", "json")],
    ["bpf-metrics.txt", dbg("bpf", "metrics", "list")],
    ["links.txt", ["ip", "-details", "-statistics", "link"]],
    ["addresses.txt", ["ip", "address"]],
    ["routes.txt", ["ip", "route", "show", "table", "all"]],
    ["rules.txt", ["ip", "rule"]],
  ] as const;
  const large = [
    ["identities.json", dbg("identity", "list", "-o", "json")],
    ["ips.json", dbg("ip", "list", "-o", "json")],
    ["bpf-endpoints.txt", dbg("bpf", "endpoint", "list")],
    ["bpf-ipcache.txt", dbg("bpf", "ipcache", "list")],
    ["bpf-policy.txt", dbg("bpf", "policy", "list")],
    ["bpf-nat.txt", dbg("bpf", "nat", "list")],
    ["bpf-connections.txt", dbg("bpf", "ct", "list")],
    ["flows.jsonl", ["hubble", "observe", "--last", String(flowCount), "--output", "jsonpb"]],
  ] as const;
  return quick ? always : [...always, ...large];
}
