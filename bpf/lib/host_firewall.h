/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The node itself as an end that policy knows: what it sends and receives by addresses of its own. */
#pragma once
#include "lib/admit.h"
#include "lib/endpoint.h"
#include "lib/l4.h"
#include "lib/neighbour.h"
#include "lib/packet.h"

#undef THIS_FILE
#define THIS_FILE FILE_HOST_FIREWALL

/* The node's row. NULL: nothing of the node's own is judged, for there is no firewall, or no policy of it yet. */
static __always_inline const struct endpoint *host_endpoint(void)
{
	const struct endpoint *host;

	if (!config.host_firewall_enabled)
		return NULL;
	host = bpf_map_lookup_elem(&endpoints, &(__u32){ENDPOINT_ID_HOST});
	return host && host->policy_set ? host : NULL;
}

static __always_inline bool is_link_local(const struct address *address, const __u8 family)
{
	return family == 6 && address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
}

/* To whoever listens: it has no receiver whose policy could be asked, and a node cannot live on its link without. */
static __always_inline bool is_for_many(const struct address *address, const __u8 family)
{
	if (family == 6)
		return address->bytes[0] == 0xff;
	return (address->v4 & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) || address->v4 == bpf_htonl(0xffffffff);
}

static __always_inline bool is_own_address(const struct address *address, const __u8 family)
{
	const struct local_address *local = local_address_of(address, family);

	return local && local->flags & LOCAL_ADDRESS_HOST;
}

/* Whether what is wrong with a packet matters: where no rule is about the node, or rules only audit, what cannot be judged passes. */
static __always_inline bool host_enforces(const struct endpoint *host, const __u16 direction)
{
	return host->flags & direction && !(host->flags & ENDPOINT_AUDIT);
}

static __always_inline bool has_ports(const struct packet *p, const __u8 family)
{
	switch (p->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		return true;
	default:
		return p->protocol == (family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	}
}

/* A node speaks more protocols than pods do. Those without ports are judged by their number and the other end, each packet alone. */
static __always_inline fault host_parse_l4(struct __sk_buff *skb, struct packet *p, const __u8 family)
{
	if (has_ports(p, family))
		return parse_l4(skb, p, family);
	p->kind = PACKET_SINGLE;
	return 0;
}

/* Of a packet from or to an address of this node, on a native device; its transport is parsed. */
static __always_inline fault host_admit(struct __sk_buff *skb, const struct packet *p, struct flow *f, const __u8 family)
{
	fault problem = flow_find(skb, p, f, family);

	if (problem)
		return problem;
	/* Nobody else has this node's addresses. */
	if (!f->outbound && !f->c.entry && is_own_address(&p->source, family))
		return FAULT(DROP_INVALID_SOURCE_IP);
	return flow_admit(skb, p, f, family);
}
