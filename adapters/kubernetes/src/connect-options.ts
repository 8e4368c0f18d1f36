import { readFile } from "node:fs/promises";
import { errorMessage } from "@cilium-ts/std";
import type { buildConnector } from "undici";
import type { ClusterAccess } from "./access.ts";
import { KubernetesError } from "./kubernetes-error.ts";

const connectTimeoutMs = 5_000;
/** A silent peer is asked after this; libuv then asks each second, ten times, before it gives the connection up. */
const tcpKeepAliveDelayMs = 10_000;
const tokenAgeMsMax = 60_000;

/** How undici connects to the server. */
export function connectOptionsOf(access: ClusterAccess): buildConnector.BuildOptions {
  const { ca, cert, key, tlsServerName, insecureSkipTlsVerify } = access;
  return {
    timeout: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelay: tcpKeepAliveDelayMs,
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(tlsServerName !== undefined && { servername: tlsServerName }),
    ...(insecureSkipTlsVerify === true && { rejectUnauthorized: false }),
  };
}

/** The bearer token as it is now. */
export class AccessToken {
  readonly #access: ClusterAccess;
  #read: { readonly text: string; readonly readAtMs: number } | undefined;

  constructor(access: ClusterAccess) {
    this.#access = access;
  }

  async text(): Promise<string | undefined> {
    const { token, tokenPath } = this.#access;
    if (tokenPath === undefined) return token;
    const nowMs = performance.now();
    if (this.#read === undefined || nowMs - this.#read.readAtMs > tokenAgeMsMax) {
      try {
        this.#read = { text: (await readFile(tokenPath, "utf8")).trim(), readAtMs: nowMs };
      } catch (cause) {
        throw new KubernetesError({
          message: `the token file ${tokenPath} cannot be read: ${errorMessage(cause)}`,
          status: 0,
          reason: "Unauthorized",
          cause,
        });
      }
    }
    return this.#read.text;
  }
}
