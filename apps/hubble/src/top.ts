import { create } from "@bufbuild/protobuf";
import { UsageError } from "@cilium-ts/command-line";
import { observerpb } from "@cilium-ts/observer";
import { parseDuration } from "@cilium-ts/std";
import { type Command, Option } from "commander";
import { Columns } from "./columns.ts";
import { type ConnectionOptions, openClients, serverError } from "./connection.ts";
import { FlowTotals, type PairTotal } from "./flow-totals.ts";
import { addFilterFlags } from "./observe.ts";
import type { World } from "./world.ts";

interface TopOptions extends ConnectionOptions {
  readonly interval: string;
  readonly rows: string;
  readonly sort: "flows" | "drops";
}

/** All that a total needs. */
const fields = ["verdict", "IP", "l4", "is_reply", "source.identity", "source.namespace", "source.pod_name"];
const fieldsOfDestination = ["destination.identity", "destination.namespace", "destination.pod_name"];

/** `top`: who talks to whom, as it happens. */
export function addTop(program: Command, world: World, signal: AbortSignal): Command {
  const command = program.command("top").description("Show who talks to whom, by flows or drops, as it happens");
  const filters = addFilterFlags(command);
  command
    .option("--interval <duration>", "How often it is shown", "2s")
    .option("--rows <n>", "How many pairs are shown", "20")
    .addOption(new Option("--sort <by>", "What is most").choices(["flows", "drops"]).default("flows"));
  return command.action(async (options: TopOptions) => {
    if (filters.negated) throw new UsageError("--not at the end: it must stand before the filter that it is about");
    const intervalMs = parseDuration(options.interval);
    if (intervalMs === undefined || intervalMs < 100)
      throw new UsageError(`--interval ${JSON.stringify(options.interval)} is no duration from 100ms on`);
    if (!/^[1-9][0-9]{0,3}$/.test(options.rows)) throw new UsageError(`--rows ${JSON.stringify(options.rows)} is no number from 1 to 9999`);
    const request = create(observerpb.GetFlowsRequestSchema, {
      follow: true,
      whitelist: filters.allow.build(),
      blacklist: filters.deny.build(),
      fieldMask: { paths: [...fields, ...fieldsOfDestination] },
    });
    const { observer } = await openClients(options);
    const totals = new FlowTotals();
    const show = (): void => {
      const text = formatTotals(totals.take(options.sort, Number(options.rows)), intervalMs / 1_000);
      world.stdout.write(world.isTerminal ? `\u001b[H\u001b[2J${text}` : `${text}\n`);
    };
    const timer = setInterval(show, intervalMs);
    try {
      for await (const { responseTypes } of observer.getFlows(request, { signal }))
        if (responseTypes.case === "flow") totals.add(responseTypes.value);
      show();
    } catch (cause) {
      if (!signal.aborted) throw serverError(options.server, cause);
    } finally {
      clearInterval(timer);
    }
  });
}

export function formatTotals(totals: readonly PairTotal[], seconds: number): string {
  const columns = new Columns();
  columns.add(["FLOWS/S", "DROPS/S", "FROM", "TO"]);
  for (const { flows, drops, source, destination } of totals)
    columns.add([(flows / seconds).toFixed(1), (drops / seconds).toFixed(1), source, destination]);
  return columns.take();
}
