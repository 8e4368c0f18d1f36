/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The verifier must refuse this, and say why. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} flows SEC(".maps");

SEC("tc")
int unchecked(struct __sk_buff *skb)
{
	__u32 key = skb->ifindex;
	__u64 *value = bpf_map_lookup_elem(&flows, &key);

	return *value + 1; /* may be NULL */
}

char license_text[] SEC("license") = "Dual BSD/GPL";
