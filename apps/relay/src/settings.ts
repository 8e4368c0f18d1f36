import { hostPortOf, parseListenAddress, unixPathOf } from "@cilium-ts/observer";
import { errorMessage, readSettingTexts, type Setting, type SettingFiles, SettingsReader, settingLines } from "@cilium-ts/std";
import { parse as parseYaml } from "yaml";

/** Names are those of Cilium's relay where it has the setting. Of the others, `tls-dir` is where certificates of our own are made. */
const settings = [
  { name: "config", value: "FILE", fallback: "/etc/hubble-relay/config.yaml", says: "YAML file of these settings; flags win over it" },
  { name: "cluster-name", value: "NAME", fallback: "default", says: "names of the clusters, separated by commas" },
  {
    name: "peer-service",
    value: "ADDRESS",
    fallback: "unix:///var/run/cilium/hubble.sock",
    says: "who tell the nodes: one for each cluster, separated by commas",
  },
  { name: "listen-address", value: "ADDRESS", fallback: ":4245", says: "where clients connect" },
  { name: "health-listen-address", value: "ADDRESS", fallback: ":4222", says: "where probes connect, in plain text; empty: nowhere" },
  { name: "metrics-listen-address", value: "ADDRESS", fallback: "", says: "where Prometheus connects, such as :9966; empty: nowhere" },
  { name: "retry-timeout", value: "DURATION", fallback: "30s", says: "after which a lost peer service is asked again" },
  { name: "sort-buffer-len-max", value: "N", fallback: "10000", says: "flows held at most; then nodes wait" },
  {
    name: "sort-buffer-drain-timeout",
    value: "DURATION",
    fallback: "100ms",
    says: "how long a flow is held for others to take their place before it",
  },
  { name: "disable-client-tls", value: "BOOL", fallback: "false", says: "connect to nodes in plain text" },
  { name: "disable-server-tls", value: "BOOL", fallback: "false", says: "serve clients in plain text" },
  { name: "tls-hubble-client-cert-file", value: "FILE", fallback: "", says: "certificate shown to nodes; empty: one of our own" },
  { name: "tls-hubble-client-key-file", value: "FILE", fallback: "", says: "its key" },
  { name: "tls-hubble-server-ca-files", value: "FILES", fallback: "", says: "authorities of the nodes, separated by commas" },
  { name: "tls-relay-server-cert-file", value: "FILE", fallback: "", says: "certificate shown to clients; empty: one of our own" },
  { name: "tls-relay-server-key-file", value: "FILE", fallback: "", says: "its key" },
  { name: "tls-relay-client-ca-files", value: "FILES", fallback: "", says: "authorities of clients; empty: clients need no certificate" },
  {
    name: "tls-dir",
    value: "DIR",
    fallback: "/var/lib/cilium/hubble-tls",
    says: "where certificates of our own are made, shared with the agent",
  },
] as const satisfies readonly Setting[];

type SettingName = (typeof settings)[number]["name"];

/** Written by charts for what this program does not have, or does otherwise. */
const ignored = new Set([
  "gops",
  "gops-port",
  "pprof",
  "pprof-address",
  "pprof-port",
  "debug",
  "dial-timeout",
  "log-opt",
  "error-aggregation-window",
]);

export interface TlsPaths {
  readonly certificatePath: string;
  readonly keyPath: string;
  readonly authorityPaths: readonly string[];
}

export interface RelaySettings {
  /** Who tell the nodes, and in which cluster each is. */
  readonly peerServices: ReadonlyArray<{ readonly address: string; readonly clusterName: string }>;
  readonly listenAddress: string;
  /** Empty: none. */
  readonly healthListenAddress: string;
  readonly metricsListenAddress: string;
  readonly retryTimeoutMs: number;
  readonly heldMax: number;
  readonly holdMs: number;
  /** Undefined: plain text. "own": certificates in `tlsDirectory`. */
  readonly clientTls: TlsPaths | "own" | undefined;
  readonly serverTls: TlsPaths | "own" | undefined;
  readonly tlsDirectory: string;
}

export type ParsedSettings =
  | { readonly kind: "settings"; readonly settings: RelaySettings; readonly notes: readonly string[] }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "problems"; readonly problems: readonly string[] };

/** Flags first, then the environment (`HUBBLE_RELAY_LISTEN_ADDRESS`), then the file, then the default. */
export function parseSettings(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  readConfigFile: (path: string) => string | undefined,
): ParsedSettings {
  const notes: string[] = [];
  const read = readSettingTexts({
    program: "hubble-relay serve",
    settings,
    args,
    environment,
    variablePrefix: "HUBBLE_RELAY_",
    files(given) {
      const path = given("config");
      return readFile(path ?? settings[0].fallback, path !== undefined, readConfigFile, notes);
    },
  });
  if (read.kind === "problems") return read;
  if (read.kind === "help") return { kind: "help", text: usage() };
  const reader = new SettingsReader(read.texts);
  const values = readSettings(reader);
  return reader.problems.length > 0 ? { kind: "problems", problems: reader.problems } : { kind: "settings", settings: values, notes };
}

/** `notes` gets what has no effect. */
function readFile(path: string, mustExist: boolean, read: (path: string) => string | undefined, notes: string[]): SettingFiles {
  const values = new Map<string, string>();
  const problems: string[] = [];
  const text = read(path);
  if (text === undefined) return { values, problems: mustExist ? [`--config ${path} cannot be read`] : [] };
  let parsed: unknown;
  try {
    parsed = parseYaml(text);
  } catch (cause) {
    problems.push(`${path} is no YAML: ${errorMessage(cause).split("\n")[0]}`);
  }
  const isMapping = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
  if (parsed !== undefined && parsed !== null && !isMapping) problems.push(`${path} is no mapping of settings to values`);
  for (const [name, value] of Object.entries(isMapping ? (parsed as Record<string, unknown>) : {})) {
    if (value === null || value === undefined) continue;
    if (settings.some((known) => known.name === name)) values.set(name, Array.isArray(value) ? value.join(",") : String(value));
    else if (ignored.has(name)) notes.push(`${path}: ${name} has no effect here`);
    else problems.push(`${path}: there is no setting ${JSON.stringify(name)}`);
  }
  return { values, problems };
}

function readSettings(reader: SettingsReader<SettingName>): RelaySettings {
  const { problems } = reader;
  const text = (name: SettingName): string => reader.text(name);
  const checked = (name: SettingName, check: (value: string) => unknown, like: string): string => {
    try {
      check(text(name));
    } catch {
      problems.push(`--${name} is ${like}, not "${text(name)}"`);
    }
    return text(name);
  };
  const listenAddress = (name: SettingName, optional: boolean): string =>
    checked(name, (value) => (optional && value === "") || parseListenAddress(value), "an address such as :4245");
  const tls = (disabled: SettingName, cert: SettingName, key: SettingName, authorities: SettingName): RelaySettings["clientTls"] => {
    if (reader.boolean(disabled)) return undefined;
    if ((text(cert) === "") !== (text(key) === "")) problems.push(`--${cert} and --${key} are given both, or none`);
    if (text(cert) === "") return "own";
    const authorityPaths = text(authorities)
      .split(/[\s,]+/)
      .filter((path) => path !== "");
    return { certificatePath: text(cert), keyPath: text(key), authorityPaths };
  };
  return {
    peerServices: readPeerServices(reader),
    listenAddress: listenAddress("listen-address", false),
    healthListenAddress: listenAddress("health-listen-address", true),
    metricsListenAddress: listenAddress("metrics-listen-address", true),
    retryTimeoutMs: reader.duration("retry-timeout", 0, 3_600_000),
    heldMax: reader.whole("sort-buffer-len-max", 1, 1_000_000),
    holdMs: reader.duration("sort-buffer-drain-timeout", 0, 3_600_000),
    clientTls: tls("disable-client-tls", "tls-hubble-client-cert-file", "tls-hubble-client-key-file", "tls-hubble-server-ca-files"),
    serverTls: tls("disable-server-tls", "tls-relay-server-cert-file", "tls-relay-server-key-file", "tls-relay-client-ca-files"),
    tlsDirectory: text("tls-dir"),
  };
}

function readPeerServices(reader: SettingsReader<SettingName>): RelaySettings["peerServices"] {
  const list = (name: SettingName): string[] =>
    reader
      .text(name)
      .split(/[\s,]+/)
      .filter((part) => part !== "");
  const [addresses, clusters] = [list("peer-service"), list("cluster-name")];
  for (const address of addresses.length === 0 ? [""] : addresses) {
    try {
      if (unixPathOf(address) === undefined) hostPortOf(address);
    } catch {
      reader.problems.push(`--peer-service is unix:///path or host:port, not "${address}"`);
    }
  }
  if (clusters.length !== addresses.length && clusters.length !== 1)
    reader.problems.push(
      `--cluster-name has ${clusters.length} names for ${addresses.length} peer services: give one for each, or one for all`,
    );
  return addresses.map((address, index) => ({ address, clusterName: clusters[index] ?? clusters[0] ?? "" }));
}

function usage(): string {
  return [
    "Usage: hubble-relay serve [FLAGS]",
    "",
    "One Hubble API over the nodes of a cluster.",
    "",
    ...settingLines(settings, 44),
    "",
  ].join("\n");
}
