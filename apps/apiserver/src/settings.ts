import { isIP } from "node:net";
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
}

export type ParsedSettings =
  | { readonly outcome: "settings"; readonly settings: Settings }
  /** The help was asked for. */
  | { readonly outcome: "help"; readonly text: string }
  | { readonly outcome: "problem"; readonly problem: string };

/** The flags of cilium-apiserver; a problem is one sentence. */
export function parseSettings(flags: readonly string[]): ParsedSettings {
  const command = new Command("cilium-apiserver")
    .description("A Kubernetes-compatible API server on one SQLite file.")
    .option("--state-dir <folder>", "folder for the database, certificates and tokens; made when missing", "/var/lib/cilium-apiserver")
    .option("--listen <host:port>", "address to listen on; port 0 takes any that is free", "127.0.0.1:6443")
    .option("--advertise-address <name>", "name or address under which clients reach the server; may be repeated", collect, [])
    .option("--kubeconfig-out <file>", "where else to write the administrator's kubeconfig")
    .option("--token-file <file>", 'bearer tokens, one a line: token,user,uid,"group1,group2"')
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
  return {
    outcome: "settings",
    settings: {
      stateDir: options.stateDir,
      host,
      port,
      advertiseAddresses: options.advertiseAddress,
      kubeconfigOut: options.kubeconfigOut,
      tokenFile: options.tokenFile,
    },
  };
}
