/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Native routing past the node's stack: the same route and neighbour that the stack would take, without the rest of it. */
#pragma once
#include "lib/deliver.h"
#include "lib/ipcache.h"
#include "lib/report.h"
#include "lib/segment.h"

#define LINUX_AF_INET 2
#define LINUX_AF_INET6 10
#define IDENTITY_POD_MIN 256 /* Below: reserved ones. */

/* On packets that need nothing more on their way out. */
#define MARK_DIRECT 0x0c1d0000

/* Workloads of the cluster: the stack translates no address of what goes to them. */
static __always_inline bool is_pod_identity(__u32 identity)
{
	return identity >= IDENTITY_POD_MIN && identity < 1 << 24;
}

/* Answers pass the stack by only where the stack has not translated what they answer: it must translate them back. */
static __always_inline bool goes_direct(const struct packet *p, const struct flow *f)
{
	if (!config.direct_routing_ifindex || f->to_host || !is_pod_identity(f->destination_identity))
		return false;
	if (unlikely(f->related || p->kind == PACKET_FREE))
		return false;
	return !f->c.reply || f->c.entry->flags & CT_UNTRANSLATED;
}

/* Whether a route leads to the native device; `next` is who is to have the packet there. */
static __always_inline bool direct_route(struct __sk_buff *skb, const struct packet *p, struct bpf_redir_neigh *next, const __u8 family)
{
	__u32 size = segment_size(skb, p);
	struct bpf_fib_lookup fib = {
		.family = family == 4 ? LINUX_AF_INET : LINUX_AF_INET6,
		.l4_protocol = p->protocol,
		.tot_len = size < SEGMENT_SIZE_MAX ? size : SEGMENT_SIZE_MAX, /* Compared with the route's MTU. */
		.ifindex = skb->ifindex,
	};

	if (family == 4) {
		fib.ipv4_src = p->source.v4;
		fib.ipv4_dst = p->destination.v4;
	} else {
		__builtin_memcpy(fib.ipv6_src, &p->source, sizeof(fib.ipv6_src));
		__builtin_memcpy(fib.ipv6_dst, &p->destination, sizeof(fib.ipv6_dst));
	}
	/* What does not fit, has no route, or goes elsewhere: the stack knows what to say. */
	if (bpf_fib_lookup(skb, &fib, sizeof(fib), BPF_FIB_LOOKUP_SKIP_NEIGH) || fib.ifindex != config.direct_routing_ifindex)
		return false;
	next->nh_family = fib.family;
	__builtin_memcpy(next->ipv6_nh, fib.ipv6_dst, sizeof(next->ipv6_nh));
	return true;
}

static __always_inline int direct_send(struct __sk_buff *skb, const struct flow *f, struct bpf_redir_neigh *next, const __u8 family)
{
	fault problem = hop_away(skb, family);

	if (unlikely(problem))
		return drop_flow(skb, f, problem, family);
	if (unlikely(f->report))
		trace_flow(skb, f, f->from->id, TRACE_TO_NETWORK, config.direct_routing_ifindex, family);
	count_forward(skb, METRICS_EGRESS);
	if (config.masquerade_enabled)
		skb->mark = MARK_DIRECT;
	return bpf_redirect_neigh(config.direct_routing_ifindex, next, sizeof(*next), 0);
}
