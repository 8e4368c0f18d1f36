import { readFileSync } from "node:fs";
import { addressesInUse, type Datapath } from "@cilium-ts/datapath";
import { hostEndpointId } from "@cilium-ts/endpoint";
import type { Kernel } from "@cilium-ts/kernel";
import type { Log } from "@cilium-ts/log";
import type { LearnedName } from "@cilium-ts/policy";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { Node } from "../node.ts";
import type { AgentOptions } from "../settings.ts";
import type { DnsSettings } from "./dns-settings.ts";
import { LookupsFile } from "./lookups-file.ts";
import { NodeDns, type NodeDnsOptions } from "./node-dns.ts";
import { parsePreCache } from "./pre-cache.ts";

interface Parts {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Log;
  readonly options: AgentOptions;
  readonly node: Node;
  readonly datapath: Datapath;
  readonly observer: Pick<NodeDnsOptions, "onOutcome" | "onForgotten" | "onLateUpdate">;
}

/** Over the node's tables. */
export function openNodeDns({ kernel, clock, log, options, node, datapath, observer }: Parts): NodeDns {
  const { proxies, updates, flows, endpoints, ipcache, accessLog } = node;
  return new NodeDns({
    kernel,
    clock,
    log,
    settings: options.dns,
    proxies,
    updates,
    flows,
    file: new LookupsFile(options.stateDirectory),
    addressesInUse: (addresses) => addressesInUse(datapath.maps, addresses, Number(kernel.monotonicNs() / 1_000_000_000n)),
    hasEndpoint: (id) => id === hostEndpointId || endpoints.index.byId(id) !== undefined,
    isAudited: (id) => (id === hostEndpointId ? options.policyAuditMode : endpoints.isAudited(id)),
    isRealised: (address) => ipcache.isRealised(`${address}/${address.includes(":") ? 128 : 32}`),
    onRecord: (record) => accessLog.write(record),
    ...observer,
  });
}

/** Of the file that the settings name. One that cannot be read costs its names, which are learned as others are. */
export function knownNames({ preCachePath }: DnsSettings, log: Log): readonly LearnedName[] {
  if (preCachePath === "") return [];
  try {
    const parsed = parsePreCache(readFileSync(preCachePath, "utf8"));
    if (parsed.ok) return parsed.names;
    log.error(`--tofqdns-pre-cache ${preCachePath}: ${parsed.problem}; nothing of it is taken`);
  } catch (cause) {
    log.error(`--tofqdns-pre-cache: ${errorMessage(cause)}; nothing of it is taken`);
  }
  return [];
}
