import { UsageError } from "@cilium-ts/command-line";
import { EventType } from "@cilium-ts/flow";
import type { Command } from "commander";
import type { Context } from "../context.ts";
import type { WantedEvents } from "./follow-events.ts";

interface MonitorOptions extends Omit<WantedEvents, "types" | "agent" | "debug"> {
  readonly hubbleServer: string;
  /** Names. */
  readonly type: readonly string[];
}

/** Of those that are flows. */
const types: Readonly<Record<string, number>> = {
  drop: EventType.drop,
  capture: EventType.capture,
  trace: EventType.trace,
  "policy-verdict": EventType.policyVerdict,
  "trace-sock": EventType.traceSock,
  l7: EventType.l7,
};
const typeNames = ["agent", "debug", ...Object.keys(types)].sort();
const hubbleServerDefault = "unix:///var/run/cilium/hubble.sock";

/** Follows the datapath's events. They come from the Hubble server, which reads the kernel's ring for everybody. */
export function addMonitor(program: Command, context: Context): void {
  program
    .command("monitor")
    .description("Show the events of the datapath and of the agent as they come")
    .option("-t, --type <types>", `Only these: ${typeNames.join(", ")}`, collectTypes, [])
    .option("--from <endpoint>", "Only from this endpoint", collectId("from"), [])
    .option("--to <endpoint>", "Only to this endpoint", collectId("to"), [])
    .option("--related-to <endpoint>", "Only from or to this endpoint", collectId("related-to"), [])
    .option("--last <n>", "The last N events first", parseCount, 0)
    .option("-j, --json", "As JSON, one event a line")
    .option("-v, --verbose", "With the ends' names and labels, the tunnel, and the policies that decided")
    .option("--hubble-server <address>", "Socket of the Hubble server", context.world.env.HUBBLE_SERVER || hubbleServerDefault)
    .action(async (options: MonitorOptions) => {
      // gRPC is half of the program's code, and only this command needs it.
      const { followEvents } = await import("./follow-events.ts");
      const wants = (name: string): boolean => options.type.length === 0 || options.type.includes(name);
      const flowTypes = options.type.length === 0 ? undefined : options.type.flatMap((name) => types[name] ?? []);
      await followEvents(context, options.hubbleServer, { ...options, types: flowTypes, agent: wants("agent"), debug: wants("debug") });
    });
}

function collectTypes(text: string, list: readonly string[]): string[] {
  const names = text.split(",");
  for (const name of names)
    if (!typeNames.includes(name)) throw new UsageError(`--type ${JSON.stringify(name)} is none of ${typeNames.join(", ")}`);
  return [...list, ...names];
}

function collectId(flag: string): (text: string, list: readonly number[]) => number[] {
  return (text, list) => {
    if (!/^[0-9]{1,5}$/.test(text)) throw new UsageError(`--${flag} ${JSON.stringify(text)} is no endpoint's number`);
    return [...list, Number(text)];
  };
}

function parseCount(text: string): number {
  if (!/^[0-9]{1,9}$/.test(text)) throw new UsageError(`--last ${JSON.stringify(text)} is no number`);
  return Number(text);
}
