import { readFileSync } from "node:fs";
import { UsageError } from "@cilium-ts/command-line";
import { type ClientTls, createObserverClients, unixPathOf } from "@cilium-ts/observer";
import { errorMessage, parseDuration } from "@cilium-ts/std";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Command, Option } from "commander";
import { type ConfigKey, configPath, readConfig } from "./config-file.ts";
import { checkReachable, serverDefault } from "./server-address.ts";
import type { World } from "./world.ts";

/** How the server is reached. */
export interface ConnectionOptions {
  readonly server: string;
  readonly timeout: string;
  readonly requestTimeout: string;
  readonly tls?: boolean;
  readonly tlsAllowInsecure?: boolean;
  readonly tlsCaCertFiles: string;
  readonly tlsClientCertFile: string;
  readonly tlsClientKeyFile: string;
  readonly tlsServerName: string;
  readonly basicAuthUsername: string;
  readonly basicAuthPassword: string;
  readonly portForward?: boolean;
  readonly portForwardPort: string;
  readonly kubeconfig?: string;
  readonly kubeContext?: string;
  readonly kubeNamespace: string;
}

/** Flags win over the environment, that over the configuration file. */
export function addConnectionFlags(command: Command, world: World): void {
  const config = readConfig(configPath(world.env));
  const fallback = (key: ConfigKey, value: string): string =>
    world.env[`HUBBLE_${key.replaceAll("-", "_").toUpperCase()}`] || config.get(key) || value;
  command
    .option("--server <address>", "Hubble server: unix:///path, host:port or tls://host:port", fallback("server", serverDefault))
    .option("--timeout <duration>", "How long to wait for a connection", fallback("timeout", "5s"))
    .option("--request-timeout <duration>", "How long to wait for an answer, except of flows", fallback("request-timeout", "12s"))
    .option("--tls", "Use TLS", fallback("tls", "false") === "true")
    .option("--tls-allow-insecure", "Believe whatever certificate the server has", fallback("tls-allow-insecure", "false") === "true")
    .option("--tls-ca-cert-files <files>", "Authorities to believe, separated by commas", fallback("tls-ca-cert-files", ""))
    .option("--tls-client-cert-file <file>", "Certificate to show", fallback("tls-client-cert-file", ""))
    .option("--tls-client-key-file <file>", "Its key", fallback("tls-client-key-file", ""))
    .option("--tls-server-name <name>", "What the server's certificate must be valid for", fallback("tls-server-name", ""))
    .option(
      "-P, --port-forward",
      "Reach the relay of a cluster through its API server, in place of --server",
      fallback("port-forward", "false") === "true",
    )
    .option("--port-forward-port <port>", "Port of this machine for that; 0: any", fallback("port-forward-port", "4245"))
    .option("--kubeconfig <file>", "How to reach the cluster (KUBECONFIG, or ~/.kube/config)", fallback("kubeconfig", "") || undefined)
    .option("--kube-context <name>", "A context other than the current one", fallback("kube-context", "") || undefined)
    .option("--kube-namespace <namespace>", "Where the relay runs", fallback("kube-namespace", "kube-system"))
    .option(
      "--basic-auth-username <name>",
      "Name to log in with, where something before the server asks",
      fallback("basic-auth-username", ""),
    )
    // Its value comes from the environment or the file as a rule, and help must not show it.
    .addOption(new Option("--basic-auth-password <password>", "Its password").default(fallback("basic-auth-password", ""), "none"));
}

export type Clients = ReturnType<typeof createObserverClients>;

/** Connects once, so that a server that is not there is told apart from one that answers badly. */
export async function openClients(options: ConnectionOptions): Promise<Clients> {
  const tls = readTls(options);
  const metadata = readBasicAuth(options, tls !== undefined);
  await checkReachable(options.server, durationOf("timeout", options.timeout));
  return createObserverClients(options.server, tls, metadata);
}

/** For answers other than flows. */
export function callOptionsOf(options: ConnectionOptions, signal: AbortSignal): { signal: AbortSignal; timeoutMs: number } {
  return { signal, timeoutMs: durationOf("request-timeout", options.requestTimeout) };
}

/** What a server refused, in its words and with its name. */
export function serverError(server: string, cause: unknown): UsageError {
  if (cause instanceof UsageError) return cause;
  if (cause instanceof ConnectError) return new UsageError(`${server}: ${cause.rawMessage} (${Code[cause.code]})`);
  return new UsageError(`${server}: ${errorMessage(cause)}`);
}

function readTls(options: ConnectionOptions): ClientTls | undefined {
  const { server, tlsClientCertFile: certFile, tlsClientKeyFile: keyFile, tlsServerName: serverName, tlsAllowInsecure = false } = options;
  if (unixPathOf(server) !== undefined || !(options.tls === true || server.startsWith("tls://"))) return undefined;
  if ((certFile === "") !== (keyFile === ""))
    throw new UsageError("--tls-client-cert-file and --tls-client-key-file are given both, or none");
  const authorityFiles = options.tlsCaCertFiles.split(/[\s,]+/).filter((path) => path !== "");
  return {
    pair: certFile === "" ? undefined : { certificate: read("tls-client-cert-file", certFile), key: read("tls-client-key-file", keyFile) },
    authorities: authorityFiles.map((path) => read("tls-ca-cert-files", path)),
    ...(serverName === "" ? {} : { serverName }),
    allowInsecure: tlsAllowInsecure,
  };
}

/** A password is not sent where others could read it. */
function readBasicAuth({ server, basicAuthUsername: name, basicAuthPassword: password }: ConnectionOptions, usesTls: boolean) {
  if ((name === "") !== (password === "")) throw new UsageError("--basic-auth-username and --basic-auth-password are given both, or none");
  if (name === "") return {};
  if (!usesTls && unixPathOf(server) === undefined)
    throw new UsageError(`the password would go to ${server} in plain text: use --tls, or leave --basic-auth-username out`);
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}` };
}

function read(flag: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new UsageError(`--${flag} ${path} cannot be read: ${errorMessage(cause)}`);
  }
}

function durationOf(flag: string, text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === undefined) throw new UsageError(`--${flag} ${JSON.stringify(text)} is no duration such as 5s`);
  return durationMs;
}
