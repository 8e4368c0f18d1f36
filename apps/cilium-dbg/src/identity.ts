import type { Identity } from "@cilium-ts/agent-api";
import { addOutputFlag, checkOutput, type OutputOptions, show, stackedRows, tableText, UsageError } from "@cilium-ts/command-line";
import type { Command } from "commander";
import type { Context } from "./context.ts";

export function addIdentity(program: Command, context: Context): void {
  const group = program.command("identity").description("Security identities");
  const list = group
    .command("list")
    .description("List identities, all or those that have all of the labels")
    .argument("[labels...]", "source:key=value")
    .option("--endpoints", "Only those that endpoints of this node have, and how many do");
  addOutputFlag(list).action(async (labels: string[], options: OutputOptions & { endpoints?: boolean }) => {
    checkOutput(options);
    if (options.endpoints === true) {
      const used = await context.agent.identityEndpoints(context.signal);
      const rows = [...used]
        .filter(({ identity }) => hasAll(identity, labels))
        .flatMap(({ identity = {}, refCount = 0 }) => stackedRows([String(identity.id ?? ""), identity.labels ?? [], String(refCount)]));
      return show(context, options, used, () => tableText([["ID", "LABELS", "REFCOUNT"], ...rows]));
    }
    const identities = (await context.agent.identities(context.signal)).filter((identity) => hasAll(identity, labels));
    const sorted = identities.sort((left, right) => (left.id ?? 0) - (right.id ?? 0));
    show(context, options, sorted, () => identityTable(sorted));
  });
  const get = group.command("get").description("Show one identity").argument("<id>", "Its number");
  addOutputFlag(get).action(async (id: string, options: OutputOptions) => {
    checkOutput(options);
    if (!/^[0-9]{1,10}$/.test(id)) throw new UsageError(`identity ${JSON.stringify(id)} is no number`);
    const identities = [await context.agent.identity(Number(id), context.signal)];
    show(context, options, identities, () => identityTable(identities));
  });
}

function hasAll(identity: Identity | undefined, labels: readonly string[]): boolean {
  return labels.every((label) => identity?.labels?.includes(label) === true);
}

function identityTable(identities: readonly Identity[]): string {
  return tableText([["ID", "LABELS"], ...identities.flatMap(({ id, labels = [] }) => stackedRows([String(id ?? ""), labels]))]);
}
