import { openOwnTls, openTlsFiles, type TlsSource } from "@cilium-ts/certificates";
import { hubbleDomain } from "@cilium-ts/observer";
import type { Clock } from "@cilium-ts/std";

/** The files of a server's certificates; without a certificate we make our own. */
export interface HubbleTlsFiles {
  readonly tlsCertFile: string;
  readonly tlsKeyFile: string;
  readonly tlsClientCaFiles: readonly string[];
}

export interface HubbleTlsOptions {
  readonly files: HubbleTlsFiles;
  /** Where our own are made. */
  readonly directory: string;
  /** Of the files there. */
  readonly name: string;
  readonly clusterName: string;
  readonly clock: Clock;
  readonly onProblem: (message: string) => void;
}

/** The files that were named, or certificates of our own. */
export function openHubbleTls({ files, directory, name, clusterName, clock, onProblem }: HubbleTlsOptions): Promise<TlsSource> {
  if (files.tlsCertFile === "") {
    const names = [`*.${hubbleDomain(clusterName)}`];
    return openOwnTls({ folder: directory, authority: "cilium-hubble-ca", name, use: "server", names, clock, onProblem });
  }
  const paths = { certificatePath: files.tlsCertFile, keyPath: files.tlsKeyFile, authorityPaths: files.tlsClientCaFiles };
  return openTlsFiles({ paths, clock, onProblem });
}
