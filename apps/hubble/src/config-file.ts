import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { UsageError } from "@cilium-ts/command-line";
import { errorMessage } from "@cilium-ts/std";
import { parse, stringify } from "yaml";

/** Settings that may stand in the file: the flags that say how the server is reached. */
export const configKeys = [
  "server",
  "timeout",
  "request-timeout",
  "tls",
  "tls-allow-insecure",
  "tls-ca-cert-files",
  "tls-client-cert-file",
  "tls-client-key-file",
  "tls-server-name",
  "basic-auth-username",
  "basic-auth-password",
  "port-forward",
  "port-forward-port",
  "kubeconfig",
  "kube-context",
  "kube-namespace",
] as const;
export type ConfigKey = (typeof configKeys)[number];
export type Config = ReadonlyMap<ConfigKey, string>;

/** `$XDG_CONFIG_HOME/hubble/config.yaml`; HUBBLE_CONFIG names another. */
export function configPath(env: Readonly<Record<string, string | undefined>>): string {
  return env.HUBBLE_CONFIG || join(env.XDG_CONFIG_HOME || join(env.HOME || "/root", ".config"), "hubble/config.yaml");
}

export function parseConfigKey(text: string): ConfigKey {
  const key = configKeys.find((known) => known === text);
  if (key === undefined) throw new UsageError(`there is no setting ${JSON.stringify(text)}: there are ${configKeys.join(", ")}`);
  return key;
}

/** Settings that other versions of the program wrote are left alone. An absent file is an empty one. */
export function readConfig(path: string): Config {
  const config = new Map<ConfigKey, string>();
  for (const [name, value] of Object.entries(readAll(path))) {
    const key = configKeys.find((known) => known === name);
    if (key !== undefined && value !== null && value !== "") config.set(key, Array.isArray(value) ? value.join(",") : String(value));
  }
  return config;
}

/** Sets one setting, or removes it. The file is replaced as a whole. */
export function writeConfig(path: string, key: ConfigKey, value: string | undefined): void {
  const all = readAll(path);
  if (value === undefined) delete all[key];
  else all[key] = value;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.new`, stringify(all), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch (cause) {
    throw new UsageError(`${path} cannot be written: ${errorMessage(cause)}`);
  }
}

function readAll(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return {};
  }
  try {
    const parsed: unknown = parse(text) ?? {};
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) return { ...parsed };
  } catch (cause) {
    throw new UsageError(`${path} is no YAML: ${errorMessage(cause).split("\n")[0]}`);
  }
  throw new UsageError(`${path} is no mapping of settings to values`);
}
