import { X509Certificate } from "node:crypto";
import { type CertificateRequest, ensurePair, type KeyPair, knownIssuer } from "@cilium-ts/certificates";

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
  const issuer = knownIssuer(authoritySubject, authority);
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
