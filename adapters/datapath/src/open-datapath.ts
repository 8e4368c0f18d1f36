import { createHash } from "node:crypto";
import { join } from "node:path";
import type { BpfMap, BpfProgram, Kernel, LoadedObject } from "@cilium-ts/kernel";
import { ConnectionMaps } from "./connection-maps.ts";
import { DatapathCounters } from "./datapath-counters.ts";
import { DeviceLinks, type DeviceProgramName } from "./device-links.ts";
import { EndpointRows } from "./endpoint-rows.ts";
import { decodeConntrackSweep, decodeRuntime, encodeConntrackSweep, encodeNodeConfig, encodeRuntime } from "./gen/index.ts";
import { HostRow } from "./host-row.ts";
import { IpcacheMap } from "./ipcache-map.ts";
import { Masquerade, type MasqueradeMaps } from "./masquerade.ts";
import type { DatapathObjects, DatapathOptions } from "./options.ts";
import { PolicySets } from "./policy-sets.ts";

const mapNames = [
  "endpoints",
  "endpoint_devices",
  "local_addresses",
  "ipcache",
  "policy",
  "ct4",
  "ct6",
  "fragments",
  "metrics",
  "events",
  "events_lost",
  "forwarded",
  "runtime",
  "tunnel_source",
] as const;
type MapName = (typeof mapNames)[number];

/** Of the programs of native devices alone. */
const masqueradeMapNames = ["native_devices", "masquerade_exempt", "snat"] as const;

/** Which object a program is compiled into. All objects share the maps. */
const programObjects = {
  from_pod: "pod",
  to_pod: "pod",
  sweep_conntrack: "conntrack",
  from_overlay: "overlay",
  from_host: "host",
  from_network: "network",
  to_network: "network",
  to_proxy: "proxy",
} as const satisfies Record<string, keyof DatapathObjects>;
type ProgramName = keyof typeof programObjects;
type Programs = Readonly<Record<Exclude<ProgramName, DeviceProgramName>, BpfProgram> & Partial<Record<DeviceProgramName, BpfProgram>>>;
const alwaysLoaded: readonly ProgramName[] = ["from_pod", "to_pod", "sweep_conntrack"];
const tunnelPrograms: readonly ProgramName[] = ["from_overlay", "from_host"];

/** Contracts section 5 of features: conntrack lifetimes, in seconds. */
const timeoutsS = { tcp: 8_000, tcpSyn: 60, tcpClose: 10, any: 60 };

/** Everything of ours in the kernel of this node. Closing it leaves the kernel as it is: traffic goes on. */
export interface Datapath extends Disposable {
  readonly maps: Readonly<Record<MapName, BpfMap>>;
  readonly programs: Programs;
  readonly endpoints: EndpointRows;
  /** Of the node itself. Programs look at it where the options ask for a firewall of the node. */
  readonly host: HostRow;
  readonly deviceLinks: DeviceLinks;
  /** Undefined where the options do not ask for it. */
  readonly masquerade: Masquerade | undefined;
  readonly policySets: PolicySets;
  readonly ipcache: IpcacheMap;
  readonly connections: ConnectionMaps;
  /** Whether the programs of an earlier run were adopted as they are. */
  readonly adopted: boolean;
  /** By this IPv4 address other nodes know where packets of this one come from. */
  setTunnelSource(address: Uint8Array): void;
  /** Removes programs of earlier versions, once no link runs them any more. */
  removeOldPrograms(): void;
  /** Removes expired connections, inside the kernel. */
  sweepConntrack(): { readonly seen: number; readonly deleted: number };
  readonly counters: DatapathCounters;
  /** Bytes of kernel memory that our maps hold. */
  memoryBytes(): number;
}

/**
 * Opens the datapath: what is pinned is adopted, what is missing is loaded. Programs are pinned under a hash of their object and
 * configuration, so a restart with the same build loads and verifies nothing.
 */
export function openDatapath(kernel: Kernel, options: DatapathOptions): Datapath {
  kernel.mountBpffs(options.bpfRoot);
  const config = encodeConfig(options);
  const programNames = programsFor(options);
  const version = createHash("sha256")
    .update(config)
    .update(Buffer.concat(objectNamesOf(programNames).map((name) => options.objects[name])))
    .digest("hex")
    .slice(0, 16);
  const programRoot = join(options.bpfRoot, "programs");
  const adopted = programNames.every((name) => kernel.listPins(join(programRoot, version)).includes(name));
  using owned = new DisposableStack();
  const { maps, programs, masqueradeMaps } = adopted
    ? adopt(kernel, options, programNames, join(programRoot, version), owned)
    : load(kernel, options, programNames, config, join(programRoot, version), owned);
  const runtime = new RuntimeRow(maps.runtime);
  const counters = new DatapathCounters(maps);
  const counted = (name: MapName): BpfMap => counters.counted(maps[name]);
  const endpoints = new EndpointRows({
    kernel,
    maps: { endpoints: counted("endpoints"), devices: counted("endpoint_devices"), addresses: counted("local_addresses") },
    programs: { fromPod: programs.from_pod, toPod: programs.to_pod },
    linkRoot: join(options.bpfRoot, "links"),
  });
  const deviceLinks = new DeviceLinks({ kernel, programs, root: join(options.bpfRoot, "links/devices") });
  const masquerade = options.masquerade && masqueradeMaps !== undefined ? new Masquerade(masqueradeMaps) : undefined;
  const ipcache = new IpcacheMap(counted("ipcache"), () => runtime.moveIpcacheGeneration());
  const policySets = new PolicySets(counted("policy"), () => runtime.takePolicySetNumber());
  const host = new HostRow(counted("endpoints"));
  // A row whose set is gone closes the node to everybody. Without a firewall it becomes one; with all sets gone somebody removed their map.
  if (!options.hostFirewall || policySets.count === 0) host.clear();
  const held = owned.move();
  return {
    maps,
    programs,
    endpoints,
    host,
    deviceLinks,
    masquerade,
    policySets,
    ipcache,
    connections: new ConnectionMaps(maps),
    counters,
    adopted,
    setTunnelSource: (address) => counted("tunnel_source").update(new Uint8Array(4), address),
    removeOldPrograms() {
      for (const name of kernel.listPins(programRoot)) if (name !== version) kernel.unpin(join(programRoot, name));
    },
    sweepConntrack() {
      const context = encodeConntrackSweep({
        nowS: Number(kernel.monotonicNs() / 1_000_000_000n),
        seen: 0,
        deleted: 0,
        seen6: 0,
        deleted6: 0,
      });
      programs.sweep_conntrack.runSyscall(context);
      const sweep = decodeConntrackSweep(context);
      counters.swept(sweep);
      return sweep;
    },
    memoryBytes: () => mapNames.reduce((sum, name) => sum + maps[name].memoryBytes(), masquerade?.memoryBytes() ?? 0),
    [Symbol.dispose]: () => held.dispose(),
  };
}

interface Opened {
  readonly maps: Record<MapName, BpfMap>;
  readonly programs: Programs;
  /** With to_network. */
  readonly masqueradeMaps: MasqueradeMaps | undefined;
}

/** Those that the configuration has a use for. */
function programsFor({ tunnelIfindex, directRoutingIfindex, proxyIfindex, masquerade, hostFirewall }: DatapathOptions): Names {
  const proxyPrograms: Names = proxyIfindex === 0 ? [] : ["to_proxy"];
  const sending: Names = masquerade || hostFirewall ? ["to_network"] : [];
  const networkPrograms: Names = directRoutingIfindex !== 0 || sending.length > 0 ? ["from_network", ...sending] : [];
  return [...alwaysLoaded, ...(tunnelIfindex === 0 ? [] : tunnelPrograms), ...networkPrograms, ...proxyPrograms];
}

type Names = readonly ProgramName[];

function adopt(kernel: Kernel, options: DatapathOptions, names: Names, programRoot: string, owned: DisposableStack): Opened {
  return {
    maps: record(mapNames, (name) => owned.use(kernel.openPinnedMap(mapPin(options, name)))),
    programs: programsOf(names, (name) => owned.use(kernel.openPinnedProgram(join(programRoot, name)))),
    masqueradeMaps: names.includes("to_network")
      ? record(masqueradeMapNames, (name) => owned.use(kernel.openPinnedMap(mapPin(options, name))))
      : undefined,
  };
}

function load(
  kernel: Kernel,
  options: DatapathOptions,
  names: Names,
  config: Uint8Array,
  programRoot: string,
  owned: DisposableStack,
): Opened {
  const loaded = new Map(objectNamesOf(names).map((name) => [name, owned.use(loadObject(kernel, options, config, name))]));
  const programs = programsOf(names, (name) => present(loaded.get(programObjects[name])?.programs.get(name), `program ${name}`));
  kernel.unpin(programRoot); // A start that died between two pins has left some.
  for (const name of names) programs[name]?.pin(join(programRoot, name));
  const network = names.includes("to_network") ? loaded.get("network") : undefined;
  return {
    maps: record(mapNames, (name) => present(loaded.get("pod")?.maps.get(name), `map ${name}`)),
    programs,
    masqueradeMaps: network && record(masqueradeMapNames, (name) => present(network.maps.get(name), `map ${name}`)),
  };
}

function programsOf(names: Names, open: (name: ProgramName) => BpfProgram): Programs {
  return record(names, open);
}

function objectNamesOf(names: Names): Array<keyof DatapathObjects> {
  return [...new Set(names.map((name) => programObjects[name]))];
}

function loadObject(kernel: Kernel, options: DatapathOptions, config: Uint8Array, name: keyof DatapathObjects): LoadedObject {
  const sizes: Partial<Record<string, number>> = { ct4: options.conntrackEntriesMax, ct6: options.conntrackEntriesMax };
  return kernel.loadObject({
    name: `${name}.o`,
    bytes: options.objects[name],
    ...(name !== "conntrack" && { rodata: { config } }),
    maps: record(name === "network" ? [...mapNames, ...masqueradeMapNames] : mapNames, (map) => {
      const maxEntries = sizes[map];
      return maxEntries === undefined ? { pinPath: mapPin(options, map) } : { pinPath: mapPin(options, map), maxEntries };
    }),
  });
}

function mapPin(options: DatapathOptions, name: MapName | (typeof masqueradeMapNames)[number]): string {
  return join(options.bpfRoot, "maps", name);
}

function encodeConfig(options: DatapathOptions): Uint8Array {
  return encodeNodeConfig({
    routerIpv4: options.routerIPv4,
    routerIpv6: options.routerIPv6,
    traceIntervalS: options.traceIntervalS,
    tracePayloadSize: options.tracePayloadSizeBytes,
    tcpTimeoutS: timeoutsS.tcp,
    tcpSynTimeoutS: timeoutsS.tcpSyn,
    tcpCloseTimeoutS: timeoutsS.tcpClose,
    anyTimeoutS: timeoutsS.any,
    tunnelIfindex: options.tunnelIfindex,
    directRoutingIfindex: options.directRoutingIfindex,
    proxyIfindex: options.proxyIfindex,
    tunnelMtu: options.tunnelMtu,
    tunnelPort: options.tunnelPort,
    traceEnabled: 1,
    verdictEventsEnabled: 1,
    masqueradeEnabled: options.masquerade ? 1 : 0,
    ipTraceOption: options.ipTraceOption,
    hostFirewallEnabled: options.hostFirewall ? 1 : 0,
  });
}

/** The one row of map "runtime": counters that outlive the agent. */
class RuntimeRow {
  readonly #map: BpfMap;
  readonly #key = new Uint8Array(4);

  constructor(map: BpfMap) {
    this.#map = map;
  }

  moveIpcacheGeneration(): void {
    const row = this.#read();
    this.#write({ ...row, ipcacheGeneration: (row.ipcacheGeneration + 1) >>> 0 });
  }

  takePolicySetNumber(): number {
    const row = this.#read();
    const number = row.policySetLast + 1;
    if (number > 0xffff_fffe) throw new Error("policy set numbers are used up: restart the node's datapath by removing its pins");
    this.#write({ ...row, policySetLast: number });
    return number;
  }

  #read(): ReturnType<typeof decodeRuntime> {
    return decodeRuntime(present(this.#map.lookup(this.#key), "the row of map runtime"));
  }

  #write(row: ReturnType<typeof decodeRuntime>): void {
    this.#map.update(this.#key, encodeRuntime(row));
  }
}

function record<Name extends string, Value>(names: readonly Name[], make: (name: Name) => Value): Record<Name, Value> {
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<Name, Value>;
}

function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the compiled datapath has no ${what}: build it again with ./dev`);
  return value;
}
