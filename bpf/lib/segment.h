/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* How large a packet is on the wire. */
#pragma once
#include <linux/udp.h>

#include "lib/packet.h"

#define TCP_LENGTH_OFFSET 12 /* Of its headers, in words, in the upper half of the byte. */
#define SEGMENT_SIZE_MAX 65535

/* Bytes of the IP packet, or of the largest one of those that are made of it on the way. */
static __always_inline __u32 segment_size(struct __sk_buff *skb, const struct packet *p)
{
	__u32 headers = p->l4_offset - ETH_HLEN;
	__u8 tcp_length;

	if (!skb->gso_size)
		return skb->len - ETH_HLEN;
	if (p->protocol != IPPROTO_TCP)
		return headers + sizeof(struct udphdr) + skb->gso_size;
	if (bpf_skb_load_bytes(skb, p->l4_offset + TCP_LENGTH_OFFSET, &tcp_length, sizeof(tcp_length)))
		return SEGMENT_SIZE_MAX;
	return headers + (tcp_length >> 4) * 4 + skb->gso_size;
}
