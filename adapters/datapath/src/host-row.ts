import type { BpfMap } from "@cilium-ts/kernel";
import { decodeEndpoint, encodeEndpoint, endpointFlags, endpointId } from "./gen/index.ts";

/** What the programs know of the node itself, as an end of connections. */
export interface DatapathHost {
  readonly policySet: number;
  readonly ingressEnforced: boolean;
  readonly egressEnforced: boolean;
  /** What policy would drop passes, and is reported. */
  readonly audit: boolean;
}

const hostIdentity = 1;

/** The row of the node itself. While it is empty nothing that the node sends or receives is judged. */
export class HostRow {
  readonly #map: BpfMap;

  constructor(endpoints: BpfMap) {
    this.#map = endpoints;
  }

  /** From now on this policy holds, for connections that are under way, too. */
  apply({ policySet, ingressEnforced, egressEnforced, audit }: DatapathHost): void {
    const flags =
      (ingressEnforced ? endpointFlags.ingressEnforced : 0) |
      (egressEnforced ? endpointFlags.egressEnforced : 0) |
      (audit ? endpointFlags.audit : 0);
    this.#map.update(key, encodeEndpoint({ ...noRow, id: endpointId.host, identity: hostIdentity, policySet, flags }));
  }

  /** As the kernel has it; undefined: it judges nothing. */
  read(): DatapathHost | undefined {
    const bytes = this.#map.lookup(key);
    if (bytes === undefined) return undefined;
    const { policySet, flags } = decodeEndpoint(bytes);
    if (policySet === 0) return undefined;
    const has = (flag: number): boolean => (flags & flag) !== 0;
    return {
      policySet,
      ingressEnforced: has(endpointFlags.ingressEnforced),
      egressEnforced: has(endpointFlags.egressEnforced),
      audit: has(endpointFlags.audit),
    };
  }

  /** Nothing of the node's own is judged any more. */
  clear(): void {
    if (this.read() !== undefined) this.#map.update(key, new Uint8Array(this.#map.valueSizeBytes));
  }
}

const key = new Uint8Array(Uint32Array.of(endpointId.host).buffer);

/** The node has no device of its own; where its packets are seen, and by which addresses, is known elsewhere. */
const noRow = { ifindex: 0, mac: new Uint8Array(6), hostMac: new Uint8Array(6), ipv4: new Uint8Array(4), ipv6: new Uint8Array(16) };
