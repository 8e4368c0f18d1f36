import { addOutputFlag, checkOutput, type OutputOptions, show, tableText, UsageError } from "@cilium-ts/command-line";
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { connectionLine, fragmentTable, translationLine } from "./bpf-connections.ts";
import { addBpfPolicy } from "./bpf-policy.ts";
import { addressTable, ipcacheTable, metricsTable } from "./bpf-tables.ts";

/** What is in the kernel now, whether the agent runs or not. */
export function addBpf(program: Command, context: Context): void {
  const group = program.command("bpf").description("The datapath's maps, read from the kernel; needs root");
  addConnections(group, context);
  addBpfPolicy(group, context);
  addList(group, context, "ipcache", "Addresses and their identities", (inspection) => {
    const rows = inspection.ipcache().sort((left, right) => (left.prefix < right.prefix ? -1 : 1));
    return { rows, text: () => ipcacheTable(rows) };
  });
  addList(group, context, "endpoint", "Addresses that this node delivers to", (inspection) => {
    const endpoints = inspection.endpoints();
    const addresses = inspection.localAddresses().sort((left, right) => (left.address < right.address ? -1 : 1));
    return { rows: { addresses, endpoints }, text: () => addressTable(addresses, endpoints) };
  });
  addList(group, context, "metrics", "Packets forwarded, and dropped by reason and place", (inspection) => {
    const rows = inspection
      .metrics()
      .sort((left, right) => left.reason - right.reason || left.direction - right.direction || left.line - right.line);
    return { rows, text: () => metricsTable(rows) };
  });
  addList(group, context, "nat", "What stands in for pods' addresses on what leaves the cluster", (inspection) => {
    const rows = inspection.translations();
    return { rows, text: () => rows.map(translationLine).join("") };
  });
  addList(group, context, "ipmasq", "Destinations that see pods' own addresses", (inspection) => {
    const rows = inspection.exempt().sort();
    return { rows, text: () => tableText([["IP PREFIX/ADDRESS"], ...rows.map((prefix) => [prefix])]) };
  });
  addList(group, context, "frag", "Fragmented packets under way", (inspection) => {
    const rows = inspection.fragments();
    return { rows, text: () => fragmentTable(rows) };
  });
}

type Inspection = Awaited<ReturnType<Context["inspection"]>>;

function addList(
  group: Command,
  context: Context,
  name: string,
  description: string,
  read: (inspection: Inspection) => { rows: unknown; text: () => string },
): void {
  const list = group.command(name).description(description).command("list").description("List all entries");
  addOutputFlag(list).action(async (options: OutputOptions) => {
    checkOutput(options);
    const { rows, text } = read(await context.inspection());
    show(context, options, rows, text);
  });
}

function addConnections(group: Command, context: Context): void {
  const list = group
    .command("ct")
    .description("Connections that are tracked")
    .command("list")
    .description("List all connections")
    .argument("[scope]", "global: there is one table for all endpoints")
    .option("-d, --time-diff", "How long each has still to live");
  addOutputFlag(list).action(async (scope: string | undefined, options: OutputOptions & { timeDiff?: boolean }) => {
    checkOutput(options);
    if (scope !== undefined && scope !== "global")
      throw new UsageError(`connections of ${JSON.stringify(scope)} cannot be listed: there is one table for all endpoints, "global"`);
    const rows = (await context.inspection()).connections();
    const nowS = options.timeDiff === true ? Number((await context.kernel()).monotonicNs() / 1_000_000_000n) : undefined;
    show(context, options, rows, () => rows.map((row) => connectionLine(row, nowS)).join(""));
  });
}
