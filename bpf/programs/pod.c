// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The two ways past the host side of a pod's veth. One loaded copy serves every pod of the node. */
#include "lib/admit.h"
#include "lib/deliver.h"
#include "lib/destination.h"
#include "lib/direct.h"
#include "lib/endpoint.h"
#include "lib/events.h"
#include "lib/host_firewall.h"
#include "lib/l4.h"
#include "lib/maps.h"
#include "lib/metrics.h"
#include "lib/neighbour.h"
#include "lib/packet.h"
#include "lib/parse.h"
#include "lib/redirect.h"
#include "lib/report.h"
#include "lib/tunnel.h"

#undef THIS_FILE
#define THIS_FILE FILE_POD

/* What is for nobody on this node, and for no node behind the tunnel. */
static __always_inline int send_away(struct __sk_buff *skb, const struct packet *p, struct flow *f, const __u8 family)
{
	struct bpf_redir_neigh next = {};

	if (goes_direct(p, f) && direct_route(skb, p, &next, family))
		return direct_send(skb, f, &next, family);
	if (unlikely(f->report))
		trace_flow(skb, f, f->from->id, f->to_host ? TRACE_TO_HOST : TRACE_TO_STACK, skb->ifindex, family);
	count_forward(skb, METRICS_EGRESS);
	return TC_ACT_OK;
}

static __always_inline int deliver(struct __sk_buff *skb, const struct packet *p, struct flow *f, const __u8 family)
{
	const struct endpoint *to = f->to;
	fault problem;

	if (unlikely(f->proxy_port))
		return redirect_in(skb, f, f->from->id, family);
	/* What does not fit goes to the stack: it knows what to answer, and its route to the other node is as narrow as the tunnel. */
	if (config.tunnel_ifindex && !to && f->tunnel_endpoint && fits_tunnel(skb, p)) {
		problem = hop_away(skb, family);
		if (unlikely(problem))
			return drop_flow(skb, f, problem, family);
		return tunnel_send(skb, f, f->from, family);
	}
	if (!to || f->to_host)
		return send_away(skb, p, f, family);
	problem = deliver_rewrite(skb, to, family);
	if (unlikely(problem))
		return drop_flow(skb, f, problem, family);
	if (unlikely(f->report))
		trace_flow(skb, f, to->id, TRACE_TO_ENDPOINT, to->ifindex, family);
	count_forward(skb, METRICS_EGRESS);
	count_forward(skb, METRICS_INGRESS);
	return bpf_redirect_peer(to->ifindex, 0);
}

static __always_inline int pass_neighbour(struct __sk_buff *skb, const struct endpoint *ep, fault answer)
{
	if (answer > NEIGHBOUR_ANSWER)
		return drop_at(skb, ep, METRICS_EGRESS, answer);
	count_forward(skb, METRICS_EGRESS);
	return answer == NEIGHBOUR_ANSWER ? bpf_redirect(skb->ifindex, 0) : TC_ACT_OK;
}

/* Everything up to the verdict on an IP packet of a pod. `*link` says what becomes of it where it is a message about the link. */
static __always_inline fault judge_from_pod(struct __sk_buff *skb, struct packet *p, struct flow *f, fault *link, const __u8 family)
{
	bool own;
	fault problem = parse_ip(skb, p, family);

	if (unlikely(problem))
		return problem;
	own = endpoint_has(f->from, &p->source, family);
	if (unlikely(!own && (family == 4 || !is_link_source(&p->source))))
		return FAULT(DROP_INVALID_SOURCE_IP);
	problem = parse_l4(skb, p, family);
	if (unlikely(problem))
		return problem;
	if (family == 6 && unlikely(is_link_message(p))) {
		*link = nd_from_pod(skb, f->from, p);
		return 0;
	}
	if (unlikely(!own))
		return FAULT(DROP_INVALID_SOURCE_IP);
	if (unlikely(!f->from->policy_set))
		return FAULT(DROP_EP_NOT_READY);
	problem = flow_find(skb, p, f, family);
	if (unlikely(problem))
		return problem;
	problem = find_destination(p, f, family);
	if (unlikely(problem))
		return problem;
	problem = flow_admit(skb, p, f, family);
	if (!problem && unlikely(is_encapsulation(p, f)))
		return FAULT(DROP_ENCAPSULATION_TRAFFIC_IS_PROHIBITED);
	return problem;
}

static __always_inline int ip_from_pod(struct __sk_buff *skb, const struct endpoint *ep, const __u8 family)
{
	struct packet p = {};
	struct flow f = { .from = ep, .outbound = true };
	fault link = 0;
	fault problem = judge_from_pod(skb, &p, &f, &link, family);

	if (unlikely(link))
		return pass_neighbour(skb, ep, link);
	if (unlikely(problem))
		return drop_flow(skb, &f, problem, family);
	return deliver(skb, &p, &f, family);
}

/* tcx ingress of the host side: what the pod sends. */
SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	const struct endpoint *ep = endpoint_by_device(skb->ifindex);

	if (unlikely(!ep))
		return drop_at(skb, NULL, METRICS_EGRESS, FAULT(DROP_EP_NOT_READY));
	if (unlikely(is_vlan(skb)))
		return drop_at(skb, ep, METRICS_EGRESS, FAULT(DROP_VLAN_FILTERED));
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return ip_from_pod(skb, ep, 4);
	case bpf_htons(ETH_P_IPV6):
		return ip_from_pod(skb, ep, 6);
	case bpf_htons(ETH_P_ARP):
		return pass_neighbour(skb, ep, arp_from_pod(skb, ep));
	}
	return drop_at(skb, ep, METRICS_EGRESS, FAULT(DROP_UNSUPPORTED_L2_PROTOCOL));
}

static __always_inline fault judge_to_pod(struct __sk_buff *skb, struct packet *p, struct flow *f, bool *link, const __u8 family)
{
	fault problem = parse_ip(skb, p, family);

	if (unlikely(problem))
		return problem;
	problem = parse_l4(skb, p, family);
	if (unlikely(problem))
		return problem;
	/* Only the node itself sends these: a router would have lowered the hop limit. */
	if (family == 6 && unlikely(is_link_message(p))) {
		*link = true;
		return 0;
	}
	if (unlikely(!f->to->policy_set))
		return FAULT(DROP_EP_NOT_READY);
	problem = flow_find(skb, p, f, family);
	if (unlikely(problem))
		return problem;
	if (config.host_firewall_enabled && !f->c.reply && !f->claimed_identity && is_own_address(&p->source, family))
		f->from = host_endpoint();
	return flow_admit(skb, p, f, family);
}

static __always_inline int ip_to_pod(struct __sk_buff *skb, const struct endpoint *ep, const __u8 family)
{
	struct packet p = {};
	struct flow f = { .to = ep };
	bool link = false;
	fault problem;

	flow_from_proxy(skb, &f);
	problem = judge_to_pod(skb, &p, &f, &link, family);
	if (unlikely(problem))
		return drop_flow(skb, &f, problem, family);
	if (unlikely(f.proxy_port))
		return redirect_back(skb, &p, &f, ep->id, family);
	if (unlikely(f.report))
		trace_from_proxy(skb, &f, ep->id, family);
	if (unlikely(f.report))
		trace_flow(skb, &f, ep->id, TRACE_TO_ENDPOINT, skb->ifindex, family);
	count_forward(skb, METRICS_INGRESS);
	return TC_ACT_OK;
}

/* tcx egress of the host side: what the node's stack sends to the pod. */
SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	const struct endpoint *ep = endpoint_by_device(skb->ifindex);

	if (unlikely(!ep))
		return drop_at(skb, NULL, METRICS_INGRESS, FAULT(DROP_EP_NOT_READY));
	if (unlikely(is_vlan(skb)))
		return drop_at(skb, ep, METRICS_INGRESS, FAULT(DROP_VLAN_FILTERED));
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return ip_to_pod(skb, ep, 4);
	case bpf_htons(ETH_P_IPV6):
		return ip_to_pod(skb, ep, 6);
	case bpf_htons(ETH_P_ARP):
		count_forward(skb, METRICS_INGRESS);
		return TC_ACT_OK;
	}
	return drop_at(skb, ep, METRICS_INGRESS, FAULT(DROP_UNSUPPORTED_L2_PROTOCOL));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
