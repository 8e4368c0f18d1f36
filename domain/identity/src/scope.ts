/** Where a number means something. Bits 24 to 31 tell. */
export type IdentityScope = "reserved" | "well-known" | "user-reserved" | "cluster" | "local" | "remote-node" | "invalid";

export const clusterIdentityMin = 256;
export const clusterIdentityMax = 65_535;
/** 0x01000000 itself is never given out. */
export const localIdentityMin = 0x0100_0001;
/** At most this many local identities on a node. */
export const localIdentityCountMax = 65_535;
export const localIdentityMax = 0x0100_0000 + localIdentityCountMax;

export function identityScope(id: number): IdentityScope {
  if (!Number.isInteger(id) || id < 0 || id > 0xffff_ffff) return "invalid";
  switch (id >>> 24) {
    case 0:
      if (id < 100) return "reserved";
      if (id < 128) return "well-known";
      if (id < clusterIdentityMin) return "user-reserved";
      return "cluster";
    case 1:
      return "local";
    case 2:
      return "remote-node";
    default:
      return "invalid";
  }
}
