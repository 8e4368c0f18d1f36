/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* One of everything that the contract's tests need. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

struct settings {
	__u32 verdict;
	__u32 record_count;
	__u64 pad;
};

/* A neighbour on either side, which setting `settings` must not touch. */
const volatile __u64 before SEC(".rodata") = 0x1111111111111111;
const volatile struct settings settings SEC(".rodata") = { .verdict = 7 };
const volatile __u64 after SEC(".rodata") = 0x2222222222222222;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u64);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} events SEC(".maps");

struct record {
	__u32 number;
	__u32 size;
	__u8 rest[64];
};

enum counter {
	COUNTER_RUNS = 0,
	COUNTER_WRITTEN = 1,
	COUNTER_LOST = 2,
};

static __always_inline void count(__u32 index)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &index);

	if (value)
		*value += 1;
}

SEC("tc")
int verdict(struct __sk_buff *skb)
{
	__u32 key = skb->ifindex;
	__u64 value = before + after;

	count(COUNTER_RUNS);
	bpf_map_update_elem(&flows, &key, &value, BPF_ANY);
	skb->mark = key;
	return settings.verdict;
}

SEC("tc")
int other_verdict(struct __sk_buff *skb)
{
	count(COUNTER_RUNS);
	return 99;
}

struct progress {
	__u32 number;
};

static long write_record(__u32 index, struct progress *progress)
{
	struct record record = { .number = progress->number + index };
	/* Sizes that are no multiple of 8 and change; every seventh record is written and thrown away. */
	__u32 size = 8 + (record.number & 63);
	struct record *reserved;

	record.size = size;
	if (record.number % 7 == 6) {
		reserved = bpf_ringbuf_reserve(&events, sizeof(*reserved), 0);
		if (reserved)
			bpf_ringbuf_discard(reserved, BPF_RB_NO_WAKEUP);
		return 0;
	}
	if (bpf_ringbuf_output(&events, &record, size, BPF_RB_NO_WAKEUP) == 0)
		count(COUNTER_WRITTEN);
	else
		count(COUNTER_LOST);
	return 0;
}

/* Writes as many records as the settings say, numbered from the packet's mark. */
SEC("tc")
int emit(struct __sk_buff *skb)
{
	struct progress progress = { .number = skb->mark };

	bpf_loop(settings.record_count, write_record, &progress, 0);
	return 0;
}

/* Writes one record and wakes whoever waits. */
SEC("tc")
int wake(struct __sk_buff *skb)
{
	struct record record = { .number = skb->mark, .size = 8 };

	bpf_ringbuf_output(&events, &record, 8, BPF_RB_FORCE_WAKEUP);
	return 0;
}

SEC("xdp")
int pass(struct xdp_md *context)
{
	count(COUNTER_RUNS);
	return XDP_PASS;
}

SEC("cgroup/connect4")
int connect(struct bpf_sock_addr *context)
{
	count(COUNTER_RUNS);
	return 1;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
