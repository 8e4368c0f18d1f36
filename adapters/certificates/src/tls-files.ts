import { readFile } from "node:fs/promises";
import { type Clock, errorMessage } from "@cilium-ts/std";
import { ReplacedSource } from "./replaced-source.ts";
import { CertificateError, describeMaterial, type TlsMaterial, type TlsSource } from "./tls-source.ts";

export interface TlsFilePaths {
  /** Both or none. */
  readonly certificatePath?: string;
  readonly keyPath?: string;
  /** PEM files of one or more certificates each. */
  readonly authorityPaths: readonly string[];
}

export interface TlsFilesOptions {
  readonly paths: TlsFilePaths;
  readonly clock: Clock;
  /** How often the files are looked at. Contents are compared: links that are swapped, as a mounted Secret's are, count too. */
  readonly intervalMs?: number;
  /** Said once for each new reason. */
  readonly onProblem?: (message: string) => void;
}

/** Reads the files now, failing when they are no use, and again every few seconds. */
export async function openTlsFiles(options: TlsFilesOptions): Promise<TlsSource> {
  const { paths, clock, intervalMs = 10_000, onProblem } = options;
  if ((paths.certificatePath === undefined) !== (paths.keyPath === undefined)) {
    throw new CertificateError("a certificate needs its key and a key its certificate: name both files, or none");
  }
  return ReplacedSource.start({ read: () => readMaterial(paths), clock, intervalMs, ...(onProblem === undefined ? {} : { onProblem }) });
}

async function readMaterial(paths: TlsFilePaths): Promise<TlsMaterial> {
  const { certificatePath, keyPath } = paths;
  const authorities: string[] = [];
  for (const path of paths.authorityPaths) authorities.push(...splitCertificates(await read(path), path));
  if (certificatePath === undefined || keyPath === undefined)
    return describeMaterial(undefined, authorities, paths.authorityPaths.join(", "));
  const pair = { certificate: await read(certificatePath), key: await read(keyPath) };
  return describeMaterial(pair, authorities, `${certificatePath} and ${keyPath}`);
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new CertificateError(`${path} cannot be read: ${errorMessage(cause)}`, { cause });
  }
}

function splitCertificates(text: string, path: string): string[] {
  const found = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (found.length === 0) throw new CertificateError(`${path}: no certificate in PEM form`);
  return found.map((certificate) => `${certificate}\n`);
}
