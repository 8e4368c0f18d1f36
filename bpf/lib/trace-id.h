/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The number by which a sender marks the packets that it wants to follow: what one option of the IP header holds, or (IPv6) of the
 * hop-by-hop header, which is always the first. Looked for when an event is sent, and only where an option was named. */
#pragma once
#include "lib/maps.h"
#include "lib/packet.h"

/* What an IPv4 header has room for. */
#define IP_OPTIONS_MAX 40

struct ip_option {
	__u8 type;
	__u8 length;
};

/* 2, 4 or 8 bytes in network order; 0: another length is no number of ours. */
static __always_inline __u64 load_trace_id(struct __sk_buff *skb, __u32 offset, __u32 length)
{
	__be16 two;
	__be32 four;
	__be64 eight;

	if (length == sizeof(two) && !bpf_skb_load_bytes(skb, offset, &two, sizeof(two)))
		return bpf_ntohs(two);
	if (length == sizeof(four) && !bpf_skb_load_bytes(skb, offset, &four, sizeof(four)))
		return bpf_ntohl(four);
	if (length == sizeof(eight) && !bpf_skb_load_bytes(skb, offset, &eight, sizeof(eight)))
		return bpf_be64_to_cpu(eight);
	return 0;
}

/* Options from `offset` to `end`. Those of a single byte are padding, of which IPv4's 0 also ends the list; IPv4 counts an option's
 * first two bytes in its length, IPv6 does not. */
static __always_inline __u64 find_trace_id(struct __sk_buff *skb, __u32 offset, __u32 end, const __u8 family)
{
	const __u8 padding = family == 4 ? 1 : 0;
	struct ip_option option;

	for (int count = 0; count < IP_OPTIONS_MAX; count++) {
		__u32 size;

		if (offset >= end || bpf_skb_load_bytes(skb, offset, &option.type, 1))
			return 0;
		if (option.type == padding) {
			offset++;
			continue;
		}
		if ((family == 4 && !option.type) || bpf_skb_load_bytes(skb, offset + 1, &option.length, 1))
			return 0;
		size = family == 4 ? option.length : option.length + sizeof(option);
		if (size < sizeof(option) || offset + size > end)
			return 0;
		if (option.type == config.ip_trace_option)
			return load_trace_id(skb, offset + sizeof(option), size - sizeof(option));
		offset += size;
	}
	return 0;
}

/* 0: the packet has none. */
CHECKED_ONCE __u64 ip_trace_id(struct __sk_buff *skb)
{
	__u8 byte;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &byte, 1))
			return 0;
		return find_trace_id(skb, ETH_HLEN + 20, ETH_HLEN + (byte & 0x0f) * 4, 4);
	}
	if (skb->protocol != bpf_htons(ETH_P_IPV6) || bpf_skb_load_bytes(skb, ETH_HLEN + 6, &byte, 1) || byte != IPPROTO_HOPOPTS)
		return 0;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + 40 + 1, &byte, 1))
		return 0;
	return find_trace_id(skb, ETH_HLEN + 40 + 2, ETH_HLEN + 40 + (byte + 1) * 8, 6);
}
