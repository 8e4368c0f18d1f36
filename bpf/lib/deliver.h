/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Handing a packet to a pod of this node, straight into its namespace. */
#pragma once
#include <stddef.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "lib/maps.h"
#include "lib/packet.h"

#undef THIS_FILE
#define THIS_FILE FILE_DELIVER

typedef __u64 __attribute__((may_alias)) word64;
typedef __u32 __attribute__((may_alias)) word32;

_Static_assert(offsetof(struct endpoint, mac) % 8 == 0 && offsetof(struct endpoint, host_mac) == offsetof(struct endpoint, mac) + 6,
	       "the row holds both MAC addresses as a frame does, so that they are copied as one");

#define HEADERS_SIZE(family) (ETH_HLEN + ((family) == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)))

/* One router on the way: the hop limit goes down by one. `frame` has HEADERS_SIZE bytes. */
static __always_inline fault hop(void *frame, const __u8 family)
{
	if (family == 4) {
		struct iphdr *ip = frame + ETH_HLEN;
		__u32 checksum = ip->check;

		if (unlikely(ip->ttl <= 1))
			return FAULT(DROP_TTL_EXCEEDED);
		checksum += bpf_htons(0x0100);
		ip->check = checksum + (checksum >= 0xffff);
		ip->ttl--;
	} else {
		struct ipv6hdr *ip = frame + ETH_HLEN;

		if (unlikely(ip->hop_limit <= 1))
			return FAULT(DROP_TTL_EXCEEDED);
		ip->hop_limit--;
	}
	return 0;
}

/* A hop, and the frame is from the gateway to the pod. */
static __always_inline fault deliver_rewrite(struct __sk_buff *skb, const struct endpoint *to, const __u8 family)
{
	void *frame = frame_at(skb, 0, HEADERS_SIZE(family));
	fault problem;

	if (unlikely(!frame))
		return FAULT(DROP_INVALID_PACKET_DROPPED);
	problem = hop(frame, family);
	if (unlikely(problem))
		return problem;
	*(word64 *)frame = *(const word64 *)to->mac;
	*(word32 *)(frame + 8) = *(const word32 *)(to->mac + 8);
	return 0;
}

/* A hop of a packet that this node sends on by itself. */
static __always_inline fault hop_away(struct __sk_buff *skb, const __u8 family)
{
	void *frame = frame_at(skb, 0, HEADERS_SIZE(family));

	return unlikely(!frame) ? FAULT(DROP_INVALID_PACKET_DROPPED) : hop(frame, family);
}
