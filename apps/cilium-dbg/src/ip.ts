import type { Identity, IPListEntry } from "@cilium-ts/agent-api";
import { addOutputFlag, checkOutput, type OutputOptions, show, stackedRows, tableText } from "@cilium-ts/command-line";
import type { Command } from "commander";
import type { Context } from "./context.ts";

interface IpOptions extends OutputOptions {
  readonly numeric?: boolean;
  readonly verbose?: boolean;
}

export function addIp(program: Command, context: Context): void {
  const group = program.command("ip").description("Addresses and their identities");
  const list = group.command("list").description("List all addresses that are known");
  addFlags(list).action((options: IpOptions) => showAddresses(context, undefined, options));
  const get = group.command("get").description("Show the addresses inside of a CIDR").argument("<cidr>", "10.0.1.0/24");
  addFlags(get).action((cidr: string, options: IpOptions) => showAddresses(context, cidr, options));
}

function addFlags(command: Command): Command {
  return addOutputFlag(command)
    .option("-n, --numeric", "Numbers of identities instead of their labels")
    .option("-v, --verbose", "Nodes and keys of encryption too");
}

async function showAddresses(context: Context, cidr: string | undefined, options: IpOptions): Promise<void> {
  checkOutput(options);
  const { agent, signal } = context;
  const entries = await agent.addresses(signal, cidr === undefined ? {} : { cidr });
  const identities = options.numeric === true || options.output !== undefined ? [] : await agent.identities(signal);
  const sorted = [...entries].sort((left, right) => (left.cidr < right.cidr ? -1 : 1));
  show(context, options, sorted, () => addressTable(sorted, identities, options));
}

function addressTable(entries: readonly IPListEntry[], identities: readonly Identity[], { numeric, verbose }: IpOptions): string {
  const labels = new Map(identities.map((identity) => [identity.id, identity.labels ?? []]));
  const rows = entries.flatMap(({ cidr, identity, metadata, hostIP, encryptKey }) => {
    const shown = numeric === true ? [String(identity)] : (labels.get(identity) ?? [String(identity)]);
    return stackedRows([cidr, shown, metadata?.source ?? "", ...(verbose === true ? [hostIP ?? "", String(encryptKey ?? 0)] : [])]);
  });
  return tableText([["IP", "IDENTITY", "SOURCE", ...(verbose === true ? ["HOST", "ENCRYPT KEY"] : [])], ...rows]);
}
