import type { DNSLookup, NameManager } from "@cilium-ts/agent-api";
import { addOutputFlag, checkOutput, type OutputOptions, show, tableText } from "@cilium-ts/command-line";
import type { Command } from "commander";
import type { Context } from "./context.ts";

interface CacheOptions extends OutputOptions {
  readonly endpoint?: string;
  readonly matchpattern?: string;
  readonly cidr?: string;
  readonly source?: string;
}

export function addFqdn(program: Command, context: Context): void {
  const group = program.command("fqdn").description("Names that pods look up");
  const cache = group.command("cache").description("What pods have heard of names");
  addOutputFlag(cache.command("list").description("List names, their addresses and how long they last"))
    .option("-e, --endpoint <id>", "Of this endpoint alone")
    .option("-p, --matchpattern <pattern>", "Names that match, such as *.example.com")
    .option("-c, --cidr <prefix>", "With addresses in this prefix")
    .option("-s, --source <source>", "lookup, or connection: kept only because a connection uses it")
    .action((options: CacheOptions) => listCache(context, options));
  cache
    .command("clean")
    .description("Forget names; their addresses are reached again when they have been looked up again")
    .option("-f, --force", "Taken for the sake of scripts: nobody is asked anyway")
    .option("-p, --matchpattern <pattern>", "Only names that match")
    .action(({ matchpattern }: { matchpattern?: string }) => cleanCache(context, matchpattern));
  addOutputFlag(group.command("names").description("Show what rules mean by name")).action((options: OutputOptions) =>
    showNames(context, options),
  );
}

async function listCache(context: Context, options: CacheOptions): Promise<void> {
  checkOutput(options);
  const { endpoint, matchpattern, cidr, source } = options;
  const given = { endpoint, matchpattern, cidr, source };
  const query = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const lookups = await context.agent.nameCache(context.signal, query);
  show(context, options, lookups, () => cacheTable(lookups));
}

async function cleanCache(context: Context, matchpattern: string | undefined): Promise<void> {
  await context.agent.forgetNames(matchpattern === undefined ? {} : { matchpattern }, context.signal);
  context.write("FQDN cache cleared\n");
}

async function showNames(context: Context, options: OutputOptions): Promise<void> {
  checkOutput(options);
  const names = await context.agent.names(context.signal);
  show(context, options, names, () => namesTable(names));
}

function cacheTable(lookups: readonly DNSLookup[]): string {
  const rows = lookups.map((lookup) => [
    String(lookup["endpoint-id"] ?? ""),
    lookup.source ?? "",
    lookup.fqdn ?? "",
    String(lookup.ttl ?? 0),
    lookup["expiration-time"] ?? "",
    (lookup.ips ?? []).join(","),
  ]);
  return tableText([["Endpoint", "Source", "FQDN", "TTL", "ExpirationTime", "IPs"], ...rows]);
}

function namesTable({ FQDNPolicySelectors: selectors = [] }: NameManager): string {
  return tableText([
    ["SELECTOR", "EXPRESSION"],
    ...selectors.map(({ selectorString = "", regexString = "" }) => [selectorString, regexString]),
  ]);
}
