// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The node's native devices. */
#include "lib/admit.h"
#include "lib/deliver.h"
#include "lib/direct.h"
#include "lib/endpoint.h"
#include "lib/host_firewall.h"
#include "lib/l4.h"
#include "lib/nat.h"
#include "lib/parse.h"
#include "lib/redirect.h"
#include "lib/report.h"

#undef THIS_FILE
#define THIS_FILE FILE_NETWORK

/* linux/if_packet.h */
#define PACKET_HOST 0
#define PACKET_OTHERHOST 3

/* Keeps the layout in the object's BTF. */
const volatile enum nat_direction nat_layout;

/* The endpoint that has the address, if it is one of this node's. */
static __always_inline const struct endpoint *endpoint_at(const struct address *address, const __u8 family)
{
	const struct local_address *local = local_address_of(address, family);

	return local && local->endpoint_id ? endpoint_by_id(local->endpoint_id) : NULL;
}

/* Translates an ICMP error about what was masqueraded, which is then for the stack to bring. False: it is about something else. */
static __always_inline bool unmask_error(struct __sk_buff *skb, const struct packet *p, const __u8 family)
{
	struct packet quoted = {};
	struct nat_entry *entry, pod;
	struct nat_key key = {};

	if (icmp_quoted(skb, p, &quoted, family) || quoted.kind != PACKET_FLOW || !is_nat_port(&quoted, quoted.source_port))
		return false;
	key.source_port = quoted.destination_port;
	key.destination_port = quoted.source_port;
	key.protocol = quoted.protocol;
	key.direction = NAT_IN;
	key.family = family;
	__builtin_memcpy(key.source, &quoted.destination, sizeof(key.source));
	__builtin_memcpy(key.destination, &quoted.source, sizeof(key.destination));
	entry = bpf_map_lookup_elem(&snat, &key);
	if (!entry)
		return false;
	pod = *entry;
	nat_rewrite_error(skb, p, &quoted, &pod, family);
	return true;
}

/* Gives what comes back to the node's address to the pod whose it is: f->to. Otherwise it is the node's own: f->to_host; or the stack's
 * to bring. */
static __always_inline void unmask(struct __sk_buff *skb, struct packet *p, struct flow *f, const __u8 family)
{
	const struct endpoint *to;
	struct nat_entry *entry, pod;
	struct nat_key key;

	if (p->kind == PACKET_ERROR || p->kind == PACKET_FREE) {
		f->to_host = !unmask_error(skb, p, family);
		return;
	}
	f->to_host = true;
	if (p->kind == PACKET_SINGLE || !is_nat_port(p, p->destination_port))
		return;
	nat_key_fill(&key, p, NAT_IN, family);
	entry = bpf_map_lookup_elem(&snat, &key);
	if (!entry)
		return;
	pod = *entry;
	to = endpoint_at((const struct address *)pod.address, family);
	if (!to || nat_rewrite(skb, p, &pod, false, family))
		return;
	__builtin_memcpy(&p->destination, pod.address, sizeof(p->destination));
	p->destination_port = pod.port;
	f->to_host = false;
	f->to = to;
}

/* Who on this node is to have the packet: a pod, or the node itself. Nobody: whoever the stack finds. */
static __always_inline fault find_receiver(struct __sk_buff *skb, struct packet *p, struct flow *f, const __u8 family)
{
	const struct local_address *local = local_address_of(&p->destination, family);
	fault problem;

	if (local && local->endpoint_id) {
		f->to = parse_l4(skb, p, family) ? NULL : endpoint_by_id(local->endpoint_id);
		return 0;
	}
	if (!local && !is_link_local(&p->destination, family))
		return 0;
	if (!config.masquerade_enabled && !config.host_firewall_enabled)
		return 0;
	problem = host_parse_l4(skb, p, family);
	if (config.masquerade_enabled && !problem)
		unmask(skb, p, f, family);
	else
		f->to_host = true;
	return problem;
}

/* A packet for the node itself. Without a firewall its stack gets it unseen. */
static __always_inline int receive(struct __sk_buff *skb, const struct packet *p, struct flow *f, fault problem, const __u8 family)
{
	f->to = host_endpoint();
	if (!f->to || (family == 6 && !problem && is_link_message(p)))
		return TC_ACT_OK;
	if (!problem)
		problem = host_admit(skb, p, f, family);
	if (problem)
		return host_enforces(f->to, ENDPOINT_INGRESS_ENFORCED) ? drop_flow(skb, f, problem, family) : TC_ACT_OK;
	if (unlikely(f->proxy_port))
		return redirect_in(skb, f, f->to->id, family);
	if (unlikely(f->report))
		trace_flow(skb, f, f->to->id, TRACE_TO_HOST, skb->ifindex, family);
	return TC_ACT_OK;
}

/* Hands packets of known connections straight to their pod. All others go the way of the stack, at whose end to_pod judges them: so
 * an answer whose request the stack has translated is translated back, and only one program decides about new connections. */
static __always_inline int hand_to_pod(struct __sk_buff *skb, const struct packet *p, struct flow *f, const __u8 family)
{
	if (!f->to->policy_set || flow_find(skb, p, f, family))
		return TC_ACT_OK;
	if (!f->c.entry || (!f->c.reply && !flow_remembered(f)))
		return TC_ACT_OK;
	if (!f->c.reply && unlikely(!(f->c.entry->flags & CT_UNTRANSLATED)))
		__sync_fetch_and_or(&f->c.entry->flags, CT_UNTRANSLATED);
	if (flow_admit(skb, p, f, family))
		return TC_ACT_OK;
	if (unlikely(f->proxy_port))
		return redirect_in(skb, f, f->to->id, family);
	if (deliver_rewrite(skb, f->to, family))
		return TC_ACT_OK;
	if (unlikely(f->report))
		trace_flow(skb, f, f->to->id, TRACE_TO_ENDPOINT, f->to->ifindex, family);
	count_forward(skb, METRICS_INGRESS);
	return bpf_redirect_peer(f->to->ifindex, 0);
}

static __always_inline int ip_from_network(struct __sk_buff *skb, const __u8 family)
{
	struct packet p = {};
	struct flow f = {};
	fault problem = parse_ip(skb, &p, family);

	if (problem)
		f.to_host = config.host_firewall_enabled && is_own_address(&p.destination, family);
	else
		problem = find_receiver(skb, &p, &f, family);
	if (f.to_host)
		return receive(skb, &p, &f, problem, family);
	/* Of what is for everybody on the link nothing is a pod's. */
	return f.to && skb->pkt_type == PACKET_HOST ? hand_to_pod(skb, &p, &f, family) : TC_ACT_OK;
}

/* tcx ingress of a native device. It drops nothing but what the node itself may not receive: the stack and to_pod know why. */
SEC("tc")
int from_network(struct __sk_buff *skb)
{
	/* The stack takes a datagram in a frame to everybody, too. */
	if (skb->pkt_type != PACKET_HOST && (!config.host_firewall_enabled || skb->pkt_type == PACKET_OTHERHOST))
		return TC_ACT_OK;
	if (is_vlan(skb))
		return TC_ACT_OK;
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return ip_from_network(skb, 4);
	case bpf_htons(ETH_P_IPV6):
		return ip_from_network(skb, 6);
	}
	return TC_ACT_OK;
}

/* Whether a packet that has no translation needs one: not into the cluster, nor in answer to who called the pod by its own address. */
static __always_inline bool needs_mask(const struct packet *p, __u32 now, const __u8 family)
{
	struct connection c = {};

	if (is_exempt(&p->destination, family))
		return false;
	ct_find(&c, p, now, family);
	return !(c.entry && c.reply);
}

static __always_inline void trace_mask(struct __sk_buff *skb, const struct packet *p, const struct endpoint *from, const __u8 family)
{
	struct report r = {
		.source_identity = from->identity,
		.destination_identity = identity_of(&p->destination, family),
		.source_id = from->id,
		.ifindex = skb->ifindex,
		.family = family,
		.point = TRACE_TO_NETWORK,
		.reason = TRACE_REASON_NEW,
		.original = p->source,
	};

	if (config.trace_enabled)
		send_trace(skb, &r);
}

static __always_inline fault mask(struct __sk_buff *skb, struct packet *p, const struct endpoint *from, struct nat_entry *becomes,
				  const __u8 family)
{
	fault problem = parse_l4(skb, p, family);
	__u32 now = now_s();
	bool fresh;

	if (problem)
		return problem;
	/* An echo reply answers; other messages open nothing that could be answered. */
	if (p->kind != PACKET_FLOW)
		return 0;
	fresh = !nat_find(p, becomes, family);
	if (fresh) {
		if (!needs_mask(p, now, family))
			return 0;
		problem = nat_allocate(p, becomes, now, family);
		if (problem)
			return problem;
	}
	problem = nat_rewrite(skb, p, becomes, true, family);
	if (!problem && fresh)
		trace_mask(skb, p, from, family);
	return problem;
}

static __always_inline int mask_pod(struct __sk_buff *skb, struct packet *p, const struct endpoint *from, const __u8 family)
{
	const struct native_device *device;
	struct nat_entry becomes = {};
	__u32 ifindex = skb->ifindex;
	fault problem;

	device = bpf_map_lookup_elem(&native_devices, &ifindex);
	if (!device)
		return TC_ACT_OK;
	if (family == 4)
		__builtin_memcpy(becomes.address, &device->ipv4, sizeof(device->ipv4));
	else
		__builtin_memcpy(becomes.address, device->ipv6, sizeof(device->ipv6));
	if (!((const word64 *)becomes.address)[0] && !((const word64 *)becomes.address)[1])
		return TC_ACT_OK;
	problem = mask(skb, p, from, &becomes, family);
	return problem ? drop_at(skb, from, METRICS_EGRESS, problem) : TC_ACT_OK;
}

/* A packet of the node itself. */
static __always_inline int send(struct __sk_buff *skb, struct packet *p, fault problem, const __u8 family)
{
	const struct endpoint *host = host_endpoint();
	struct flow f = { .outbound = true };

	if (!host || is_for_many(&p->destination, family))
		return TC_ACT_OK;
	/* What a proxy sends for somebody was judged by whose it is. It only has to be known, for its answer. */
	flow_from_proxy(skb, &f);
	f.from = f.claimed_identity ? NULL : host;
	if (!problem)
		problem = host_parse_l4(skb, p, family);
	if (family == 6 && !problem && is_link_message(p))
		return TC_ACT_OK;
	if (!problem)
		problem = host_admit(skb, p, &f, family);
	if (problem)
		return f.from && host_enforces(host, ENDPOINT_EGRESS_ENFORCED) ? drop_flow(skb, &f, problem, family) : TC_ACT_OK;
	if (unlikely(f.proxy_port))
		return redirect_back(skb, p, &f, host->id, family);
	if (unlikely(f.report))
		trace_flow(skb, &f, host->id, TRACE_TO_NETWORK, skb->ifindex, family);
	return TC_ACT_OK;
}

static __always_inline int ip_to_network(struct __sk_buff *skb, const __u8 family)
{
	const struct local_address *local;
	const struct endpoint *from;
	struct packet p = {};
	fault problem = parse_ip(skb, &p, family);

	local = local_address_of(&p.source, family);
	if (config.host_firewall_enabled && ((local && local->flags & LOCAL_ADDRESS_HOST) || is_link_local(&p.source, family)))
		return send(skb, &p, problem, family);
	if (!config.masquerade_enabled || problem || !local || !local->endpoint_id)
		return TC_ACT_OK;
	from = endpoint_by_id(local->endpoint_id);
	return from ? mask_pod(skb, &p, from, family) : TC_ACT_OK;
}

CHECKED_ONCE int to_network4(struct __sk_buff *skb)
{
	return ip_to_network(skb, 4);
}

CHECKED_ONCE int to_network6(struct __sk_buff *skb)
{
	return ip_to_network(skb, 6);
}

/* tcx egress of a native device: what leaves the cluster leaves with the node's address, and the node sends what it may. */
SEC("tc")
int to_network(struct __sk_buff *skb)
{
	if (!config.masquerade_enabled && !config.host_firewall_enabled)
		return TC_ACT_OK;
	if (skb->mark == MARK_DIRECT || (config.host_firewall_enabled && (skb->mark & MARK_KIND) == MARK_OVERLAY) || is_vlan(skb))
		return TC_ACT_OK;
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		return to_network4(skb);
	case bpf_htons(ETH_P_IPV6):
		return to_network6(skb);
	}
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
