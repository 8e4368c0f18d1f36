/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The verdict of one policy set on one packet. */
#pragma once
#include "lib/events.h"
#include "lib/maps.h"
#include "lib/packet.h"

#undef THIS_FILE
#define THIS_FILE FILE_POLICY

#define POLICY_KEY_BITS 96

/* Beside a fault: policy denies it, and the endpoint or the rules that deny only audit. */
#define JUDGED_AUDITED 1
/* Beside a fault: a proxy decides. Its port stands above. */
#define JUDGED_REDIRECTED 2
#define JUDGED_REDIRECT(port) ((fault)((__u32)(port) << 16 | JUDGED_REDIRECTED))

static __always_inline bool is_fault(fault answer)
{
	return FAULT_REASON(answer) > JUDGED_REDIRECTED;
}

/* Whether the packet and those that follow need no judge until policy changes. */
static __always_inline bool is_admission(fault answer)
{
	return !answer || FAULT_REASON(answer) == JUDGED_REDIRECTED;
}

/* Of no fault: where the proxy listens; 0: no proxy is asked. */
static __always_inline __be16 judged_port(fault answer)
{
	return answer >> 16;
}

enum match_type {
	MATCH_NONE = 0,
	MATCH_L3_ONLY = 1,
	MATCH_L3_L4 = 2,
	MATCH_L4_ONLY = 3,
	MATCH_ALL = 4,
	MATCH_L3_PROTOCOL = 5,
	MATCH_PROTOCOL_ONLY = 6,
};

struct judgement {
	__u32 set;
	__u32 remote_identity;
	__u16 endpoint_id;
	__u16 endpoint_flags;
	__be16 port;
	__u8 protocol;
	__u8 direction; /* enum policy_direction */
	__u8 family;
	__u8 known;    /* This connection was judged before ... */
	__u8 admitted; /* ... and policy admitted it. */
	__u8 looked_at; /* A proxy has decided about it already: it is redirected no more. */
};

static __always_inline __u8 match_of(const struct policy_entry *entry, bool exact)
{
	if (entry->flags & POLICY_ENTRY_MATCH_PORT)
		return exact ? MATCH_L3_L4 : MATCH_L4_ONLY;
	if (entry->flags & POLICY_ENTRY_MATCH_PROTOCOL)
		return exact ? MATCH_L3_PROTOCOL : MATCH_PROTOCOL_ONLY;
	return exact ? MATCH_L3_ONLY : MATCH_ALL;
}

static __always_inline fault verdict_of(const struct policy_entry *entry)
{
	if (!entry)
		return FAULT(DROP_POLICY_DENIED);
	if (entry->flags & POLICY_ENTRY_DENY)
		return FAULT(DROP_POLICY_DENY);
	if (entry->flags & POLICY_ENTRY_UNALLOWED)
		return FAULT(DROP_POLICY_DENIED);
	if (entry->auth_type)
		return FAULT(DROP_AUTH_REQUIRED);
	if ((entry->flags & POLICY_ENTRY_REDIRECT) && !entry->proxy_port)
		return FAULT(DROP_PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL);
	return 0;
}

/* Where the proxy listens that is to have what the entry admits; 0: it needs none. */
static __always_inline __be16 redirect_of(const struct judgement *j, const struct policy_entry *entry)
{
	return entry && (entry->flags & POLICY_ENTRY_REDIRECT) && !j->looked_at ? entry->proxy_port : 0;
}

static __always_inline void send_verdict(struct __sk_buff *skb, const struct judgement *j, fault problem, bool audited,
					 const struct policy_entry *entry, __u8 match)
{
	struct policy_verdict_notify *event = event_reserve(sizeof(*event) + payload_size());

	if (!event)
		return;
	event_fill(skb, &event->header, sizeof(*event), EVENT_POLICY_VERDICT, 0, 1, j->endpoint_id);
	event->remote_identity = j->remote_identity;
	if (problem)
		event->verdict = audited ? 0 : -(__s32)FAULT_REASON(problem);
	else
		event->verdict = bpf_ntohs(redirect_of(j, entry));
	event->destination_port = j->port;
	event->protocol = j->protocol;
	event->flags = (j->direction == POLICY_INGRESS ? VERDICT_INGRESS : VERDICT_EGRESS) |
		       (j->family == 6 ? VERDICT_IPV6 : 0) | match << VERDICT_MATCH_SHIFT | (audited ? VERDICT_AUDITED : 0);
	event->auth_type = entry ? entry->auth_type : 0;
	__builtin_memset(event->pad, 0, sizeof(event->pad));
	event->cookie = entry ? entry->cookie : 0;
	event->pad2 = 0;
	event_submit(event);
}

/* 0: admitted. JUDGED_AUDITED: it is not, but passes. JUDGED_REDIRECT: a proxy is to have it. Otherwise why not. Tells user space when
 * that is news. */
CHECKED_ONCE fault judge(struct __sk_buff *skb, const struct judgement *j)
{
	struct policy_key key = { .prefix_length = POLICY_KEY_BITS };
	struct policy_entry *exact, *any, *entry;
	__u16 enforced;
	bool audited;
	fault problem;

	if (!j)
		return FAULT(DROP_POLICY_DENIED);
	key.set = j->set;
	key.identity = j->remote_identity;
	key.direction = j->direction;
	key.protocol = j->protocol;
	key.port = j->port;
	exact = bpf_map_lookup_elem(&policy, &key);
	key.identity = 0;
	any = bpf_map_lookup_elem(&policy, &key);
	entry = exact && (!any || exact->precedence >= any->precedence) ? exact : any;
	problem = verdict_of(entry);
	enforced = j->direction == POLICY_INGRESS ? ENDPOINT_INGRESS_ENFORCED : ENDPOINT_EGRESS_ENFORCED;
	audited = problem && ((j->endpoint_flags & ENDPOINT_AUDIT) || (entry && (entry->flags & POLICY_ENTRY_AUDIT)));
	if (config.verdict_events_enabled && (j->endpoint_flags & enforced) && (!j->known || j->admitted != !problem))
		send_verdict(skb, j, problem, audited, entry, entry ? match_of(entry, entry == exact) : MATCH_NONE);
	if (problem)
		return audited ? JUDGED_AUDITED : problem;
	return redirect_of(j, entry) ? JUDGED_REDIRECT(redirect_of(j, entry)) : 0;
}
