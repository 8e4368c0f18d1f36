/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Whoever a pod asks for on its link, the host side of its veth is the answer: everything is behind the gateway. */
#pragma once
#include <linux/ipv6.h>

#include "lib/endpoint.h"
#include "lib/icmp.h"
#include "lib/packet.h"

#undef THIS_FILE
#define THIS_FILE FILE_NEIGHBOUR

#define ARP_ETHERNET 1
#define ARP_REQUEST 1
#define ARP_REPLY 2
#define ND_HOP_LIMIT 255
#define ND_OPTION_TARGET_ADDRESS 2

enum nd_flags {
	ND_ROUTER = 0x80,
	ND_SOLICITED = 0x40,
	ND_OVERRIDE = 0x20,
};

/* Beside a fault: what becomes of a message about the link. 0: it is something else. */
#define NEIGHBOUR_PASS 1
#define NEIGHBOUR_ANSWER 2

struct arp_ipv4 {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 operation;
	__u8 sender_mac[6];
	__u8 sender_ip[4];
	__u8 target_mac[6];
	__u8 target_ip[4];
} __attribute__((packed));

/* ICMPv6 neighbour advertisement with its one option, preceded by the pseudo header it is summed with. */
struct nd_advertisement {
	struct {
		__u8 source[16];
		__u8 destination[16];
		__be32 length;
		__be32 next_header;
	} pseudo;
	struct {
		__u8 type;
		__u8 code;
		__be16 checksum;
		__u8 flags;
		__u8 reserved[3];
		__u8 target[16];
		__u8 option;
		__u8 option_length; /* In units of 8 bytes. */
		__u8 option_mac[6];
	} message;
};

/* ARP of a pod: answered, dropped as somebody else's, or left to the node's stack, which may have asked. */
CHECKED_ONCE fault arp_from_pod(struct __sk_buff *skb, const struct endpoint *ep)
{
	struct {
		struct ethhdr ethernet;
		struct arp_ipv4 arp;
	} __attribute__((packed)) frame;
	__u8 target_ip[4];
	__u32 sender, target;

	if (!ep)
		return FAULT(DROP_EP_NOT_READY);
	if (bpf_skb_load_bytes(skb, 0, &frame, sizeof(frame)))
		return FAULT(DROP_INVALID_PACKET_DROPPED);
	__builtin_memcpy(&sender, frame.arp.sender_ip, sizeof(sender));
	__builtin_memcpy(&target, frame.arp.target_ip, sizeof(target));
	if (frame.arp.hardware != bpf_htons(ARP_ETHERNET) || frame.arp.protocol != bpf_htons(ETH_P_IP) ||
	    frame.arp.hardware_length != 6 || frame.arp.protocol_length != 4)
		return FAULT(DROP_INVALID_PACKET_DROPPED);
	if (sender && sender != ep->ipv4)
		return FAULT(DROP_INVALID_SOURCE_IP);
	/* A probe (no sender) asks whether an address is free: an answer would say no. */
	if (frame.arp.operation != bpf_htons(ARP_REQUEST) || !sender || target == ep->ipv4)
		return NEIGHBOUR_PASS;

	__builtin_memcpy(target_ip, frame.arp.target_ip, sizeof(target_ip));
	__builtin_memcpy(frame.ethernet.h_dest, frame.ethernet.h_source, ETH_ALEN);
	__builtin_memcpy(frame.ethernet.h_source, ep->host_mac, ETH_ALEN);
	frame.arp.operation = bpf_htons(ARP_REPLY);
	__builtin_memcpy(frame.arp.target_mac, frame.arp.sender_mac, ETH_ALEN);
	__builtin_memcpy(frame.arp.target_ip, frame.arp.sender_ip, sizeof(target_ip));
	__builtin_memcpy(frame.arp.sender_mac, ep->host_mac, ETH_ALEN);
	__builtin_memcpy(frame.arp.sender_ip, target_ip, sizeof(target_ip));
	if (bpf_skb_store_bytes(skb, 0, &frame, sizeof(frame), 0))
		return FAULT(DROP_ERROR_WRITING_TO_PACKET);
	return NEIGHBOUR_ANSWER;
}

static __always_inline __be16 checksum_folded(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Read as volatile: the compiler sees only the zeros that stand there before the load. */
static __always_inline bool is_router(const struct address *address)
{
	const volatile __u32 *router = (const volatile void *)config.router_ipv6;
	const __u32 *words = (const void *)address;

	return words[0] == router[0] && words[1] == router[1] && words[2] == router[2] && words[3] == router[3];
}

/* First the headers, then the message: one room for both, since there is little stack. */
union nd_room {
	struct {
		struct ethhdr ethernet;
		struct ipv6hdr ip;
	} __attribute__((packed)) frame;
	struct nd_advertisement nd;
};

/* Makes the solicitation for `target` an advertisement of the host side of the veth. */
CHECKED_ONCE fault nd_answer(struct __sk_buff *skb, const struct endpoint *ep, const struct address *target)
{
	union nd_room room = {};
	struct address asker;

	if (!ep || !target)
		return FAULT(DROP_ERROR_WRITING_TO_PACKET);
	if (bpf_skb_change_tail(skb, sizeof(room.frame) + sizeof(room.nd.message), 0) ||
	    bpf_skb_load_bytes(skb, 0, &room.frame, sizeof(room.frame)))
		return FAULT(DROP_ERROR_WRITING_TO_PACKET);
	__builtin_memcpy(&asker, &room.frame.ip.saddr, sizeof(asker));
	__builtin_memcpy(room.frame.ethernet.h_dest, room.frame.ethernet.h_source, ETH_ALEN);
	__builtin_memcpy(room.frame.ethernet.h_source, ep->host_mac, ETH_ALEN);
	__builtin_memcpy(&room.frame.ip.saddr, target, sizeof(room.frame.ip.saddr));
	__builtin_memcpy(&room.frame.ip.daddr, &asker, sizeof(room.frame.ip.daddr));
	room.frame.ip.payload_len = bpf_htons(sizeof(room.nd.message));
	room.frame.ip.nexthdr = IPPROTO_ICMPV6;
	room.frame.ip.hop_limit = ND_HOP_LIMIT;
	if (bpf_skb_store_bytes(skb, 0, &room.frame, sizeof(room.frame), 0))
		return FAULT(DROP_ERROR_WRITING_TO_PACKET);

	room.nd = (struct nd_advertisement){};
	__builtin_memcpy(room.nd.pseudo.source, target, sizeof(room.nd.pseudo.source));
	__builtin_memcpy(room.nd.pseudo.destination, &asker, sizeof(room.nd.pseudo.destination));
	room.nd.pseudo.length = bpf_htonl(sizeof(room.nd.message));
	room.nd.pseudo.next_header = bpf_htonl(IPPROTO_ICMPV6);
	room.nd.message.type = ICMP6_NEIGHBOUR_ADVERTISEMENT;
	room.nd.message.flags = ND_SOLICITED | ND_OVERRIDE | (is_router(target) ? ND_ROUTER : 0);
	__builtin_memcpy(room.nd.message.target, target, sizeof(room.nd.message.target));
	room.nd.message.option = ND_OPTION_TARGET_ADDRESS;
	room.nd.message.option_length = 1;
	__builtin_memcpy(room.nd.message.option_mac, ep->host_mac, ETH_ALEN);
	room.nd.message.checksum = checksum_folded(bpf_csum_diff(NULL, 0, (void *)&room.nd, sizeof(room.nd), 0));
	if (bpf_skb_store_bytes(skb, sizeof(room.frame), &room.nd.message, sizeof(room.nd.message), 0))
		return FAULT(DROP_ERROR_WRITING_TO_PACKET);
	return 0;
}

static __always_inline bool is_listener_message(__u8 type)
{
	return (type >= ICMP6_LISTENER_QUERY && type <= ICMP6_LISTENER_DONE) || type == ICMP6_LISTENER_REPORT2;
}

/* Messages that never leave the link: neighbour discovery (RFC 4861 asks for hop limit 255) and multicast listeners (1). */
static __always_inline bool is_link_message(const struct packet *p)
{
	__u8 type = bpf_ntohs(p->policy_port);

	if (p->protocol != IPPROTO_ICMPV6 || p->kind != PACKET_SINGLE || p->fragment)
		return false;
	if (type >= ICMP6_ROUTER_SOLICITATION && type <= ICMP6_REDIRECT)
		return p->hop_limit == ND_HOP_LIMIT;
	return is_listener_message(type) && p->hop_limit == 1;
}

/* A pod's link message. Its source is the pod's, link-local or unspecified: the caller has seen to it. */
CHECKED_ONCE fault nd_from_pod(struct __sk_buff *skb, const struct endpoint *ep, const struct packet *p)
{
	struct address target = {};
	fault problem;
	__u8 type;

	if (!ep || !p)
		return FAULT(DROP_EP_NOT_READY);
	type = bpf_ntohs(p->policy_port);
	if (type == ICMP6_ROUTER_ADVERTISEMENT || type == ICMP6_REDIRECT)
		return FAULT(DROP_FORBIDDEN_ICMPV6_MESSAGE);
	if (type != ICMP6_NEIGHBOUR_SOLICITATION)
		return NEIGHBOUR_PASS;
	if (bpf_skb_load_bytes(skb, p->l4_offset + sizeof(struct icmp_start), &target, sizeof(target)))
		return FAULT(DROP_CT_TRUNCATED_OR_INVALID_HEADER);
	/* Duplicate address detection (no source) asks whether an address is free: an answer would say no. */
	if (!(p->source.half[0] | p->source.half[1]) || endpoint_has(ep, &target, 6))
		return NEIGHBOUR_PASS;
	problem = nd_answer(skb, ep, &target);
	return problem ? problem : NEIGHBOUR_ANSWER;
}
