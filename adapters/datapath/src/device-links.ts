import { join } from "node:path";
import type { BpfProgram, Kernel } from "@cilium-ts/kernel";
import { PinnedLinks } from "./pinned-links.ts";

/** The node's own devices that run our programs, by ifindex. */
export interface DatapathDevices {
  /** `cilium_vxlan`, what other nodes send. */
  readonly vxlan?: number | undefined;
  /** `cilium_host`, what the node's stack sends to the pods of other nodes. */
  readonly host?: number | undefined;
  /** `cilium_net`, by which packets come in again for a proxy. */
  readonly proxy?: number | undefined;
  /** Those that lead to other nodes and out of the cluster. */
  readonly native?: readonly number[];
}

interface Attachment {
  readonly name: DeviceProgramName;
  readonly direction: "ingress" | "egress";
  /** Only where it is loaded. */
  readonly optional?: true;
}

const attachments = {
  vxlan: [{ name: "from_overlay", direction: "ingress" }],
  host: [{ name: "from_host", direction: "egress" }],
  proxy: [{ name: "to_proxy", direction: "ingress" }],
  native: [
    { name: "from_network", direction: "ingress" },
    { name: "to_network", direction: "egress", optional: true },
  ],
} as const satisfies Record<string, readonly Attachment[]>;

/** Programs of devices. They are loaded where the configuration has a use for them. */
export type DeviceProgramName = "from_overlay" | "from_host" | "from_network" | "to_network" | "to_proxy";
type DevicePrograms = Readonly<Partial<Record<DeviceProgramName, BpfProgram>>>;

/** Our programs on the node's own devices. */
export class DeviceLinks {
  readonly #kernel: Kernel;
  readonly #links: PinnedLinks;
  readonly #programs: DevicePrograms;
  readonly #root: string;

  constructor(options: { kernel: Kernel; programs: DevicePrograms; root: string }) {
    this.#kernel = options.kernel;
    this.#links = new PinnedLinks(options.kernel);
    this.#programs = options.programs;
    this.#root = options.root;
  }

  /** Attaches what is to run on these devices, and takes it off every other. Links that are right stay as they are. */
  apply(devices: DatapathDevices): void {
    const wanted = wantedOn(devices);
    for (const [ifindex, wantedHere] of wanted) {
      for (const { name, direction, optional } of wantedHere) {
        const program = this.#programs[name];
        if (program === undefined && optional) continue;
        if (program === undefined)
          throw new Error(`${name} is not loaded, device #${ifindex} cannot run it: its options ask for no such programs`);
        this.#links.apply({ path: this.#path(ifindex, name), program, ifindex, direction });
      }
    }
    for (const ifindex of this.pinnedIfindexes()) this.#removeExcept(ifindex, wanted.get(ifindex) ?? []);
  }

  /** Devices with pinned links, also of an earlier run. */
  pinnedIfindexes(): number[] {
    return this.#kernel.listPins(this.#root).map(Number);
  }

  #removeExcept(ifindex: number, wanted: readonly Attachment[]): void {
    const directory = join(this.#root, String(ifindex));
    for (const name of this.#kernel.listPins(directory)) {
      const stays = wanted.some((attachment) => attachment.name === name && this.#programs[attachment.name] !== undefined);
      if (!stays) this.#links.remove(join(directory, name));
    }
    if (wanted.length === 0) this.#kernel.unpin(directory);
  }

  #path(ifindex: number, name: string): string {
    return join(this.#root, String(ifindex), name);
  }
}

function wantedOn(devices: DatapathDevices): Map<number, Attachment[]> {
  const wanted = new Map<number, Attachment[]>();
  const want = (ifindex: number | undefined, attached: readonly Attachment[]): void => {
    if (ifindex !== undefined) wanted.set(ifindex, [...(wanted.get(ifindex) ?? []), ...attached]);
  };
  want(devices.vxlan, attachments.vxlan);
  want(devices.host, attachments.host);
  want(devices.proxy, attachments.proxy);
  for (const ifindex of devices.native ?? []) want(ifindex, attachments.native);
  return wanted;
}
