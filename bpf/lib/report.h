/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What becomes of a packet, told and counted with all that is known of it by then. */
#pragma once
#include "lib/admit.h"
#include "lib/events.h"
#include "lib/packet.h"

/* A packet without ends, or none that were found yet. `ep`: the endpoint on whose device it is, if it is an endpoint's. */
CHECKED_ONCE int drop_at(struct __sk_buff *skb, const struct endpoint *ep, __u8 direction, fault problem)
{
	struct report r = {
		.ifindex = skb->ifindex,
		.direction = direction,
		.family = skb->protocol == bpf_htons(ETH_P_IPV6) ? 6 : 4,
	};

	if (ep) {
		r.source_id = ep->id;
		if (direction == METRICS_EGRESS)
			r.source_identity = ep->identity;
		else
			r.destination_identity = ep->identity;
		r.destination_id = direction == METRICS_EGRESS ? 0 : ep->id;
	}
	return drop(skb, &r, problem);
}

static __always_inline int drop_flow(struct __sk_buff *skb, const struct flow *f, fault problem, const __u8 family)
{
	const bool leaving = (f->outbound || f->from) && !f->at_destination;
	const struct endpoint *reporter = leaving ? f->from : f->to;
	struct report r = {
		.source_identity = f->from ? f->from->identity : f->source_identity,
		.destination_identity = f->to ? f->to->identity : f->destination_identity,
		.source_id = reporter ? reporter->id : 0,
		.destination_id = f->to ? f->to->id : 0,
		.ifindex = skb->ifindex,
		.family = family,
		.direction = leaving ? METRICS_EGRESS : METRICS_INGRESS,
	};

	return drop(skb, &r, problem);
}

static __always_inline void trace_flow(struct __sk_buff *skb, const struct flow *f, __u16 source_id, __u8 point, __u32 ifindex,
				       const __u8 family)
{
	struct report r = {
		.source_identity = f->source_identity,
		.destination_identity = f->destination_identity,
		.source_id = source_id,
		.destination_id = f->to ? f->to->id : 0,
		.ifindex = ifindex,
		.family = family,
		.point = point,
		.reason = f->reason,
	};

	send_trace(skb, &r);
}
