import { AgentApiError } from "@cilium-ts/agent-api";
import { addOutputFlag, checkOutput, type OutputOptions, show, stackedRows, tableText, UsageError } from "@cilium-ts/command-line";
import type { InspectedPolicyEntry } from "@cilium-ts/datapath";
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { protocolText } from "./protocols.ts";

interface PolicyOptions extends OutputOptions {
  readonly numeric?: boolean;
  readonly all?: boolean;
}

/** The policy that the kernel has for an endpoint. */
interface EndpointPolicyRows {
  readonly endpoint: number;
  readonly policySet: number;
  readonly entries: readonly InspectedPolicyEntry[];
}

export function addBpfPolicy(group: Command, context: Context): void {
  const policy = group.command("policy").description("Verdicts of endpoints");
  const get = policy
    .command("get")
    .description("Show the entries of one endpoint, or of all")
    .argument("[endpoint]", "Its number")
    .option("--all", "Of every endpoint");
  addFlags(get).action((id: string | undefined, options: PolicyOptions) => {
    if (id === undefined && options.all !== true) throw new UsageError("say which endpoint: bpf policy get NUMBER, or --all");
    return showPolicies(context, id, options);
  });
  const list = policy.command("list").description("Show the entries of every endpoint");
  addFlags(list).action((options: PolicyOptions) => showPolicies(context, undefined, options));
}

function addFlags(command: Command): Command {
  return addOutputFlag(command).option("-n, --numeric", "Numbers of identities instead of their labels");
}

async function showPolicies(context: Context, id: string | undefined, options: PolicyOptions): Promise<void> {
  checkOutput(options);
  const policies = await readPolicies(context, id);
  const labels = options.numeric === true || options.output !== undefined ? new Map<number, readonly string[]>() : await labelsOf(context);
  show(context, options, policies, () => {
    if (id !== undefined) return policies.map(({ entries }) => policyTable(entries, labels)).join("");
    return policies
      .map(({ endpoint, policySet, entries }) => `Endpoint ID: ${endpoint}\nPolicy set: ${policySet}\n\n${policyTable(entries, labels)}`)
      .join("\n");
  });
}

async function readPolicies(context: Context, id: string | undefined): Promise<EndpointPolicyRows[]> {
  const inspection = await context.inspection();
  const endpoints = inspection.endpoints().filter((endpoint) => id === undefined || String(endpoint.id) === id);
  if (id !== undefined && endpoints.length === 0) throw new UsageError(`there is no endpoint ${JSON.stringify(id)} in the kernel`);
  const bySet = Map.groupBy(inspection.policy(), ({ set }) => set);
  return endpoints.map(({ id: endpoint, policySet }) => ({ endpoint, policySet, entries: (bySet.get(policySet) ?? []).sort(order) }));
}

function order(left: InspectedPolicyEntry, right: InspectedPolicyEntry): number {
  const directions = Number(left.direction === "egress") - Number(right.direction === "egress");
  return directions || left.identity - right.identity || left.protocol - right.protocol || left.port - right.port;
}

/** Empty when there is no agent to ask: then identities are shown by their numbers. */
async function labelsOf({ agent, signal }: Context): Promise<ReadonlyMap<number, readonly string[]>> {
  try {
    const identities = await agent.identities(signal);
    return new Map(identities.map(({ id = 0, labels = [] }) => [id, labels]));
  } catch (cause) {
    if (cause instanceof AgentApiError && cause.status === 0) return new Map();
    throw cause;
  }
}

export function policyTable(entries: readonly InspectedPolicyEntry[], labels: ReadonlyMap<number, readonly string[]>): string {
  const rows = entries.flatMap((entry) => {
    const peer = entry.identity === 0 ? "ANY" : (labels.get(entry.identity) ?? String(entry.identity));
    const prefix = entry.protocol === 0 ? 0 : 8 + entry.portPrefixLength;
    return stackedRows([
      `${entry.deny ? "Deny" : entry.unallowed ? "Unallowed" : entry.redirect ? "Redirect" : "Allow"}${entry.audit ? " (Audit)" : ""}`,
      entry.direction === "ingress" ? "Ingress" : "Egress",
      peer,
      portText(entry),
      entry.proxyPort === 0 ? "NONE" : String(entry.proxyPort),
      entry.authType === 0 ? "disabled" : String(entry.authType),
      String(prefix),
      String(entry.cookie),
    ]);
  });
  const header = ["POLICY", "DIRECTION", "LABELS (source:key[=value])", "PORT/PROTO", "PROXY PORT", "AUTH TYPE", "PREFIX", "COOKIE"];
  return tableText([header, ...rows]);
}

/** `80/TCP`, `80-95/TCP`, `ANY/UDP`, `ANY`. */
function portText({ protocol, port, portPrefixLength }: InspectedPolicyEntry): string {
  if (protocol === 0) return "ANY";
  if (portPrefixLength === 0) return `ANY/${protocolText(protocol)}`;
  const last = port + 2 ** (16 - portPrefixLength) - 1;
  return `${port === last ? port : `${port}-${last}`}/${protocolText(protocol)}`;
}
