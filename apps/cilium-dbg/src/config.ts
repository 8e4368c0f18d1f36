import type { DaemonConfiguration } from "@cilium-ts/agent-api";
import { addOutputFlag, checkOutput, clean, type OutputOptions, show } from "@cilium-ts/command-line";
import type { Command } from "commander";
import type { Context } from "./context.ts";

export function addConfig(program: Command, context: Context): void {
  const command = program
    .command("config")
    .description("Show the agent's settings")
    .option("-a, --all", "Those too that cannot be changed while it runs");
  addOutputFlag(command).action(async (options: OutputOptions & { all?: boolean }) => {
    checkOutput(options);
    const configuration = await context.agent.configuration(context.signal);
    show(context, options, configuration, () => configText(configuration, options.all === true));
  });
}

const nameWidth = 34;

function configText({ status = {} }: DaemonConfiguration, all: boolean): string {
  const { realized, immutable = {}, daemonConfigurationMap = {}, ...fixed } = status;
  const changeable = { ...realized?.options, PolicyEnforcement: realized?.["policy-enforcement"] ?? "default" };
  const text = section("##### Read-write configurations #####", changeable);
  return all
    ? `${section("#### Read-only configurations ####", { ...flat(fixed), ...immutable, ...daemonConfigurationMap })}${text}`
    : text;
}

function section(title: string, settings: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(settings)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => `${clean(name).padEnd(nameWidth)}: ${clean(typeof value === "string" ? value : JSON.stringify(value))}`);
  return `${[title, ...lines].join("\n")}\n`;
}

/** `addressing.ipv4.ip` for what is nested. */
function flat(value: object, prefix = ""): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const [name, inner] of Object.entries(value)) {
    if (typeof inner === "object" && inner !== null && !Array.isArray(inner)) Object.assign(settings, flat(inner, `${prefix}${name}.`));
    else settings[`${prefix}${name}`] = inner;
  }
  return settings;
}
