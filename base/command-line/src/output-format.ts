import type { Command } from "commander";
import { stringify } from "yaml";
import { UsageError } from "./usage-error.ts";
import type { Writer } from "./writer.ts";

export interface OutputOptions {
  readonly output?: string;
}

const formats = ["json", "yaml"] as const;

export function addOutputFlag(command: Command): Command {
  return command.option("-o, --output <format>", `As ${formats.join(" or ")}, for programs`);
}

/** Checked before anything is asked, so that a wrong flag is told at once. */
export function checkOutput({ output }: OutputOptions): void {
  if (output !== undefined && !formats.some((format) => format === output))
    throw new UsageError(`output format ${JSON.stringify(output)} is none of ${formats.join(", ")}`);
}

/** The value as --output asks, or else the text for people. */
export function show(out: Writer, { output }: OutputOptions, value: unknown, text: () => string): void {
  if (output === undefined) out.write(text());
  else out.write(output === "json" ? jsonText(value) : stringify(JSON.parse(jsonText(value))));
}

/** Counters of the kernel are 64 bits; JSON has no others than doubles, and no node counts that far. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? Number(item) : item), 2)}\n`;
}
