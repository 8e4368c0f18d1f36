import type { AddressBytes } from "@cilium-ts/net";

/** Devices and routes of pods, as endpoints need them. */
export interface PodPlumbing {
  /** On failure nothing stays. */
  connect(request: PlumbingRequest): Promise<{ ifindex: number; netnsCookie: string }>;
  /** Absent: nothing happens. */
  disconnect(hostDevice: string): Promise<void>;
  /** The same for a pod's device of which only the index is known. Devices that are no pod's are left alone. */
  disconnectIndex(ifindex: number): Promise<void>;
  /** The index of the device; undefined when it is gone. */
  find(hostDevice: string): Promise<number | undefined>;
}

export interface PlumbingRequest {
  readonly namespacePath: string;
  readonly interfaceName: string;
  readonly hostDevice: string;
  readonly mac: Uint8Array;
  readonly hostMac: Uint8Array;
  readonly mtu: number;
  readonly ipv4: AddressBytes;
  readonly ipv6: AddressBytes;
}
