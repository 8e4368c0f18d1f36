import { addOutputFlag, checkOutput, jsonText, type OutputOptions, show, tableText } from "@cilium-ts/command-line";
import type { Command } from "commander";
import type { Context } from "./context.ts";

export function addDebugInformation(program: Command, context: Context): void {
  const command = program.command("debuginfo").description("Show all that the agent says of itself, as JSON");
  addOutputFlag(command).action(async (options: OutputOptions) => {
    checkOutput(options);
    const information = await context.agent.debugInformation(context.signal);
    show(context, options, information, () => jsonText(information));
  });
}

export function addNodeIds(program: Command, context: Context): void {
  const list = program.command("nodeid").description("Numbers of other nodes in the datapath").command("list").description("List them");
  addOutputFlag(list).action(async (options: OutputOptions) => {
    checkOutput(options);
    const nodes = await context.agent.nodeIds(context.signal);
    const rows = nodes.map(({ id, ips }) => [String(id), ips.join(",")]);
    show(context, options, nodes, () => tableText([["NODE ID", "IP ADDRESSES"], ...rows]));
  });
}
