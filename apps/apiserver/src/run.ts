import { chmodSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { hostname } from "node:os";
import { dirname, join, resolve } from "node:path";
import { writePrivate } from "@cilium-ts/certificates";
import {
  type ApiServer,
  type Certificates,
  createKubeconfig,
  ensureCertificates,
  openEtcdStore,
  openSqliteStore,
  parseTokens,
  readCiliumDefinitions,
  readPolicyApiDefinitions,
  type Store,
  startApiServer,
  type Tokens,
  type Validators,
} from "@cilium-ts/kubernetes-server";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { Logger } from "pino";
import type { Settings } from "./settings.ts";

const renewalIntervalMs = 12 * 3_600_000;

export interface RunOptions {
  readonly settings: Settings;
  readonly log: Logger;
  readonly clock: Clock;
  /** Checks of whole objects that a schema cannot say, by kind. */
  readonly validators: Validators;
}

/** Serves until aborted. Whatever prevents the start is thrown as one sentence. */
export async function runApiServer(options: RunOptions, signal: AbortSignal): Promise<void> {
  const { settings, log, clock } = options;
  openFolder(settings.stateDir);
  const lost = new AbortController();
  await using store = await openStore(settings, (error) => lost.abort(error));
  const tokens = readTokens(settings.tokenFile);
  const names = serverNames(settings);
  const certificates = ensureCertificates(settings.stateDir, names, clock.nowMs());
  await using server = await startApiServer({
    store,
    host: settings.host,
    port: settings.port,
    tls: { certificates, tokens },
    definitions: [...readCiliumDefinitions(), ...readPolicyApiDefinitions()],
    validators: options.validators,
    serviceRanges: settings.serviceRanges,
    advertisedAddresses: advertisedAddresses(settings),
    nowMs: () => clock.nowMs(),
    onError: (error) => log.error({ err: error }, errorMessage(error)),
  });
  const path = writeKubeconfigs(settings, server, certificates);
  log.info({ url: server.url, kubeconfig: path, revision: store.revision }, "serving");
  await renewCertificates(options, names, server, AbortSignal.any([signal, lost.signal]));
  lost.signal.throwIfAborted();
  log.info("stopping");
}

/** Addresses, not names, under which others reach the server. */
function advertisedAddresses(settings: Settings): readonly string[] {
  const given = settings.advertiseAddresses.filter((name) => isIP(name) !== 0);
  if (given.length > 0) return given;
  return isIP(settings.host) === 0 || ["0.0.0.0", "::"].includes(settings.host) ? [] : [settings.host];
}

/** `onLost`: the store can no longer follow what others write, and the program must start again. */
async function openStore(settings: Settings, onLost: (error: Error) => void): Promise<Store> {
  const { etcd } = settings;
  if (etcd === undefined) return openSqliteStore({ path: join(settings.stateDir, "state.db") });
  const { endpoints, prefix } = etcd;
  const read = (path: string | undefined) => (path === undefined ? undefined : readText(path, "file of certificates"));
  const tls = { authority: read(etcd.authorityFile), certificate: read(etcd.certificateFile), key: read(etcd.keyFile) };
  return await openEtcdStore({ endpoints, prefix, tls, onLost });
}

function readText(path: string, what: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new Error(`cannot read the ${what} ${path}`, { cause });
  }
}

function openFolder(folder: string): void {
  try {
    makeFolder(resolve(folder));
    chmodSync(folder, 0o700);
  } catch (cause) {
    throw new Error(`cannot use the state directory ${folder}`, { cause });
  }
}

/** Node's own recursive mkdir never returns where the kernel refuses new folders, as in /proc. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  mkdirSync(folder, { mode: 0o700 });
}

function readTokens(path: string | undefined): Tokens {
  if (path === undefined) return new Map();
  const parsed = parseTokens(readText(path, "token file"));
  if (parsed.outcome === "problem") throw new Error(`the token file ${path} is wrong: ${parsed.problem}`);
  return parsed.tokens;
}

function serverNames(settings: Settings): readonly string[] {
  const own = ["localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc", hostname().toLowerCase()];
  const listening = ["0.0.0.0", "::"].includes(settings.host) ? [] : [settings.host];
  return [...new Set([...own, ...listening, ...settings.advertiseAddresses])];
}

/** Returns the path of the file in the state directory. */
function writeKubeconfigs(settings: Settings, server: ApiServer, certificates: Certificates): string {
  const [advertised = ["0.0.0.0", "::"].includes(server.host) ? "127.0.0.1" : server.host] = settings.advertiseAddresses;
  const text = createKubeconfig(`https://${advertised.includes(":") ? `[${advertised}]` : advertised}:${server.port}`, certificates);
  const path = join(settings.stateDir, "admin.kubeconfig");
  writePrivate(path, text);
  try {
    if (settings.kubeconfigOut !== undefined) writePrivate(settings.kubeconfigOut, text);
  } catch (cause) {
    throw new Error(`cannot write the kubeconfig ${settings.kubeconfigOut}`, { cause });
  }
  return path;
}

/** Looks twice a day whether certificates are near their end; runs until aborted. */
async function renewCertificates(options: RunOptions, names: readonly string[], server: ApiServer, signal: AbortSignal): Promise<void> {
  const { settings, log, clock } = options;
  let current: Certificates | undefined;
  while (!signal.aborted) {
    try {
      await clock.sleep(renewalIntervalMs, signal);
    } catch {
      return;
    }
    const certificates = ensureCertificates(settings.stateDir, names, clock.nowMs());
    if (certificates.expiresMs === current?.expiresMs) continue;
    current = certificates;
    server.useCertificates(certificates);
    writeKubeconfigs(settings, server, certificates);
    log.info({ expires: new Date(certificates.expiresMs).toISOString() }, "certificates checked");
  }
}
