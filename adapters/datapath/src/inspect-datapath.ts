import { join } from "node:path";
import { type Kernel, KernelError } from "@cilium-ts/kernel";
import { decodeConnections, decodeFragments, type InspectedConnection, type InspectedFragment } from "./inspect-connections.ts";
import { decodeExempt, decodeTranslations, type InspectedTranslation } from "./inspect-masquerade.ts";
import {
  decodeDropMetrics,
  decodeEndpoints,
  decodeForwardMetrics,
  decodeLocalAddresses,
  decodePolicy,
  type InspectedAddress,
  type InspectedEndpoint,
  type InspectedMetric,
  type InspectedPolicyEntry,
} from "./inspect-rows.ts";
import { IpcacheMap, type IpcacheRow } from "./ipcache-map.ts";
import type { MapDump } from "./map-dump.ts";

/** The pinned maps of a node are not to be had: which, and why. */
export class DatapathNotFound extends Error {
  override readonly name = "DatapathNotFound";
}

/** Reads what the datapath has in the kernel now, whether an agent runs or not. Changes nothing. */
export class DatapathInspection {
  readonly #kernel: Kernel;
  readonly #bpfRoot: string;

  /** Maps are opened when they are asked for: from the pins below `bpfRoot`, as `openDatapath` made them. */
  constructor(kernel: Kernel, bpfRoot: string) {
    this.#kernel = kernel;
    this.#bpfRoot = bpfRoot;
  }

  connections(): InspectedConnection[] {
    return [...decodeConnections(this.#dump("ct4"), 4), ...decodeConnections(this.#dump("ct6"), 6)];
  }

  fragments(): InspectedFragment[] {
    return decodeFragments(this.#dump("fragments"));
  }

  /** Of connections that leave the cluster, each in both directions. */
  translations(): InspectedTranslation[] {
    return decodeTranslations(this.#dump("snat"));
  }

  /** Prefixes whose machines see pods' own addresses. */
  exempt(): string[] {
    return decodeExempt(this.#dump("masquerade_exempt"));
  }

  ipcache(): IpcacheRow[] {
    return this.#with("ipcache", (map) => new IpcacheMap(map, () => {}).rows());
  }

  endpoints(): InspectedEndpoint[] {
    return decodeEndpoints(this.#dump("endpoints"));
  }

  localAddresses(): InspectedAddress[] {
    return decodeLocalAddresses(this.#dump("local_addresses"));
  }

  policy(): InspectedPolicyEntry[] {
    return decodePolicy(this.#dump("policy"));
  }

  /** Drops, then what was forwarded. */
  metrics(): InspectedMetric[] {
    return [...decodeDropMetrics(this.#dump("metrics")), ...decodeForwardMetrics(this.#dump("forwarded"))];
  }

  #dump(name: string): MapDump {
    return this.#with(name, (map) => map.dump());
  }

  #with<Result>(name: string, read: (map: ReturnType<Kernel["openPinnedMap"]>) => Result): Result {
    const path = join(this.#bpfRoot, "maps", name);
    using map = this.#open(path);
    return read(map);
  }

  #open(path: string): ReturnType<Kernel["openPinnedMap"]> {
    try {
      return this.#kernel.openPinnedMap(path);
    } catch (cause) {
      if (!(cause instanceof KernelError)) throw cause;
      const reason = openProblems[cause.code];
      throw reason === undefined ? cause : new DatapathNotFound(`map ${path}: ${reason}`, { cause });
    }
  }
}

const openProblems: Readonly<Record<string, string>> = {
  ENOENT: "there is no such pin: has an agent run on this node, with this BPF root?",
  EACCES: "permission denied: reading BPF maps needs root",
  EPERM: "permission denied: reading BPF maps needs root",
};
