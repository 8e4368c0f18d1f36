/** One metric that is asked for, with its options by name; an option without values is switched on. */
export interface MetricSetting {
  readonly name: string;
  readonly options: ReadonlyMap<string, readonly string[]>;
}

export interface ParsedMetricSettings {
  readonly settings: readonly MetricSetting[];
  readonly problems: readonly string[];
}

export const pluginNames = [
  "dns",
  "drop",
  "flow",
  "flows-to-world",
  "http",
  "httpV2",
  "icmp",
  "kafka",
  "policy",
  "port-distribution",
  "tcp",
] as const;

/** `dns:query;ignoreAAAA drop tcp:sourceContext=pod|namespace;labelsContext=source_pod,destination_pod`, separated by spaces. */
export function parseMetricSettings(text: string): ParsedMetricSettings {
  const settings: MetricSetting[] = [];
  const problems: string[] = [];
  for (const word of text.split(/\s+/)) {
    if (word === "") continue;
    const colon = word.indexOf(":");
    const [name, list] = colon < 0 ? [word, ""] : [word.slice(0, colon), word.slice(colon + 1)];
    const options = new Map<string, readonly string[]>();
    for (const option of list.split(";")) {
      if (option === "") continue;
      const equals = option.indexOf("=");
      if (equals < 0) options.set(option, []);
      else options.set(option.slice(0, equals), option.slice(equals + 1).split(/[,|]/));
    }
    settings.push({ name, options });
  }
  problems.push(...checkMetricSettings(settings));
  return { settings, problems };
}

/** What is wrong with settings, however they were written. */
export function checkMetricSettings(settings: readonly MetricSetting[]): string[] {
  const problems: string[] = [];
  const names = settings.map(({ name }) => name);
  for (const { name, options } of settings) {
    if (!pluginNames.some((known) => known === name)) problems.push(`metric ${JSON.stringify(name)} is none of ${pluginNames.join(", ")}`);
    else for (const [option, values] of options) problems.push(...checkOption(name, option, values));
  }
  if (names.includes("http") && names.includes("httpV2")) problems.push("metrics http and httpV2 exclude each other: keep httpV2");
  if (new Set(names).size < names.length) problems.push("a metric is named twice: join its options");
  return problems;
}

/** Whose value a label `source` or `destination` may have. */
export const contextValues = [
  "identity",
  "namespace",
  "pod",
  "pod-name",
  "dns",
  "ip",
  "reserved-identity",
  "workload",
  "workload-name",
  "app",
] as const;
export type ContextValue = (typeof contextValues)[number];

export const contextOptions = [
  "sourceContext",
  "sourceEgressContext",
  "sourceIngressContext",
  "destinationContext",
  "destinationEgressContext",
  "destinationIngressContext",
] as const;

/** What labels of their own may be asked for. */
export const contextLabels = [
  ...["ip", "pod", "namespace", "workload", "workload_kind", "app"].flatMap((what) => [`source_${what}`, `destination_${what}`]),
  "traffic_direction",
];

const pluginOptions: Readonly<Record<string, readonly string[]>> = {
  dns: ["query", "ignoreAAAA"],
  httpV2: ["exemplars"],
  "flows-to-world": ["any-drop", "port", "syn-only"],
};

function checkOption(metric: string, option: string, values: readonly string[]): string[] {
  const isContext = contextOptions.some((known) => known === option);
  const known: readonly string[] = isContext ? contextValues : option === "labelsContext" ? contextLabels : [];
  if (isContext || option === "labelsContext") {
    const wrong = values.filter((value) => !known.includes(value));
    return wrong.map((value) => `metric ${metric}: ${option} ${JSON.stringify(value)} is none of ${known.join(", ")}`);
  }
  const own = pluginOptions[metric] ?? [];
  if (own.includes(option)) return [];
  return [
    `metric ${metric}: there is no option ${JSON.stringify(option)}; there are ${[...contextOptions, "labelsContext", ...own].join(", ")}`,
  ];
}
