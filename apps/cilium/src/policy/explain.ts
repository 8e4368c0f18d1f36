import { addOutputFlag, checkOutput, clean, type OutputOptions, show, UsageError } from "@cilium-ts/command-line";
import { ciliumPolicyFromRule, policyWorldOf, readPolicyCluster } from "@cilium-ts/kubernetes";
import {
  type ExplainedProtocol,
  explainConnection,
  explainedProtocols,
  explanationLines,
  remediesOf,
  withRemedyAs,
} from "@cilium-ts/policy-advice";
import type { Command } from "commander";
import { stringify } from "yaml";
import type { Context } from "../context.ts";
import { findParty, partyHelp } from "./cluster-party.ts";

interface ExplainOptions extends OutputOptions {
  readonly from: string;
  readonly to: string;
  readonly port: string;
  readonly remedy?: boolean;
}

export function addExplain(group: Command, context: Context): void {
  const command = group
    .command("explain")
    .description("Say why the one may or may not talk to the other, and what would change it")
    .requiredOption("--from <party>", partyHelp)
    .requiredOption("--to <party>", "As before")
    .requiredOption("--port <port>", `PORT or PORT/PROTOCOL (${explainedProtocols.join(", ")}); of ICMP the type`)
    .option("--remedy", "Only the smallest policies that would allow it, for kubectl apply");
  addOutputFlag(command).action(async (options: ExplainOptions) => {
    checkOutput(options);
    const { port, protocol } = parsePort(options.port);
    const cluster = await readPolicyCluster(await context.cluster(), { namespace: context.namespace, signal: context.stopped });
    const [from, to] = [findParty(cluster, options.from, "--from"), findParty(cluster, options.to, "--to")];
    const { verdict, egress, ingress } = explainConnection({ from, to, protocol, port }, policyWorldOf(cluster));
    const explanation = {
      from: from.shape,
      to: to.shape,
      protocol,
      port,
      verdict,
      egress: withRemedyAs(egress, ciliumPolicyFromRule),
      ingress: withRemedyAs(ingress, ciliumPolicyFromRule),
    };
    const lines = (): string => `${explanationLines(explanation, yamlLines).map(clean).join("\n")}\n`;
    if (options.remedy !== true) show(context, options, explanation, lines);
    else {
      const remedies = remediesOf(explanation);
      if (typeof remedies === "string") throw new UsageError(remedies);
      context.write(remedies.map((remedy) => `---\n${stringify(remedy, { lineWidth: 0 })}`).join(""));
    }
  });
}

function yamlLines(value: object): string[] {
  return stringify(value, { lineWidth: 0 }).trimEnd().split("\n");
}

function parsePort(text: string): { readonly port: number; readonly protocol: ExplainedProtocol } {
  const match = /^([0-9]{1,5})(?:\/([A-Za-z0-9]+))?$/.exec(text);
  const named = match?.[2] ?? "TCP";
  const protocol = explainedProtocols.find((known) => known.toLowerCase() === named.toLowerCase());
  const port = Number(match?.[1]);
  if (match === null || port > 65_535)
    throw new UsageError(`--port ${JSON.stringify(text)} is neither PORT nor PORT/PROTOCOL, such as 80/TCP`);
  if (protocol === undefined)
    throw new UsageError(`--port ${JSON.stringify(text)}: the protocol is one of ${explainedProtocols.join(", ")}`);
  return { port, protocol };
}
