import { createExporterConfig, type ExporterConfig } from "@cilium-ts/flow-export";
import { type MetricSetting, parseMetricSettings } from "@cilium-ts/flow-metrics";
import type { ServeAddress } from "@cilium-ts/http-endpoint";
import { parseJsonFilterList } from "@cilium-ts/observer";
import type { Setting, SettingsReader } from "@cilium-ts/std";
import type { HubbleTlsFiles } from "./hubble-tls.ts";
import type { HistorySettings } from "./node-history.ts";

/** Names are those of Cilium's agent where it has the setting. */
export const hubbleSettings = [
  { name: "hubble-socket-path", value: "FILE", fallback: "/var/run/cilium/hubble.sock", says: "unix socket of the Hubble server" },
  { name: "hubble-listen-address", value: "ADDRESS", fallback: "", says: "where Hubble listens besides, such as :4244; empty: nowhere" },
  { name: "hubble-disable-tls", value: "BOOL", fallback: "false", says: "serve Hubble on TCP in plain text" },
  { name: "hubble-tls-cert-file", value: "FILE", fallback: "", says: "certificate of the Hubble server; empty: one of our own is made" },
  { name: "hubble-tls-key-file", value: "FILE", fallback: "", says: "its key" },
  { name: "hubble-tls-client-ca-files", value: "FILES", fallback: "", says: "authorities of Hubble's clients, separated by commas" },
  { name: "hubble-tls-dir", value: "DIR", fallback: "/var/lib/cilium/hubble-tls", says: "where Hubble's own certificates are made" },
  { name: "hubble-event-buffer-capacity", value: "N", fallback: "4095", says: "flows kept: one less than a power of two, at most 65535" },
  { name: "hubble-history-dir", value: "DIR", fallback: "/var/lib/cilium/hubble-history", says: "where flows are kept beyond that" },
  { name: "hubble-history-max-size-mb", value: "MB", fallback: "256", says: "disk that flows may take; 0: none are kept on disk" },
  { name: "hubble-history-max-age-hours", value: "HOURS", fallback: "24", says: "how long flows are kept on disk" },
  { name: "hubble-traffic-max-size-mb", value: "MB", fallback: "32", says: "disk that sums of traffic may take besides" },
  { name: "hubble-traffic-max-age-hours", value: "HOURS", fallback: "168", says: "how long sums of traffic are kept" },
  { name: "hubble-metrics", value: "LIST", fallback: "", says: "what is counted of flows, such as: dns drop tcp:sourceContext=pod" },
  {
    name: "hubble-metrics-server",
    value: "ADDRESS",
    fallback: "",
    says: "where Hubble's metrics are served, such as :9965; empty: nowhere",
  },
  { name: "hubble-metrics-server-enable-tls", value: "BOOL", fallback: "false", says: "serve them by TLS" },
  {
    name: "hubble-metrics-server-tls-cert-file",
    value: "FILE",
    fallback: "",
    says: "certificate of that server; empty: one of our own is made",
  },
  { name: "hubble-metrics-server-tls-key-file", value: "FILE", fallback: "", says: "its key" },
  {
    name: "hubble-metrics-server-tls-client-ca-files",
    value: "FILES",
    fallback: "",
    says: "authorities of those who may read, separated by commas",
  },
  { name: "enable-hubble-open-metrics", value: "BOOL", fallback: "false", says: "whether they may be read as OpenMetrics, with exemplars" },
  {
    name: "hubble-dynamic-metrics-config-path",
    value: "FILE",
    fallback: "",
    says: "YAML of metrics that may change while the agent runs, in place of hubble-metrics",
  },
  {
    name: "hubble-export-file-path",
    value: "FILE",
    fallback: "",
    says: "where flows are written as lines of JSON; stdout, or empty: nowhere",
  },
  { name: "hubble-export-file-max-size-mb", value: "MB", fallback: "10", says: "when another file is begun" },
  { name: "hubble-export-file-max-age-hours", value: "HOURS", fallback: "0", says: "when another file is begun besides; 0: however old" },
  { name: "hubble-export-file-max-backups", value: "N", fallback: "5", says: "former files that are kept" },
  { name: "hubble-export-file-compress", value: "BOOL", fallback: "false", says: "whether former files are compressed" },
  { name: "hubble-export-allowlist", value: "FILTERS", fallback: "", says: "FlowFilter messages in JSON: only these are written" },
  { name: "hubble-export-denylist", value: "FILTERS", fallback: "", says: "FlowFilter messages in JSON: these are not written" },
  { name: "hubble-export-fieldmask", value: "PATHS", fallback: "", says: "fields that are written; empty: all" },
  {
    name: "hubble-export-otlp-endpoint",
    value: "URL",
    fallback: "",
    says: "collector of OpenTelemetry logs, such as http://collector:4318/v1/logs or grpc://collector:4317; with https or grpcs by TLS",
  },
  {
    name: "hubble-export-otlp-headers",
    value: "LIST",
    fallback: "",
    says: "headers for it as NAME=VALUE, separated by commas; values may have percent signs as in addresses",
  },
  { name: "hubble-export-otlp-ca-file", value: "FILE", fallback: "", says: "authority of its certificate; empty: those of the system" },
  { name: "hubble-export-otlp-cert-file", value: "FILE", fallback: "", says: "certificate to show to it" },
  { name: "hubble-export-otlp-key-file", value: "FILE", fallback: "", says: "its key" },
  { name: "hubble-flowlogs-config-path", value: "FILE", fallback: "", says: "YAML of exporters that may change while the agent runs" },
  { name: "hubble-drop-events", value: "BOOL", fallback: "false", says: "whether drops are told as Kubernetes events of their pods" },
  { name: "hubble-drop-events-interval", value: "TIME", fallback: "2m", says: "how often the same drop is told" },
  {
    name: "hubble-drop-events-reasons",
    value: "LIST",
    fallback: "auth_required,policy_denied",
    says: "reasons of drops that are told, separated by commas",
  },
] as const satisfies readonly Setting[];

type HubbleReader = Pick<
  SettingsReader<(typeof hubbleSettings)[number]["name"]>,
  "problems" | "text" | "required" | "whole" | "boolean" | "duration" | "address"
>;

/** How the Hubble server is reached over TCP. */
export interface HubbleSettings {
  /** Empty: not at all. */
  readonly listenAddress: string;
  readonly disableTls: boolean;
  /** Empty: certificates of our own, in `tlsDirectory`. */
  readonly tlsCertFile: string;
  readonly tlsKeyFile: string;
  readonly tlsClientCaFiles: readonly string[];
  readonly tlsDirectory: string;
  /** Undefined: flows are kept in memory only. */
  readonly history: HistorySettings | undefined;
  readonly metrics: HubbleMetricsSettings;
  readonly exporters: readonly ExporterConfig[];
  /** Empty: exporters are those of the settings. */
  readonly flowLogsPath: string;
  /** Undefined: drops are not told. */
  readonly dropEvents: DropEventSettings | undefined;
}

export interface HubbleMetricsSettings {
  /** Undefined: they are not served. */
  readonly address: ServeAddress | undefined;
  /** Undefined: in plain text. */
  readonly tls: HubbleTlsFiles | undefined;
  readonly openMetrics: boolean;
  readonly wanted: readonly MetricSetting[];
  /** Empty: what is counted is what `wanted` says. */
  readonly dynamicPath: string;
}

export interface DropEventSettings {
  readonly intervalMs: number;
  /** In lower case. */
  readonly reasons: readonly string[];
}

export function readHubbleSettings(reader: HubbleReader): HubbleSettings {
  const settings: HubbleSettings = {
    listenAddress: reader.text("hubble-listen-address"),
    disableTls: reader.boolean("hubble-disable-tls"),
    tlsCertFile: reader.text("hubble-tls-cert-file"),
    tlsKeyFile: reader.text("hubble-tls-key-file"),
    tlsClientCaFiles: words(reader.text("hubble-tls-client-ca-files")),
    tlsDirectory: reader.required("hubble-tls-dir"),
    history: readHistory(reader),
    metrics: readMetrics(reader),
    exporters: readExporters(reader),
    flowLogsPath: reader.text("hubble-flowlogs-config-path"),
    dropEvents: readDropEvents(reader),
  };
  reader.problems.push(...hubbleProblems(settings));
  return settings;
}

function readHistory(reader: HubbleReader): HistorySettings | undefined {
  const directory = reader.required("hubble-history-dir");
  const sizeBytesMax = reader.whole("hubble-history-max-size-mb", 0, 1_048_576) * 1_048_576;
  const ageMsMax = reader.whole("hubble-history-max-age-hours", 1, 87_600) * 3_600_000;
  const traffic = {
    sizeBytesMax: reader.whole("hubble-traffic-max-size-mb", 1, 1_048_576) * 1_048_576,
    ageMsMax: reader.whole("hubble-traffic-max-age-hours", 1, 876_000) * 3_600_000,
  };
  return sizeBytesMax === 0 ? undefined : { directory, sizeBytesMax, ageMsMax, traffic };
}

function readMetrics(reader: HubbleReader): HubbleMetricsSettings {
  const { settings: wanted, problems } = parseMetricSettings(reader.text("hubble-metrics"));
  reader.problems.push(...problems.map((problem) => `--hubble-metrics: ${problem}`));
  const tls = {
    tlsCertFile: reader.text("hubble-metrics-server-tls-cert-file"),
    tlsKeyFile: reader.text("hubble-metrics-server-tls-key-file"),
    tlsClientCaFiles: words(reader.text("hubble-metrics-server-tls-client-ca-files")),
  };
  if ((tls.tlsCertFile === "") !== (tls.tlsKeyFile === ""))
    reader.problems.push("--hubble-metrics-server-tls-cert-file and --hubble-metrics-server-tls-key-file are given both, or none");
  return {
    address: reader.address("hubble-metrics-server"),
    tls: reader.boolean("hubble-metrics-server-enable-tls") ? tls : undefined,
    openMetrics: reader.boolean("enable-hubble-open-metrics"),
    wanted,
    dynamicPath: reader.text("hubble-dynamic-metrics-config-path"),
  };
}

/** One for the file and one for the collector, with the same filters and fields. */
function readExporters(reader: HubbleReader): ExporterConfig[] {
  const lists = (["hubble-export-allowlist", "hubble-export-denylist"] as const).map((name) => {
    const list = parseJsonFilterList(reader.text(name));
    if ("problem" in list) reader.problems.push(`--${name}: ${list.problem}`);
    return "filters" in list ? list.filters : [];
  });
  const [includeFilters = [], excludeFilters = []] = lists;
  const common = {
    fieldMask: words(reader.text("hubble-export-fieldmask")),
    includeFilters,
    excludeFilters,
    fileMaxSizeMb: reader.whole("hubble-export-file-max-size-mb", 1, 1_048_576),
    fileMaxAgeHours: reader.whole("hubble-export-file-max-age-hours", 0, 87_600),
    fileMaxBackups: reader.whole("hubble-export-file-max-backups", 0, 10_000),
    fileCompress: reader.boolean("hubble-export-file-compress"),
  };
  const configs: ExporterConfig[] = [];
  for (const setting of ["hubble-export-file-path", "hubble-export-otlp-endpoint"] as const) {
    const filePath = reader.text(setting);
    if (filePath === "") continue;
    const otlp = setting === "hubble-export-otlp-endpoint" ? readOtlp(reader) : {};
    const config = createExporterConfig({ name: setting, filePath, ...common, ...otlp });
    if ("problem" in config) reader.problems.push(`--${setting}: ${config.problem}`);
    else configs.push(config);
  }
  return configs;
}

function readOtlp(reader: HubbleReader) {
  const headers = reader
    .text("hubble-export-otlp-headers")
    .split(",")
    .filter((part) => part.trim() !== "");
  return {
    otlpHeaders: headers.map(decodePercent),
    otlpCaFile: reader.text("hubble-export-otlp-ca-file"),
    otlpCertFile: reader.text("hubble-export-otlp-cert-file"),
    otlpKeyFile: reader.text("hubble-export-otlp-key-file"),
  };
}

/** The text itself where it is not encoded. */
function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function readDropEvents(reader: HubbleReader): DropEventSettings | undefined {
  const isOn = reader.boolean("hubble-drop-events");
  const settings = {
    intervalMs: reader.duration("hubble-drop-events-interval", 1_000),
    reasons: words(reader.text("hubble-drop-events-reasons")).map((reason) => reason.toLowerCase()),
  };
  return isOn ? settings : undefined;
}

function hubbleProblems({ listenAddress, tlsCertFile, tlsKeyFile, tlsClientCaFiles, metrics }: HubbleSettings): string[] {
  const problems: string[] = [];
  const isAddress = (text: string): boolean => Number(/^(?:\[[0-9a-fA-F:.]+\]|[^:[\]]*):([0-9]{1,5})$/.exec(text)?.[1]) <= 65_535;
  if (listenAddress !== "" && !isAddress(listenAddress))
    problems.push(`--hubble-listen-address is an address such as :4244, not "${listenAddress}"`);
  if (metrics.wanted.length > 0 && metrics.address === undefined)
    problems.push("--hubble-metrics needs --hubble-metrics-server, such as :9965");
  if (metrics.dynamicPath !== "" && metrics.wanted.length > 0)
    problems.push("--hubble-metrics and --hubble-dynamic-metrics-config-path exclude each other: keep one");
  if ((tlsCertFile === "") !== (tlsKeyFile === ""))
    problems.push("--hubble-tls-cert-file and --hubble-tls-key-file are given both, or none");
  else if (tlsCertFile === "" && tlsClientCaFiles.length > 0)
    problems.push("--hubble-tls-client-ca-files needs --hubble-tls-cert-file and --hubble-tls-key-file");
  return problems;
}

function words(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== "");
}
