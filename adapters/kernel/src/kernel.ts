/**
 * What the kernel can do for us, as a contract. `openKernel()` is the real thing, `openFakeKernel()` (from
 * `@cilium-ts/kernel/testing`) the one in memory; both pass the suite in `contract.test.ts`.
 *
 * Every failure is a `KernelError`, `VerifierRejection` or `UnsupportedFeature` (errors.ts).
 * Whatever has a descriptor is `Disposable`: closing it never removes what is pinned.
 */
export interface Kernel {
  /** As `uname -r`. */
  readonly release: string;
  /** CPUs the kernel may use: per-CPU values have this many parts. */
  readonly possibleCpuCount: number;

  /** Checks, relocates and loads a compiled object: maps first (pinned ones are adopted), then programs. All or nothing. */
  loadObject(spec: ObjectSpec): LoadedObject;
  createMap(spec: MapSpec): BpfMap;
  openPinnedMap(path: string): BpfMap;
  openPinnedProgram(path: string): BpfProgram;
  openPinnedLink(path: string): BpfLink;
  /** Names in a directory of bpffs, sorted; empty when there is no such directory. */
  listPins(directory: string): string[];
  /** Removes a pin, or a directory with all below it, in a bpffs only. Absent: nothing happens. `pin()` makes the directories it needs. */
  unpin(path: string): void;

  /** Needs Linux 6.6; throws UnsupportedFeature before that. */
  attachTcx(options: { program: BpfProgram; ifindex: number; direction: "ingress" | "egress" }): BpfLink;
  attachXdp(options: { program: BpfProgram; ifindex: number; mode: "generic" | "driver" }): BpfLink;
  attachCgroup(options: { program: BpfProgram; cgroupPath: string; attachType: CgroupAttachType }): BpfLink;

  /** Mounts bpffs, making the directory. Already mounted: nothing happens. */
  mountBpffs(path: string): void;
  /** With all the pins in it. Not mounted: nothing happens. */
  unmount(path: string): void;

  openRingBuffer(map: BpfMap): RingBuffer;

  /** A netlink socket, in the caller's network namespace or in the one at the path. */
  openNetlink(options: { family: NetlinkFamily; groups?: readonly number[]; namespacePath?: string }): NetlinkSocket;

  /** Opens a socket inside another namespace; the process stays where it is. The caller owns the descriptor. */
  openSocket(options: SocketOptions): number;
  /** Datagrams that were sent to others and redirected to us. */
  openRedirected(options: DatagramPlace & { readonly port: number }): RedirectedDatagrams;
  /** Datagrams that come from others, as their receiver sees it. */
  openReplies(options: DatagramPlace): ReplyDatagrams;
  /** Questions to servers, each from a socket of its own. */
  openExchange(options?: { readonly namespacePath?: string }): DatagramExchange;
  /** Writes files by their paths `/proc/sys/...`, as seen inside the namespace (or here), up to the first that fails. */
  writeSysctls(options: { namespacePath?: string; values: ReadonlyArray<readonly [path: string, value: string]> }): void;
  /** A network namespace that nobody has. It ends when it is closed, with the devices in it, and with this process. */
  createNamespace(): NetworkNamespace;
  /** The cookie by which BPF programs know a network namespace (SO_NETNS_COOKIE). */
  namespaceCookie(namespacePath?: string): bigint;

  /** CLOCK_MONOTONIC in ns, the clock of events and of conntrack expiry. */
  monotonicNs(): bigint;
}

export interface ObjectSpec {
  /** For messages: `pod.o`. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** New contents of the `.rodata` section's map, by variable name: e.g. `config`. The size must be the variable's. */
  readonly rodata?: Readonly<Record<string, Uint8Array>>;
  /**
   * By map name (`.rodata`, `.data`, `.bss` for the sections' maps). A pin path that exists is adopted when type, key, value, flags and
   * entries agree; otherwise it fails with both shapes in the message. With `maxEntries`, which is for new maps, a pinned one keeps its own.
   */
  readonly maps?: Readonly<Record<string, { readonly pinPath?: string; readonly maxEntries?: number }>>;
}

export interface LoadedObject extends Disposable {
  readonly maps: ReadonlyMap<string, BpfMap>;
  readonly programs: ReadonlyMap<string, BpfProgram>;
}

export type MapType =
  | "hash"
  | "array"
  | "percpu_hash"
  | "percpu_array"
  | "lru_hash"
  | "lpm_trie"
  | "hash_of_maps"
  | "array_of_maps"
  | "prog_array"
  | "ringbuf";

export interface MapSpec {
  readonly name: string;
  readonly type: MapType;
  readonly keySizeBytes: number;
  readonly valueSizeBytes: number;
  readonly maxEntries: number;
  /** Raw BPF_F_* bits; `lpm_trie` gets BPF_F_NO_PREALLOC by itself. */
  readonly flags?: number;
  readonly inner?: MapSpec;
}

/** Keys and values are raw bytes. Per-CPU values are `possibleCpuCount` parts of valueSizeBytes rounded up to 8. */
export interface BpfMap extends Disposable {
  readonly id: number;
  readonly name: string;
  readonly type: MapType;
  readonly keySizeBytes: number;
  readonly valueSizeBytes: number;
  readonly maxEntries: number;
  readonly fd: number;
  lookup(key: Uint8Array): Uint8Array | undefined;
  update(key: Uint8Array, value: Uint8Array, mode?: "any" | "absent" | "present"): void;
  /** False when the key was absent. */
  delete(key: Uint8Array): boolean;
  /** Keys and values side by side, `count` of each. Not atomic over the batch: on failure the error's `done` says how many were written. */
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): void;
  /** Absent keys are passed over; returns how many were there. */
  deleteBatch(keys: Uint8Array, count: number): number;
  /** Everything, read in batches of at most 4,096. Concurrent changes may be missed or seen twice, as the kernel allows. */
  dump(): { keys: Uint8Array; values: Uint8Array; count: number };
  pin(path: string): void;
  /** Bytes of kernel memory, as /proc/self/fdinfo says (memlock). */
  memoryBytes(): number;
}

export interface BpfProgram extends Disposable {
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly fd: number;
  /** Hash of the program as the kernel verified it: equal tags, equal programs. */
  readonly tag: string;
  pin(path: string): void;
  /**
   * Average over `repeat` runs. `packet` is the frame after the last run. The context is the program's own (192 bytes of __sk_buff,
   * whose ifindex must be of a device in this namespace; 24 of xdp_md) and comes back as it was left; empty when none was given.
   */
  testRun(options: { packet: Uint8Array; repeat?: number; context?: Uint8Array }): {
    returnValue: number;
    packet: Uint8Array;
    durationNs: number;
    context: Uint8Array;
  };
  /** Runs a program of type syscall once. The context is what it reads, and what it leaves behind. Returns the program's value. */
  runSyscall(context: Uint8Array): number;
}

export interface BpfLink extends Disposable {
  readonly id: number;
  /** 0 when detached because the device went away, and of a cgroup's link. */
  readonly ifindex: number;
  readonly programId: number;
  readonly fd: number;
  /** Replaces the program with no packet in between. */
  update(program: BpfProgram): void;
  pin(path: string): void;
  detach(): void;
}

export type CgroupAttachType =
  | "inet4_connect"
  | "inet6_connect"
  | "udp4_sendmsg"
  | "udp6_sendmsg"
  | "udp4_recvmsg"
  | "udp6_recvmsg"
  | "inet4_getpeername"
  | "inet6_getpeername"
  | "inet4_post_bind"
  | "inet6_post_bind"
  | "inet_sock_release";

export interface RingBuffer extends Disposable {
  /**
   * Copies whole records into the target: each is a u32 length (little-endian), 4 bytes of zero, then the record
   * padded to 8 (with whatever was there). Returns what was copied; `more` when the target was too small for all. One call,
   * however many records. A target that cannot hold even the next one is an error, EMSGSIZE.
   */
  drain(target: Uint8Array): { bytes: number; records: number; more: boolean };
  /**
   * Resolves when there is something to drain, or after the timeout, or when aborted or closed. The kernel wakes us for records that
   * were written with a wake-up; for others it looks once a second. One waiter at a time.
   */
  wait(timeoutMs: number, signal: AbortSignal): Promise<void>;
}

export type NetlinkFamily = "route" | "generic" | "netfilter" | "sock_diag";

export interface NetlinkSocket extends Disposable {
  /**
   * Sends a buffer of one or more messages (each with NLM_F_ACK, or NLM_F_DUMP alone) and resolves with every message received until
   * all are answered (`acks` of NLMSG_ERROR or NLMSG_DONE). Runs off the main thread; calls on one socket are served in order.
   * A refusal is an answer (NLMSG_ERROR), never an exception; silence for 5 s is one, ETIMEDOUT. Up to about 1,000 messages at once.
   * Not on a socket that has joined groups.
   */
  transact(messages: Uint8Array, acks: number): Promise<Uint8Array>;
  /**
   * Multicast messages of the groups joined at opening: batches of whole messages until aborted or closed. An empty batch says that
   * some were lost (ENOBUFS): list again; nothing older comes after it. One reader at a time.
   */
  receive(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface NetworkNamespace extends Disposable {
  /** For this process alone, as long as the namespace is open. */
  readonly path: string;
}

export interface SocketOptions {
  readonly namespacePath?: string;
  /** An IPv6 socket takes IPv6 only. */
  readonly family: "ipv4" | "ipv6" | "unix" | "packet";
  readonly type: "stream" | "datagram" | "raw";
  /** Of a packet socket: the EtherType (3: all). Of a datagram or raw socket: the number of the IP protocol (1: ICMP, of pings alone). */
  readonly protocol?: number;
  /** IP_TRANSPARENT: may bind to addresses that are not ours. */
  readonly transparent?: boolean;
  readonly reuseAddress?: boolean;
  readonly mark?: number;
  /** Of a unix socket: the path, or `@name` for an abstract one; of a packet socket: the device's name. */
  readonly bind?: { readonly address: string; readonly port: number };
  /** Length of the accept queue; absent: not listening. */
  readonly listen?: number;
}

export interface DatagramPlace {
  readonly namespacePath?: string;
  readonly family: "ipv4" | "ipv6";
  readonly mark?: number;
}

/** Addresses have 4 or 16 bytes, as the socket's family. */
export interface Datagram {
  /** Whose it is, or is for. */
  readonly peer: Uint8Array;
  readonly peerPort: number;
  /** Where it was sent to, or is to come from: not ours. */
  readonly local: Uint8Array;
  readonly localPort: number;
  readonly bytes: Uint8Array;
}

/** Bound to the loopback address, so that nobody reaches it who was not redirected to it. */
export interface RedirectedDatagrams extends Disposable {
  readonly port: number;
  /** For who looks sockets up. */
  readonly fd: number;
  /** What has come, up to 64 at once; their bytes last until the next call. Empty: nothing is left. */
  receive(): Datagram[];
  /** True when there is something to receive; false when aborted or closed. One waiter at a time. */
  wait(signal: AbortSignal): Promise<boolean>;
}

export interface ReplyDatagrams extends Disposable {
  /** Returns how many could not be sent: a datagram may be lost. */
  send(datagrams: readonly Datagram[]): number;
}

export interface ExchangeAnswer {
  readonly token: number;
  /** Lasts until the next call. Empty when `errno` is not 0. */
  readonly bytes: Uint8Array;
  /** ECONNREFUSED: nobody is there. */
  readonly errno: number;
}

export interface DatagramExchange extends Disposable {
  /**
   * Sends one datagram from a port that the kernel chooses at random; only its receiver can answer. `token`: a whole number of 32 bits
   * that names it. It is listened for until `end`. Throws when it cannot be sent.
   */
  ask(question: {
    readonly token: number;
    readonly server: Uint8Array;
    readonly port: number;
    readonly mark?: number;
    readonly bytes: Uint8Array;
  }): void;
  end(token: number): void;
  /** What has come, of each question at most one. */
  receive(): ExchangeAnswer[];
  wait(signal: AbortSignal): Promise<boolean>;
}
