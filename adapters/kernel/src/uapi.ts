import type { CgroupAttachType, MapType } from "./kernel.ts";

/** Numbers of linux/bpf.h and linux/if_link.h, which never change. */

export const mapTypeNumbers: Readonly<Record<MapType, number>> = {
  hash: 1,
  array: 2,
  prog_array: 3,
  percpu_hash: 5,
  percpu_array: 6,
  lru_hash: 9,
  lpm_trie: 11,
  array_of_maps: 12,
  hash_of_maps: 13,
  ringbuf: 27,
};

const mapTypesByNumber: ReadonlyMap<number, MapType> = new Map(
  Object.entries(mapTypeNumbers).map(([name, number]) => [number, name as MapType]),
);

/** Undefined for a type that nothing here uses. */
export function mapTypeOf(number: number): MapType | undefined {
  return mapTypesByNumber.get(number);
}

/** BPF_F_NO_PREALLOC: an LPM trie exists only with it. */
export const noPreallocFlag = 1;

export const updateFlags: Readonly<Record<"any" | "absent" | "present", number>> = { any: 0, absent: 1, present: 2 };

/** enum bpf_prog_type, by the names that bpftool uses. */
const programTypes: Readonly<Record<number, string>> = {
  1: "socket_filter",
  2: "kprobe",
  3: "sched_cls",
  4: "sched_act",
  5: "tracepoint",
  6: "xdp",
  7: "perf_event",
  8: "cgroup_skb",
  9: "cgroup_sock",
  13: "sock_ops",
  14: "sk_skb",
  15: "cgroup_device",
  16: "sk_msg",
  17: "raw_tracepoint",
  18: "cgroup_sock_addr",
  23: "cgroup_sysctl",
  25: "cgroup_sockopt",
  26: "tracing",
  29: "lsm",
  30: "sk_lookup",
  31: "syscall",
};

export function programTypeName(number: number): string {
  return programTypes[number] ?? `type_${number}`;
}

/** enum bpf_attach_type. The tcx ones came with Linux 6.6. */
export const tcxAttachTypes: Readonly<Record<"ingress" | "egress", number>> = { ingress: 46, egress: 47 };
export const xdpAttachType = 37;

export const cgroupAttachTypes: Readonly<Record<CgroupAttachType, number>> = {
  inet4_connect: 10,
  inet6_connect: 11,
  inet4_post_bind: 12,
  inet6_post_bind: 13,
  udp4_sendmsg: 14,
  udp6_sendmsg: 15,
  udp4_recvmsg: 19,
  udp6_recvmsg: 20,
  inet4_getpeername: 29,
  inet6_getpeername: 30,
  inet_sock_release: 34,
};

/** XDP_FLAGS_SKB_MODE and XDP_FLAGS_DRV_MODE. */
export const xdpModeFlags: Readonly<Record<"generic" | "driver", number>> = { generic: 2, driver: 4 };
