/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Finding, opening and keeping connections. */
#pragma once
#include "lib/maps.h"
#include "lib/packet.h"

#undef THIS_FILE
#define THIS_FILE FILE_CONNTRACK

#define NS_PER_S 1000000000ULL
#define EEXIST 17

#define TRACED_TCP_FLAGS (TCP_FLAG_FIN | TCP_FLAG_SYN | TCP_FLAG_RST)

/* A place in the table, found or not. */
struct connection {
	struct ct_entry *entry; /* NULL: nothing is under way. */
	struct ct_entry *slot;  /* A dead entry under the same key, to be written over. */
	__u8 source_is_high;
	__u8 reply; /* 1: the packet goes to the originator. Also the index of its direction. */
};

union ct_key {
	struct ct_key4 v4;
	struct ct_key6 v6;
};

/* The kernel's tick is fine enough for timeouts of seconds, and costs no read of the clock's hardware. */
static __always_inline __u32 now_s(void)
{
	return bpf_ktime_get_coarse_ns() / NS_PER_S;
}

static __always_inline void *ct_map(const __u8 family)
{
	return family == 4 ? (void *)&ct4 : (void *)&ct6;
}

static __always_inline bool source_is_high(const struct packet *p, const __u8 family)
{
	int order = address_compare(&p->source, &p->destination, family);

	return order > 0 || (order == 0 && bpf_ntohs(p->source_port) > bpf_ntohs(p->destination_port));
}

static __always_inline void ct_key_fill(union ct_key *key, const struct packet *p, bool high, const __u8 family)
{
	const struct address *low_address = high ? &p->destination : &p->source;
	const struct address *high_address = high ? &p->source : &p->destination;
	__be16 low_port = high ? p->destination_port : p->source_port;
	__be16 high_port = high ? p->source_port : p->destination_port;

	if (family == 4) {
		key->v4 = (struct ct_key4){
			.low_address = low_address->v4,
			.high_address = high_address->v4,
			.low_port = low_port,
			.high_port = high_port,
			.protocol = p->protocol,
		};
		return;
	}
	__builtin_memcpy(key->v6.low_address, low_address, sizeof(*low_address));
	__builtin_memcpy(key->v6.high_address, high_address, sizeof(*high_address));
	key->v6.low_port = low_port;
	key->v6.high_port = high_port;
	key->v6.protocol = p->protocol;
	__builtin_memset(key->v6.pad, 0, sizeof(key->v6.pad));
}

static __always_inline bool ct_closing(__u32 flags)
{
	const __u32 both = CT_FIN_FORWARD | CT_FIN_REPLY;

	return (flags & CT_RESET) || (flags & both) == both;
}

/* A new connection may take over the place of one that has expired or is closing. */
static __always_inline bool ct_dead(const struct ct_entry *entry, const struct packet *p, __u32 now)
{
	if (entry->expires_s < now)
		return true;
	return (p->tcp_flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN && ct_closing(entry->flags);
}

static __always_inline void ct_find(struct connection *c, const struct packet *p, __u32 now, const __u8 family)
{
	struct ct_entry *entry;
	union ct_key key;

	c->source_is_high = source_is_high(p, family);
	ct_key_fill(&key, p, c->source_is_high, family);
	entry = bpf_map_lookup_elem(ct_map(family), &key);
	if (!entry)
		return;
	if (unlikely(ct_dead(entry, p, now))) {
		c->slot = entry;
		return;
	}
	c->entry = entry;
	c->reply = c->source_is_high != !!(entry->flags & CT_ORIGIN_HIGH);
}

static __always_inline __u32 ct_timeout_s(const struct packet *p, __u32 flags)
{
	if (p->protocol != IPPROTO_TCP)
		return config.any_timeout_s;
	if (ct_closing(flags))
		return config.tcp_close_timeout_s;
	if (!(flags & CT_REPLIED) || (p->tcp_flags & TCP_FLAG_SYN))
		return config.tcp_syn_timeout_s;
	return config.tcp_timeout_s;
}

static __always_inline __u32 ct_flags_of(const struct packet *p, bool reply)
{
	__u32 flags = reply ? CT_REPLIED : 0;

	if (p->tcp_flags & TCP_FLAG_FIN)
		flags |= reply ? CT_FIN_REPLY : CT_FIN_FORWARD;
	if (p->tcp_flags & TCP_FLAG_RST)
		flags |= CT_RESET;
	return flags;
}

/* Notes a packet. Writes only what changes: two CPUs share the line. */
static __always_inline void ct_keep(struct connection *c, const struct packet *p, __u32 now)
{
	struct ct_entry *entry = c->entry;
	__u32 flags = entry->flags, seen = flags | ct_flags_of(p, c->reply);
	__u32 expires_s;

	if (unlikely(seen != flags))
		__sync_fetch_and_or(&entry->flags, seen);
	if (unlikely(c->reply && (flags & CT_DENIED)))
		return;
	expires_s = now + ct_timeout_s(p, seen);
	if (unlikely(entry->expires_s != expires_s))
		entry->expires_s = expires_s;
}

/* Enters the connection that the packet opens. The caller has filled in who admitted it. */
static __always_inline fault ct_open(const struct connection *c, const struct packet *p, struct ct_entry *fresh, __u32 now,
				     const __u8 family)
{
	union ct_key key;
	long error;

	fresh->flags = ct_flags_of(p, false) | (c->source_is_high ? CT_ORIGIN_HIGH : 0);
	fresh->expires_s = now + ct_timeout_s(p, fresh->flags);
	fresh->reported_s[0] = now;
	fresh->reported_flags[0] = p->tcp_flags & TRACED_TCP_FLAGS;
	if (c->slot) {
		*c->slot = *fresh;
		return 0;
	}
	ct_key_fill(&key, p, c->source_is_high, family);
	error = bpf_map_update_elem(ct_map(family), &key, fresh, BPF_NOEXIST);
	/* Another packet of the connection may have been quicker; it was judged as this one was. */
	if (error && error != -EEXIST)
		return FAULT(DROP_CT_MAP_INSERTION_FAILED);
	return 0;
}

/* Whether this packet of a known connection is to be reported: a TCP flag not seen before, or it is time again. */
static __always_inline bool ct_report_due(struct connection *c, const struct packet *p, __u32 now)
{
	struct ct_entry *entry = c->entry;
	__u8 direction = c->reply & 1;
	__u8 reported = entry->reported_flags[direction];
	__u8 flags = reported | (p->tcp_flags & TRACED_TCP_FLAGS);

	if (!unlikely(flags != reported || now - entry->reported_s[direction] >= config.trace_interval_s))
		return false;
	entry->reported_s[direction] = now;
	entry->reported_flags[direction] = flags;
	return true;
}
