import { hostname } from "node:os";
import type { ServeAddress } from "@cilium-ts/http-endpoint";
import type { LogLevel } from "@cilium-ts/log";
import { type Prefix, parsePrefix } from "@cilium-ts/net";
import { readSettingTexts, type Setting, SettingsReader, settingDirectory, settingLines } from "@cilium-ts/std";
import { type DnsSettings, dnsSettings, readDnsSettings } from "./dns/dns-settings.ts";
import { type HubbleSettings, hubbleSettings, readHubbleSettings } from "./hubble/hubble-settings.ts";

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
  { name: "enable-health-checking", value: "BOOL", fallback: "true", says: "probe other nodes, and answer their probes" },
  { name: "enable-endpoint-health-checking", value: "BOOL", fallback: "true", says: "have an endpoint of our own that answers probes" },
  { name: "cluster-health-port", value: "PORT", fallback: "4240", says: "where probes of other nodes are answered over HTTP" },
  {
    name: "connectivity-probe-frequency-ratio",
    value: "RATIO",
    fallback: "0.5",
    says: "how seldom nodes are probed: 0 is every 10 s, 1 every 110 s, in both cases longer in larger clusters",
  },
  { name: "health-socket-path", value: "FILE", fallback: "/var/run/cilium/health.sock", says: "unix socket of the health API" },
  { name: "prometheus-serve-addr", value: "ADDRESS", fallback: "", says: "where Prometheus connects, such as :9962; empty: nowhere" },
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
  {
    name: "enable-cilium-endpoint-slice",
    value: "BOOL",
    fallback: "false",
    says: "learn of other nodes' pods by CiliumEndpointSlices, which the operator makes with the same setting",
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
  {
    name: "enable-host-firewall",
    value: "BOOL",
    fallback: "false",
    says: "whether policies with nodeSelector hold for what nodes themselves send and receive: true or false",
  },
  {
    name: "host-firewall-revert-after",
    value: "DURATION",
    fallback: "60s",
    says: "policies of nodes that cut off the API server or SSH are taken back after this, unless confirmed; 0: never",
  },
  {
    name: "host-firewall-guard-ssh-ports",
    value: "PORT,...",
    fallback: "22",
    says: "ports of SSH that policies of nodes must not cut off unconfirmed; empty: none",
  },
  {
    name: "enable-node-selector-labels",
    value: "BOOL",
    fallback: "false",
    says: "whether rules may choose nodes by the labels of their objects (fromNodes, toNodes): true or false",
  },
  {
    name: "policy-cidr-match-mode",
    value: "MODES",
    fallback: "",
    says: "what CIDRs of rules mean besides the world: nodes, or nothing",
  },
  { name: "allow-localhost", value: "MODE", fallback: "auto", says: "whether the node may always reach its pods: auto, always or policy" },
  {
    name: "monitor-aggregation-interval",
    value: "SECONDS",
    fallback: "5",
    says: "how often an established connection is reported; 0: every packet",
  },
  {
    name: "ip-tracing-option-type",
    value: "N",
    fallback: "0",
    says: "IP option whose 2, 4 or 8 bytes are a packet's trace id in flows (IPv4, and IPv6's hop-by-hop header); 0: none",
  },
  { name: "bpf-ct-global-max", value: "N", fallback: "131072", says: "connections tracked for each IP family" },
  { name: "log-level", value: "LEVEL", fallback: "info", says: "error, warn, info or debug" },
  ...dnsSettings,
  ...hubbleSettings,
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
  readonly healthChecking: boolean;
  readonly endpointHealthChecking: boolean;
  readonly clusterHealthPort: number;
  readonly healthSocketPath: string;
  /** Between rounds of probes, before the cluster's size counts. */
  readonly healthProbeBaseMs: number;
  readonly metricsAddress: ServeAddress | undefined;
  readonly hubbleSocketPath: string;
  readonly hubble: HubbleSettings;
  readonly dns: DnsSettings;
  readonly deleteQueueDirectory: string;
  readonly bpfRoot: string;
  readonly ipv4Range: Prefix;
  readonly ipv6Range: Prefix;
  readonly ipam: "host-scope" | "cluster-pool" | "kubernetes" | "multi-pool";
  /** Of the mode multi-pool: where pods get their addresses of that name no other, and addresses held ready, by pool. */
  readonly defaultPool: string;
  readonly poolReserves: ReadonlyArray<readonly [pool: string, addresses: number]>;
  /** Pods of other nodes are learnt of by CiliumEndpointSlices. */
  readonly endpointSlices: boolean;
  readonly routingMode: "tunnel" | "native";
  /** Empty: found out. */
  readonly directRoutingDevice: string;
  readonly masquerade: boolean;
  readonly tunnelPort: number;
  /** 0: found out. */
  readonly mtu: number;
  readonly policyMode: "default" | "always" | "never";
  readonly policyAuditMode: boolean;
  /** Policy is asked about what the node itself sends and receives. */
  readonly hostFirewall: boolean;
  /** 0: policies that cut the node off stay. */
  readonly hostFirewallRevertAfterMs: number;
  readonly sshPorts: readonly number[];
  readonly nodeSelectorLabels: boolean;
  /** CIDRs of rules mean nodes, too. */
  readonly cidrsMatchNodes: boolean;
  readonly allowLocalhost: "auto" | "always" | "policy";
  readonly traceIntervalS: number;
  /** 0: none. */
  readonly ipTraceOption: number;
  readonly flowCapacity: number;
  readonly conntrackEntriesMax: number;
  readonly logLevel: LogLevel;
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

function readPorts(reader: SettingsReader<SettingName>, name: SettingName): number[] {
  const texts = reader
    .text(name)
    .split(",")
    .filter((text) => text !== "");
  const wrong = texts.find((text) => !/^[1-9][0-9]{0,4}$/.test(text) || Number(text) > 65_535);
  if (wrong !== undefined) reader.problems.push(`--${name} is a list of ports, such as 22,2222, not "${reader.text(name)}"`);
  return wrong === undefined ? texts.map(Number) : [];
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
  const ratio = (name: SettingName): number => {
    const value = Number(reader.text(name));
    if (/^[0-9]*\.?[0-9]+$/.test(reader.text(name)) && value <= 1) return value;
    problems.push(`--${name} is a number from 0 to 1, not "${reader.text(name)}"`);
    return 0;
  };
  const options: AgentOptions = {
    clusterName: reader.required("cluster-name"),
    nodeName: reader.required("node-name"),
    kubeconfigPath: reader.text("k8s-kubeconfig-path") === "" ? undefined : reader.text("k8s-kubeconfig-path"),
    stateDirectory: reader.required("state-dir"),
    socketPath: reader.required("socket-path"),
    healthPort: reader.whole("agent-health-port", 0, 65_535),
    healthChecking: reader.boolean("enable-health-checking"),
    endpointHealthChecking: reader.boolean("enable-endpoint-health-checking"),
    clusterHealthPort: reader.whole("cluster-health-port", 1, 65_535),
    healthSocketPath: reader.required("health-socket-path"),
    healthProbeBaseMs: 10_000 + 100_000 * ratio("connectivity-probe-frequency-ratio"),
    metricsAddress: reader.address("prometheus-serve-addr"),
    hubbleSocketPath: reader.required("hubble-socket-path"),
    hubble: readHubbleSettings(reader),
    dns: readDnsSettings(reader),
    deleteQueueDirectory: reader.required("delete-queue-dir"),
    bpfRoot: reader.required("bpf-root"),
    ipv4Range: range("ipv4-range", 4, 8),
    ipv6Range: range("ipv6-range", 6, 64),
    ipam: reader.choice("ipam", ["host-scope", "cluster-pool", "kubernetes", "multi-pool"], "host-scope"),
    defaultPool: reader.required("ipam-default-ip-pool"),
    poolReserves: readReserves(reader),
    endpointSlices: reader.choice("enable-cilium-endpoint-slice", ["false", "true"], "false") === "true",
    routingMode: reader.choice("routing-mode", ["tunnel", "native"], "tunnel"),
    directRoutingDevice: reader.text("direct-routing-device"),
    masquerade: reader.boolean("enable-bpf-masquerade"),
    tunnelPort: reader.whole("tunnel-port", 1, 65_535),
    mtu: reader.whole("mtu", 0, 65_535),
    policyMode: reader.choice("enable-policy", ["default", "always", "never"], "default"),
    policyAuditMode: reader.boolean("policy-audit-mode"),
    hostFirewall: reader.boolean("enable-host-firewall"),
    hostFirewallRevertAfterMs: reader.duration("host-firewall-revert-after", 0, 86_400_000),
    sshPorts: readPorts(reader, "host-firewall-guard-ssh-ports"),
    nodeSelectorLabels: reader.choice("enable-node-selector-labels", ["false", "true"], "false") === "true",
    cidrsMatchNodes: reader.choice("policy-cidr-match-mode", ["", "nodes"], "") === "nodes",
    allowLocalhost: reader.choice("allow-localhost", ["auto", "always", "policy"], "auto"),
    traceIntervalS: reader.whole("monitor-aggregation-interval", 0, 3_600),
    ipTraceOption: reader.whole("ip-tracing-option-type", 0, 255),
    flowCapacity: reader.whole("hubble-event-buffer-capacity", 1, 65_535),
    conntrackEntriesMax: reader.whole("bpf-ct-global-max", 1_024, 16_777_216),
    logLevel: reader.choice("log-level", ["error", "warn", "info", "debug"], "info"),
  };
  if (options.mtu !== 0 && options.mtu < 1_280) problems.push(`--mtu is at least 1280, or 0 for the uplink's, not ${options.mtu}`);
  if (((options.flowCapacity + 1) & options.flowCapacity) !== 0) {
    problems.push(`--hubble-event-buffer-capacity is one less than a power of two, such as 4095, not ${options.flowCapacity}`);
  }
  if (options.ipTraceOption === 1)
    problems.push("--ip-tracing-option-type 1 is padding, of which a packet may have much: choose another, such as 136");
  return problems.length > 0 ? { kind: "problems", problems } : { kind: "options", options: Object.freeze(options) };
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
