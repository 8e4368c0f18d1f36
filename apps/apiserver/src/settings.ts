import { isIP } from "node:net";
import { parseServiceRanges, type ServiceRange } from "@cilium-ts/kubernetes-server";
import { Command, CommanderError } from "commander";

export interface Settings {
  readonly stateDir: string;
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Names and addresses, besides those of the loopback, under which clients reach the server. */
  readonly advertiseAddresses: readonly string[];
  readonly kubeconfigOut: string | undefined;
  readonly tokenFile: string | undefined;
  readonly serviceRanges: readonly ServiceRange[];
  /** Undefined: one SQLite file in the state directory. */
  readonly etcd: EtcdSettings | undefined;
}

export interface EtcdSettings {
  readonly endpoints: readonly string[];
  /** In front of every key. */
  readonly prefix: string;
  readonly authorityFile: string | undefined;
  readonly certificateFile: string | undefined;
  readonly keyFile: string | undefined;
}

export type ParsedSettings =
  | { readonly outcome: "settings"; readonly settings: Settings }
  /** The help was asked for. */
  | { readonly outcome: "help"; readonly text: string }
  | { readonly outcome: "problem"; readonly problem: string };

/** The flags of cilium-apiserver; a problem is one sentence. */
export function parseSettings(flags: readonly string[]): ParsedSettings {
  const command = new Command("cilium-apiserver")
    .description("A Kubernetes-compatible API server on one SQLite file, or on etcd.")
    .option("--state-dir <folder>", "folder for the database, certificates and tokens; made when missing", "/var/lib/cilium-apiserver")
    .option("--listen <host:port>", "address to listen on; port 0 takes any that is free", "127.0.0.1:6443")
    .option("--advertise-address <name>", "name or address under which clients reach the server; may be repeated", collect, [])
    .option("--kubeconfig-out <file>", "where else to write the administrator's kubeconfig")
    .option("--token-file <file>", 'bearer tokens, one a line: token,user,uid,"group1,group2"')
    .option("--service-cluster-ip-range <ranges>", "addresses of services: a range, or one of each family", "10.96.0.0/16")
    .option("--etcd-servers <urls>", "keep objects in etcd at these URLs, comma-separated, instead of in the state directory")
    .option("--etcd-prefix <path>", "path in front of every key in etcd", "/cilium-ts")
    .option("--etcd-cafile <file>", "authority of etcd's certificates, in PEM")
    .option("--etcd-certfile <file>", "certificate to show to etcd, in PEM")
    .option("--etcd-keyfile <file>", "key of that certificate, in PEM")
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  try {
    command.parse(flags, { from: "user" });
  } catch (cause) {
    if (!(cause instanceof CommanderError)) throw cause;
    if (cause.code === "commander.helpDisplayed") return { outcome: "help", text: command.helpInformation() };
    return { outcome: "problem", problem: cause.message.replace(/^error: /, "") };
  }
  return fromOptions(command.opts());
}

function collect(value: string, list: readonly string[]): readonly string[] {
  return [...list, value];
}

interface Options {
  readonly stateDir: string;
  readonly listen: string;
  readonly advertiseAddress: readonly string[];
  readonly kubeconfigOut?: string;
  readonly tokenFile?: string;
  readonly serviceClusterIpRange: string;
  readonly etcdServers?: string;
  readonly etcdPrefix: string;
  readonly etcdCafile?: string;
  readonly etcdCertfile?: string;
  readonly etcdKeyfile?: string;
}

const hostName = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/i;

function fromOptions(options: Options): ParsedSettings {
  const [, bracketed, plain = "", portText = ""] = /^(?:\[([^\]]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(options.listen) ?? [];
  const host = bracketed ?? plain;
  const port = Number(portText);
  if (host === "" || port > 65_535 || (bracketed !== undefined && isIP(bracketed) !== 6)) {
    return {
      outcome: "problem",
      problem: `--listen must be host:port such as 127.0.0.1:6443 or [::1]:6443, not ${JSON.stringify(options.listen)}`,
    };
  }
  const wrong = options.advertiseAddress.find((name) => isIP(name) === 0 && !hostName.test(name));
  if (wrong !== undefined) {
    return { outcome: "problem", problem: `--advertise-address must be an address or a DNS name, not ${JSON.stringify(wrong)}` };
  }
  if (options.stateDir === "") return { outcome: "problem", problem: "--state-dir must name a folder" };
  const services = parseServiceRanges(options.serviceClusterIpRange);
  if (services.outcome === "problem") return { outcome: "problem", problem: `--service-cluster-ip-range: ${services.problem}` };
  const etcd = etcdSettings(options);
  if (typeof etcd === "string") return { outcome: "problem", problem: etcd };
  return {
    outcome: "settings",
    settings: {
      stateDir: options.stateDir,
      host,
      port,
      advertiseAddresses: options.advertiseAddress,
      kubeconfigOut: options.kubeconfigOut,
      tokenFile: options.tokenFile,
      serviceRanges: services.ranges,
      etcd,
    },
  };
}

/** A text is what is wrong. */
function etcdSettings(options: Options): EtcdSettings | string | undefined {
  const { etcdServers, etcdPrefix, etcdCafile, etcdCertfile, etcdKeyfile } = options;
  if (etcdServers === undefined) {
    return (etcdCafile ?? etcdCertfile ?? etcdKeyfile)
      ? "--etcd-cafile, --etcd-certfile and --etcd-keyfile need --etcd-servers"
      : undefined;
  }
  const endpoints = etcdServers.split(",").map((url) => url.trim());
  const wrong = endpoints.find((url) => !/^https?:\/\/[^/\s]+\/?$/.test(url) || !URL.canParse(url));
  if (wrong !== undefined) return `--etcd-servers must be URLs such as http://127.0.0.1:2379, not ${JSON.stringify(wrong)}`;
  if (!/^(\/[^/\s]+)+$/.test(etcdPrefix))
    return `--etcd-prefix must be a path that begins with a slash and does not end in one, not ${JSON.stringify(etcdPrefix)}`;
  if ((etcdCertfile === undefined) !== (etcdKeyfile === undefined)) return "--etcd-certfile and --etcd-keyfile need each other";
  return { endpoints, prefix: etcdPrefix, authorityFile: etcdCafile, certificateFile: etcdCertfile, keyFile: etcdKeyfile };
}
