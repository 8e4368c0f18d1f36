import { UsageError } from "@cilium-ts/command-line";
import type { observerpb } from "@cilium-ts/observer";
import type { Command } from "commander";
import { type ConnectionOptions, openClients, serverError } from "./connection.ts";
import { FilterList, filterFlags } from "./filter-flags.ts";
import { buildFlowsRequest, formatRawFilters, parseRawFilters, type SelectorFlags } from "./flow-request.ts";
import { Output } from "./output.ts";
import { type OutputFormat, outputFormats, Printer } from "./printer.ts";
import { replay } from "./replay.ts";
import { parseTimeFormat, timeFormats } from "./time-format.ts";
import type { World } from "./world.ts";

interface ObserveOptions extends SelectorFlags, ConnectionOptions {
  readonly allowlist: string[];
  readonly denylist: string[];
  readonly output: string;
  readonly timeFormat: string;
  readonly color: string;
  readonly numeric?: boolean;
  readonly ipTranslation: string | boolean;
  readonly printNodeName?: boolean;
  readonly printPolicyNames?: boolean;
  readonly printRawFilters?: boolean;
  readonly experimentalFieldMask: string[];
  readonly inputFile?: string;
}

/** Adds `observe`; filters are collected in the order of the flags, because --not is about the next one. */
export function addObserve(program: Command, world: World, signal: AbortSignal): Command {
  const command = program.command("observe").description("Show flows that a Hubble server saw");
  addSelectorFlags(command);
  const filters = addFilterFlags(command);
  addFormatFlags(command);
  command.action(async (options: ObserveOptions) => {
    if (filters.negated) throw new UsageError("--not at the end: it must stand before the filter that it is about");
    const format = parseOutput(options.output);
    if (format === "table" && options.follow === true)
      throw new UsageError("-o table cannot be combined with --follow: its widths need an end");
    const request = buildFlowsRequest(
      options,
      {
        allow: [...filters.allow.build(), ...parseRawFilters("allowlist", options.allowlist)],
        deny: [...filters.deny.build(), ...parseRawFilters("denylist", options.denylist)],
      },
      { format, fieldMask: options.experimentalFieldMask, nowMs: world.nowMs() },
    );
    if (options.printRawFilters === true) {
      world.stdout.write(formatRawFilters(request));
      return;
    }
    const makePrinter = printerOf(options, format, world, program);
    const responses =
      options.inputFile === undefined
        ? (await openClients(options)).observer.getFlows(request, { signal })
        : replay(options.inputFile, request, world);
    await printFlows(responses, options.inputFile ?? options.server, makePrinter, world, signal);
  });
  return command;
}

type MakePrinter = (out: Output, error: Output) => Printer;

function printerOf(options: ObserveOptions, format: OutputFormat, world: World, program: Command): MakePrinter {
  const translate = options.numeric !== true && String(options.ipTranslation) !== "false";
  const settings = {
    format,
    timeFormat: parseTimeFormat(options.timeFormat),
    color: wantsColor(options.color, world),
    nodeName: options.printNodeName === true,
    policyNames: options.printPolicyNames === true,
    translate,
    debug: program.opts<{ debug?: boolean }>().debug === true,
    legacyJson: (world.env.HUBBLE_COMPAT ?? "").split(",").includes("legacy-json-output"),
  };
  return (out, error) => new Printer(settings, { out: (text) => out.write(text), error: (text) => error.write(text) });
}

async function printFlows(
  responses: AsyncIterable<observerpb.GetFlowsResponse>,
  from: string,
  makePrinter: MakePrinter,
  world: World,
  signal: AbortSignal,
): Promise<void> {
  const [out, error] = [new Output(world.stdout), new Output(world.stderr)];
  const printer = makePrinter(out, error);
  try {
    for await (const response of responses) {
      printer.print(response);
      await out.ready();
    }
  } catch (cause) {
    if (signal.aborted) return;
    throw serverError(from, cause);
  } finally {
    printer.close();
    await out.end();
    await error.end();
  }
}

export function addSelectorFlags(command: Command): void {
  command
    .option("--all", "All flows that the server has")
    .option("--first <n>", "The first N flows that the server has", parseCount("first"))
    .option("--last <n>", "The last N flows that the server has (20 when nothing else is asked for)", parseCount("last"))
    .option("-f, --follow", "Go on with new flows")
    .option("--since <time>", "Flows since so long ago (5m) or a date (2026-01-31T15:04:05Z)")
    .option("--until <time>", "Flows until so long ago or a date");
}

export function addFilterFlags(command: Command): { allow: FilterList; deny: FilterList; negated: boolean } {
  const filters = { allow: new FilterList(), deny: new FilterList(), negated: false };
  command.option("--not", "Turns the next filter round: flows that it matches are left out");
  command.on("option:not", () => {
    if (filters.negated) throw new UsageError("--not stands twice in a row");
    filters.negated = true;
  });
  for (const { name, short, value, help, apply } of filterFlags) {
    command.option(`${short === undefined ? "" : `-${short}, `}--${name}${value === undefined ? "" : ` <${value}>`}`, help);
    command.on(`option:${name}`, (text: string | undefined) => {
      const list = filters.negated ? filters.deny : filters.allow;
      filters.negated = false;
      list.use(name);
      apply(list, text ?? "");
    });
  }
  return filters;
}

function addFormatFlags(command: Command): void {
  command
    .option("--allowlist <json>", "Filters as JSON; a flow must match one of them", collect, [])
    .option("--denylist <json>", "Filters as JSON; a flow must match none of them", collect, [])
    .option("--input-file <file>", "Flows of this file instead of a server's; - is standard input")
    .option("--print-raw-filters", "Print the filters that the flags make, and send nothing")
    .option("-o, --output <format>", `How flows are shown: ${outputFormats.join(", ")}`, "compact")
    .option("--time-format <format>", `How times are shown, except in JSON: ${timeFormats.join(", ")}`, "StampMilli")
    .option("--color <when>", "Colours: auto, always or never", "auto")
    .option("--numeric", "Numbers and addresses only")
    .option("--ip-translation [boolean]", "Names of pods and services in place of addresses", "true")
    .option("--print-node-name", "Show the node that saw a flow")
    .option("--print-policy-names", "Show the policies that allowed or denied a flow")
    .option("--experimental-field-mask <paths>", "With -o json: only these fields (source.identity,verdict)", collectList, []);
}

function parseCount(flag: string): (text: string) => number {
  return (text) => {
    if (!/^[0-9]{1,15}$/.test(text)) throw new UsageError(`--${flag} ${JSON.stringify(text)} is no number`);
    return Number(text);
  };
}

function collect(text: string, list: string[]): string[] {
  return [...list, text];
}

function collectList(text: string, list: string[]): string[] {
  return [...list, ...text.split(",")];
}

export function parseOutput(name: string): OutputFormat {
  const format = name === "tab" ? "table" : outputFormats.find((known) => known === name.toLowerCase());
  if (format === undefined) throw new UsageError(`output format ${JSON.stringify(name)} is none of ${outputFormats.join(", ")}`);
  return format;
}

function wantsColor(when: string, world: World): boolean {
  switch (when.toLowerCase()) {
    case "always":
      return true;
    case "never":
      return false;
    case "auto":
      return world.isTerminal && (world.env.NO_COLOR ?? "") === "" && world.env.TERM !== "dumb";
    default:
      throw new UsageError(`--color ${JSON.stringify(when)} is none of auto, always, never`);
  }
}
