/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The way to other nodes: VXLAN over IPv4, with the sender's identity as the network's number (VNI). */
#pragma once
#include "lib/deliver.h"
#include "lib/host_firewall.h"
#include "lib/ipcache.h"
#include "lib/report.h"
#include "lib/segment.h"

#undef THIS_FILE
#define THIS_FILE FILE_TUNNEL

#define TUNNEL_TTL 64
#define IDENTITY_SCOPE_SHIFT 24 /* Above it: what only this node knows. */
#define IDENTITY_SCOPE_CIDR 1
#define IDENTITY_SCOPE_REMOTE_NODE 2

/* What the other node is told. It sees this node as a remote one, and knows of the world what it knows itself. */
static __always_inline __u32 tunnel_id_of(__u32 identity)
{
	if (identity == IDENTITY_HOST)
		return IDENTITY_REMOTE_NODE;
	if (identity == IDENTITY_WORLD_IPV4 || identity == IDENTITY_WORLD_IPV6 || identity >> IDENTITY_SCOPE_SHIFT)
		return IDENTITY_WORLD;
	return identity;
}

/* Whether the packet, or each segment that is made of it, goes through the tunnel in one piece. */
static __always_inline bool fits_tunnel(struct __sk_buff *skb, const struct packet *p)
{
	return !unlikely(skb->len > config.tunnel_mtu + ETH_HLEN) || segment_size(skb, p) <= config.tunnel_mtu;
}

static __always_inline bool is_world(__u32 identity)
{
	return identity == IDENTITY_WORLD || identity == IDENTITY_WORLD_IPV4 || identity == IDENTITY_WORLD_IPV6 ||
	       identity >> IDENTITY_SCOPE_SHIFT == IDENTITY_SCOPE_CIDR;
}

static __always_inline bool is_remote_node(__u32 identity)
{
	return identity == IDENTITY_REMOTE_NODE || identity == IDENTITY_KUBE_APISERVER ||
	       identity >> IDENTITY_SCOPE_SHIFT == IDENTITY_SCOPE_REMOTE_NODE;
}

/* Whose a packet is by the tunnel's word; 0: nobody can be that. Of nodes and the world this node may know more. */
static __always_inline __u32 tunnel_identity(__u32 tunnel_id, const struct address *source, const __u8 family)
{
	__u32 known;

	if (tunnel_id == IDENTITY_HOST || tunnel_id >> IDENTITY_SCOPE_SHIFT)
		return 0;
	if (tunnel_id != IDENTITY_WORLD && tunnel_id != IDENTITY_REMOTE_NODE)
		return tunnel_id;
	known = identity_of(source, family);
	if (tunnel_id == IDENTITY_WORLD ? is_world(known) : is_remote_node(known))
		return known;
	return tunnel_id;
}

/* Whether a pod means to make packets of the tunnel itself: another node would take them for this one's. */
static __always_inline bool is_encapsulation(const struct packet *p, const struct flow *f)
{
	if (!config.tunnel_port || p->protocol != IPPROTO_UDP || p->destination_port != bpf_htons(config.tunnel_port))
		return false;
	return f->to_host || f->destination_identity == IDENTITY_HOST || is_remote_node(f->destination_identity);
}

/* Whether the node may send packets of this source and identity. Pods' addresses, and those of nodes among them, come from their node
 * alone; all others from any node of the cluster, and then not as a pod's. */
CHECKED_ONCE fault judge_sender(const struct address *source, __be32 node, __u32 tunnel_id, __u32 family)
{
	struct address sender = { .v4 = node };
	const struct ipcache_entry *known;
	bool local;

	if (!source)
		return FAULT(DROP_INVALID_SOURCE_IP);
	if (family == 4) {
		known = ipcache_of(source, 4);
		local = local_address_of(source, 4);
	} else {
		known = ipcache_of(source, 6);
		local = local_address_of(source, 6);
	}
	if (local || (known && known->tunnel_endpoint && known->tunnel_endpoint != node))
		return FAULT(DROP_INVALID_SOURCE_IP);
	if (known && known->tunnel_endpoint)
		return 0;
	if (!is_remote_node(identity_of(&sender, 4)))
		return FAULT(DROP_UNKNOWN_SENDER);
	if (tunnel_id != IDENTITY_WORLD && !is_remote_node(tunnel_id))
		return FAULT(DROP_INVALID_IDENTITY);
	return 0;
}

/* Sends the packet to the node at f->tunnel_endpoint. `from`: the endpoint that reports it, NULL: the host. */
static __always_inline int tunnel_send(struct __sk_buff *skb, const struct flow *f, const struct endpoint *from, const __u8 family)
{
	struct bpf_tunnel_key key = {
		.tunnel_id = tunnel_id_of(f->source_identity),
		.remote_ipv4 = bpf_ntohl(f->tunnel_endpoint),
		.tunnel_ttl = TUNNEL_TTL,
	};

	const __be32 *source = bpf_map_lookup_elem(&tunnel_source, &(__u32){0});

	if (config.host_firewall_enabled)
		skb->mark = MARK_OVERLAY;

	if (source)
		key.local_ipv4 = bpf_ntohl(*source);
	if (unlikely(bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX)))
		return drop_flow(skb, f, FAULT(DROP_NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT), family);
	if (unlikely(f->report))
		trace_flow(skb, f, from ? from->id : 0, TRACE_TO_OVERLAY, config.tunnel_ifindex, family);
	count_forward(skb, METRICS_EGRESS);
	return bpf_redirect(config.tunnel_ifindex, 0);
}
