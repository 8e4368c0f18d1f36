// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* What other nodes send through the tunnel. */
#include "lib/admit.h"
#include "lib/deliver.h"
#include "lib/destination.h"
#include "lib/l4.h"
#include "lib/parse.h"
#include "lib/redirect.h"
#include "lib/report.h"
#include "lib/tunnel.h"

#undef THIS_FILE
#define THIS_FILE FILE_OVERLAY

#define PACKET_HOST 0 /* linux/if_packet.h */

/* A connection remembers which node its other end is on, and that is not looked up again for each packet. */
static __always_inline bool comes_from_its_node(const struct flow *f, __be32 node)
{
	const struct ct_entry *entry = f->c.entry;

	return entry && entry->tunnel_endpoint == node && entry->generation == ipcache_generation();
}

static __always_inline fault judge_from_overlay(struct __sk_buff *skb, const struct tunnel_sender *key, struct packet *p, struct flow *f,
						const __u8 family)
{
	__be32 node = bpf_htonl(key->remote_ipv4);
	fault problem = parse_ip(skb, p, family);

	if (problem)
		return problem;
	f->claimed_identity = tunnel_identity(key->tunnel_id, &p->source, family);
	if (!f->claimed_identity)
		return FAULT(DROP_INVALID_IDENTITY);
	f->source_identity = f->claimed_identity;
	problem = parse_l4(skb, p, family);
	if (problem)
		return problem;
	problem = flow_find(skb, p, f, family);
	if (problem)
		return problem;
	if (unlikely(!comes_from_its_node(f, node))) {
		struct address source = p->source;

		problem = judge_sender(&source, node, key->tunnel_id, family);
		if (problem)
			return problem;
	}
	problem = find_destination(p, f, family);
	if (problem)
		return problem;
	/* The tunnel ends here: what is not for this node was sent by mistake, or to a pod that has gone. */
	if (!f->to && !f->to_host)
		return ipcache_of(&p->destination, family) ? FAULT(DROP_STALE_OR_UNROUTABLE_IP) : FAULT(DROP_UNKNOWN_L3_TARGET_ADDRESS);
	return flow_admit(skb, p, f, family);
}

static __always_inline int ip_from_overlay(struct __sk_buff *skb, const struct tunnel_sender *key, const __u8 family)
{
	struct packet p = {};
	struct flow f = {};
	fault problem = judge_from_overlay(skb, key, &p, &f, family);
	const struct endpoint *to = f.to_host ? NULL : f.to;

	if (!problem && to && !f.proxy_port)
		problem = deliver_rewrite(skb, to, family);
	if (unlikely(problem))
		return drop_flow(skb, &f, problem, family);
	/* The frame inside is for no device of this node: whoever takes it next would think that it is somebody else's. */
	bpf_skb_change_type(skb, PACKET_HOST);
	if (unlikely(f.proxy_port))
		return redirect_in(skb, &f, f.to ? f.to->id : 0, family);
	count_forward(skb, METRICS_INGRESS);
	if (!to) {
		if (unlikely(f.report))
			trace_flow(skb, &f, f.to ? f.to->id : 0, TRACE_TO_HOST, skb->ifindex, family);
		return TC_ACT_OK;
	}
	if (unlikely(f.report))
		trace_flow(skb, &f, to->id, TRACE_TO_ENDPOINT, to->ifindex, family);
	return bpf_redirect_peer(to->ifindex, 0);
}

/* tcx ingress of the tunnel's device. */
SEC("tc")
int from_overlay(struct __sk_buff *skb)
{
	struct tunnel_sender key = {};

	if (bpf_skb_get_tunnel_key(skb, (struct bpf_tunnel_key *)&key, sizeof(key), 0))
		return drop_at(skb, NULL, METRICS_INGRESS, FAULT(DROP_ERROR_RETRIEVING_TUNNEL_KEY));
	if (is_vlan(skb))
		return drop_at(skb, NULL, METRICS_INGRESS, FAULT(DROP_VLAN_FILTERED));
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return ip_from_overlay(skb, &key, 4);
	case bpf_htons(ETH_P_IPV6):
		return ip_from_overlay(skb, &key, 6);
	}
	return drop_at(skb, NULL, METRICS_INGRESS, FAULT(DROP_UNSUPPORTED_L2_PROTOCOL));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
