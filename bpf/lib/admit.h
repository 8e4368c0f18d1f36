/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Whether a packet may pass: its connection remembers who admitted it, and policy is asked when that no longer holds. */
#pragma once
#include "lib/conntrack.h"
#include "lib/endpoint.h"
#include "lib/icmp.h"
#include "lib/ipcache.h"
#include "lib/packet.h"
#include "lib/policy.h"

#undef THIS_FILE
#define THIS_FILE FILE_ADMIT

/* A packet between two ends, of which one at least is an endpoint of this node. */
struct flow {
	const struct endpoint *from; /* NULL: not a pod of this node, or the packet comes by way of the node's stack. */
	const struct endpoint *to;   /* NULL: not a pod of this node. */
	bool to_host;                /* To the node itself, whose row is in `to` where policy knows it; it is handed to nobody. */
	bool outbound;       /* On its way from a pod or the stack of this node: who is not here is the destination. */
	bool related;
	bool at_destination; /* The problem is one of the destination endpoint. */
	bool looked_at;      /* The proxy at the destination has let it through. */
	bool report;
	__u8 reason;         /* enum trace_reason */
	__u32 source_identity;
	__u32 destination_identity;
	__u32 claimed_identity;  /* Of the source, by the word of who hands the packet in; 0: the ipcache knows. */
	__be32 tunnel_endpoint;  /* Node of the end that is not here; 0: no tunnel leads there. */
	__u32 now_s;
	__be16 proxy_port;       /* Of the proxy that is to have the packet; 0: it goes where it is addressed. */
	struct connection c;
};

#define RELATED 1

/* RELATED when the ICMP error quotes a packet of a connection that policy admits, 0 when it does not. Otherwise what is wrong with it. */
CHECKED_ONCE fault error_tells_of(struct __sk_buff *skb, const struct packet *p, __u32 now, __u32 family)
{
	struct connection told = {};
	struct packet quoted = {};
	fault problem;

	if (!p)
		return FAULT(DROP_INVALID_PACKET_DROPPED);
	problem = family == 4 ? icmp_quoted(skb, p, &quoted, 4) : icmp_quoted(skb, p, &quoted, 6);
	if (problem)
		return problem;
	if (quoted.kind != PACKET_FLOW && quoted.kind != PACKET_ANSWER)
		return 0;
	if (family == 4)
		ct_find(&told, &quoted, now, 4);
	else
		ct_find(&told, &quoted, now, 6);
	return told.entry && !(told.entry->flags & CT_DENIED) ? RELATED : 0;
}

/* The connection that the packet belongs to, or whether an ICMP error tells of one. */
static __always_inline fault flow_find(struct __sk_buff *skb, const struct packet *p, struct flow *f, const __u8 family)
{
	f->now_s = now_s();
	if (!unlikely(p->kind != PACKET_FLOW && p->kind != PACKET_ANSWER)) {
		ct_find(&f->c, p, f->now_s, family);
		return 0;
	}
	if (p->kind == PACKET_ERROR) {
		struct packet error = *p;
		fault answer = error_tells_of(skb, &error, f->now_s, family);

		f->related = answer == RELATED;
		return f->related ? 0 : answer;
	}
	return 0;
}

static __always_inline void flow_identify(const struct packet *p, struct flow *f, const __u8 family)
{
	const struct ipcache_entry *entry;

	if (f->from) {
		f->source_identity = f->from->identity;
	} else if (f->outbound && f->claimed_identity) {
		f->source_identity = f->claimed_identity;
	} else {
		entry = ipcache_of(&p->source, family);
		f->source_identity = f->claimed_identity ? f->claimed_identity : entry_identity(entry);
		if (!f->outbound)
			f->tunnel_endpoint = entry ? entry->tunnel_endpoint : 0;
	}
	if (f->to) {
		f->destination_identity = f->to->identity;
	} else if (f->to_host) {
		f->destination_identity = IDENTITY_HOST;
	} else {
		entry = ipcache_of(&p->destination, family);
		f->destination_identity = entry_identity(entry);
		if (f->outbound)
			f->tunnel_endpoint = entry ? entry->tunnel_endpoint : 0;
	}
}

/* Whether the connection is known to lead to another node. */
static __always_inline bool flow_leads_away(const struct flow *f)
{
	const struct ct_entry *entry = f->c.entry;

	return config.tunnel_ifindex && f->outbound && entry->tunnel_endpoint && entry->generation == ipcache_generation();
}

/* Where a packet of a known connection leaves to. */
static __always_inline void flow_route(const struct packet *p, struct flow *f, const __u8 family)
{
	const struct ipcache_entry *known;

	if (!config.tunnel_ifindex || !f->outbound || f->to || f->to_host)
		return;
	if (f->c.entry->generation == ipcache_generation()) {
		f->tunnel_endpoint = f->c.entry->tunnel_endpoint;
		return;
	}
	known = ipcache_of(&p->destination, family);
	f->tunnel_endpoint = known ? known->tunnel_endpoint : 0;
}

/* Whether an end's identity comes from the ipcache, which may have changed its mind. */
static __always_inline bool flow_has_remote(const struct flow *f)
{
	return !f->from || (!f->to && !f->to_host);
}

static __always_inline bool flow_remembered(const struct flow *f)
{
	const struct ct_entry *entry = f->c.entry;

	if (f->from && unlikely(entry->egress_set != f->from->policy_set || entry->source_identity != f->from->identity))
		return false;
	if (f->to && unlikely(entry->ingress_set != f->to->policy_set || entry->destination_identity != f->to->identity))
		return false;
	if (f->claimed_identity && entry->source_identity != f->claimed_identity)
		return false;
	return !flow_has_remote(f) || entry->generation == ipcache_generation();
}

static __always_inline fault flow_judge_egress(struct __sk_buff *skb, const struct packet *p, const struct flow *f, const __u8 family)
{
	struct judgement j = {
		.set = f->from->policy_set,
		.remote_identity = f->destination_identity,
		.endpoint_id = f->from->id,
		.endpoint_flags = f->from->flags,
		.port = p->policy_port,
		.protocol = p->protocol,
		.direction = POLICY_EGRESS,
		.family = family,
		.known = !!f->c.entry,
		.admitted = f->c.entry && f->c.entry->egress_set,
	};

	return judge(skb, &j);
}

static __always_inline fault flow_judge_ingress(struct __sk_buff *skb, const struct packet *p, const struct flow *f, const __u8 family)
{
	struct judgement j = {
		.set = f->to->policy_set,
		.remote_identity = f->source_identity,
		.endpoint_id = f->to->id,
		.endpoint_flags = f->to->flags,
		.port = p->policy_port,
		.protocol = p->protocol,
		.direction = POLICY_INGRESS,
		.family = family,
		.known = !!f->c.entry,
		.admitted = f->c.entry && f->c.entry->ingress_set,
		.looked_at = f->looked_at,
	};

	return judge(skb, &j);
}

/* Asks policy at each end that is here. What it says goes into `verdict`: the half of an end that is not here stays as it was. What the
 * sender's proxy is to have never gets to the other end: who is there judges what the proxy sends. */
static __always_inline fault flow_judge(struct __sk_buff *skb, const struct packet *p, struct flow *f, struct ct_entry *verdict,
					const __u8 family)
{
	fault answer;

	if (f->from) {
		answer = flow_judge_egress(skb, p, f, family);
		verdict->egress_set = is_admission(answer) ? f->from->policy_set : 0;
		if (is_fault(answer))
			return answer;
		verdict->proxy_port = judged_port(answer);
		if (verdict->proxy_port) {
			verdict->ingress_set = f->to ? f->to->policy_set : verdict->ingress_set;
			return 0;
		}
	}
	if (f->to) {
		answer = flow_judge_ingress(skb, p, f, family);
		verdict->ingress_set = is_admission(answer) ? f->to->policy_set : 0;
		if (is_fault(answer)) {
			f->at_destination = true;
			return answer;
		}
		verdict->proxy_port = judged_port(answer);
	}
	return 0;
}

/* Puts a new verdict into a connection that goes on. A denied one stays as a mark: without it, the
 * next packet of the other end would pass for the first of a connection of its own. */
static __always_inline void flow_store(const struct flow *f, const struct packet *p, const struct ct_entry *verdict, fault problem)
{
	struct ct_entry *entry = f->c.entry;

	entry->source_identity = verdict->source_identity;
	entry->destination_identity = verdict->destination_identity;
	entry->tunnel_endpoint = verdict->tunnel_endpoint;
	entry->generation = verdict->generation;
	entry->egress_set = verdict->egress_set;
	entry->ingress_set = verdict->ingress_set;
	/* A stream that a proxy has can go nowhere else: its bytes are counted there. */
	if (verdict->proxy_port || p->protocol != IPPROTO_TCP)
		entry->proxy_port = verdict->proxy_port;
	if (!problem) {
		if (entry->flags & CT_DENIED)
			__sync_fetch_and_and(&entry->flags, ~CT_DENIED);
		return;
	}
	if (!(entry->flags & CT_DENIED))
		__sync_fetch_and_or(&entry->flags, CT_DENIED);
	entry->expires_s = f->now_s + ct_timeout_s(p, entry->flags);
}

static __always_inline fault flow_admit_anew(struct __sk_buff *skb, const struct packet *p, struct flow *f, const __u8 family)
{
	struct ct_entry verdict = { .generation = ipcache_generation() };
	fault problem;

	flow_identify(p, f, family);
	verdict.source_identity = f->source_identity;
	verdict.destination_identity = f->destination_identity;
	verdict.tunnel_endpoint = f->tunnel_endpoint;
	if (f->c.entry) {
		verdict.egress_set = f->c.entry->egress_set;
		verdict.ingress_set = f->c.entry->ingress_set;
		problem = flow_judge(skb, p, f, &verdict, family);
		flow_store(f, p, &verdict, problem);
		f->proxy_port = f->c.entry->proxy_port;
		return problem;
	}
	problem = flow_judge(skb, p, f, &verdict, family);
	f->proxy_port = verdict.proxy_port;
	if (problem || p->kind != PACKET_FLOW)
		return problem;
	verdict.endpoint_id[0] = f->from ? f->from->id : 0;
	verdict.endpoint_id[1] = f->to ? f->to->id : 0;
	return ct_open(&f->c, p, &verdict, f->now_s, family);
}

/* 0: the packet may pass, and f->reason says why. The ends are resolved before. */
static __always_inline fault flow_admit(struct __sk_buff *skb, const struct packet *p, struct flow *f, const __u8 family)
{
	struct connection *c = &f->c;
	fault problem;

	if (unlikely(f->related || p->kind == PACKET_FREE)) {
		flow_identify(p, f, family);
		f->reason = TRACE_REASON_RELATED;
		f->report = config.trace_enabled;
		return 0;
	}
	if (c->entry && c->reply) {
		f->source_identity = c->entry->destination_identity;
		f->destination_identity = c->entry->source_identity;
		f->reason = TRACE_REASON_REPLY;
		flow_route(p, f, family);
	} else if (!unlikely(!c->entry || !flow_remembered(f))) {
		f->source_identity = c->entry->source_identity;
		f->destination_identity = c->entry->destination_identity;
		f->reason = TRACE_REASON_ESTABLISHED;
		f->proxy_port = c->entry->proxy_port;
		flow_route(p, f, family);
	} else {
		problem = flow_admit_anew(skb, p, f, family);
		if (problem)
			return problem;
		f->reason = c->entry ? TRACE_REASON_ESTABLISHED : TRACE_REASON_NEW;
	}
	if (c->entry)
		ct_keep(c, p, f->now_s);
	f->report = config.trace_enabled && (!c->entry || ct_report_due(c, p, f->now_s));
	return 0;
}
