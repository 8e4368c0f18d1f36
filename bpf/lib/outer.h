/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What carries a packet of the tunnel, for its event: the programs see packets before they are wrapped, and after. */
#pragma once
#include <linux/ip.h>
#include <linux/udp.h>

#include "lib/maps.h"
#include "lib/packet.h"

#define VXLAN_HAS_ID 0x08000000

struct outer_headers {
	struct iphdr ip;
	struct udphdr udp; /* Its source port is chosen later, and not told here: 0. */
	__be32 vxlan_flags;
	__be32 vxlan_id;
};

/* The part of a tunnel's key that the kernel gives to who asks for so many bytes. */
struct tunnel_sender {
	__u32 tunnel_id;
	__u32 remote_ipv4;
};

/* 0: the packet neither comes from the tunnel nor was given to it. */
CHECKED_ONCE int is_wrapped(struct __sk_buff *skb)
{
	struct tunnel_sender sender;

	return !bpf_skb_get_tunnel_key(skb, (struct bpf_tunnel_key *)&sender, sizeof(sender), 0);
}

/* Makes the headers where the kernel has put the tunnel's key first: the stack has no room for it. In both directions the
 * kernel calls the sender the remote end. */
CHECKED_ONCE int outer_make(struct __sk_buff *skb, struct bpf_tunnel_key *place)
{
	struct outer_headers *outer = (void *)place;
	__u32 source, destination, id;

	if (!place || bpf_skb_get_tunnel_key(skb, place, sizeof(*place), 0))
		return 0;
	source = place->remote_ipv4;
	destination = place->local_ipv4;
	id = place->tunnel_id;
	__builtin_memset(outer, 0, sizeof(*outer));
	outer->ip.version = 4;
	outer->ip.ihl = 5;
	outer->ip.tot_len = bpf_htons(sizeof(*outer) + skb->len);
	outer->ip.protocol = IPPROTO_UDP;
	outer->ip.saddr = bpf_htonl(source);
	outer->ip.daddr = bpf_htonl(destination);
	outer->udp.dest = bpf_htons(config.tunnel_port);
	outer->udp.len = bpf_htons(sizeof(*outer) - sizeof(outer->ip) + skb->len);
	outer->vxlan_flags = bpf_htonl(VXLAN_HAS_ID);
	outer->vxlan_id = bpf_htonl(id << 8);
	return 0;
}
