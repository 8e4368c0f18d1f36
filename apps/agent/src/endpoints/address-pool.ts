import type { AddressBytes } from "@cilium-ts/net";

/** What endpoints need of IPAM. */
export interface AddressPool {
  /** One address of each family, or neither. Throws, naming the range, when it is full. */
  allocate(owner: string): { readonly ipv4: AddressBytes; readonly ipv6: AddressBytes };
  /** Takes this very address, as for a restored endpoint. Throws when another owner has it. */
  claim(address: AddressBytes, owner: string): void;
  /** Releasing what is free does nothing. */
  release(address: AddressBytes): void;
}
