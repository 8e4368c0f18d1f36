import { mkdirSync } from "node:fs";
import type { Clock } from "@cilium-ts/std";
import { withFolderLock } from "./folder-lock.ts";
import type { CertificateRequest } from "./issue.ts";
import { ensurePair, knownIssuer } from "./pair-files.ts";
import { ReplacedSource } from "./replaced-source.ts";
import { CertificateError, describeMaterial, type TlsMaterial, type TlsSource } from "./tls-source.ts";

export interface OwnTlsOptions {
  /** Holds `ca.crt`, `ca.key` and `NAME.crt`, `NAME.key`. Programs that share it believe each other. */
  readonly folder: string;
  /** Common name of the authority. */
  readonly authority: string;
  /** Of the files, and the common name of the certificate. */
  readonly name: string;
  readonly use: "server" | "client";
  /** DNS names and addresses; a leading `*.` stands for any one label. */
  readonly names: readonly string[];
  readonly clock: Clock;
  /** How often its end is looked at. */
  readonly intervalMs?: number;
  readonly onProblem?: (message: string) => void;
}

const dayMs = 86_400_000;
const authorityLifeMs = 3_650 * dayMs;
const certificateLifeMs = 365 * dayMs;
/** Clocks of clients may be behind. */
const backdateMs = dayMs;

/** A certificate of an authority of our own, both made when missing and renewed before their end. */
export async function openOwnTls(options: OwnTlsOptions): Promise<TlsSource> {
  const { clock, intervalMs = 3_600_000, onProblem } = options;
  return ReplacedSource.start({
    read: () => ensure(options, clock.nowMs()),
    clock,
    intervalMs,
    ...(onProblem === undefined ? {} : { onProblem }),
  });
}

async function ensure(options: OwnTlsOptions, nowMs: number): Promise<TlsMaterial> {
  const { folder, name, use, names } = options;
  const life = (spanMs: number) => ({ notBeforeMs: nowMs - backdateMs, notAfterMs: nowMs + spanMs });
  const authoritySubject = { commonName: options.authority, organizations: [] };
  const authorityRequest: CertificateRequest = { subject: authoritySubject, use: "authority", names: [], ...life(authorityLifeMs) };
  const subject = { commonName: name, organizations: [] };
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return await withFolderLock(folder, () => {
      const authority = ensurePair(folder, "ca", authorityRequest, undefined, nowMs);
      const issuer = knownIssuer(authoritySubject, authority);
      const pair = ensurePair(folder, name, { subject, use, names, ...life(certificateLifeMs) }, issuer, nowMs);
      return describeMaterial(pair, [authority.certificate], folder);
    });
  } catch (cause) {
    if (cause instanceof CertificateError) throw cause;
    throw new CertificateError(`certificates cannot be kept in ${folder}; is it writable?`, { cause });
  }
}
