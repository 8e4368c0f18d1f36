// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The node's native devices. */
#include "lib/admit.h"
#include "lib/deliver.h"
#include "lib/endpoint.h"
#include "lib/l4.h"
#include "lib/parse.h"
#include "lib/report.h"

#define PACKET_HOST 0 /* linux/if_packet.h */

/* The endpoint that has the address, if it is one of this node's. */
static __always_inline const struct endpoint *endpoint_at(const struct address *address, const __u8 family)
{
	const struct local_address *local = local_address_of(address, family);

	return local && local->endpoint_id ? endpoint_by_id(local->endpoint_id) : NULL;
}

/* Hands packets of known connections straight to their pod. All others go the way of the stack, at whose end to_pod judges them: so
 * an answer whose request the stack has translated is translated back, and only one program decides about new connections. */
static __always_inline int ip_from_network(struct __sk_buff *skb, const __u8 family)
{
	struct packet p = {};
	struct flow f = {};

	if (parse_ip(skb, &p, family))
		return TC_ACT_OK;
	f.to = endpoint_at(&p.destination, family);
	if (!f.to || !f.to->policy_set || parse_l4(skb, &p, family) || flow_find(skb, &p, &f, family))
		return TC_ACT_OK;
	if (!f.c.entry || (!f.c.reply && !flow_remembered(&f)))
		return TC_ACT_OK;
	if (flow_admit(skb, &p, &f, family) || deliver_rewrite(skb, f.to, family))
		return TC_ACT_OK;
	if (unlikely(f.report))
		trace_flow(skb, &f, f.to->id, TRACE_TO_ENDPOINT, f.to->ifindex, family);
	count_forward(skb, METRICS_INGRESS);
	return bpf_redirect_peer(f.to->ifindex, 0);
}

/* tcx ingress of a native device. It drops nothing: the stack and to_pod know why. */
SEC("tc")
int from_network(struct __sk_buff *skb)
{
	if (skb->pkt_type != PACKET_HOST || is_vlan(skb))
		return TC_ACT_OK;
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return ip_from_network(skb, 4);
	case bpf_htons(ETH_P_IPV6):
		return ip_from_network(skb, 6);
	}
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
