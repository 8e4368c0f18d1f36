import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { errorMessage, isRecord } from "@cilium-ts/std";
import { parse as parseYaml } from "yaml";
import type { ClusterAccess } from "./access.ts";

const kubeconfigSizeBytesMax = 1024 * 1024;

/** A kubeconfig that cannot be used: which file, which field, and why. */
export class KubeconfigError extends Error {
  override readonly name = "KubeconfigError";
  readonly path: string;
  /** As `users[0].user.exec`; empty for the file as a whole. */
  readonly field: string;

  constructor(path: string, field: string, reason: string, cause?: unknown) {
    super(`kubeconfig ${path}: ${field === "" ? "" : `${field}: `}${reason}`, cause === undefined ? undefined : { cause });
    this.path = path;
    this.field = field;
  }
}

/** The access that the current context, or the one named, describes. Relative paths in it start at its own folder. */
export async function loadKubeconfig(path: string, options: { context?: string } = {}): Promise<ClusterAccess> {
  const config = new Kubeconfig(path, await read(path));
  const contextName = options.context ?? config.text(config.root, "", "current-context");
  if (contextName === undefined || contextName === "")
    throw config.error("current-context", "is not set: choose one with `kubectl config use-context`");
  const context = config.named("contexts", "context", contextName);
  const cluster = config.named("clusters", "cluster", config.required(context, "cluster"));
  const server = config.required(cluster, "server");
  if (!URL.canParse(server) || !/^https?:$/.test(new URL(server).protocol)) {
    throw config.error(`${cluster.field}.server`, `${JSON.stringify(server)} is no http or https URL`);
  }
  config.refuse(cluster, "proxy-url", "proxies are not supported: give the server's own URL");
  const ca = await config.material(cluster, "certificate-authority");
  const tlsServerName = config.text(cluster.value, cluster.field, "tls-server-name");
  const access: ClusterAccess = {
    server,
    ...(ca !== undefined && { ca }),
    ...(tlsServerName !== undefined && { tlsServerName }),
    ...(cluster.value["insecure-skip-tls-verify"] === true && { insecureSkipTlsVerify: true }),
  };
  const userName = config.text(context.value, context.field, "user");
  if (userName === undefined || userName === "") return access;
  return { ...access, ...(await credentials(config, config.named("users", "user", userName))) };
}

async function credentials(config: Kubeconfig, user: Section): Promise<Partial<ClusterAccess>> {
  for (const field of ["exec", "auth-provider", "username"]) {
    config.refuse(user, field, "this way to log in is not supported: use a client certificate or a token");
  }
  const cert = await config.material(user, "client-certificate");
  const key = await config.material(user, "client-key");
  if ((cert === undefined) !== (key === undefined)) {
    throw config.error(user.field, `has a client ${cert === undefined ? "key without a certificate" : "certificate without a key"}`);
  }
  const token = config.text(user.value, user.field, "token");
  const tokenFile = config.text(user.value, user.field, "tokenFile");
  return {
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(token !== undefined && token !== "" && { token }),
    ...(tokenFile !== undefined && tokenFile !== "" && { tokenPath: config.resolve(tokenFile) }),
  };
}

async function read(path: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    if ((await stat(path)).size > kubeconfigSizeBytesMax) throw new Error(`it is larger than ${kubeconfigSizeBytesMax} bytes`);
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new KubeconfigError(path, "", `cannot be read: ${errorMessage(cause)}`, cause);
  }
  let root: unknown;
  try {
    root = parseYaml(text);
  } catch (cause) {
    throw new KubeconfigError(path, "", `is not YAML: ${errorMessage(cause).split("\n")[0]}`, cause);
  }
  if (!isRecord(root)) throw new KubeconfigError(path, "", "is not a kubeconfig: it holds no fields");
  return root;
}

/** A part of the file, and where it stands. */
interface Section {
  readonly field: string;
  readonly value: Record<string, unknown>;
}

class Kubeconfig {
  readonly path: string;
  readonly root: Record<string, unknown>;

  constructor(path: string, root: Record<string, unknown>) {
    this.path = path;
    this.root = root;
  }

  error(field: string, reason: string, cause?: unknown): KubeconfigError {
    return new KubeconfigError(this.path, field, reason, cause);
  }

  resolve(path: string): string {
    return resolve(dirname(this.path), path);
  }

  /** The entry of that name in one of the file's three lists. */
  named(list: "contexts" | "clusters" | "users", part: string, name: string): Section {
    const entries = this.root[list];
    if (!Array.isArray(entries)) throw this.error(list, `is missing, and ${JSON.stringify(name)} should be in it`);
    const index = entries.findIndex((entry) => isRecord(entry) && entry.name === name);
    if (index === -1) {
      const names = entries.map((entry) => (isRecord(entry) ? String(entry.name) : "?")).slice(0, 10);
      throw this.error(list, `has no ${JSON.stringify(name)}${names.length > 0 ? `, only ${names.join(", ")}` : ""}`);
    }
    const field = `${list}[${index}].${part}`;
    const value = (entries[index] as Record<string, unknown>)[part];
    if (!isRecord(value)) throw this.error(field, "is missing or holds no fields");
    return { field, value };
  }

  text(parent: Record<string, unknown>, parentField: string, name: string): string | undefined {
    const value = parent[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== "string") throw this.error(parentField === "" ? name : `${parentField}.${name}`, "must be a string");
    return value;
  }

  required(section: Section, name: string): string {
    const value = this.text(section.value, section.field, name);
    if (value === undefined || value === "") throw this.error(`${section.field}.${name}`, "is missing");
    return value;
  }

  refuse(section: Section, name: string, reason: string): void {
    const value = section.value[name];
    if (value !== undefined && value !== null && value !== "") throw this.error(`${section.field}.${name}`, reason);
  }

  /** PEM that stands in the file in base64 under `<name>-data`, or in another file whose path is under `<name>`. The former wins. */
  async material(section: Section, name: string): Promise<string | undefined> {
    const inline = this.text(section.value, section.field, `${name}-data`);
    if (inline !== undefined && inline !== "") {
      const pem = Buffer.from(inline, "base64").toString("utf8");
      if (!pem.includes("-----BEGIN ")) throw this.error(`${section.field}.${name}-data`, "is not PEM in base64");
      return pem;
    }
    const path = this.text(section.value, section.field, name);
    if (path === undefined || path === "") return undefined;
    let pem: string;
    try {
      pem = await readFile(this.resolve(path), "utf8");
    } catch (cause) {
      throw this.error(`${section.field}.${name}`, `cannot be read: ${errorMessage(cause)}`, cause);
    }
    if (!pem.includes("-----BEGIN ")) throw this.error(`${section.field}.${name}`, `${this.resolve(path)} is not PEM`);
    return pem;
  }
}
