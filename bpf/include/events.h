/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Map "events": RINGBUF. Each record is event_time, one of the notifications, then the
 * first bytes of the packet (captured_length of them). The notifications have the layout
 * that Cilium's monitor uses, so that tools that know it can read a record from byte 8. */
#pragma once
#include <linux/types.h>

enum event_type {
	EVENT_DROP = 1,
	EVENT_DEBUG = 2,
	EVENT_CAPTURE = 3,
	EVENT_TRACE = 4,
	EVENT_POLICY_VERDICT = 5,
	EVENT_TRACE_SOCK = 7,
};

struct event_header {
	__u64 time_ns; /* CLOCK_MONOTONIC; not part of the monitor's layout, which starts here below. */
	__u8 type;
	__u8 subtype;         /* Drop code, observation point; 0 for verdicts. */
	__u16 source;         /* Endpoint id of the program that reports; 0: the host. */
	__u32 hash;
	__u32 original_length;
	__u16 captured_length;
	__u8 version;
	__u8 extension;
};

enum notify_flags {
	NOTIFY_IPV6 = 1,
	NOTIFY_L3_DEVICE = 2,
	NOTIFY_VXLAN = 4,
	NOTIFY_GENEVE = 8,
};

struct drop_notify { /* version 3: 48 bytes after the time */
	struct event_header header;
	__u32 source_identity;
	__u32 destination_identity;
	__u32 destination_id; /* Endpoint id; 0: not local. */
	__u16 line;
	__u8 file; /* enum source_file */
	__s8 extended_error;
	__u32 ifindex;
	__u32 flags;
	__u64 ip_trace_id;
};

enum trace_reason {
	TRACE_REASON_NEW = 0,
	TRACE_REASON_ESTABLISHED = 1,
	TRACE_REASON_REPLY = 2,
	TRACE_REASON_RELATED = 3,
	TRACE_REASON_UNKNOWN = 5,
	TRACE_REASON_ENCRYPTED = 0x80,
};

enum trace_point {
	TRACE_TO_ENDPOINT = 0,
	TRACE_TO_PROXY = 1,
	TRACE_TO_HOST = 2,
	TRACE_TO_STACK = 3,
	TRACE_TO_OVERLAY = 4,
	TRACE_FROM_ENDPOINT = 5,
	TRACE_FROM_PROXY = 6,
	TRACE_FROM_HOST = 7,
	TRACE_FROM_STACK = 8,
	TRACE_FROM_OVERLAY = 9,
	TRACE_FROM_NETWORK = 10,
	TRACE_TO_NETWORK = 11,
};

struct trace_notify { /* version 2: 56 bytes after the time */
	struct event_header header;
	__u32 source_identity;
	__u32 destination_identity;
	__u16 destination_id;
	__u8 reason;
	__u8 flags;
	__u32 ifindex;
	__u8 original_ip[16];
	__u64 ip_trace_id;
};

enum verdict_flags {
	VERDICT_INGRESS = 1,
	VERDICT_EGRESS = 2,
	VERDICT_IPV6 = 4,
	VERDICT_MATCH_SHIFT = 3, /* 0 none, 1 L3-only, 2 L3-L4, 3 L4-only, 4 all, 5 L3-proto, 6 proto-only */
	VERDICT_AUDITED = 0x40,
	VERDICT_L3_DEVICE = 0x80,
};

struct policy_verdict_notify { /* version 1: 40 bytes after the time, with the cookie */
	struct event_header header;
	__u32 remote_identity; /* At byte 16 after the time: this event has no identity pair. */
	__s32 verdict;         /* Below 0: minus the drop code. 0 allowed. Above 0: proxy port. */
	__be16 destination_port;
	__u8 protocol;
	__u8 flags;
	__u8 auth_type;
	__u8 pad[3];
	__u32 cookie;
	__u32 pad2;
};
