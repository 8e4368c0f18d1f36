/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Who a packet is for: an endpoint, the host, or nobody on this node. */
#pragma once
#include "lib/admit.h"
#include "lib/endpoint.h"
#include "lib/host_firewall.h"

#undef THIS_FILE
#define THIS_FILE FILE_DESTINATION

/* The connection knows where to look first, and whether it leads away. */
static __always_inline fault find_destination(const struct packet *p, struct flow *f, const __u8 family)
{
	const struct endpoint *to = NULL;
	const struct local_address *local;

	if (f->c.entry) {
		if (flow_leads_away(f))
			return 0;
		to = endpoint_by_id(f->c.entry->endpoint_id[f->c.reply ? 0 : 1]);
	}
	if (unlikely(!to || !endpoint_has(to, &p->destination, family))) {
		local = local_address_of(&p->destination, family);
		if (!local)
			return 0;
		if (local->flags & LOCAL_ADDRESS_HOST) {
			f->to_host = true;
			f->to = host_endpoint();
			return 0;
		}
		to = endpoint_by_id(local->endpoint_id);
	}
	if (unlikely(!to || !to->policy_set))
		return FAULT(DROP_EP_NOT_READY);
	f->to = to;
	return 0;
}
