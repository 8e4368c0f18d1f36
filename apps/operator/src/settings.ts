import type { ServeAddress } from "@cilium-ts/http-endpoint";
import type { LogLevel } from "@cilium-ts/log";
import { formatPrefix, type Prefix, parsePrefix, prefixContains } from "@cilium-ts/net";
import type { PodCIDRPoolOptions } from "@cilium-ts/node";
import { readSettingTexts, type Setting, SettingsReader, settingDirectory, settingLines } from "@cilium-ts/std";
import { type FirstPool, parseFirstPools } from "./first-pools-text.ts";

/** Names and defaults are those of Cilium's operator where it has the setting. */
const settings = [
  {
    name: "config-dir",
    value: "DIR",
    fallback: "",
    says: "directory with one file per setting, as a mounted ConfigMap; flags win over it",
  },
  { name: "cluster-name", value: "NAME", fallback: "default", says: "name of the cluster" },
  { name: "k8s-kubeconfig-path", value: "FILE", fallback: "", says: "kubeconfig of the API server; empty: in-cluster" },
  { name: "k8s-namespace", value: "NAME", fallback: "kube-system", says: "namespace of the lease and of the agents' pods" },
  { name: "leader-election-lease-duration", value: "TIME", fallback: "15s", says: "others wait so long for a silent leader" },
  { name: "leader-election-renew-deadline", value: "TIME", fallback: "10s", says: "a leader that could not renew for so long steps down" },
  { name: "leader-election-retry-period", value: "TIME", fallback: "2s", says: "between renewals, and between looks at the lease" },
  { name: "skip-crd-creation", value: "BOOL", fallback: "false", says: "leave CustomResourceDefinitions to somebody else" },
  { name: "ipam", value: "MODE", fallback: "cluster-pool", says: "where nodes get pod CIDRs: cluster-pool, kubernetes or multi-pool" },
  {
    name: "auto-create-cilium-pod-ip-pools",
    value: "POOLS",
    fallback: "",
    says: "pools made when there are none of their names: NAME=ipv4-cidrs:CIDR,...;ipv4-mask-size:BITS;ipv6-..., with spaces between pools",
  },
  { name: "enable-ipv4", value: "BOOL", fallback: "true", says: "give IPv4 pod CIDRs" },
  { name: "enable-ipv6", value: "BOOL", fallback: "true", says: "give IPv6 pod CIDRs" },
  {
    name: "cluster-pool-ipv4-cidr",
    value: "CIDRS",
    fallback: "10.0.0.0/8",
    says: "prefixes that IPv4 pod CIDRs are cut from, with commas",
  },
  { name: "cluster-pool-ipv4-mask-size", value: "BITS", fallback: "24", says: "size of each node's IPv4 pod CIDR" },
  {
    name: "cluster-pool-ipv6-cidr",
    value: "CIDRS",
    fallback: "fd00::/104",
    says: "prefixes that IPv6 pod CIDRs are cut from, with commas",
  },
  { name: "cluster-pool-ipv6-mask-size", value: "BITS", fallback: "120", says: "size of each node's IPv6 pod CIDR" },
  { name: "identity-gc-interval", value: "TIME", fallback: "15m0s", says: "between looks for unused identities; 0: never" },
  { name: "identity-heartbeat-timeout", value: "TIME", fallback: "30m0s", says: "an identity that was unused for so long is deleted" },
  { name: "identity-gc-rate-interval", value: "TIME", fallback: "1m0s", says: "time of the next limit" },
  { name: "identity-gc-rate-limit", value: "N", fallback: "2500", says: "identities marked and deleted in that time, at most" },
  { name: "cilium-endpoint-gc-interval", value: "TIME", fallback: "5m0s", says: "between looks for endpoints without pods; 0: never" },
  { name: "nodes-gc-interval", value: "TIME", fallback: "5m0s", says: "between looks for CiliumNodes without Nodes; 0: never" },
  { name: "remove-cilium-node-taints", value: "BOOL", fallback: "true", says: "remove the taint of nodes whose agent is ready" },
  { name: "set-cilium-node-taints", value: "BOOL", fallback: "false", says: "taint nodes whose agent is there, but not ready" },
  { name: "set-cilium-is-up-condition", value: "BOOL", fallback: "true", says: "say NetworkUnavailable=False of such nodes" },
  { name: "agent-not-ready-taint-key", value: "KEY", fallback: "node.cilium.io/agent-not-ready", says: "key of that taint" },
  { name: "cilium-pod-labels", value: "SELECTOR", fallback: "k8s-app=cilium", says: "which pods are agents" },
  { name: "validate-network-policy", value: "BOOL", fallback: "true", says: "say in the status of policies whether they are valid" },
  { name: "enable-cilium-endpoint-slice", value: "BOOL", fallback: "false", says: "gather CiliumEndpoints into CiliumEndpointSlices" },
  { name: "ces-max-ciliumendpoints-per-ces", value: "N", fallback: "100", says: "endpoints of one slice, at most" },
  { name: "operator-api-serve-addr", value: "HOST:PORT", fallback: "127.0.0.1:9234", says: "address of the health API; empty: none" },
  { name: "enable-metrics", value: "BOOL", fallback: "true", says: "serve metrics" },
  { name: "operator-prometheus-serve-addr", value: "HOST:PORT", fallback: ":9963", says: "address of the metrics" },
  { name: "log-level", value: "LEVEL", fallback: "info", says: "error, warn, info or debug" },
] as const satisfies readonly Setting[];

type SettingName = (typeof settings)[number]["name"];

export interface OperatorOptions {
  readonly clusterName: string;
  readonly kubeconfigPath: string | undefined;
  readonly namespace: string;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  readonly registersDefinitions: boolean;
  readonly ipam: "cluster-pool" | "kubernetes" | "multi-pool";
  /** CiliumPodIPPools to be made where there are none of their names, in the mode multi-pool. */
  readonly firstPools: readonly FirstPool[];
  readonly ipv4: PodCIDRPoolOptions | undefined;
  readonly ipv6: PodCIDRPoolOptions | undefined;
  /** 0: never; so for the other intervals. */
  readonly identityGcIntervalMs: number;
  readonly identityHeartbeatTimeoutMs: number;
  /** Between two writes of the identity collector, at least. */
  readonly identityGcPaceMs: number;
  readonly endpointGcIntervalMs: number;
  readonly nodeGcIntervalMs: number;
  readonly removesTaints: boolean;
  readonly setsTaints: boolean;
  readonly setsCondition: boolean;
  readonly taintKey: string;
  readonly agentPodSelector: string;
  readonly validatesPolicies: boolean;
  readonly makesSlices: boolean;
  readonly sliceSizeMax: number;
  readonly apiAddress: ServeAddress | undefined;
  readonly metricsAddress: ServeAddress | undefined;
  readonly logLevel: LogLevel;
}

export type ParsedSettings =
  | { readonly kind: "options"; readonly options: OperatorOptions }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "problems"; readonly problems: readonly string[] };

/** Flags first, then the environment (`CILIUM_CLUSTER_NAME`), then the files of the configuration directory, then the default. */
export function parseSettings(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  readConfigFile: (directory: string, name: string) => string | undefined,
): ParsedSettings {
  const read = readSettingTexts({
    program: "cilium-operator-generic",
    settings,
    args,
    environment,
    files: settingDirectory(settings, readConfigFile),
  });
  if (read.kind === "problems") return read;
  if (read.kind === "help") return { kind: "help", text: usage() };
  const reader = new OperatorSettings(read.texts);
  const options = readOptions(reader);
  return reader.problems.length > 0 ? { kind: "problems", problems: reader.problems } : { kind: "options", options };
}

/** What the operator's settings need beyond the common kinds of values. */
class OperatorSettings extends SettingsReader<SettingName> {
  pool(family: 4 | 6): PodCIDRPoolOptions | undefined {
    const name = `cluster-pool-ipv${family}-cidr` as const;
    const bits = family === 4 ? 32 : 128;
    const maskSize = this.whole(`cluster-pool-ipv${family}-mask-size`, 1, bits);
    const prefixes: Prefix[] = [];
    const texts = this.text(name).split(/[\s,]+/);
    for (const text of texts.filter((part) => part !== "")) {
      const prefix = text.includes("/") ? parsePrefix(text) : undefined;
      if (prefix?.address.length !== bits / 8)
        this.problems.push(`--${name}: "${text}" is no IPv${family} prefix such as ${family === 4 ? "10.0.0.0/8" : "fd00::/104"}`);
      else if (prefix.length > maskSize) this.problems.push(`--${name}: ${text} is smaller than a pod CIDR of ${maskSize} bits`);
      else this.#addPrefix(name, prefixes, prefix);
    }
    if (prefixes.length === 0) this.problems.push(`--${name} must name a prefix, or --enable-ipv${family} be false`);
    return { prefixes, maskSize };
  }

  #addPrefix(name: SettingName, prefixes: Prefix[], prefix: Prefix): void {
    const other = prefixes.find((known) => prefixContains(known, prefix) || prefixContains(prefix, known));
    if (other === undefined) prefixes.push(prefix);
    else this.problems.push(`--${name}: ${formatPrefix(prefix)} overlaps ${formatPrefix(other)}`);
  }
}

function readOptions(reader: OperatorSettings): OperatorOptions {
  const kubeconfigPath = reader.text("k8s-kubeconfig-path");
  return Object.freeze({
    clusterName: reader.required("cluster-name"),
    kubeconfigPath: kubeconfigPath === "" ? undefined : kubeconfigPath,
    namespace: reader.required("k8s-namespace"),
    ...readElection(reader),
    registersDefinitions: !reader.boolean("skip-crd-creation"),
    ...readIpam(reader),
    identityGcIntervalMs: reader.duration("identity-gc-interval", 0),
    identityHeartbeatTimeoutMs: reader.duration("identity-heartbeat-timeout", 0),
    identityGcPaceMs: reader.duration("identity-gc-rate-interval", 0) / reader.whole("identity-gc-rate-limit", 1, 1_000_000),
    endpointGcIntervalMs: reader.duration("cilium-endpoint-gc-interval", 0),
    nodeGcIntervalMs: reader.duration("nodes-gc-interval", 0),
    removesTaints: reader.boolean("remove-cilium-node-taints"),
    setsTaints: reader.boolean("set-cilium-node-taints"),
    setsCondition: reader.boolean("set-cilium-is-up-condition"),
    taintKey: reader.required("agent-not-ready-taint-key"),
    agentPodSelector: reader.required("cilium-pod-labels"),
    validatesPolicies: reader.boolean("validate-network-policy"),
    makesSlices: reader.boolean("enable-cilium-endpoint-slice"),
    sliceSizeMax: reader.whole("ces-max-ciliumendpoints-per-ces", 1, 1_000),
    apiAddress: reader.address("operator-api-serve-addr"),
    metricsAddress: reader.boolean("enable-metrics") ? reader.address("operator-prometheus-serve-addr") : undefined,
    logLevel: reader.choice("log-level", ["error", "warn", "info", "debug"], "info"),
  });
}

function readElection(reader: OperatorSettings): Pick<OperatorOptions, "leaseDurationMs" | "renewDeadlineMs" | "retryPeriodMs"> {
  const leaseDurationMs = reader.duration("leader-election-lease-duration", 1_000);
  const renewDeadlineMs = reader.duration("leader-election-renew-deadline", 1);
  const retryPeriodMs = reader.duration("leader-election-retry-period", 1);
  if (leaseDurationMs % 1000 !== 0) reader.problems.push("--leader-election-lease-duration is in whole seconds, such as 15s");
  if (renewDeadlineMs >= leaseDurationMs)
    reader.problems.push("--leader-election-renew-deadline must be shorter than --leader-election-lease-duration");
  if (2 * retryPeriodMs > renewDeadlineMs)
    reader.problems.push("--leader-election-retry-period must be at most half of --leader-election-renew-deadline");
  return { leaseDurationMs, renewDeadlineMs, retryPeriodMs };
}

function readIpam(reader: OperatorSettings): Pick<OperatorOptions, "ipam" | "ipv4" | "ipv6" | "firstPools"> {
  const ipam = reader.choice("ipam", ["cluster-pool", "kubernetes", "multi-pool"], "cluster-pool");
  const { pools: firstPools, problems } = parseFirstPools(reader.text("auto-create-cilium-pod-ip-pools"));
  reader.problems.push(...problems.map((problem) => `--auto-create-cilium-pod-ip-pools: ${problem}`));
  const ipv4 = reader.boolean("enable-ipv4");
  const ipv6 = reader.boolean("enable-ipv6");
  if (!ipv4 && !ipv6) reader.problems.push("--enable-ipv4 and --enable-ipv6 cannot both be false");
  const hasPools = ipam === "cluster-pool";
  return { ipam, firstPools, ipv4: hasPools && ipv4 ? reader.pool(4) : undefined, ipv6: hasPools && ipv6 ? reader.pool(6) : undefined };
}

function usage(): string {
  return [
    "Usage: cilium-operator-generic [FLAGS]",
    "",
    "The duties of a whole cluster: definitions, pod CIDRs, and the removal of what nobody uses. Needs no privileges.",
    "",
    ...settingLines(settings, 48),
  ].join("\n");
}
