import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type BpfMap, type BpfProgram, type LoadedObject, openKernel, type RingBuffer } from "@cilium-ts/kernel";
import {
  type CtEntry,
  type DropNotify,
  decodeCtEntry,
  decodeDropNotify,
  decodeEventHeader,
  decodePolicyVerdictNotify,
  decodeTraceNotify,
  dropNotifyLayout,
  type Endpoint,
  encodeCtEntry,
  encodeEndpoint,
  encodeIpcacheEntry,
  encodeIpcacheKey,
  encodeLocalAddress,
  encodeLocalAddressKey,
  encodeNodeConfig,
  encodePolicyEntry,
  encodePolicyKey,
  encodeRuntime,
  endpointId,
  eventType,
  type NodeConfig,
  type PolicyVerdictNotify,
  policyDirection,
  policyEntryFlags,
  policyVerdictNotifyLayout,
  type TraceNotify,
  traceNotifyLayout,
} from "../../adapters/datapath/src/gen/index.ts";
import { buildBpf } from "../../tools/src/build-bpf.ts";
import { addressBytes, macBytes } from "./layers.ts";

export interface Pod {
  readonly id: number;
  readonly identity: number;
  readonly policySet: number;
  readonly ifindex: number;
  readonly mac: string;
  readonly hostMac: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** Bits of `endpointFlags`. */
  readonly flags: number;
}

export interface Rule {
  readonly set: number;
  readonly direction: keyof typeof policyDirection;
  /** 0: any. */
  readonly identity?: number;
  /** 0: any. */
  readonly protocol?: number;
  readonly port?: number;
  /** Significant bits of the port: 16 when there is a port. */
  readonly portBits?: number;
  readonly deny?: boolean;
  readonly unallowed?: boolean;
  readonly audit?: boolean;
  readonly precedence?: number;
  readonly cookie?: number;
  /** A proxy decides; 0: there is none. */
  readonly proxyPort?: number;
  readonly authType?: number;
}

export type Event =
  | { readonly kind: "drop"; readonly notify: DropNotify; readonly payload: Uint8Array; readonly bytes: Uint8Array }
  | { readonly kind: "trace"; readonly notify: TraceNotify; readonly payload: Uint8Array; readonly bytes: Uint8Array }
  | { readonly kind: "verdict"; readonly notify: PolicyVerdictNotify; readonly payload: Uint8Array; readonly bytes: Uint8Array };

export interface Outcome {
  readonly action: "pass" | "drop" | "redirect";
  readonly packet: Uint8Array;
  readonly events: readonly Event[];
  /** The code of the drop event; undefined when there is none. */
  readonly dropReason: number | undefined;
}

/** `TC_ACT_*` of linux/pkt_cls.h. */
const actions: Readonly<Record<number, Outcome["action"]>> = { 0: "pass", 2: "drop", 7: "redirect" };

/** A test run has no device of its own: it runs on the loopback device, which is every pod's veth in turn. */
export const testIfindex = 1;

export const defaultConfig: NodeConfig = {
  routerIpv4: addressBytes("10.1.0.1"),
  routerIpv6: addressBytes("fd00::1"),
  traceIntervalS: 5,
  tunnelMtu: 1450,
  tunnelPort: 8472,
  tracePayloadSize: 128,
  tcpTimeoutS: 8000,
  tcpSynTimeoutS: 60,
  tcpCloseTimeoutS: 10,
  anyTimeoutS: 60,
  tunnelIfindex: 0,
  directRoutingIfindex: 0,
  proxyIfindex: 0,
  traceEnabled: 1,
  verdictEventsEnabled: 1,
  masqueradeEnabled: 0,
  ipTraceOption: 0,
  hostFirewallEnabled: 0,
};

/** `bpf/build/pod.o`, made now if it is not current. */
export function buildPodObject(): Promise<Uint8Array> {
  return buildObject("pod");
}

async function buildObject(name: string): Promise<Uint8Array> {
  await buildBpf({ onBuilt: () => {} });
  return readFile(join(import.meta.dirname, "../build", `${name}.o`));
}

type ProgramName = "from_pod" | "to_pod" | "from_network" | "to_network";

/** The programs of one object, a pod's unless said otherwise, with maps of their own, attached to nothing. */
export class PodPrograms implements Disposable {
  readonly #kernel = openKernel();
  readonly #object: LoadedObject;
  readonly #ring: RingBuffer;
  readonly #ringTarget = new Uint8Array(1 << 20);

  private constructor(name: string, bytes: Uint8Array, config: NodeConfig, mapSizes: Readonly<Record<string, number>>) {
    const sizes = { ct4: 512, ct6: 512, fragments: 128, events: 1 << 16, ...mapSizes };
    this.#object = this.#kernel.loadObject({
      name: `${name}.o`,
      bytes,
      rodata: { config: encodeNodeConfig(config) },
      maps: Object.fromEntries(Object.entries(sizes).map(([name, maxEntries]) => [name, { maxEntries }])),
    });
    this.#ring = this.#kernel.openRingBuffer(this.map("events"));
  }

  static async open(
    config: Partial<NodeConfig> = {},
    mapSizes: Readonly<Record<string, number>> = {},
    name: "pod" | "network" = "pod",
  ): Promise<PodPrograms> {
    return new PodPrograms(name, await buildObject(name), { ...defaultConfig, ...config }, mapSizes);
  }

  map(name: string): BpfMap {
    const map = this.#object.maps.get(name);
    if (map === undefined) throw new RangeError(`the object has no map "${name}"`);
    return map;
  }

  program(name: ProgramName): BpfProgram {
    const program = this.#object.programs.get(name);
    if (program === undefined) throw new RangeError(`the object has no program "${name}"`);
    return program;
  }

  /** Forgets every row, connection, count and event. */
  reset(): void {
    for (const map of this.#object.maps.values()) {
      if (["hash", "lru_hash", "lpm_trie", "percpu_hash"].includes(map.type)) {
        this.clear(map.name);
      } else if (map.type === "percpu_array") {
        const empty = new Uint8Array(this.#kernel.possibleCpuCount * Math.ceil(map.valueSizeBytes / 8) * 8);
        for (let index = 0; index < map.maxEntries; index += 1) map.update(u32(index), empty);
      }
    }
    for (let id = 1; id < 8; id += 1) this.map("endpoints").update(u32(id), new Uint8Array(this.map("endpoints").valueSizeBytes));
    this.setHost(0);
    this.map("runtime").update(u32(0), new Uint8Array(8));
    this.drain();
  }

  /** Deletes every key of a map. */
  clear(name: string): void {
    const map = this.map(name);
    const { keys, count } = map.dump();
    for (let index = 0; index < count; index += 1) map.delete(keys.subarray(index * map.keySizeBytes, (index + 1) * map.keySizeBytes));
  }

  /** A pod's row and its addresses. */
  setPod(pod: Pod): void {
    this.setRow(pod);
    for (const address of [pod.ipv4, pod.ipv6]) this.setLocalAddress(address, pod.id, 0);
  }

  /** The row alone. */
  setRow(pod: Pod): void {
    const row: Endpoint = {
      id: pod.id,
      identity: pod.identity,
      policySet: pod.policySet,
      ifindex: pod.ifindex,
      flags: pod.flags,
      mac: pod.mac === "" ? new Uint8Array(6) : macBytes(pod.mac),
      hostMac: pod.hostMac === "" ? new Uint8Array(6) : macBytes(pod.hostMac),
      ipv4: pod.ipv4 === "" ? new Uint8Array(4) : addressBytes(pod.ipv4),
      ipv6: pod.ipv6 === "" ? new Uint8Array(16) : addressBytes(pod.ipv6),
    };
    this.map("endpoints").update(u32(pod.id), encodeEndpoint(row));
  }

  /** The node's own row. Set 0: nothing is judged. */
  setHost(policySet: number, flags = 0): void {
    const nothing = { ifindex: 0, mac: "", hostMac: "", ipv4: "", ipv6: "" };
    this.setRow({ ...nothing, id: endpointId.host, identity: 1, policySet, flags });
  }

  setLocalAddress(address: string, endpointId: number, flags: number): void {
    this.map("local_addresses").update(localAddressKey(address), encodeLocalAddress({ endpointId, flags }));
  }

  /** `node`: where the tunnel to it ends. */
  setIdentity(address: string, prefixBits: number, identity: number, node = "0.0.0.0"): void {
    const bytes = addressBytes(address);
    const key = encodeIpcacheKey({
      prefixLength: 32 + prefixBits,
      clusterId: 0,
      family: bytes.length === 4 ? 4 : 6,
      address: padded(bytes),
    });
    this.map("ipcache").update(key, encodeIpcacheEntry({ identity, tunnelEndpoint: addressBytes(node), encryptKey: 0, flags: 0 }));
  }

  setGeneration(ipcacheGeneration: number): void {
    this.map("runtime").update(u32(0), encodeRuntime({ ipcacheGeneration, policySetLast: 0 }));
  }

  addRule(rule: Rule): void {
    const { identity = 0, protocol = 0, port = 0, portBits = port === 0 ? 0 : 16 } = rule;
    const key = encodePolicyKey({
      prefixLength: 72 + (protocol === 0 ? 0 : 8 + portBits),
      set: rule.set,
      identity,
      direction: policyDirection[rule.direction],
      protocol,
      port,
    });
    const flags =
      (rule.deny === true ? policyEntryFlags.deny : 0) |
      (rule.unallowed === true ? policyEntryFlags.unallowed : 0) |
      (rule.audit === true ? policyEntryFlags.audit : 0) |
      (rule.proxyPort === undefined ? 0 : policyEntryFlags.redirect) |
      (protocol === 0 ? 0 : policyEntryFlags.matchProtocol) |
      (portBits === 0 ? 0 : policyEntryFlags.matchPort);
    const { precedence = 0, cookie = 0, proxyPort = 0, authType = 0 } = rule;
    this.map("policy").update(key, encodePolicyEntry({ precedence, cookie, proxyPort, flags, authType }));
  }

  /** What becomes of a frame that the pod sends. */
  fromPod(pod: Pod, packet: Uint8Array): Outcome {
    return this.#run("from_pod", pod, packet);
  }

  /** What becomes of a frame that the node's stack sends to the pod. */
  toPod(pod: Pod, packet: Uint8Array): Outcome {
    return this.#run("to_pod", pod, packet);
  }

  /** What becomes of a frame on a native device. */
  onNetwork(program: "from_network" | "to_network", packet: Uint8Array): Outcome {
    return this.#runProgram(program, packet);
  }

  /** Runs on a device that is no pod's. */
  onStrangeDevice(program: "from_pod" | "to_pod", packet: Uint8Array): Outcome {
    this.map("endpoint_devices").delete(u32(testIfindex));
    return this.#runProgram(program, packet);
  }

  /** Every connection of a family; tests have one or none, mostly. */
  connections(family: 4 | 6): CtEntry[] {
    const map = this.map(`ct${family}`);
    const { values, count } = map.dump();
    return Array.from({ length: count }, (_, index) => decodeCtEntry(values, index * map.valueSizeBytes));
  }

  /** Changes every connection of a family. */
  changeConnections(family: 4 | 6, change: (entry: CtEntry) => Partial<CtEntry>): void {
    const map = this.map(`ct${family}`);
    const { keys, values, count } = map.dump();
    for (let index = 0; index < count; index += 1) {
      const entry = decodeCtEntry(values, index * map.valueSizeBytes);
      const key = keys.subarray(index * map.keySizeBytes, (index + 1) * map.keySizeBytes);
      map.update(key, encodeCtEntry({ ...entry, ...change(entry) }));
    }
  }

  nowS(): number {
    return Number(this.#kernel.monotonicNs() / 1_000_000_000n);
  }

  /** A per-CPU value, all parts added up, as 64-bit numbers. */
  perCpuSum(map: BpfMap, key: Uint8Array): bigint[] {
    const value = map.lookup(key);
    const sums = new Array<bigint>(map.valueSizeBytes / 8).fill(0n);
    if (value === undefined) return sums;
    const words = new BigUint64Array(value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength));
    words.forEach((word, index) => {
      const at = index % sums.length;
      sums[at] = (sums[at] ?? 0n) + word;
    });
    return sums;
  }

  drain(): Event[] {
    return drainEvents(this.#ring, this.#ringTarget);
  }

  [Symbol.dispose](): void {
    this.#ring[Symbol.dispose]();
    this.#object[Symbol.dispose]();
  }

  #run(program: "from_pod" | "to_pod", pod: Pod, packet: Uint8Array): Outcome {
    this.map("endpoint_devices").update(u32(testIfindex), u32(pod.id));
    return this.#runProgram(program, packet);
  }

  #runProgram(program: ProgramName, packet: Uint8Array): Outcome {
    this.drain();
    const run = this.program(program).testRun({ packet });
    const action = actions[run.returnValue];
    if (action === undefined) throw new RangeError(`${program} returned ${run.returnValue}`);
    const events = this.drain();
    const dropped = events.find((event) => event.kind === "drop");
    return { action, packet: run.packet, events, dropReason: dropped?.notify.header.subtype };
  }
}

/** Every event in the ring. The target holds them all. */
export function drainEvents(ring: RingBuffer, target: Uint8Array): Event[] {
  const { bytes, records } = ring.drain(target);
  const view = new DataView(target.buffer, target.byteOffset);
  const events: Event[] = [];
  let offset = 0;
  for (let index = 0; index < records && offset < bytes; index += 1) {
    const length = view.getUint32(offset, true);
    events.push(decodeEvent(target.slice(offset + 8, offset + 8 + length)));
    offset += 8 + Math.ceil(length / 8) * 8;
  }
  return events;
}

function decodeEvent(bytes: Uint8Array): Event {
  const { type, capturedLength } = decodeEventHeader(bytes);
  const after = (sizeBytes: number): Uint8Array => bytes.subarray(sizeBytes, sizeBytes + capturedLength);
  switch (type) {
    case eventType.drop:
      return { kind: "drop", notify: decodeDropNotify(bytes), payload: after(dropNotifyLayout.sizeBytes), bytes };
    case eventType.trace:
      return { kind: "trace", notify: decodeTraceNotify(bytes), payload: after(traceNotifyLayout.sizeBytes), bytes };
    case eventType.policyVerdict:
      return { kind: "verdict", notify: decodePolicyVerdictNotify(bytes), payload: after(policyVerdictNotifyLayout.sizeBytes), bytes };
    default:
      throw new RangeError(`an event of type ${type}`);
  }
}

export function localAddressKey(address: string): Uint8Array {
  const bytes = addressBytes(address);
  return encodeLocalAddressKey({ address: padded(bytes), family: bytes.length === 4 ? 4 : 6 });
}

export function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(16);
  whole.set(bytes);
  return whole;
}
