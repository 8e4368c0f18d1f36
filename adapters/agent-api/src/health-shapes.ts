import type { StatusResponse } from "./shapes.ts";

/** What travels on the health socket: contracts `health-rest.tsv`. */
export interface HealthResponse {
  readonly cilium: StatusResponse;
  /** A duration such as `1h2m3s`. */
  readonly uptime: string;
  readonly "system-load": { readonly last1min: string; readonly last5min: string; readonly last15min: string };
}

export interface HealthStatusResponse {
  /** Of the last round of probes; empty before the first. */
  readonly timestamp: string;
  /** A duration. */
  readonly probeInterval: string;
  readonly local: { readonly name: string };
  readonly nodes: readonly NodeHealth[];
}

export interface NodeHealth {
  /** `cluster/node`. */
  readonly name: string;
  readonly host: PathsHealth;
  readonly "health-endpoint"?: PathsHealth;
}

export interface PathsHealth {
  readonly "primary-address": PathHealth;
  readonly "secondary-addresses"?: readonly PathHealth[];
}

export interface PathHealth {
  readonly ip: string;
  /** Absent: not probed yet. */
  readonly icmp?: ConnectivityHealth;
  readonly http?: ConnectivityHealth;
}

export interface ConnectivityHealth {
  /** Nanoseconds. */
  readonly latency?: number;
  /** Empty: it answers; otherwise what is wrong. */
  readonly status: string;
  readonly lastProbed: string;
}
