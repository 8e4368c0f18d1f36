import { basename } from "node:path";
import type { BPFMap } from "@cilium-ts/agent-api";
import { addOutputFlag, checkOutput, type OutputOptions, show, tableText } from "@cilium-ts/command-line";
import type { Command } from "commander";
import type { Context } from "./context.ts";

export function addMap(program: Command, context: Context): void {
  const group = program.command("map").description("BPF maps, as the agent has them");
  const list = group.command("list").description("List the agent's maps");
  addOutputFlag(list).action(async (options: OutputOptions) => {
    checkOutput(options);
    const { maps = [] } = await context.agent.maps(context.signal);
    show(context, options, { maps }, () => mapTable(maps));
  });
  const get = group
    .command("get")
    .description("Show the entries of a map as bytes; the commands below bpf show what they mean")
    .argument("<name>", "As map list names it");
  addOutputFlag(get).action(async (name: string, options: OutputOptions) => {
    checkOutput(options);
    const map = await context.agent.map(name, context.signal);
    show(context, options, map, () => entryTable(map));
  });
}

function mapTable(maps: readonly BPFMap[]): string {
  const rows = maps.map(({ path = "", cache }) => {
    const errors = (cache ?? []).filter((entry) => (entry["last-error"] ?? "") !== "").length;
    return [basename(path), String(cache?.length ?? 0), String(errors), String(cache !== undefined)];
  });
  return tableText([["Name", "Num entries", "Num errors", "Cache enabled"], ...rows]);
}

function entryTable({ cache = [] }: BPFMap): string {
  const state = { ok: "sync", insert: "to-be-inserted", delete: "to-be-deleted" } as const;
  const rows = cache.map((entry) => [
    entry.key ?? "",
    entry.value ?? "",
    state[entry["desired-action"] ?? "ok"],
    entry["last-error"] ?? "",
  ]);
  return tableText([["Key", "Value", "State", "Error"], ...rows]);
}
