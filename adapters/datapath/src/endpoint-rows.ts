import { join } from "node:path";
import type { BpfMap, BpfProgram, Kernel } from "@cilium-ts/kernel";
import { type AddressBytes, addressKeyBytes } from "@cilium-ts/net";
import {
  decodeEndpoint,
  encodeEndpoint,
  encodeLocalAddress,
  encodeLocalAddressKey,
  endpointFlags,
  localAddressFlags,
} from "./gen/index.ts";
import { PinnedLinks } from "./pinned-links.ts";

/** What the programs know of one local workload. */
export interface DatapathEndpoint {
  readonly id: number;
  /** Of the host side of its veth. */
  readonly ifindex: number;
  readonly identity: number;
  /** 0: its policy is not realised, nothing passes. */
  readonly policySet: number;
  readonly ingressEnforced: boolean;
  readonly egressEnforced: boolean;
  readonly audit: boolean;
  readonly mac: Uint8Array;
  readonly hostMac: Uint8Array;
  readonly ipv4: AddressBytes | undefined;
  readonly ipv6: AddressBytes | undefined;
}

interface Programs {
  readonly fromPod: BpfProgram;
  readonly toPod: BpfProgram;
}

interface Maps {
  readonly endpoints: BpfMap;
  readonly devices: BpfMap;
  readonly addresses: BpfMap;
}

const attachments = [
  { name: "from_pod", direction: "ingress" },
  { name: "to_pod", direction: "egress" },
] as const;

/** Endpoints in the kernel: their rows, and the links that run our programs on their devices. */
export class EndpointRows {
  readonly #kernel: Kernel;
  readonly #links: PinnedLinks;
  readonly #maps: Maps;
  readonly #programs: Programs;
  readonly #linkRoot: string;

  constructor(options: { kernel: Kernel; maps: Maps; programs: Programs; linkRoot: string }) {
    this.#kernel = options.kernel;
    this.#links = new PinnedLinks(options.kernel);
    this.#maps = options.maps;
    this.#programs = options.programs;
    this.#linkRoot = options.linkRoot;
  }

  /** Makes row, indexes and links equal to the endpoint's. The row comes first: a device without one drops everything. */
  apply(endpoint: DatapathEndpoint): void {
    this.applyRow(endpoint);
    this.#maps.devices.update(u32(endpoint.ifindex), u32(endpoint.id));
    for (const address of addressesOf(endpoint)) {
      this.#maps.addresses.update(addressKey(address), encodeLocalAddress({ endpointId: endpoint.id, flags: 0 }));
    }
    for (const { name, direction } of attachments) {
      const program = name === "from_pod" ? this.#programs.fromPod : this.#programs.toPod;
      this.#links.apply({ path: join(this.#linkRoot, String(endpoint.id), name), program, ifindex: endpoint.ifindex, direction });
    }
  }

  /** Only the row: how a policy change reaches the kernel. */
  applyRow(endpoint: DatapathEndpoint): void {
    const flags =
      (endpoint.ingressEnforced ? endpointFlags.ingressEnforced : 0) |
      (endpoint.egressEnforced ? endpointFlags.egressEnforced : 0) |
      (endpoint.audit ? endpointFlags.audit : 0);
    const row = encodeEndpoint({
      ifindex: endpoint.ifindex,
      identity: endpoint.identity,
      policySet: endpoint.policySet,
      id: endpoint.id,
      flags,
      mac: endpoint.mac,
      hostMac: endpoint.hostMac,
      ipv4: endpoint.ipv4 ?? new Uint8Array(4),
      ipv6: endpoint.ipv6 ?? new Uint8Array(16),
    });
    this.#maps.endpoints.update(u32(endpoint.id), row);
  }

  /** Indexes first, so that nobody finds the row any more; absent parts are fine. */
  remove(endpoint: Pick<DatapathEndpoint, "id" | "ifindex" | "ipv4" | "ipv6">): void {
    for (const address of addressesOf(endpoint)) this.#maps.addresses.delete(addressKey(address));
    this.#maps.devices.delete(u32(endpoint.ifindex));
    this.#maps.endpoints.update(u32(endpoint.id), new Uint8Array(this.#maps.endpoints.valueSizeBytes));
    this.removeLinks(endpoint.id);
  }

  /** The endpoint as the kernel has it; undefined when its row is free. */
  read(id: number): ReturnType<typeof decodeEndpoint> | undefined {
    const bytes = this.#maps.endpoints.lookup(u32(id));
    if (bytes === undefined) return undefined;
    const row = decodeEndpoint(bytes);
    return row.ifindex === 0 ? undefined : row;
  }

  /** Addresses of the node itself: packets to them go to its stack. */
  setHostAddresses(addresses: readonly AddressBytes[]): void {
    const wanted = new Set(addresses.map((address) => Buffer.from(addressKey(address)).toString("hex")));
    const dump = this.#maps.addresses.dump();
    const { keySizeBytes, valueSizeBytes } = this.#maps.addresses;
    for (let index = 0; index < dump.count; index += 1) {
      const key = dump.keys.slice(index * keySizeBytes, (index + 1) * keySizeBytes);
      const flags = new DataView(dump.values.buffer, dump.values.byteOffset + index * valueSizeBytes).getUint32(4, true);
      const host = (flags & localAddressFlags.host) !== 0;
      if (host && !wanted.has(Buffer.from(key).toString("hex"))) this.#maps.addresses.delete(key);
    }
    for (const address of addresses) {
      this.#maps.addresses.update(addressKey(address), encodeLocalAddress({ endpointId: 0, flags: localAddressFlags.host }));
    }
  }

  /** Ids that have pinned links: endpoints of an earlier run. */
  pinnedIds(): number[] {
    return this.#kernel.listPins(this.#linkRoot).map(Number).filter(Number.isInteger);
  }

  removeLinks(id: number): void {
    const directory = join(this.#linkRoot, String(id));
    for (const { name } of attachments) this.#links.remove(join(directory, name));
    this.#kernel.unpin(directory);
  }
}

function addressesOf(endpoint: Pick<DatapathEndpoint, "ipv4" | "ipv6">): AddressBytes[] {
  return [endpoint.ipv4, endpoint.ipv6].filter((address) => address !== undefined);
}

function addressKey(address: AddressBytes): Uint8Array {
  return encodeLocalAddressKey({ address: addressKeyBytes(address), family: address.length === 4 ? 4 : 6 });
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
