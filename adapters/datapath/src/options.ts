/** The compiled programs, as `bpf/build/NAME.o` has them. */
export interface DatapathObjects {
  readonly pod: Uint8Array;
  readonly conntrack: Uint8Array;
  readonly overlay: Uint8Array;
  readonly host: Uint8Array;
  readonly network: Uint8Array;
  readonly proxy: Uint8Array;
}

/** What the datapath is told once, at its start. All of it goes into `.rodata`, where the verifier can rely on it. */
export interface DatapathOptions {
  readonly objects: DatapathObjects;
  /** A directory of bpffs for our pins; bpffs is mounted there when it is not yet. */
  readonly bpfRoot: string;
  /** The pods' gateways. */
  readonly routerIPv4: Uint8Array;
  readonly routerIPv6: Uint8Array;
  /** The tunnel's device; 0: native routing, pods of other nodes are reached through the node's own routes. */
  readonly tunnelIfindex: number;
  /** Bytes of the largest IP packet that goes through the tunnel in one piece: the underlay's MTU, less 50. */
  readonly tunnelMtu: number;
  /** UDP port of the tunnel, by which no pod may send to a node; 0: there is no tunnel. */
  readonly tunnelPort: number;
  /** The native device that leads to other nodes' pods, past the node's stack; 0: the stack sends them. */
  readonly directRoutingIfindex: number;
  /** The device by which packets that the stack sends to a pod come in again for a proxy (`cilium_net`); 0: such packets are dropped. */
  readonly proxyIfindex: number;
  /** Whether pods leave the cluster with an address of the node: `Datapath.masquerade` says where. */
  readonly masquerade: boolean;
  /** Whether policy is asked about what the node itself sends and receives: `Datapath.host` says by which set. */
  readonly hostFirewall: boolean;
  /** How often an established connection is reported, in seconds. 0: every packet. */
  readonly traceIntervalS: number;
  /** Bytes of each packet that an event carries, at most 128. */
  readonly tracePayloadSizeBytes: number;
  /** The IP option that holds the number of packets that are followed; 0: none is looked for. */
  readonly ipTraceOption: number;
  /** Entries of each conntrack map. */
  readonly conntrackEntriesMax: number;
}

export const datapathDefaults = {
  tunnelIfindex: 0,
  tunnelMtu: 0,
  tunnelPort: 0,
  directRoutingIfindex: 0,
  proxyIfindex: 0,
  masquerade: false,
  hostFirewall: false,
  traceIntervalS: 5,
  tracePayloadSizeBytes: 128,
  ipTraceOption: 0,
  conntrackEntriesMax: 131_072,
} as const;
