import { createPrivateKey, X509Certificate } from "node:crypto";
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CertificateRequest, type Issuer, issueCertificate, type KeyPair, type Subject } from "./issue.ts";

const dayMs = 86_400_000;
/** So long before its end a certificate is replaced. */
const renewBeforeMs = 60 * dayMs;

export type KnownIssuer = Issuer & { readonly certificate: X509Certificate };

/** An authority that issues further certificates. */
export function knownIssuer(subject: Subject, authority: KeyPair): KnownIssuer {
  return { subject, key: createPrivateKey(authority.key), certificate: new X509Certificate(authority.certificate) };
}

/**
 * `NAME.crt` and `NAME.key` of the folder. Made anew when missing, damaged, near their end, of another authority, or not valid for all
 * the names. Without an issuer the certificate signs itself.
 */
export function ensurePair(
  folder: string,
  name: string,
  request: CertificateRequest,
  issuer: KnownIssuer | undefined,
  nowMs: number,
): KeyPair {
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
    return isValid && isOurs && request.names.every((name) => covers(certificate, name));
  } catch {
    // Whatever is wrong with the files, new ones put it right.
    return false;
  }
}

/** A wildcard is in force when some name below it is. */
function covers(certificate: X509Certificate, name: string): boolean {
  return certificate.checkHost(name.replace(/^\*\./, "any.")) !== undefined || certificate.checkIP(name) !== undefined;
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
