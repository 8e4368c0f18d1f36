/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The IP headers of a frame, down to where the transport begins. */
#pragma once
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "lib/maps.h"
#include "lib/packet.h"

#undef THIS_FILE
#define THIS_FILE FILE_PARSE

#define EXTENSION_HEADERS_MAX 6

static __always_inline fault parse_ipv4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr *ip = frame_at(skb, ETH_HLEN, sizeof(*ip));
	__u16 fragment;

	if (unlikely(!ip || ip->version != 4 || ip->ihl < 5))
		return FAULT(DROP_INVALID_PACKET_DROPPED);
	p->source.v4 = ip->saddr;
	p->destination.v4 = ip->daddr;
	p->protocol = ip->protocol;
	p->hop_limit = ip->ttl;
	p->l4_offset = ETH_HLEN + ip->ihl * 4;
	fragment = bpf_ntohs(ip->frag_off) & 0x3fff;
	if (unlikely(fragment)) {
		p->fragment = fragment & 0x1fff ? FRAGMENT_LATER : FRAGMENT_FIRST;
		p->fragment_id = bpf_ntohs(ip->id);
		p->fragment_protocol = ip->protocol;
	}
	return 0;
}

/* Notes the fragment header at the offset. A whole datagram in one fragment (RFC 6946) is none. */
static __always_inline fault parse_fragment_header(struct __sk_buff *skb, struct packet *p, __u32 offset)
{
	struct {
		__u8 next;
		__u8 reserved;
		__be16 position;
		__be32 id;
	} header;
	__u16 position;

	if (bpf_skb_load_bytes(skb, offset, &header, sizeof(header)))
		return FAULT(DROP_INVALID_PACKET_DROPPED);
	position = bpf_ntohs(header.position);
	if (!(position & 0xfff9))
		return 0;
	if (p->fragment)
		return FAULT(DROP_INVALID_IPV6_EXTENSION_HEADER);
	p->fragment = position & 0xfff8 ? FRAGMENT_LATER : FRAGMENT_FIRST;
	p->fragment_id = bpf_ntohl(header.id);
	p->fragment_protocol = header.next;
	return 0;
}

/* Walks the extension headers from p->protocol at p->l4_offset until it finds something else. */
CHECKED_ONCE fault parse_extensions(struct __sk_buff *skb, struct packet *p)
{
	struct {
		__u8 next;
		__u8 length;
	} header;
	fault problem;

	if (!p)
		return FAULT(DROP_INVALID_PACKET_DROPPED);
	for (int count = 0; count <= EXTENSION_HEADERS_MAX; count++) {
		__u8 kind = p->protocol;

		if (kind == IPPROTO_NONE)
			return FAULT(DROP_INVALID_IPV6_EXTENSION_HEADER);
		if (kind != IPPROTO_HOPOPTS && kind != IPPROTO_ROUTING && kind != IPPROTO_FRAGMENT &&
		    kind != IPPROTO_AH && kind != IPPROTO_DSTOPTS)
			return 0;
		if (bpf_skb_load_bytes(skb, p->l4_offset, &header, sizeof(header)))
			return FAULT(DROP_INVALID_PACKET_DROPPED);
		p->protocol = header.next;
		if (kind == IPPROTO_FRAGMENT) {
			problem = parse_fragment_header(skb, p, p->l4_offset);
			if (problem || p->fragment == FRAGMENT_LATER)
				return problem;
			p->l4_offset += 8;
		} else if (kind == IPPROTO_AH) {
			p->l4_offset += (header.length + 2) * 4;
		} else {
			p->l4_offset += (header.length + 1) * 8;
		}
	}
	return FAULT(DROP_INVALID_IPV6_EXTENSION_HEADER);
}

static __always_inline fault parse_ipv6(struct __sk_buff *skb, struct packet *p)
{
	struct ipv6hdr *ip = frame_at(skb, ETH_HLEN, sizeof(*ip));

	if (unlikely(!ip || ip->version != 6))
		return FAULT(DROP_INVALID_PACKET_DROPPED);
	__builtin_memcpy(&p->source, &ip->saddr, sizeof(ip->saddr));
	__builtin_memcpy(&p->destination, &ip->daddr, sizeof(ip->daddr));
	p->protocol = ip->nexthdr;
	p->hop_limit = ip->hop_limit;
	p->l4_offset = ETH_HLEN + sizeof(*ip);
	switch (ip->nexthdr) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_ICMPV6:
		return 0;
	default:
		return parse_extensions(skb, p);
	}
}

static __always_inline fault parse_ip(struct __sk_buff *skb, struct packet *p, const __u8 family)
{
	return family == 4 ? parse_ipv4(skb, p) : parse_ipv6(skb, p);
}
