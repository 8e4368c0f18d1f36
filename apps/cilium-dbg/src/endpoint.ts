import type { Endpoint, EndpointHealth, EndpointPolicyEnabled, EndpointStatusChange } from "@cilium-ts/agent-api";
import { addOutputFlag, checkOutput, jsonText, type OutputOptions, show, stackedRows, tableText } from "@cilium-ts/command-line";
import type { Command } from "commander";
import type { Context } from "./context.ts";

const idHelp = "Number, cep-name:NAMESPACE/POD, container-id:ID, ipv4:ADDRESS or ipv6:ADDRESS";

export function addEndpoint(program: Command, context: Context): void {
  const group = program.command("endpoint").description("Workloads of this node");
  const list = group.command("list").description("List all endpoints").option("--no-headers", "Without the first lines");
  addOutputFlag(list).action(async (options: OutputOptions & { headers: boolean }) => {
    checkOutput(options);
    const endpoints = [...(await context.agent.endpoints(context.signal))].sort((left, right) => (left.id ?? 0) - (right.id ?? 0));
    show(context, options, endpoints, () => endpointTable(endpoints, options.headers));
  });
  const get = group.command("get").description("Show all of an endpoint, as JSON").argument("<endpoint>", idHelp);
  addOutputFlag(get).action(async (id: string, options: OutputOptions) => {
    checkOutput(options);
    const endpoints = [await context.agent.endpoint(id, context.signal)];
    show(context, options, endpoints, () => jsonText(endpoints));
  });
  const health = group.command("health").description("Show how an endpoint is").argument("<endpoint>", idHelp);
  addOutputFlag(health).action(async (id: string, options: OutputOptions) => {
    checkOutput(options);
    const answer = await context.agent.endpointHealth(id, context.signal);
    show(context, options, answer, () => healthText(answer));
  });
  const log = group.command("log").description("Show what happened to an endpoint, the newest first").argument("<endpoint>", idHelp);
  addOutputFlag(log).action(async (id: string, options: OutputOptions) => {
    checkOutput(options);
    const changes = await context.agent.endpointLog(id, context.signal);
    show(context, options, changes, () => logTable(changes));
  });
  const config = group.command("config").description("Show the options of an endpoint").argument("<endpoint>", idHelp);
  addOutputFlag(config).action(async (id: string, options: OutputOptions) => {
    checkOutput(options);
    const configuration = await context.agent.endpointConfiguration(id, context.signal);
    const rows = Object.entries(configuration.realized?.options ?? {}).map(([name, value]) => [name, `: ${value}`]);
    show(context, options, configuration, () => tableText(rows));
  });
  const labels = group.command("labels").description("Show the labels of an endpoint").argument("<endpoint>", idHelp);
  addOutputFlag(labels).action(async (id: string, options: OutputOptions) => {
    checkOutput(options);
    const configuration = await context.agent.endpointLabels(id, context.signal);
    const { "security-relevant": enabled = [], disabled = [] } = configuration.status ?? {};
    const rows = [...enabled.map((label) => [label, "Enabled"]), ...disabled.map((label) => [label, "Disabled"])];
    show(context, options, configuration, () => tableText(rows));
  });
}

const headers = [
  ["ENDPOINT", "POLICY (ingress)", "POLICY (egress)", "IDENTITY", "LABELS (source:key[=value])", "IPv6", "IPv4", "STATUS"],
  ["", "ENFORCEMENT", "ENFORCEMENT", "", "", "", "", ""],
];

function endpointTable(endpoints: readonly Endpoint[], withHeaders: boolean): string {
  const rows = endpoints.flatMap(({ id, status }) => {
    const enabled = status?.policy?.realized?.["policy-enabled"];
    const { ipv6 = "", ipv4 = "" } = status?.networking?.addressing?.[0] ?? {};
    const { id: identity, labels = [] } = status?.identity ?? {};
    const policy = [enforcementText(enabled, "ingress"), enforcementText(enabled, "egress")];
    return stackedRows([String(id ?? ""), ...policy, String(identity ?? "<no label id>"), labels, ipv6, ipv4, status?.state ?? ""]);
  });
  return tableText(withHeaders ? [...headers, ...rows] : rows);
}

function enforcementText(enabled: EndpointPolicyEnabled | undefined, direction: "ingress" | "egress"): string {
  if (enabled === direction || enabled === "both") return "Enabled";
  return enabled === `audit-${direction}` || enabled === "audit-both" ? "Disabled (Audit)" : "Disabled";
}

function healthText({ overallHealth, bpf, policy, connected }: EndpointHealth): string {
  const rows = [
    ["Overall Health:", overallHealth ?? ""],
    ["BPF Health:", bpf ?? ""],
    ["Policy Health:", policy ?? ""],
    ["Connected:", connected === true ? "yes" : "no"],
  ];
  return tableText(rows);
}

function logTable(changes: readonly EndpointStatusChange[]): string {
  const rows = changes.map(({ timestamp = "", code, state = "", message = "" }) => {
    return [timestamp, code === "failed" ? "Failed" : "OK", state, message];
  });
  return tableText([["Timestamp", "Status", "State", "Message"], ...rows]);
}
