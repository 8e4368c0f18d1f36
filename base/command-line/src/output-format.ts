import { errorMessage } from "@cilium-ts/std";
import type { Command } from "commander";
import { stringify } from "yaml";
import { type JsonPathTemplate, parseJsonPath, renderJsonPath } from "./json-path.ts";
import { UsageError } from "./usage-error.ts";
import type { Writer } from "./writer.ts";

export interface OutputOptions {
  readonly output?: string;
}

const formats = ["json", "yaml", "jsonpath=TEMPLATE"] as const;
const templateStart = "jsonpath=";

export function addOutputFlag(command: Command): Command {
  return command.option("-o, --output <format>", `${formats.join(", ")}: for programs`);
}

/** Checked before anything is asked, so that a wrong flag is told at once. */
export function checkOutput({ output }: OutputOptions): void {
  if (output === undefined || output === "json" || output === "yaml") return;
  if (!output.startsWith(templateStart)) throw new UsageError(`output format ${JSON.stringify(output)} is none of ${formats.join(", ")}`);
  parseTemplate(output);
}

/** The value as --output asks, or else the text for people. */
export function show(out: Writer, { output }: OutputOptions, value: unknown, text: () => string): void {
  if (output === undefined) out.write(text());
  else if (output === "json") out.write(jsonText(value));
  else if (output === "yaml") out.write(stringify(JSON.parse(jsonText(value))));
  else out.write(renderJsonPath(parseTemplate(output), JSON.parse(jsonText(value))));
}

function parseTemplate(output: string): JsonPathTemplate {
  try {
    return parseJsonPath(output.slice(templateStart.length));
  } catch (cause) {
    throw new UsageError(`${output}: ${errorMessage(cause)}`);
  }
}

/** Counters of the kernel are 64 bits; JSON has no others than doubles, and no node counts that far. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? Number(item) : item), 2)}\n`;
}
