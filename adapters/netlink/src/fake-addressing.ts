import type { AddressBytes } from "@cilium-ts/net";
import { errnoOf } from "./errors.ts";
import type { FakeNamespace } from "./fake-namespace.ts";
import type { InterfaceAddress, NewInterfaceAddress } from "./interface-address.ts";
import type { Neighbour, NeighbourKey, NewNeighbour } from "./neighbour.ts";
import type { Scope } from "./scope.ts";

/** Addresses and neighbours of a fake namespace. Each call gives the errno of what is wrong, or undefined. */
export class FakeAddressing {
  readonly #namespace: FakeNamespace;

  constructor(namespace: FakeNamespace) {
    this.#namespace = namespace;
  }

  putAddress(spec: NewInterfaceAddress, replace: boolean): number | undefined {
    const here = this.#namespace;
    if (!here.links.has(spec.linkIndex)) return errnoOf.noDevice;
    const existing = here.addresses.findIndex((row) => isSame(row, spec));
    if (existing >= 0 && !replace) return errnoOf.exists;
    const row: InterfaceAddress = {
      linkIndex: spec.linkIndex,
      address: Uint8Array.from(spec.address),
      prefixLength: spec.prefixLength,
      scope: spec.address.length === 4 ? (spec.scope ?? "universe") : ipv6ScopeOf(spec.address),
      tentative: false,
      duplicate: false,
      permanent: true,
    };
    if (existing >= 0) here.addresses[existing] = row;
    else here.addresses.push(row);
    here.tell("address", { kind: "set", row });
    return undefined;
  }

  deleteAddress(spec: NewInterfaceAddress): number | undefined {
    const here = this.#namespace;
    if (!here.links.has(spec.linkIndex)) return errnoOf.noDevice;
    const row = here.addresses.find((each) => isSame(each, spec) && each.prefixLength === spec.prefixLength);
    if (row === undefined) return errnoOf.addressNotAvailable;
    here.addresses = here.addresses.filter((each) => each !== row);
    here.tell("address", { kind: "removed", row });
    return undefined;
  }

  putNeighbour(spec: NewNeighbour): number | undefined {
    const here = this.#namespace;
    if (!here.links.has(spec.linkIndex)) return errnoOf.noDevice;
    const row: Neighbour = {
      linkIndex: spec.linkIndex,
      address: Uint8Array.from(spec.address),
      mac: Uint8Array.from(spec.mac),
      state: "permanent",
    };
    const existing = here.neighbours.findIndex((each) => isNeighbour(each, spec));
    if (existing >= 0) here.neighbours[existing] = row;
    else here.neighbours.push(row);
    here.tell("neighbour", { kind: "set", row });
    return undefined;
  }

  deleteNeighbour(spec: NeighbourKey): number | undefined {
    const here = this.#namespace;
    if (!here.links.has(spec.linkIndex)) return errnoOf.noDevice;
    const row = here.neighbours.find((each) => isNeighbour(each, spec));
    if (row === undefined) return errnoOf.noEntry;
    here.neighbours = here.neighbours.filter((each) => each !== row);
    here.tell("neighbour", { kind: "removed", row });
    return undefined;
  }
}

/** IPv4 tells addresses of one link apart by their prefix length too, IPv6 does not. */
function isSame(row: InterfaceAddress, spec: NewInterfaceAddress): boolean {
  if (row.linkIndex !== spec.linkIndex || Buffer.compare(row.address, spec.address) !== 0) return false;
  return spec.address.length === 16 || row.prefixLength === spec.prefixLength;
}

function isNeighbour(row: Neighbour, spec: NeighbourKey): boolean {
  return row.linkIndex === spec.linkIndex && Buffer.compare(row.address, spec.address) === 0;
}

function ipv6ScopeOf(address: AddressBytes): Scope {
  const [first = 0, second = 0] = address;
  if (first === 0xfe && (second & 0xc0) === 0x80) return "link";
  if (first === 0xfe && (second & 0xc0) === 0xc0) return "site";
  return address.subarray(0, 15).every((byte) => byte === 0) && address[15] === 1 ? "host" : "universe";
}
