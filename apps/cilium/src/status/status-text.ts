import { clean } from "@cilium-ts/command-line";
import type { ClusterStatus } from "./collect-status.ts";
import type { ComponentState } from "./components.ts";
import type { Trouble } from "./trouble.ts";

/** What stands for the whole of a component in the first lines. */
function summaryOf({ component, replicas }: ComponentState, errors: readonly Trouble[]): string {
  const count = errors.filter((error) => error.component === component.name).length;
  if (count > 0) return `${count} ${count === 1 ? "error" : "errors"}`;
  if (replicas !== undefined) return "OK";
  return component.name === "cilium-envoy" ? "disabled (using embedded mode)" : "disabled";
}

/** Columns as people and scripts know them. */
export function statusText(status: ClusterStatus): string {
  const { components, nodes, pods, leader, errors, warnings } = status;
  const running = components.filter(({ replicas }) => replicas !== undefined);
  const lines = [
    ...components.map((state) => `${`${state.component.title}:`.padEnd(20)}${summaryOf(state, errors)}`),
    "",
    ...running.map(({ component: { kind, name }, replicas }) => {
      const { desired = 0, ready = 0, available = 0, unavailable = 0 } = replicas ?? {};
      const rest = unavailable > 0 ? `, Unavailable: ${unavailable}/${desired}` : "";
      return line(kind, name, `Desired: ${desired}, Ready: ${ready}/${desired}, Available: ${available}/${desired}${rest}`);
    }),
    ...titled("Containers:", containerRows(running)),
    line("Nodes:", `${nodes.all - nodes.withoutAgent.length}/${nodes.all} with an agent`),
    line("Cluster Pods:", `${pods.managed}/${pods.all} managed by Cilium`),
    line("Leader:", leader?.holder || "none"),
    ...titled("Image versions", imageRows(running)),
    ...titled("Errors:", troubleRows(errors)),
    ...titled("Warnings:", troubleRows(warnings)),
  ];
  return `${lines.map((text) => clean(text).trimEnd()).join("\n")}\n`;
}

const widths = [23, 25];

function line(...cells: readonly string[]): string {
  return cells.map((cell, index) => (index < cells.length - 1 ? `${cell.padEnd((widths[index] ?? 1) - 1)} ` : cell)).join("");
}

/** The title before the first row, and nothing before the others. */
function titled(title: string, rows: readonly (readonly string[])[]): string[] {
  return rows.map((row, index) => line(index === 0 ? title : "", ...row));
}

function containerRows(states: readonly ComponentState[]): string[][] {
  return states.map(({ component, pods }) => [component.name, countText(pods.map(({ phase }) => phase)) || "none"]);
}

function imageRows(states: readonly ComponentState[]): string[][] {
  return states.flatMap(({ component, pods }) => {
    const counts = countsOf(pods.flatMap(({ images }) => images));
    return [...counts].map(([image, count]) => [component.name, `${image}: ${count}`]);
  });
}

function troubleRows(troubles: readonly Trouble[]): string[][] {
  return troubles.map(({ component, part, message }) => [component, `${part.padEnd(24)} ${message}`]);
}

/** `Running: 2, Pending: 1` */
function countText(words: readonly string[]): string {
  return [...countsOf(words)].map(([word, count]) => `${word}: ${count}`).join(", ");
}

function countsOf(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** In the fields that `cilium status -o json` is known by, and the nodes and the leader beside them. */
export function statusJson({ components, nodes, pods, leader, agents, errors, warnings }: ClusterStatus): object {
  const running = components.filter(({ replicas }) => replicas !== undefined);
  const byName = <T>(value: (state: ComponentState) => T): Record<string, T> =>
    Object.fromEntries(running.map((state) => [state.component.name, value(state)]));
  return {
    pod_state: Object.fromEntries(
      components.map(({ component: { name, kind }, replicas }) => {
        if (replicas === undefined) return [name, { Type: kind, Disabled: true }];
        const { desired, ready, available, unavailable } = replicas;
        return [name, { Type: kind, Desired: desired, Ready: ready, Available: available, Unavailable: unavailable }];
      }),
    ),
    pods_count: { All: pods.all, ByCilium: pods.managed },
    phase_count: byName((state) => Object.fromEntries(countsOf(state.pods.map(({ phase }) => phase)))),
    image_count: byName((state) => Object.fromEntries(countsOf(state.pods.flatMap(({ images }) => images)))),
    nodes_count: { All: nodes.all, WithAgent: nodes.all - nodes.withoutAgent.length },
    leader: leader?.holder ?? "",
    cilium_status: Object.fromEntries(agents.flatMap((answer) => ("status" in answer ? [[answer.pod, answer.status]] : []))),
    errors: troublesJson(errors, warnings),
  };
}

function troublesJson(errors: readonly Trouble[], warnings: readonly Trouble[]): Record<string, Record<string, object>> {
  const found: Record<string, Record<string, { Errors: string[]; Warnings: string[] }>> = {};
  const at = ({ component, part }: Trouble): { Errors: string[]; Warnings: string[] } => {
    found[component] ??= {};
    found[component][part] ??= { Errors: [], Warnings: [] };
    return found[component][part];
  };
  for (const error of errors) at(error).Errors.push(error.message);
  for (const warning of warnings) at(warning).Warnings.push(warning.message);
  return found;
}
