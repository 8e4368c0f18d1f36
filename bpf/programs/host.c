// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* What the node's own stack sends to the pods of other nodes: their routes lead to cilium_host. */
#include "lib/admit.h"
#include "lib/endpoint.h"
#include "lib/host_firewall.h"
#include "lib/l4.h"
#include "lib/parse.h"
#include "lib/redirect.h"
#include "lib/report.h"
#include "lib/tunnel.h"

#undef THIS_FILE
#define THIS_FILE FILE_HOST

/* To everybody on the link, of whom there is nobody. */
static __always_inline bool is_link_destination(const struct address *destination, const __u8 family)
{
	if (family == 4)
		return (destination->v4 & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) || destination->v4 == bpf_htonl(0xffffffff);
	return destination->bytes[0] == 0xff || is_link_source(destination);
}

/* The node itself, a pod whose packet the node's own NAT has changed, or (0) somebody beyond the node. */
static __always_inline __u32 local_identity(const struct address *source, const __u8 family)
{
	const struct local_address *local = local_address_of(source, family);
	const struct endpoint *endpoint;

	if (!local)
		return 0;
	if (local->flags & LOCAL_ADDRESS_HOST)
		return IDENTITY_HOST;
	endpoint = endpoint_by_id(local->endpoint_id);
	return endpoint ? endpoint->identity : 0;
}

static __always_inline fault judge_from_host(struct __sk_buff *skb, struct packet *p, struct flow *f, bool *link, const __u8 family)
{
	fault problem = parse_ip(skb, p, family);

	if (problem)
		return problem;
	if (is_link_destination(&p->destination, family)) {
		*link = true;
		return 0;
	}
	flow_from_proxy(skb, f);
	if (!f->claimed_identity) {
		f->claimed_identity = local_identity(&p->source, family);
		if (f->claimed_identity == IDENTITY_HOST)
			f->from = host_endpoint();
	}
	problem = parse_l4(skb, p, family);
	if (problem)
		return problem;
	problem = flow_find(skb, p, f, family);
	if (problem)
		return problem;
	problem = flow_admit(skb, p, f, family);
	if (problem)
		return problem;
	return f->tunnel_endpoint ? 0 : FAULT(DROP_NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT);
}

static __always_inline int ip_from_host(struct __sk_buff *skb, const __u8 family)
{
	struct packet p = {};
	struct flow f = { .outbound = true };
	bool link = false;
	fault problem = judge_from_host(skb, &p, &f, &link, family);

	if (problem)
		return drop_flow(skb, &f, problem, family);
	if (link)
		return TC_ACT_OK;
	if (unlikely(f.proxy_port))
		return redirect_back(skb, &p, &f, f.from ? f.from->id : 0, family);
	if (unlikely(f.report))
		trace_from_proxy(skb, &f, 0, family);
	return tunnel_send(skb, &f, f.from, family);
}

/* tcx egress of cilium_host. */
SEC("tc")
int from_host(struct __sk_buff *skb)
{
	if (is_vlan(skb))
		return drop_at(skb, NULL, METRICS_EGRESS, FAULT(DROP_VLAN_FILTERED));
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return ip_from_host(skb, 4);
	case bpf_htons(ETH_P_IPV6):
		return ip_from_host(skb, 6);
	}
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
