import { addOutputFlag, checkOutput, clean, type OutputOptions, show } from "@cilium-ts/command-line";
import { recordAt, resources, textAt } from "@cilium-ts/kubernetes";
import type { Command } from "commander";
import packageJson from "../package.json" with { type: "json" };
import type { Context } from "./context.ts";

export function addVersion(program: Command, context: Context): void {
  const command = program
    .command("version")
    .description("Show the versions of this program and of the cluster's agents")
    .option("--client", "Of this program only");
  addOutputFlag(command).action(async (options: OutputOptions & { client?: boolean }) => {
    checkOutput(options);
    const client = `v${packageJson.version} on Node ${process.version}, ${process.platform}/${process.arch}`;
    const image = options.client === true ? undefined : await agentImage(context);
    const text = `cilium-cli: ${client}\n${image === undefined ? "" : `cilium image (running): ${clean(image)}\n`}`;
    show(context, options, { client, ...(image !== undefined && { image }) }, () => text);
  });
}

/** Of the DaemonSet: what the agents run, or will run when they have been restarted. */
async function agentImage(context: Context): Promise<string> {
  const cluster = await context.cluster();
  const name = { namespace: context.namespace, name: "cilium" };
  const daemonSet = await cluster.get(resources.daemonSets, name, { signal: context.stopped });
  const template = recordAt(recordAt(recordAt(daemonSet, "spec"), "template"), "spec");
  const containers = Array.isArray(template.containers) ? template.containers : [];
  const agent: unknown = containers.find((container) => textAt(container, "name") === "cilium-agent") ?? containers[0];
  return textAt(agent, "image") || "unknown";
}
