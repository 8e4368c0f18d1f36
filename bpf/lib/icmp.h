/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* ICMP and ICMPv6: which messages open a connection, belong to one, or tell of one. */
#pragma once
#include "lib/packet.h"
#include "lib/parse.h"

#undef THIS_FILE
#define THIS_FILE FILE_ICMP

enum icmp_message {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_UNREACHABLE_FRAGMENTATION_NEEDED = 4, /* A code of it. */
	ICMP4_ECHO_REQUEST = 8,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER_PROBLEM = 12,
	ICMP6_UNREACHABLE = 1,
	ICMP6_PACKET_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_PARAMETER_PROBLEM = 4,
	ICMP6_ECHO_REQUEST = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP6_LISTENER_QUERY = 130,
	ICMP6_LISTENER_DONE = 132,
	ICMP6_ROUTER_SOLICITATION = 133,
	ICMP6_ROUTER_ADVERTISEMENT = 134,
	ICMP6_NEIGHBOUR_SOLICITATION = 135,
	ICMP6_NEIGHBOUR_ADVERTISEMENT = 136,
	ICMP6_REDIRECT = 137,
	ICMP6_LISTENER_REPORT2 = 143,
};

struct icmp_start {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id;
	__be16 sequence;
};

static __always_inline bool icmp_is_error(__u8 type, const __u8 family)
{
	if (family == 4)
		return type == ICMP4_UNREACHABLE || type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAMETER_PROBLEM;
	return type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER_PROBLEM;
}

static __always_inline void icmp_classify(struct packet *p, const struct icmp_start *icmp, const __u8 family)
{
	p->policy_port = bpf_htons(icmp->type);
	if (icmp->type == (family == 4 ? ICMP4_ECHO_REQUEST : ICMP6_ECHO_REQUEST)) {
		p->source_port = icmp->id;
	} else if (icmp->type == (family == 4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY)) {
		p->destination_port = icmp->id;
		p->kind = PACKET_ANSWER;
	} else if (family == 4 && icmp->type == ICMP4_UNREACHABLE && icmp->code == ICMP4_UNREACHABLE_FRAGMENTATION_NEEDED) {
		p->kind = PACKET_FREE;
	} else if (icmp_is_error(icmp->type, family)) {
		p->kind = PACKET_ERROR;
	} else {
		p->kind = PACKET_SINGLE;
	}
}

/* Ports of the packet that an ICMP error quotes: the first 8 bytes of its transport are there. */
static __always_inline fault icmp_quoted_ports(struct __sk_buff *skb, struct packet *quoted, const __u8 family)
{
	union {
		struct icmp_start icmp;
		__be16 ports[4];
	} l4;

	if (bpf_skb_load_bytes(skb, quoted->l4_offset, &l4, sizeof(l4)))
		return FAULT(DROP_CT_TRUNCATED_OR_INVALID_HEADER);
	switch (quoted->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		quoted->source_port = l4.ports[0];
		quoted->destination_port = l4.ports[1];
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		icmp_classify(quoted, &l4.icmp, family);
		break;
	default:
		quoted->kind = PACKET_SINGLE;
	}
	return 0;
}

/* The packet that the ICMP error at p->l4_offset quotes. It gets kind PACKET_SINGLE when no connection can be told from it. */
static __always_inline fault icmp_quoted(struct __sk_buff *skb, const struct packet *p, struct packet *quoted, const __u8 family)
{
	__u32 offset = p->l4_offset + sizeof(struct icmp_start);

	if (family == 4) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
			return FAULT(DROP_CT_TRUNCATED_OR_INVALID_HEADER);
		quoted->source.v4 = ip.saddr;
		quoted->destination.v4 = ip.daddr;
		quoted->protocol = ip.protocol;
		quoted->l4_offset = offset + ip.ihl * 4;
		if (ip.frag_off & bpf_htons(0x1fff))
			quoted->fragment = FRAGMENT_LATER;
	} else {
		struct ipv6hdr ip;
		fault problem;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 6)
			return FAULT(DROP_CT_TRUNCATED_OR_INVALID_HEADER);
		__builtin_memcpy(&quoted->source, &ip.saddr, sizeof(ip.saddr));
		__builtin_memcpy(&quoted->destination, &ip.daddr, sizeof(ip.daddr));
		quoted->protocol = ip.nexthdr;
		quoted->l4_offset = offset + sizeof(ip);
		problem = parse_extensions(skb, quoted);
		if (problem)
			return problem;
	}
	/* An error goes back to who sent the packet it quotes; otherwise it is somebody's invention. */
	if (quoted->fragment == FRAGMENT_LATER || !address_equal(&quoted->source, &p->destination, family)) {
		quoted->kind = PACKET_SINGLE;
		return 0;
	}
	return icmp_quoted_ports(skb, quoted, family);
}
