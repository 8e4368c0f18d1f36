import type { NodeElement } from "@cilium-ts/agent-api";
import { addOutputFlag, checkOutput, type OutputOptions, show, tableText } from "@cilium-ts/command-line";
import type { Command } from "commander";
import type { Context } from "./context.ts";

export function addNode(program: Command, context: Context): void {
  const group = program.command("node").description("Nodes of the cluster");
  const list = group.command("list").description("List the nodes that this one knows, itself among them");
  addOutputFlag(list).action(async (options: OutputOptions) => {
    checkOutput(options);
    const nodes = (await context.agent.clusterNodes(context.signal))["nodes-added"] ?? [];
    show(context, options, nodes, () => tableText(nodeRows(nodes)));
  });
}

/** With their header. */
export function nodeRows(nodes: readonly NodeElement[]): string[][] {
  const rows = nodes.map(({ name = "", "primary-address": primary, source = "" }) => {
    const { ipv4, ipv6 } = primary ?? {};
    return [name, ipv4?.ip ?? "", ipv4?.["alloc-range"] ?? "", ipv6?.ip ?? "", ipv6?.["alloc-range"] ?? "", source];
  });
  return [["Name", "IPv4 Address", "Endpoint CIDR", "IPv6 Address", "Endpoint CIDR", "Source"], ...rows];
}
