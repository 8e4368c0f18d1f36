import { readFile } from "node:fs/promises";
import type { SecureContextOptions } from "node:tls";
import { errorMessage } from "@cilium-ts/std";
import type { ClusterAccess } from "./access.ts";
import { KubernetesError } from "./kubernetes-error.ts";

export const connectTimeoutMs = 5_000;
/** A silent peer is asked after this; libuv then asks each second, ten times, before it gives the connection up. */
export const tcpKeepAliveDelayMs = 10_000;
const tokenAgeMsMax = 60_000;

interface TlsOptions extends Pick<SecureContextOptions, "ca" | "cert" | "key"> {
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** How the server proves who it is, and how we do. */
export function tlsOptionsOf(access: ClusterAccess): TlsOptions {
  const { ca, cert, key, tlsServerName, insecureSkipTlsVerify } = access;
  return {
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
