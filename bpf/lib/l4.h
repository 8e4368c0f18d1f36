/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Ports and flags of the transport. */
#pragma once
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "lib/fragments.h"
#include "lib/icmp.h"
#include "lib/packet.h"

#undef THIS_FILE
#define THIS_FILE FILE_L4

union l4_start {
	struct {
		__be16 source;
		__be16 destination;
	} ports;
	struct icmp_start icmp;
	__u8 bytes[20];
};

/* The first `size` bytes of the transport, in place when the IP header has no options and the frame is linear. NULL: truncated. */
static __always_inline const union l4_start *l4_at(struct __sk_buff *skb, const struct packet *p, union l4_start *copy,
						   const __u32 size, const __u8 family)
{
	const __u32 offset = ETH_HLEN + (family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	void *start = frame_start(skb);

	if (!unlikely(p->l4_offset != offset || start + offset + size > frame_end(skb)))
		return start + offset;
	if (bpf_skb_load_bytes(skb, p->l4_offset, copy, size))
		return NULL;
	return copy;
}

static __always_inline fault l4_read(struct __sk_buff *skb, struct packet *p, const __u8 family)
{
	const union l4_start *l4;
	union l4_start copy;

	switch (p->protocol) {
	case IPPROTO_TCP:
		l4 = l4_at(skb, p, &copy, 20, family);
		if (unlikely(!l4))
			return FAULT(DROP_CT_TRUNCATED_OR_INVALID_HEADER);
		p->tcp_flags = l4->bytes[13];
		break;
	case IPPROTO_UDP:
		l4 = l4_at(skb, p, &copy, 8, family);
		break;
	case IPPROTO_SCTP:
		l4 = l4_at(skb, p, &copy, 12, family);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (p->protocol != (family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
			return FAULT(DROP_CT_UNKNOWN_L4_PROTOCOL);
		l4 = l4_at(skb, p, &copy, sizeof(l4->icmp), family);
		if (unlikely(!l4))
			return FAULT(DROP_CT_TRUNCATED_OR_INVALID_HEADER);
		icmp_classify(p, &l4->icmp, family);
		return 0;
	default:
		return FAULT(DROP_CT_UNKNOWN_L4_PROTOCOL);
	}
	if (unlikely(!l4))
		return FAULT(DROP_CT_TRUNCATED_OR_INVALID_HEADER);
	p->source_port = l4->ports.source;
	p->destination_port = l4->ports.destination;
	p->policy_port = l4->ports.destination;
	return 0;
}

/* Fills in ports, kind and flags, for fragments too. */
static __always_inline fault parse_l4(struct __sk_buff *skb, struct packet *p, const __u8 family)
{
	fault problem;

	if (unlikely(p->fragment == FRAGMENT_LATER))
		return fragment_recall(p, family);
	problem = l4_read(skb, p, family);
	if (unlikely(!problem && p->fragment == FRAGMENT_FIRST))
		fragment_remember(p, family);
	return problem;
}
