/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Telling user space. Nothing here is on the way of an ordinary packet of a known connection. */
#pragma once
#include "lib/maps.h"
#include "lib/metrics.h"
#include "lib/outer.h"
#include "lib/packet.h"
#include "lib/trace-id.h"

#define PAYLOAD_SIZE_MAX 128

/* What a drop or trace event says, beside the packet itself. */
struct report {
	__u32 source_identity;
	__u32 destination_identity;
	__u16 source_id;      /* Endpoint that reports; 0: the host. */
	__u16 destination_id; /* Endpoint it is for; 0: not on this node. */
	__u32 ifindex;
	__u8 family;
	__u8 point;     /* enum trace_point, for traces */
	__u8 reason;    /* enum trace_reason, for traces */
	__u8 direction; /* enum metrics_direction, for drops */
	struct address original; /* Source before it was translated; zero: it was not. For traces. */
};

static __always_inline void event_lost(void)
{
	__u64 *count = bpf_map_lookup_elem(&events_lost, &(__u32){0});

	if (count)
		*count += 1;
}

/* Room for a record in the ring; NULL: it is full, and that is counted. The size is a constant for the verifier. */
static __always_inline void *event_reserve(__u64 size)
{
	void *record = bpf_ringbuf_reserve(&events, size, 0);

	if (!record)
		event_lost();
	return record;
}

static __always_inline __u32 payload_size(void)
{
	__u32 size = config.trace_payload_size;

	return size < PAYLOAD_SIZE_MAX ? size : PAYLOAD_SIZE_MAX;
}

/* Header and payload. `record` has room for the notification and payload_size() bytes. */
static __always_inline void event_fill(struct __sk_buff *skb, struct event_header *header, const __u32 notify_size, __u8 type,
				       __u8 subtype, __u8 version, __u16 source)
{
	__u32 size = payload_size();
	__u32 length = skb->len;

	if (size > length)
		size = length;
	/* A frame has at least an Ethernet header. Said so that the verifier sees a size above 0. */
	if (size < 1 || bpf_skb_load_bytes(skb, 0, (void *)header + notify_size, size))
		size = 0;
	*header = (struct event_header){
		.time_ns = bpf_ktime_get_ns(),
		.type = type,
		.subtype = subtype,
		.source = source,
		.hash = skb->hash,
		.original_length = length,
		.captured_length = size,
		.version = version,
	};
}

/* The kernel wakes the reader when it had read everything before this record, and only then: a reader that
 * rests after each wake-up is woken once a rest, however many the events. */
static __always_inline void event_submit(void *record)
{
	bpf_ringbuf_submit(record, 0);
}

/* The same for a packet that may be the tunnel's: then what carries it comes before it. NULL: the ring is full. */
static __always_inline void *event_open(struct __sk_buff *skb, const __u32 notify_size, __u8 type, __u8 subtype, __u8 version, __u16 source,
					bool *wrapped)
{
	const __u32 outer_size = sizeof(struct outer_headers);
	struct event_header *header;

	*wrapped = config.tunnel_ifindex && outer_size + payload_size() >= sizeof(struct bpf_tunnel_key) && is_wrapped(skb);
	if (!*wrapped) {
		header = event_reserve(notify_size + payload_size());
		if (header)
			event_fill(skb, header, notify_size, type, subtype, version, source);
		return header;
	}
	header = event_reserve(notify_size + outer_size + payload_size());
	if (!header)
		return NULL;
	outer_make(skb, (void *)header + notify_size);
	event_fill(skb, header, notify_size + outer_size, type, subtype, version, source);
	header->captured_length += outer_size;
	return header;
}

static __always_inline __u32 notify_flags(const struct report *r, bool wrapped)
{
	return (r->family == 6 ? NOTIFY_IPV6 : 0) | (wrapped ? NOTIFY_VXLAN | NOTIFY_L3_DEVICE : 0);
}

static __always_inline void send_drop(struct __sk_buff *skb, const struct report *r, fault problem)
{
	struct drop_notify *event;
	bool wrapped;

	event = event_open(skb, sizeof(*event), EVENT_DROP, FAULT_REASON(problem), 3, r->source_id, &wrapped);
	if (!event)
		return;
	event->source_identity = r->source_identity;
	event->destination_identity = r->destination_identity;
	event->destination_id = r->destination_id;
	event->line = FAULT_LINE(problem);
	event->file = FAULT_FILE(problem);
	event->extended_error = 0;
	event->ifindex = r->ifindex;
	event->flags = notify_flags(r, wrapped);
	event->ip_trace_id = config.ip_trace_option ? ip_trace_id(skb) : 0;
	event_submit(event);
}

CHECKED_ONCE int send_trace(struct __sk_buff *skb, const struct report *r)
{
	struct trace_notify *event;
	bool wrapped;

	if (!r)
		return 0;
	event = event_open(skb, sizeof(*event), EVENT_TRACE, r->point, 2, r->source_id, &wrapped);
	if (!event)
		return 0;
	event->source_identity = r->source_identity;
	event->destination_identity = r->destination_identity;
	event->destination_id = r->destination_id;
	event->reason = r->reason;
	event->flags = notify_flags(r, wrapped);
	event->ifindex = r->ifindex;
	__builtin_memcpy(event->original_ip, &r->original, sizeof(event->original_ip));
	event->ip_trace_id = config.ip_trace_option ? ip_trace_id(skb) : 0;
	event_submit(event);
	return 0;
}

/* Counts, reports and drops. */
CHECKED_ONCE int drop(struct __sk_buff *skb, const struct report *r, fault problem)
{
	if (!r)
		return TC_ACT_SHOT;
	count_drop(skb, problem, r->direction);
	send_drop(skb, r, problem);
	return TC_ACT_SHOT;
}
