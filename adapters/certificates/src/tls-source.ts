import { createPrivateKey, X509Certificate } from "node:crypto";
import type { KeyPair } from "./issue.ts";

/** What one side of a TLS connection brings, as PEM. */
export interface TlsMaterial {
  /** Its own certificate, with what is needed up to the authority. Undefined for a client that shows none. */
  readonly pair: KeyPair | undefined;
  /** Whom it believes. Empty: nobody was named. */
  readonly authorities: readonly string[];
  /** When the first of all these certificates ends; Infinity when there is none. */
  readonly expiresMs: number;
}

/** Material that is replaced while it is used. */
export interface TlsSource extends AsyncDisposable {
  readonly current: TlsMaterial;
  /** Why newer material was not taken; undefined when all is well. */
  readonly problem: string | undefined;
  /** Calls the listener with each replacement. The returned function ends that. */
  watch(listener: (material: TlsMaterial) => void): () => void;
}

/** Certificates that cannot be read, made or used. */
export class CertificateError extends Error {
  override readonly name = "CertificateError";
}

/** Checks that everything fits and finds the first end. `where` names the origin in errors. */
export function describeMaterial(pair: KeyPair | undefined, authorities: readonly string[], where: string): TlsMaterial {
  const ends: number[] = [];
  if (pair !== undefined) {
    const own = readCertificate(pair.certificate, where);
    if (!own.checkPrivateKey(readKey(pair.key, where))) {
      throw new CertificateError(`${where}: the key is not that of the certificate; replace both`);
    }
    ends.push(Date.parse(own.validTo));
  }
  for (const authority of authorities) ends.push(Date.parse(readCertificate(authority, where).validTo));
  return { pair, authorities, expiresMs: Math.min(...ends) };
}

function readCertificate(text: string, where: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (cause) {
    throw new CertificateError(`${where}: no certificate in PEM form`, { cause });
  }
}

function readKey(text: string, where: string): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(text);
  } catch (cause) {
    throw new CertificateError(`${where}: no private key in PEM form`, { cause });
  }
}
