import { createPrivateKey, X509Certificate } from "node:crypto";
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CertificateRequest, type Issuer, issueCertificate, type KeyPair } from "./issue.ts";

export interface Certificates {
  /** The certificate of our own authority, as PEM. */
  readonly authority: string;
  readonly server: KeyPair;
  readonly admin: KeyPair;
  /** When the first of them expires. */
  readonly expiresMs: number;
}

const dayMs = 86_400_000;
const authorityLifeMs = 3_650 * dayMs;
const certificateLifeMs = 365 * dayMs;
/** So long before its end a certificate is replaced. */
const renewBeforeMs = 60 * dayMs;
/** Clocks of clients may be behind. */
const backdateMs = dayMs;

const authoritySubject = { commonName: "cilium-apiserver-ca", organizations: [] };

/**
 * Reads the authority and the certificates from the folder, and makes those that are missing, near their end, of another authority, or
 * not valid for all the names. Files are readable only by the user who runs the server.
 */
export function ensureCertificates(folder: string, names: readonly string[], nowMs: number): Certificates {
  const life = (spanMs: number) => ({ notBeforeMs: nowMs - backdateMs, notAfterMs: nowMs + spanMs });
  const authorityRequest: CertificateRequest = { subject: authoritySubject, use: "authority", names: [], ...life(authorityLifeMs) };
  const authority = ensurePair(folder, "ca", authorityRequest, undefined, nowMs);
  const issuer = {
    subject: authoritySubject,
    key: createPrivateKey(authority.key),
    certificate: new X509Certificate(authority.certificate),
  };
  const serverRequest: CertificateRequest = {
    subject: { commonName: "cilium-apiserver", organizations: [] },
    use: "server",
    names,
    ...life(certificateLifeMs),
  };
  const adminRequest: CertificateRequest = {
    subject: { commonName: "admin", organizations: ["system:masters"] },
    use: "client",
    names: [],
    ...life(certificateLifeMs),
  };
  const server = ensurePair(folder, "server", serverRequest, issuer, nowMs);
  const admin = ensurePair(folder, "admin", adminRequest, issuer, nowMs);
  const ends = [authority, server, admin].map(({ certificate }) => Date.parse(new X509Certificate(certificate).validTo));
  return { authority: authority.certificate, server, admin, expiresMs: Math.min(...ends) };
}

type KnownIssuer = Issuer & { readonly certificate: X509Certificate };

function ensurePair(folder: string, name: string, request: CertificateRequest, issuer: KnownIssuer | undefined, nowMs: number): KeyPair {
  const found = readPair(folder, name);
  if (found !== undefined && isUsable(found, request, issuer, nowMs)) return found;
  const pair = issueCertificate(request, issuer);
  // The key first: a key without its certificate is made again, a certificate with an older key would be believed.
  writePrivate(join(folder, `${name}.key`), pair.key);
  writePrivate(join(folder, `${name}.crt`), pair.certificate);
  return pair;
}

function isUsable(pair: KeyPair, request: CertificateRequest, issuer: KnownIssuer | undefined, nowMs: number): boolean {
  try {
    const certificate = new X509Certificate(pair.certificate);
    const isValid = Date.parse(certificate.validTo) - renewBeforeMs > nowMs && certificate.checkPrivateKey(createPrivateKey(pair.key));
    const isOurs =
      issuer === undefined || (certificate.checkIssued(issuer.certificate) && certificate.verify(issuer.certificate.publicKey));
    const covers = (name: string) => certificate.checkHost(name) !== undefined || certificate.checkIP(name) !== undefined;
    return isValid && isOurs && request.names.every(covers);
  } catch {
    // Whatever is wrong with the files, new ones put it right.
    return false;
  }
}

function readPair(folder: string, name: string): KeyPair | undefined {
  const [certificatePath, keyPath] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  if (!existsSync(certificatePath) || !existsSync(keyPath)) return undefined;
  return { certificate: readFileSync(certificatePath, "utf8"), key: readFileSync(keyPath, "utf8") };
}

/** Writes a file that only its owner may read, whole or not at all. */
export function writePrivate(path: string, text: string): void {
  const draft = `${path}.new`;
  writeFileSync(draft, text, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, path);
}
