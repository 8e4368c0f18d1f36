/** How to reach and convince one API server. Certificates and keys are PEM. */
export interface ClusterAccess {
  /** `https://host:port`, possibly with a path in front of `/api`. */
  readonly server: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
  /** Read again each minute: tokens of service accounts are replaced while we run. */
  readonly tokenPath?: string;
  /** The name that the server's certificate must have, when it is not the host of the URL. */
  readonly tlsServerName?: string;
  readonly insecureSkipTlsVerify?: boolean;
}
