import { addOutputFlag, checkOutput, clean, type OutputOptions, show } from "@cilium-ts/command-line";
import type { Command } from "commander";
import packageJson from "../package.json" with { type: "json" };
import type { Context } from "./context.ts";

export function addVersion(program: Command, context: Context): void {
  const command = program
    .command("version")
    .description("Show the versions of this program and of the agent")
    .option("--client", "Of this program only");
  addOutputFlag(command).action(async (options: OutputOptions & { client?: boolean }) => {
    checkOutput(options);
    const client = `${packageJson.version} on Node ${process.version}, ${process.platform}/${process.arch}`;
    const daemon = options.client === true ? undefined : (await context.agent.health(context.signal)).cilium?.msg;
    const text = `Client: ${client}\n${daemon === undefined ? "" : `Daemon: ${clean(daemon)}\n`}`;
    show(context, options, { client, ...(daemon !== undefined && { daemon }) }, () => text);
  });
}
