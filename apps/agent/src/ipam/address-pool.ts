import type { AddressBytes } from "@cilium-ts/net";
import type { PodPlacement } from "./pool-choice.ts";

/** What endpoints need of IPAM. */
export interface AddressPool {
  /**
   * One address of each family, or neither. Rejects, naming the range or the pool, when it is full. Where the pod decides which pool it
   * is, `placement` is asked for it.
   */
  allocate(
    owner: string,
    placement: () => Promise<PodPlacement | undefined>,
  ): Promise<{ readonly ipv4: AddressBytes; readonly ipv6: AddressBytes }>;
  /** Takes this very address, as for a restored endpoint. Throws when another owner has it. */
  claim(address: AddressBytes, owner: string): void;
  /** Releasing what is free does nothing. */
  release(address: AddressBytes): void;
}
