import { hostname } from "node:os";
import type { ServeAddress } from "@cilium-ts/http-endpoint";
import type { LogLevel } from "@cilium-ts/log";
import { type Prefix, parsePrefix } from "@cilium-ts/net";
import { readSettingTexts, type Setting, SettingsReader, settingDirectory, settingLines } from "@cilium-ts/std";
import type { HistorySettings } from "./hubble/node-history.ts";

/** Names are those of Cilium's agent where it has the setting. */
const settings = [
  {
    name: "config-dir",
    value: "DIR",
    fallback: "",
    says: "directory with one file per setting, as a mounted ConfigMap; flags win over it",
  },
  { name: "cluster-name", value: "NAME", fallback: "default", says: "name of the cluster, a label of every pod" },
  { name: "node-name", value: "NAME", fallback: hostname(), says: "name of this node's Node object" },
  { name: "k8s-kubeconfig-path", value: "FILE", fallback: "", says: "kubeconfig of the API server; empty: in-cluster" },
  { name: "state-dir", value: "DIR", fallback: "/var/run/cilium/state", says: "where endpoints are kept over a restart" },
  { name: "socket-path", value: "FILE", fallback: "/var/run/cilium/cilium.sock", says: "unix socket of the agent's API" },
  { name: "agent-health-port", value: "PORT", fallback: "9879", says: "port of 127.0.0.1 for a kubelet's probes (/healthz); 0: none" },
  { name: "prometheus-serve-addr", value: "ADDRESS", fallback: "", says: "where Prometheus connects, such as :9962; empty: nowhere" },
  { name: "hubble-socket-path", value: "FILE", fallback: "/var/run/cilium/hubble.sock", says: "unix socket of the Hubble server" },
  { name: "hubble-listen-address", value: "ADDRESS", fallback: "", says: "where Hubble listens besides, such as :4244; empty: nowhere" },
  { name: "hubble-disable-tls", value: "BOOL", fallback: "false", says: "serve Hubble on TCP in plain text" },
  { name: "hubble-tls-cert-file", value: "FILE", fallback: "", says: "certificate of the Hubble server; empty: one of our own is made" },
  { name: "hubble-tls-key-file", value: "FILE", fallback: "", says: "its key" },
  { name: "hubble-tls-client-ca-files", value: "FILES", fallback: "", says: "authorities of Hubble's clients, separated by commas" },
  { name: "hubble-tls-dir", value: "DIR", fallback: "/var/lib/cilium/hubble-tls", says: "where Hubble's own certificates are made" },
  {
    name: "delete-queue-dir",
    value: "DIR",
    fallback: "/var/run/cilium/deleteQueue",
    says: "where the CNI plugin leaves deletions while the agent is away",
  },
  { name: "bpf-root", value: "DIR", fallback: "/sys/fs/bpf/cilium", says: "bpffs directory of our maps, programs and links" },
  { name: "ipv4-range", value: "CIDR", fallback: "10.0.0.0/24", says: "addresses of this node's pods" },
  { name: "ipv6-range", value: "CIDR", fallback: "fd00::/112", says: "addresses of this node's pods" },
  {
    name: "ipam",
    value: "MODE",
    fallback: "host-scope",
    says: "who gives this node its pods' ranges: host-scope (the flags), cluster-pool, kubernetes or multi-pool",
  },
  { name: "ipam-default-ip-pool", value: "POOL", fallback: "default", says: "pool of pods that say nothing, in the mode multi-pool" },
  {
    name: "ipam-multi-pool-pre-allocation",
    value: "POOL=N,...",
    fallback: "default=8",
    says: "addresses of pools that are held ready, in the mode multi-pool",
  },
  { name: "routing-mode", value: "MODE", fallback: "tunnel", says: "how pods of other nodes are reached: tunnel (VXLAN) or native" },
  {
    name: "direct-routing-device",
    value: "DEVICE",
    fallback: "",
    says: "with native routing, the device by which other nodes' pods are reached past the node's stack; empty: found out",
  },
  {
    name: "enable-bpf-masquerade",
    value: "BOOL",
    fallback: "false",
    says: "whether pods leave the cluster with an address of the node: true or false",
  },
  { name: "tunnel-port", value: "PORT", fallback: "8472", says: "UDP port of the tunnel" },
  { name: "mtu", value: "BYTES", fallback: "0", says: "MTU of the pods' devices; 0: that of the uplink, less the tunnel's 50" },
  { name: "enable-policy", value: "MODE", fallback: "default", says: "default, always or never" },
  {
    name: "policy-audit-mode",
    value: "BOOL",
    fallback: "false",
    says: "what policy would drop passes and is reported as audited; a namespace may say otherwise (annotation policy.cilium.io/audit-mode)",
  },
  { name: "allow-localhost", value: "MODE", fallback: "auto", says: "whether the node may always reach its pods: auto, always or policy" },
  {
    name: "monitor-aggregation-interval",
    value: "SECONDS",
    fallback: "5",
    says: "how often an established connection is reported; 0: every packet",
  },
  { name: "hubble-event-buffer-capacity", value: "N", fallback: "4095", says: "flows kept: one less than a power of two, at most 65535" },
  { name: "hubble-history-dir", value: "DIR", fallback: "/var/lib/cilium/hubble-history", says: "where flows are kept beyond that" },
  { name: "hubble-history-max-size-mb", value: "MB", fallback: "256", says: "disk that flows may take; 0: none are kept on disk" },
  { name: "hubble-history-max-age-hours", value: "HOURS", fallback: "24", says: "how long flows are kept on disk" },
  { name: "hubble-traffic-max-size-mb", value: "MB", fallback: "32", says: "disk that sums of traffic may take besides" },
  { name: "hubble-traffic-max-age-hours", value: "HOURS", fallback: "168", says: "how long sums of traffic are kept" },
  { name: "bpf-ct-global-max", value: "N", fallback: "131072", says: "connections tracked for each IP family" },
  { name: "log-level", value: "LEVEL", fallback: "info", says: "error, warn, info or debug" },
] as const satisfies readonly Setting[];

type SettingName = (typeof settings)[number]["name"];

export interface AgentOptions {
  readonly clusterName: string;
  readonly nodeName: string;
  readonly kubeconfigPath: string | undefined;
  readonly stateDirectory: string;
  readonly socketPath: string;
  /** 0: none. */
  readonly healthPort: number;
  readonly metricsAddress: ServeAddress | undefined;
  readonly hubbleSocketPath: string;
  readonly hubble: HubbleSettings;
  readonly deleteQueueDirectory: string;
  readonly bpfRoot: string;
  readonly ipv4Range: Prefix;
  readonly ipv6Range: Prefix;
  readonly ipam: "host-scope" | "cluster-pool" | "kubernetes" | "multi-pool";
  /** Of the mode multi-pool: where pods get their addresses of that name no other, and addresses held ready, by pool. */
  readonly defaultPool: string;
  readonly poolReserves: ReadonlyArray<readonly [pool: string, addresses: number]>;
  readonly routingMode: "tunnel" | "native";
  /** Empty: found out. */
  readonly directRoutingDevice: string;
  readonly masquerade: boolean;
  readonly tunnelPort: number;
  /** 0: found out. */
  readonly mtu: number;
  readonly policyMode: "default" | "always" | "never";
  readonly policyAuditMode: boolean;
  readonly allowLocalhost: "auto" | "always" | "policy";
  readonly traceIntervalS: number;
  readonly flowCapacity: number;
  readonly conntrackEntriesMax: number;
  readonly logLevel: LogLevel;
}

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
}

export type ParsedSettings =
  | { readonly kind: "options"; readonly options: AgentOptions }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "problems"; readonly problems: readonly string[] };

/** Flags first, then the environment (`CILIUM_CLUSTER_NAME`), then the files of the configuration directory, then the default. */
export function parseSettings(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  readConfigFile: (directory: string, name: string) => string | undefined,
): ParsedSettings {
  const variables = { "node-name": "K8S_NODE_NAME" };
  const read = readSettingTexts({
    program: "cilium-agent",
    settings,
    args,
    environment,
    files: settingDirectory(settings, readConfigFile),
    variables,
  });
  if (read.kind === "problems") return read;
  if (read.kind === "help") return { kind: "help", text: usage() };
  return readOptions(new SettingsReader(read.texts));
}

function readOptions(reader: SettingsReader<SettingName>): ParsedSettings {
  const { problems } = reader;
  const range = (name: SettingName, family: 4 | 6, shortest: number): Prefix => {
    const prefix = parsePrefix(reader.text(name));
    const sizeBytes = family === 4 ? 4 : 16;
    if (prefix?.address.length === sizeBytes && prefix.length >= shortest && prefix.length <= sizeBytes * 8 - 2) return prefix;
    problems.push(
      `--${name} is an IPv${family} prefix of ${shortest} to ${sizeBytes * 8 - 2} bits, such as ${family === 4 ? "10.0.1.0/24" : "fd00:0:0:1::/112"}, not "${reader.text(name)}"`,
    );
    return { address: new Uint8Array(sizeBytes), length: sizeBytes * 8 };
  };
  const options: AgentOptions = {
    clusterName: reader.required("cluster-name"),
    nodeName: reader.required("node-name"),
    kubeconfigPath: reader.text("k8s-kubeconfig-path") === "" ? undefined : reader.text("k8s-kubeconfig-path"),
    stateDirectory: reader.required("state-dir"),
    socketPath: reader.required("socket-path"),
    healthPort: reader.whole("agent-health-port", 0, 65_535),
    metricsAddress: reader.address("prometheus-serve-addr"),
    hubbleSocketPath: reader.required("hubble-socket-path"),
    hubble: {
      listenAddress: reader.text("hubble-listen-address"),
      disableTls: reader.boolean("hubble-disable-tls"),
      tlsCertFile: reader.text("hubble-tls-cert-file"),
      tlsKeyFile: reader.text("hubble-tls-key-file"),
      tlsClientCaFiles: reader
        .text("hubble-tls-client-ca-files")
        .split(/[\s,]+/)
        .filter((path) => path !== ""),
      tlsDirectory: reader.required("hubble-tls-dir"),
      history: readHistory(reader),
    },
    deleteQueueDirectory: reader.required("delete-queue-dir"),
    bpfRoot: reader.required("bpf-root"),
    ipv4Range: range("ipv4-range", 4, 8),
    ipv6Range: range("ipv6-range", 6, 64),
    ipam: reader.choice("ipam", ["host-scope", "cluster-pool", "kubernetes", "multi-pool"], "host-scope"),
    defaultPool: reader.required("ipam-default-ip-pool"),
    poolReserves: readReserves(reader),
    routingMode: reader.choice("routing-mode", ["tunnel", "native"], "tunnel"),
    directRoutingDevice: reader.text("direct-routing-device"),
    masquerade: reader.boolean("enable-bpf-masquerade"),
    tunnelPort: reader.whole("tunnel-port", 1, 65_535),
    mtu: reader.whole("mtu", 0, 65_535),
    policyMode: reader.choice("enable-policy", ["default", "always", "never"], "default"),
    policyAuditMode: reader.boolean("policy-audit-mode"),
    allowLocalhost: reader.choice("allow-localhost", ["auto", "always", "policy"], "auto"),
    traceIntervalS: reader.whole("monitor-aggregation-interval", 0, 3_600),
    flowCapacity: reader.whole("hubble-event-buffer-capacity", 1, 65_535),
    conntrackEntriesMax: reader.whole("bpf-ct-global-max", 1_024, 16_777_216),
    logLevel: reader.choice("log-level", ["error", "warn", "info", "debug"], "info"),
  };
  if (options.mtu !== 0 && options.mtu < 1_280) problems.push(`--mtu is at least 1280, or 0 for the uplink's, not ${options.mtu}`);
  if (((options.flowCapacity + 1) & options.flowCapacity) !== 0) {
    problems.push(`--hubble-event-buffer-capacity is one less than a power of two, such as 4095, not ${options.flowCapacity}`);
  }
  problems.push(...hubbleProblems(options.hubble));
  return problems.length > 0 ? { kind: "problems", problems } : { kind: "options", options: Object.freeze(options) };
}

function readHistory(reader: SettingsReader<SettingName>): HistorySettings | undefined {
  const directory = reader.required("hubble-history-dir");
  const sizeBytesMax = reader.whole("hubble-history-max-size-mb", 0, 1_048_576) * 1_048_576;
  const ageMsMax = reader.whole("hubble-history-max-age-hours", 1, 87_600) * 3_600_000;
  const traffic = {
    sizeBytesMax: reader.whole("hubble-traffic-max-size-mb", 1, 1_048_576) * 1_048_576,
    ageMsMax: reader.whole("hubble-traffic-max-age-hours", 1, 876_000) * 3_600_000,
  };
  return sizeBytesMax === 0 ? undefined : { directory, sizeBytesMax, ageMsMax, traffic };
}

function hubbleProblems({ listenAddress, tlsCertFile, tlsKeyFile, tlsClientCaFiles }: HubbleSettings): string[] {
  const problems: string[] = [];
  const port = Number(/^(?:\[[0-9a-fA-F:.]+\]|[^:[\]]*):([0-9]{1,5})$/.exec(listenAddress)?.[1]);
  if (listenAddress !== "" && !(port <= 65_535))
    problems.push(`--hubble-listen-address is an address such as :4244, not "${listenAddress}"`);
  if ((tlsCertFile === "") !== (tlsKeyFile === ""))
    problems.push("--hubble-tls-cert-file and --hubble-tls-key-file are given both, or none");
  else if (tlsCertFile === "" && tlsClientCaFiles.length > 0)
    problems.push("--hubble-tls-client-ca-files needs --hubble-tls-cert-file and --hubble-tls-key-file");
  return problems;
}

function readReserves(reader: SettingsReader<SettingName>): Array<readonly [string, number]> {
  const name = "ipam-multi-pool-pre-allocation";
  const reserves: Array<readonly [string, number]> = [];
  for (const part of reader.text(name).split(/[\s,]+/)) {
    if (part === "") continue;
    const [, pool = "", count = ""] = /^([^=]+)=([0-9]{1,5})$/.exec(part) ?? [];
    if (pool === "") reader.problems.push(`--${name} is a list such as default=8,blue=4, not "${reader.text(name)}"`);
    else reserves.push([pool, Number(count)]);
  }
  return reserves;
}

function usage(): string {
  return [
    "Usage: cilium-agent [FLAGS]",
    "",
    "The datapath, policy and Hubble server of one node. Needs root and Linux 6.6 or newer.",
    "",
    ...settingLines(settings, 42),
  ].join("\n");
}
